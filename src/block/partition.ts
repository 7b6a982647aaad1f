/**
 * A run of sectors of a disk as a device of its own.
 *
 * @module
 */
import type { DaxRange } from "../dax/iomap.ts";
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
import { checkBytes, checkRequest, checkSectors, checkWritable } from "./request.ts";

/** Where a partition lies on its disk. */
export interface PartitionOptions {
  /** Kernel-style: `pmem0p1`. */
  readonly name: string;
  /** The first sector of the partition on the disk. */
  readonly start: number;
  readonly sectors: number;
  readonly readOnly?: boolean;
}

/** A partition; its sector 0 is sector `start` of the disk. */
export class Partition implements BlockDevice {
  readonly name: string;
  readonly disk: BlockDevice;
  /** The first sector of the partition on the disk. */
  readonly start: number;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  /**
   * Undefined unless both the start and the length are multiples of a page: a filesystem on such a
   * partition could not tell its pages apart from its neighbour's.
   */
  readonly dax: DaxRange | undefined;
  readonly metadataBySector: boolean;
  /** Of this partition alone; one of the disk reaches who stands on it as well. */
  readonly freezing = new DeviceFreeze(this);

  /** @throws EIO when the partition leaves the disk */
  constructor(disk: BlockDevice, options: PartitionOptions) {
    checkSectors(disk, "partition", options.start, options.sectors);
    this.name = options.name;
    this.disk = disk;
    this.start = options.start;
    this.sectors = options.sectors;
    this.limits = disk.limits;
    this.readOnly = disk.readOnly || (options.readOnly ?? false);
    this.metadataBySector = disk.metadataBySector ?? false;
    this.dax = daxOf(disk.dax, options.start * SECTOR_SIZE, options.sectors * SECTOR_SIZE);
  }

  /** The disk, too, where others may have this partition, or all of it. */
  hold(user: DeviceUser, range?: SectorRange): () => void {
    const own = this.freezing.users.hold(user, range);
    try {
      const disk = this.disk.hold?.(user, this.#onDisk(range));
      return () => {
        own();
        disk?.();
      };
    } catch (error) {
      own();
      throw error instanceof DaxError ? error.at({ path: this.name }) : error;
    }
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.disk.users?.(this.#onDisk(range)) ?? this.freezing.users.of(range);
  }

  read(sector: number, target: Uint8Array): void {
    checkRequest(this, "read", sector, target.length);
    this.disk.read(this.start + sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    checkWritable(this);
    checkRequest(this, "write", sector, source.length);
    this.disk.write(this.start + sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    checkWritable(this);
    checkSectors(this, "write_zeroes", sector, sectors);
    this.disk.writeZeroes(this.start + sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    checkWritable(this);
    checkSectors(this, "discard", sector, sectors);
    this.disk.discard(this.start + sector, sectors);
  }

  flush(): void {
    this.disk.flush();
  }

  readBytes(offset: number, target: Uint8Array): void {
    checkBytes(this, "read", offset, target.length);
    this.disk.readBytes(this.start * SECTOR_SIZE + offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    checkWritable(this);
    checkBytes(this, "write", offset, source.length);
    this.disk.writeBytes(this.start * SECTOR_SIZE + offset, source);
  }

  #onDisk({ start, sectors }: SectorRange = { start: 0, sectors: this.sectors }): SectorRange {
    return { start: this.start + start, sectors: Math.min(sectors, this.sectors - start) };
  }
}

function daxOf(disk: DaxRange | undefined, start: number, length: number): DaxRange | undefined {
  if (disk === undefined || length === 0 || start + length > disk.length) return undefined;
  if ((disk.start + start) % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0) return undefined;
  return { device: disk.device, start: disk.start + start, length };
}
