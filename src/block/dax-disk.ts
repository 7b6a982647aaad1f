/**
 * A disk over any dax device: for drivers and stacked devices that have no media of their own. One
 * file that is the whole device, so that short translations and poison are dealt with where files
 * deal with them.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { daxRead, daxWrite, daxZero } from "../dax/file-io.ts";
import type { DaxRange, Iomap, Iomappable } from "../dax/iomap.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "./block-device.ts";
import { DeviceFreeze } from "./device-freeze.ts";
import type { SectorRange } from "./device-users.ts";
import { checkBytes, checkRequest, checkSectors, checkWritable, refuseDiscard } from "./request.ts";

/** How a disk over a dax device is made. */
export interface DaxDiskOptions {
  readonly readOnly?: boolean;
  readonly limits?: QueueLimits;
}

/** A block device whose sectors are the bytes of a dax device. */
export class DaxDisk implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly freezing = new DeviceFreeze(this);
  readonly readOnly: boolean;
  readonly dax: DaxRange;
  readonly #file: Iomappable;

  constructor(device: DaxDevice, options: DaxDiskOptions = {}) {
    const size = device.pages * PAGE_SIZE;
    this.name = device.name;
    this.sectors = size / SECTOR_SIZE;
    this.limits = options.limits ?? { logicalBlockSize: SECTOR_SIZE, physicalBlockSize: 4096 };
    this.readOnly = options.readOnly ?? false;
    this.dax = { device, start: 0, length: size };
    const { dax: range } = this;
    const map: Iomap = { type: "mapped", offset: 0, length: size, addr: 0, range, store: this };
    this.#file = { size, iomapBegin: () => map };
  }

  hold(user: DeviceUser, range?: SectorRange): () => void {
    return this.freezing.users.hold(user, range);
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.freezing.users.of(range);
  }

  read(sector: number, target: Uint8Array): void {
    checkRequest(this, "read", sector, target.length);
    this.#load(sector * SECTOR_SIZE, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    checkWritable(this);
    checkRequest(this, "write", sector, source.length);
    this.#store(sector * SECTOR_SIZE, source);
    if (flags?.fua === true) this.flush();
  }

  writeZeroes(sector: number, sectors: number): void {
    checkWritable(this);
    checkSectors(this, "write_zeroes", sector, sectors);
    daxZero(this.#file, sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
  }

  discard(): void {
    refuseDiscard(this);
  }

  /** A fence; nothing for memory that needs none. */
  flush(): void {
    const { device } = this.dax;
    if (device.writeCache) device.fence();
  }

  readBytes(offset: number, target: Uint8Array): void {
    checkBytes(this, "read", offset, target.length);
    this.#load(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    checkWritable(this);
    checkBytes(this, "write", offset, source.length);
    this.#store(offset, source);
  }

  #load(offset: number, target: Uint8Array): void {
    const read = daxRead(this.#file, target, offset);
    if (read < target.length) this.#refuse("read", offset + read);
  }

  #store(offset: number, source: Uint8Array): void {
    const written = daxWrite(this.#file, source, offset);
    if (written < source.length) this.#refuse("write", offset + written);
  }

  #refuse(syscall: string, offset: number): never {
    const page = Math.floor(offset / PAGE_SIZE);
    throw new DaxError("EIO", {
      syscall,
      path: this.name,
      detail: `page ${page} is poisoned; only overwriting all of it heals it`,
    });
  }
}
