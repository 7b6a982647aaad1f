/**
 * The checks that every block device makes before it moves a byte, and byte access over sectors.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { type BlockDevice, SECTOR_SIZE } from "./block-device.ts";

/** What {@link checkRequest} must know of a device. */
type Extent = Pick<BlockDevice, "name" | "sectors">;

/**
 * Refuses a request before anything is transferred.
 * @throws EINVAL for a length that is no multiple of 512, EIO for a range that leaves the device or
 * overflows: Linux ends such a bio with EIO as a whole
 */
export function checkRequest(
  device: Extent,
  syscall: string,
  sector: number,
  length: number,
): void {
  if (length % SECTOR_SIZE !== 0) {
    throw new DaxError("EINVAL", {
      syscall,
      path: device.name,
      detail: `length ${length} is not a multiple of ${SECTOR_SIZE}`,
    });
  }
  checkSectors(device, syscall, sector, length / SECTOR_SIZE);
}

/** As {@link checkRequest}, for a count of sectors. @throws EIO */
export function checkSectors(
  device: Extent,
  syscall: string,
  sector: number,
  sectors: number,
): void {
  const inside =
    Number.isSafeInteger(sector) &&
    Number.isSafeInteger(sectors) &&
    sector >= 0 &&
    sectors >= 0 &&
    sectors <= device.sectors - sector;
  if (inside) return;
  throw new DaxError("EIO", {
    syscall,
    path: device.name,
    detail: `sectors ${sector}+${sectors} leave the device of ${device.sectors} sectors`,
  });
}

/** Refuses bytes outside the device. @throws EIO */
export function checkBytes(device: Extent, syscall: string, offset: number, length: number): void {
  const size = device.sectors * SECTOR_SIZE;
  if (Number.isSafeInteger(offset) && offset >= 0 && length <= size - offset) return;
  throw new DaxError("EIO", {
    syscall,
    path: device.name,
    detail: `bytes ${offset}+${length} leave the device of ${size} bytes`,
  });
}

/** @throws EROFS when the device is read-only, EAGAIN while it is frozen */
export function checkWritable(device: Pick<BlockDevice, "name" | "readOnly" | "freezing">): void {
  device.freezing?.pass("write");
  if (!device.readOnly) return;
  throw new DaxError("EROFS", { syscall: "write", path: device.name });
}

/** The answer of every device that knows no discard: an error, where Linux 4.1's pmem crashed. */
export function refuseDiscard(device: Pick<BlockDevice, "name">): never {
  throw new DaxError("ENOTSUP", {
    syscall: "discard",
    path: device.name,
    detail: "this device knows no discard; writeZeroes clears a range",
  });
}

/** `readBytes` for a device that can only read sectors: the ragged ends go through a copy. */
export function readBytesBySector(device: BlockDevice, offset: number, target: Uint8Array): void {
  checkBytes(device, "read", offset, target.length);
  if (offset % SECTOR_SIZE === 0 && target.length % SECTOR_SIZE === 0) {
    device.read(offset / SECTOR_SIZE, target);
    return;
  }
  const [sector, bounce] = bounceFor(offset, target.length);
  device.read(sector, bounce);
  const skip = offset - sector * SECTOR_SIZE;
  target.set(bounce.subarray(skip, skip + target.length));
}

/** `writeBytes` for a device that can only write sectors: the ragged ends are read first. */
export function writeBytesBySector(device: BlockDevice, offset: number, source: Uint8Array): void {
  checkBytes(device, "write", offset, source.length);
  checkWritable(device);
  if (offset % SECTOR_SIZE === 0 && source.length % SECTOR_SIZE === 0) {
    device.write(offset / SECTOR_SIZE, source);
    return;
  }
  const [sector, bounce] = bounceFor(offset, source.length);
  const skip = offset - sector * SECTOR_SIZE;
  const last = bounce.length - SECTOR_SIZE;
  if (skip > 0 || last === 0) device.read(sector, bounce.subarray(0, SECTOR_SIZE));
  if (last > 0 && (offset + source.length) % SECTOR_SIZE !== 0) {
    device.read(sector + last / SECTOR_SIZE, bounce.subarray(last));
  }
  bounce.set(source, skip);
  device.write(sector, bounce);
}

/** The first sector that a byte range touches, and a buffer for all of them. */
function bounceFor(offset: number, length: number): [number, Uint8Array] {
  const sector = Math.floor(offset / SECTOR_SIZE);
  const skip = offset - sector * SECTOR_SIZE;
  const bytes = Math.ceil((skip + length) / SECTOR_SIZE) * SECTOR_SIZE;
  return [sector, new Uint8Array(bytes)];
}
