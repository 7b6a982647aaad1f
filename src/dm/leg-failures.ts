/**
 * How a failure of memory finds its way upwards. A dax device has one holder; all tables over it
 * share that one, which tells each of them. Linux's device-mapper opens dax devices without any
 * holder, and so a failure ends there.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import type { DaxHolder } from "../dax/operations.ts";

/** Told that `length` bytes at byte `start` of a leg's dax device are gone. */
export type FailureListener = (
  device: DaxDevice,
  start: number,
  length: number,
  reason: "poison" | "pre-remove",
) => void;

/** The holder that all tables over one dax device share. */
class SharedHolder implements DaxHolder {
  readonly name = "device-mapper";
  /** How often each listens: a table once for each of its legs there. */
  readonly listeners = new Map<FailureListener, number>();
  readonly #device: DaxDevice;

  constructor(device: DaxDevice) {
    this.#device = device;
  }

  notifyFailure(offset: number, length: number, reason: "poison" | "pre-remove"): void {
    // A listener may well close its leg.
    const listeners = Array.from(this.listeners.keys());
    for (const listener of listeners) {
      listener(this.#device, offset, length, reason);
    }
  }
}

/** Whether it is the tables over a device that hold it. */
export function isMapperHolder(holder: DaxHolder): boolean {
  return holder instanceof SharedHolder;
}

const HOLDERS = new WeakMap<DaxDevice, SharedHolder>();

/** Claims a device for device-mapper, and listens. @throws EBUSY, ENXIO as `DaxDevice.claim` */
export function listen(device: DaxDevice, listener: FailureListener): void {
  const holder = HOLDERS.get(device) ?? new SharedHolder(device);
  device.claim(holder);
  HOLDERS.set(device, holder);
  holder.listeners.set(listener, (holder.listeners.get(listener) ?? 0) + 1);
}

/** Ends what {@link listen} began; the last one gives the device back. */
export function forget(device: DaxDevice, listener: FailureListener): void {
  const holder = HOLDERS.get(device);
  const count = holder?.listeners.get(listener);
  if (holder === undefined || count === undefined) return;
  if (count > 1) holder.listeners.set(listener, count - 1);
  else holder.listeners.delete(listener);
  if (holder.listeners.size > 0) return;
  device.release(holder);
  HOLDERS.delete(device);
}
