/**
 * Mapping a block device raw: all of a disk, or a partition, for a program that wants the memory to
 * itself. A filesystem on the same bytes and a raw mapping refuse each other.
 *
 * @module
 */
import { type RawMapOptions, RawMapping } from "../dax/raw-mapping.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import type { BlockDevice } from "./block-device.ts";
import { daxRangeOf } from "./dax-capability.ts";

/**
 * Aliases a device's memory: a mapping of it, or of a part.
 * @throws EOPNOTSUPP for a device without dax, EBUSY while a filesystem is mounted on some of it,
 *   also through device-mapper, or somebody has claimed its memory; and as {@link RawMapping}
 */
export function mapRaw(device: BlockDevice, options: RawMapOptions = {}): RawMapping {
  const range = daxRangeOf(device);
  const user = { name: `a raw mapping of ${device.name}`, use: "raw" } as const;
  const release = device.hold?.(user) ?? (() => {});
  try {
    const target = {
      name: device.name,
      device: range.device,
      start: range.start,
      readOnly: device.readOnly,
      align: PAGE_SIZE,
      wholeUnits: false,
      // A stacked device may get another table, with less behind it.
      size: () => Math.min(range.length, range.device.pages * PAGE_SIZE - range.start),
      isAlive: () => range.device.alive,
      hasUnit: () => true,
    };
    return new RawMapping(target, options, release);
  } catch (error) {
    release();
    throw error;
  }
}
