/**
 * Whether a filesystem can use dax on a device, and if not, why: Linux's checks
 * (`fs_dax_get_by_bdev`, `bdev_dax_supported`) with their reasons in words.
 *
 * @module
 */
import type { DaxRange } from "../dax/iomap.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import { type BlockDevice, SECTOR_SIZE } from "./block-device.ts";
import { Partition } from "./partition.ts";

/** The answer, with the memory or with the reason. */
export type DaxCapability =
  | { readonly capable: true; readonly range: DaxRange }
  | { readonly capable: false; readonly reason: string };

/**
 * Whether a filesystem with blocks of `blockSize` bytes can reach `device` by dax.
 * @throws EINVAL for what is no device
 */
export function daxCapability(device: BlockDevice, blockSize: number): DaxCapability {
  const isDevice = typeof (device as BlockDevice | undefined)?.sectors === "number";
  if (!isDevice || !Number.isSafeInteger(blockSize)) {
    const given = `given were ${givenText(device)} and ${givenText(blockSize)}`;
    const detail = `it takes a block device and bytes of a block; ${given}`;
    throw new DaxError("EINVAL", { syscall: "dax_supported", detail });
  }
  const { name, dax } = device;
  if (blockSize !== PAGE_SIZE) {
    return no(`${name}: blocks of ${blockSize} bytes are not pages of ${PAGE_SIZE}`);
  }
  const length = device.sectors * SECTOR_SIZE;
  if (device instanceof Partition) {
    const start = device.start * SECTOR_SIZE;
    if (start % PAGE_SIZE !== 0) {
      return no(`${name}: unaligned partition: it starts at byte ${start}, inside a page`);
    }
  }
  if (length % PAGE_SIZE !== 0 || length === 0) {
    return no(`${name}: its length of ${length} bytes is not a whole number of pages`);
  }
  if (dax === undefined) return no(`${name}: the device offers no dax`);
  if (!dax.device.alive) return no(`${name}: ${dax.device.name} was removed`);
  for (const [which, at] of [
    ["first", dax.start],
    ["last", dax.start + dax.length - PAGE_SIZE],
  ] as const) {
    try {
      dax.device.directAccess(at / PAGE_SIZE, 1);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      return no(`${name}: its ${which} page cannot be translated: ${error.message}`);
    }
  }
  return { capable: true, range: dax };
}

/**
 * The dax memory of a device, for who cannot do without.
 * @throws EOPNOTSUPP where there is none
 */
export function daxRangeOf(device: BlockDevice): DaxRange {
  if (device.dax !== undefined) return device.dax;
  throw new DaxError("EOPNOTSUPP", {
    syscall: "direct_access",
    path: device.name,
    detail: "the device offers no dax: no dax driver below it, or a partition off page borders",
  });
}

function no(reason: string): DaxCapability {
  return { capable: false, reason };
}
