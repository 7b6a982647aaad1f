/**
 * A block device as a store: every request of a client is a request to the device, so that drivers,
 * failure injection and recorders see each of them.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import type { DaxRange } from "../dax/iomap.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { isDaxError } from "../lib/errno.ts";
import { copyOut } from "../lib/memory.ts";
import type { NbdStore, StoreAbilities, StoreBlockSizes, StoreExtent, ZeroFlags } from "./store.ts";
import { ZeroLook, zeroExtents } from "./zero-extents.ts";

const PREFERRED_BYTES = 4096;

/** See the module. Flush and FUA mean what the device makes of them. */
export class BlockStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes;
  /** A device that knows no discard ignores a trim, which the specification allows. */
  readonly abilities: StoreAbilities = {
    trim: true,
    fastZero: true,
    cache: false,
    multiConnection: true,
  };
  readonly #device: BlockDevice;
  readonly #look = new ZeroLook();

  /** `readOnly` shows a device that could be written as one that cannot. */
  constructor(device: BlockDevice, options: { readonly readOnly?: boolean } = {}) {
    const { logicalBlockSize, physicalBlockSize } = device.limits;
    const minimum = Math.max(SECTOR_SIZE, logicalBlockSize);
    const preferred = Math.max(minimum, physicalBlockSize, PREFERRED_BYTES);
    this.size = device.sectors * SECTOR_SIZE;
    this.readOnly = device.readOnly || options.readOnly === true;
    this.blockSizes = { minimum, preferred };
    this.#device = device;
  }

  read(offset: number, target: Uint8Array): void {
    this.#device.read(offset / SECTOR_SIZE, target);
  }

  write(offset: number, source: Uint8Array): void {
    this.#device.write(offset / SECTOR_SIZE, source);
  }

  writeThrough(offset: number, source: Uint8Array): void {
    this.#device.write(offset / SECTOR_SIZE, source, { fua: true });
  }

  /** A block device can only be flushed as a whole. */
  persist(): void {
    this.#device.flush();
  }

  flush(): void {
    this.#device.flush();
  }

  /** Devices zero without being sent zeros, and keep the space. */
  writeZeroes(offset: number, length: number, _flags: ZeroFlags): void {
    this.#device.writeZeroes(offset / SECTOR_SIZE, length / SECTOR_SIZE);
  }

  trim(offset: number, length: number): void {
    try {
      this.#device.discard(offset / SECTOR_SIZE, length / SECTOR_SIZE);
    } catch (error) {
      if (!isDaxError(error, "ENOTSUP", "EOPNOTSUPP")) throw error;
    }
  }

  cache(): void {}

  /**
   * Which blocks hold nothing but zeros, looked up in the dax memory behind the device: no request
   * is made for it. Without dax it would be one that nobody made, and all counts as data; so does
   * what cannot be looked at, such as poison.
   */
  allocation(offset: number, length: number): Iterable<StoreExtent> {
    const { dax } = this.#device;
    if (dax === undefined) return [{ length, hole: false, zero: false }];
    return zeroExtents(offset, length, (at, run) => this.#isZero(dax, at, run));
  }

  /** Of a piece inside one page. */
  #isZero({ device, start }: DaxRange, offset: number, length: number): boolean {
    const within = offset % PAGE_SIZE;
    try {
      const span = device.directAccess((start + offset - within) / PAGE_SIZE, 1);
      const zero = this.#look.isZero(length, (bytes) => {
        copyOut(span.memory, span.start + within, bytes);
      });
      device.checkFault();
      return zero;
    } catch (error) {
      if (isDaxError(error)) return false;
      throw error;
    }
  }
}
