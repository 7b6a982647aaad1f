/**
 * Freezing what is mapped raw of a device. The queue of a device that is frozen lets no request
 * pass, but a store is no request (Jan Kara, October 2015): so the right to store is taken from
 * every mapping, and a write fault does what a request would.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { ALL_PAGES } from "./address-space.ts";
import { AddressSpaces } from "./address-spaces.ts";
import { DaxDevice } from "./dax-device.ts";
import { PAGE_SIZE } from "./operations.ts";

/** Bytes of the device. */
interface FrozenRange {
  readonly start: number;
  readonly length: number;
}

const known = new WeakMap<DaxDevice, RawFreeze>();

/** The number by which the pages of a device are known among its address spaces. */
export const RAW_INO = 0;

/** Whether stores to the memory of a device stand still. */
export class RawFreeze {
  /**
   * Called for a store to a device that is frozen: it may thaw it, and then the store goes on, as
   * one that has waited. Otherwise it fails with EAGAIN.
   */
  whenFrozen: (() => void) | undefined;
  readonly #device: DaxDevice;
  readonly #frozen: FrozenRange[] = [];

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
    return this.#frozen.length > 0;
  }

  /**
   * Writes back what was stored, and takes the right to store away: of all of the device, or of
   * `length` bytes from `start`, as for a partition of it. Freezes nest. It costs what is dirty.
   * @throws EBUSY when memory was handed out that may be stored to and cannot be taken back, EIO
   */
  freeze(start = 0, length = Number.POSITIVE_INFINITY): void {
    const space = AddressSpaces.of(this.#device).get(RAW_INO);
    const holder = space?.holderOf(start, length);
    if (holder !== undefined) {
      const detail = `${holder}; unmap that first, or map it revocable`;
      throw new DaxError("EBUSY", { syscall: "freeze", path: this.#device.name, detail });
    }
    const first = Math.floor(start / PAGE_SIZE);
    const pages = Math.min(ALL_PAGES, Math.ceil((start + length) / PAGE_SIZE)) - first;
    space?.writeProtect(first, pages);
    space?.writeBack(first, pages);
    for (const area of space?.areasOver(start, length) ?? []) area.takeBack?.();
    this.#frozen.push({ start, length });
    this.#device.gate = this;
  }

  /** Ends one freeze of these bytes. @throws EINVAL when there is none */
  thaw(start = 0, length = Number.POSITIVE_INFINITY): void {
    const found = this.#frozen.findLastIndex(
      (range) => range.start === start && range.length === length,
    );
    if (found < 0) {
      const part = length === Number.POSITIVE_INFINITY ? "it is" : `bytes ${start}+${length} are`;
      const detail = `${part} not frozen`;
      throw new DaxError("EINVAL", { syscall: "thaw", path: this.#device.name, detail });
    }
    this.#frozen.splice(found, 1);
    if (this.#frozen.length === 0) this.#device.gate = undefined;
  }

  /**
   * Every write fault passes here, and every operation of the device that stores.
   * @throws EAGAIN while one of the bytes is frozen
   */
  pass(start = 0, length = Number.POSITIVE_INFINITY, syscall = "store"): void {
    if (this.#frozen.length === 0 || !this.#holds(start, length)) return;
    this.whenFrozen?.();
    if (!this.#holds(start, length)) return;
    const detail = "the device is frozen; the store waits for thaw";
    throw new DaxError("EAGAIN", { syscall, path: this.#device.name, detail });
  }

  #holds(start: number, length: number): boolean {
    return this.#frozen.some(
      (range) => range.start < start + length && start < range.start + range.length,
    );
  }
}
