/**
 * Mapping a block device raw: all of a disk, or a partition, for a program that wants the memory to
 * itself. A filesystem on the same bytes and a raw mapping refuse each other.
 *
 * @module
 */
import { holdsAll } from "../dax/media-failures.ts";
import { useRange } from "../dax/range-users.ts";
import { type RawMapOptions, RawMapping } from "../dax/raw-mapping.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import type { BlockDevice } from "./block-device.ts";
import { daxRangeOf } from "./dax-capability.ts";

/**
 * Aliases a device's memory: a mapping of it, or of a part.
 * @throws EOPNOTSUPP for a device without dax, EBUSY while a filesystem is mounted on some of it
 *   or somebody holds it, and as {@link RawMapping}
 */
export function mapRaw(device: BlockDevice, options: RawMapOptions = {}): RawMapping {
  const range = daxRangeOf(device);
  const { holder } = range.device;
  if (holder !== undefined && holdsAll(holder)) {
    const detail = `${range.device.name} is held by ${holder.name}; end that first`;
    throw new DaxError("EBUSY", { syscall: "mmap", path: device.name, detail });
  }
  const release = useRange(range, "raw mapping", device.name);
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
