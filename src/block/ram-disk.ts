/**
 * A disk over plain bytes: no dax, no durability. What images read into memory and tests use.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "./block-device.ts";
import { DeviceFreeze } from "./device-freeze.ts";
import type { SectorRange } from "./device-users.ts";
import { checkBytes, checkRequest, checkSectors, checkWritable, refuseDiscard } from "./request.ts";

/** How a RAM disk is made. */
export interface RamDiskOptions {
  readonly name: string;
  /** The disk aliases them; a tail of less than a sector is not part of the disk. */
  readonly bytes: Uint8Array;
  readonly readOnly?: boolean;
  /** 512 and 4096 bytes unless given. */
  readonly limits?: QueueLimits;
}

/** A block device over an array of bytes. */
export class RamDisk implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  readonly dax: undefined;
  readonly freezing = new DeviceFreeze(this);
  readonly #bytes: Uint8Array;

  constructor(options: RamDiskOptions) {
    const { name, bytes, readOnly = false, limits } = options;
    assert(name !== "", "a disk has a name");
    this.name = name;
    this.sectors = Math.floor(bytes.length / SECTOR_SIZE);
    this.readOnly = readOnly;
    this.limits = limits ?? { logicalBlockSize: SECTOR_SIZE, physicalBlockSize: 4096 };
    this.#bytes = bytes;
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

  write(sector: number, source: Uint8Array): void {
    checkWritable(this);
    checkRequest(this, "write", sector, source.length);
    this.#bytes.set(source, sector * SECTOR_SIZE);
  }

  writeZeroes(sector: number, sectors: number): void {
    checkWritable(this);
    checkSectors(this, "write_zeroes", sector, sectors);
    this.#bytes.fill(0, sector * SECTOR_SIZE, (sector + sectors) * SECTOR_SIZE);
  }

  discard(): void {
    refuseDiscard(this);
  }

  flush(): void {}

  readBytes(offset: number, target: Uint8Array): void {
    checkBytes(this, "read", offset, target.length);
    this.#load(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    checkWritable(this);
    checkBytes(this, "write", offset, source.length);
    this.#bytes.set(source, offset);
  }

  #load(offset: number, target: Uint8Array): void {
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }
}
