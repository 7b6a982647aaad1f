/**
 * Freezing what is mapped raw of a device. The queue of a device that is frozen lets no request
 * pass, but a store is no request (Jan Kara, October 2015): so the right to store is taken from
 * every mapping, and a write fault does what a request would.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { AddressSpaces } from "./address-spaces.ts";
import { DaxDevice } from "./dax-device.ts";

const known = new WeakMap<DaxDevice, RawFreeze>();

/** The number by which the pages of a device are known among its address spaces. */
export const RAW_INO = 0;

/** Whether stores through raw mappings of a device stand still. */
export class RawFreeze {
  /**
   * Called for a store to a device that is frozen: it may thaw it, and then the store goes on, as
   * one that has waited. Otherwise it fails with EAGAIN.
   */
  whenFrozen: (() => void) | undefined;
  readonly #device: DaxDevice;
  #count = 0;

  private constructor(device: DaxDevice) {
    this.#device = device;
  }

  /** That of a dax device. @throws EINVAL for what is none: nothing would be frozen */
  static of(device: DaxDevice): RawFreeze {
    if (!(device instanceof DaxDevice)) {
      const detail = "a disk's dax device is disk.dax.device; a machine's is machine.dax(NAME)";
      throw new DaxError("EINVAL", { syscall: "freeze", detail });
    }
    const found = known.get(device) ?? new RawFreeze(device);
    known.set(device, found);
    return found;
  }

  get frozen(): boolean {
    return this.#count > 0;
  }

  /**
   * Writes back what was stored, and takes the right to store away. Freezes nest. It costs what is
   * dirty.
   * @throws EBUSY when memory was handed out that may be stored to and cannot be taken back, EIO
   */
  freeze(): void {
    const space = AddressSpaces.of(this.#device).get(RAW_INO);
    const holder = space?.holderOf(0);
    if (holder !== undefined) {
      const detail = `${holder}; unmap that first, or map it revocable`;
      throw new DaxError("EBUSY", { syscall: "freeze", path: this.#device.name, detail });
    }
    space?.writeProtect();
    space?.writeBack();
    this.#count++;
  }

  /** Ends one freeze. @throws EINVAL when there is none */
  thaw(): void {
    if (this.#count === 0) {
      const detail = "it is not frozen";
      throw new DaxError("EINVAL", { syscall: "thaw", path: this.#device.name, detail });
    }
    this.#count--;
  }

  /** Every write fault passes here. @throws EAGAIN while the device is frozen */
  pass(): void {
    if (this.#count === 0) return;
    this.whenFrozen?.();
    if (this.#count === 0) return;
    const detail = "the device is frozen; the store waits for thaw";
    throw new DaxError("EAGAIN", { syscall: "store", path: this.#device.name, detail });
  }
}
