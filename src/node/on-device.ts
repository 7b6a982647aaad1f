/**
 * The disk, or the part of it, that a filesystem is in, for as long as something is done with it.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { openPartition } from "../block/partition-table.ts";
import { Partition } from "../block/partition.ts";
import { createPmem } from "../drivers/pmem.ts";
import { DaxError } from "../lib/errno.ts";
import type { Media } from "../media/media.ts";

/** How devices made here are called. */
export const DISK_NAME = "pmem0";

/** Where on a disk the filesystem is. */
export interface DevicePlace {
  /** Byte at which it starts; a multiple of 512. Not together with `partition`. */
  readonly offset?: number;
  /** Number of the partition that holds it. */
  readonly partition?: number;
}

/** What is done, and how. */
export interface DeviceUse extends DevicePlace {
  readonly readOnly: boolean;
  /** Named in errors. */
  readonly syscall: string;
}

/**
 * Runs `body` on the device that a media holds, and takes the device away again.
 * @throws EINVAL for an offset that cannot be, ENXIO for a partition that is not there
 */
export function onDevice<T>(media: Media, use: DeviceUse, body: (device: BlockDevice) => T): T {
  const { size: length } = media;
  const place = { start: 0, length, physicalStart: 0 };
  const pmem = createPmem({ media, name: DISK_NAME, readOnly: use.readOnly, ...place });
  try {
    return body(deviceFor(pmem.disk, use));
  } finally {
    pmem.remove();
  }
}

function deviceFor(disk: BlockDevice, { offset = 0, partition, syscall }: DeviceUse): BlockDevice {
  if (partition !== undefined) {
    if (offset === 0) return openPartition(disk, partition);
    throw new DaxError("EINVAL", { syscall, detail: "give an offset or a partition" });
  }
  if (offset === 0) return disk;
  const start = offset / SECTOR_SIZE;
  if (!Number.isInteger(start) || start < 0 || start >= disk.sectors) {
    const rule = `a multiple of ${SECTOR_SIZE} below ${disk.sectors * SECTOR_SIZE}`;
    throw new DaxError("EINVAL", { syscall, detail: `offset ${offset}; give ${rule}` });
  }
  return new Partition(disk, {
    name: `${DISK_NAME}@${offset}`,
    start,
    sectors: disk.sectors - start,
  });
}
