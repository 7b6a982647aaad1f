/**
 * Legs: the devices below a table, opened once however many targets of it use them.
 *
 * @module
 */
import type { BlockDevice, DeviceUser } from "../block/block-device.ts";
import type { DaxRange } from "../dax/iomap.ts";
import { type FailureListener, type SharedUse, forget, listen } from "../dax/media-failures.ts";
import { type KnownDevice, numberText } from "./device-directory.ts";

const MAPPER: SharedUse = { name: "device-mapper", uses: "all" };

/** A device that a table has open. */
export class Leg {
  readonly known: KnownDevice;
  readonly device: BlockDevice;
  readonly #listener: FailureListener;
  #dax: DaxRange | undefined;
  /** Ends the use of a device that wants to know who stands on it. */
  readonly #release: (() => void) | undefined;
  #closed = false;

  /** @throws EBUSY when somebody has claimed the device's dax memory, ENXIO when it is gone */
  constructor(known: KnownDevice, listener: FailureListener, user: DeviceUser) {
    this.known = known;
    this.device = known.device;
    this.#listener = listener;
    this.#dax = known.device.dax;
    if (this.#dax !== undefined) listen(this.#dax.device, listener, MAPPER);
    this.#release = known.device.hold?.(user);
    known.opened?.(1);
  }

  /** `MAJOR:MINOR`. */
  get text(): string {
    return numberText(this.known.number);
  }

  /** The memory of the device when it was opened, and of one that has got some since. */
  get dax(): DaxRange | undefined {
    const now = this.device.dax;
    if (now?.device !== this.#dax?.device) {
      if (this.#dax !== undefined) forget(this.#dax.device, this.#listener);
      if (now !== undefined) listen(now.device, this.#listener, MAPPER);
      this.#dax = now;
    }
    return now;
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#dax !== undefined) forget(this.#dax.device, this.#listener);
    this.#release?.();
    this.known.opened?.(-1);
  }
}
