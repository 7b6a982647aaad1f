/**
 * read, write and zero over iomaps: the only code that moves the bytes of files. Filesystems answer
 * what backs a range; drivers answer which memory that is; the copy happens here, once, between the
 * media and the caller's buffer (`dax_iomap_rw` and `dax_zero_range` of Linux).
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import { copyOut } from "../lib/memory.ts";
import type { DaxDevice } from "./dax-device.ts";
import type { Iomap, Iomappable } from "./iomap.ts";
import { type DaxSpan, PAGE_SIZE } from "./operations.ts";

/** Zeros for devices that have no other way to be zeroed. */
const ZEROS = new Uint8Array(65_536);
const NOTHING = ZEROS.subarray(0, 0);
/** A list of sources for whoever has one: a write makes no object of its own. */
const ONE: Uint8Array[] = [NOTHING];

/**
 * Copies file bytes from `offset` into `target` and returns how many: fewer than asked at the end
 * of the file, or in front of bytes that cannot be read. Holes and unwritten ranges read as zeros.
 * @throws EINVAL for an offset that is no unsigned safe integer; EIO over poison, EUCLEAN for a
 *   mapping that cannot be, ENXIO for a removed device: each only when not a byte came before it
 */
export function daxRead(inode: Iomappable, target: Uint8Array, offset: number): number {
  if (!(offset >= 0 && Number.isSafeInteger(offset))) refuseOffset("read", offset);
  const length = Math.min(target.length, inode.size - offset);
  let done = 0;
  try {
    while (done < length) {
      const at = offset + done;
      const map = inode.iomapBegin(at, length - done, "read");
      const run = Math.min(map.offset + map.length - at, length - done);
      if (!(run > 0 && map.offset <= at)) refuseMap("read", map, at);
      if (map.type === "mapped") done += readMapped(map, at - map.offset, target, done, run);
      else {
        if (map.type === "inline") readInline(map, at - map.offset, target, done, run);
        else target.fill(0, done, done + run);
        done += run;
      }
    }
  } catch (error) {
    if (done === 0 || !isDaxError(error)) throw error;
  }
  return done;
}

/**
 * Copies `source` into the file at `offset` and returns how many bytes: all of them, or those in
 * front of the first that could not be written. Durable after the next fence of the device. Whole
 * pages written over poison heal it.
 * @throws EINVAL for an offset that is no unsigned safe integer; EIO for a part of a poisoned page
 *   (Linux: EFAULT), EOPNOTSUPP for blocks shared with another file, what `iomapBegin` throws
 *   (ENOSPC, EROFS, EUCLEAN): each only when not a byte came before it
 */
export function daxWrite(inode: Iomappable, source: Uint8Array, offset: number): number {
  const { length } = source;
  if (!(offset >= 0 && Number.isSafeInteger(offset + length))) refuseOffset("write", offset);
  let done = 0;
  try {
    while (done < length) {
      const at = offset + done;
      const map = inode.iomapBegin(at, length - done, "write");
      let copied = 0;
      try {
        const run = Math.min(map.offset + map.length - at, length - done);
        if (!(run > 0 && map.offset <= at)) refuseMap("write", map, at);
        copied = storeExtent(map, at - map.offset, source.subarray(done, done + run));
      } finally {
        inode.iomapEnd?.(map, copied, "write");
      }
      if (copied === 0) break;
      done += copied;
    }
  } catch (error) {
    if (done === 0 || !isDaxError(error)) throw error;
  }
  return done;
}

/**
 * Zeroes `length` bytes of the file at `offset`; holes and unwritten ranges already are. Durable
 * after the next fence of the device. The size stays as it is: bytes past the end may be zeroed
 * too, as truncation needs it.
 * @throws EINVAL for a range that cannot be, EIO for a part of a poisoned page, what `iomapBegin`
 *   throws
 */
export function daxZero(inode: Iomappable, offset: number, length: number): void {
  const sane = offset >= 0 && length >= 0 && Number.isSafeInteger(offset + length);
  if (!sane) refuseOffset("zero", offset);
  for (let done = 0; done < length;) {
    const at = offset + done;
    const map = inode.iomapBegin(at, length - done, "zero");
    let zeroed = 0;
    try {
      const run = Math.min(map.offset + map.length - at, length - done);
      if (!(run > 0 && map.offset <= at)) refuseMap("zero", map, at);
      zeroExtent(map, at - map.offset, run);
      zeroed = run;
    } finally {
      inode.iomapEnd?.(map, zeroed, "zero");
    }
    done += zeroed;
  }
}

/** Reads `run` bytes at byte `skip` of a mapped extent; returns how many came through. */
function readMapped(
  map: Iomap,
  skip: number,
  target: Uint8Array,
  done: number,
  run: number,
): number {
  const { range } = map;
  const start = map.addr + skip;
  if (range === undefined || start + run > range.length) {
    map.store.readBytes(start, target.subarray(done, done + run));
    return run;
  }
  const { device } = range;
  let byte = range.start + start;
  let left = run;
  let into = done;
  while (left > 0) {
    const pgoff = Math.floor(byte / PAGE_SIZE);
    const within = byte - pgoff * PAGE_SIZE;
    const pages = Math.ceil((within + left) / PAGE_SIZE);
    const span = goodSpan(device, pgoff, pages, into - done);
    if (span === undefined) return into - done;
    const available = span.pages * PAGE_SIZE - within;
    const piece = available < left ? available : left;
    // A view costs more than a small copy: none is made when the caller's buffer is filled whole.
    const whole = piece === target.length;
    copyOut(span.memory, span.start + within, whole ? target : target.subarray(into, into + piece));
    device.counters.copiedOut += piece;
    byte += piece;
    into += piece;
    left -= piece;
  }
  device.checkFault();
  return run;
}

/** A mapped device may have got a table that is shorter than the filesystem: that is EIO. */
function pastEnd(syscall: string, error: unknown): unknown {
  if (!isDaxError(error, "ERANGE")) return error;
  return new DaxError("EIO", { syscall, detail: error.detail ?? error.message });
}

/** Translates; over poison, the pages in front of it; undefined at poison when `had` is not 0. */
function goodSpan(
  device: DaxDevice,
  pgoff: number,
  pages: number,
  had: number,
): DaxSpan | undefined {
  try {
    return device.directAccess(pgoff, pages, "access");
  } catch (error) {
    if (!isDaxError(error, "EHWPOISON")) throw pastEnd("read", error);
    if (pages > 1) return goodSpan(device, pgoff, Math.floor(pages / 2), had);
    if (had > 0) {
      device.checkFault();
      return undefined;
    }
    throw new DaxError("EIO", {
      syscall: "read",
      detail: `${device.name}: page ${pgoff} is poisoned; overwrite the whole page to heal it`,
    });
  }
}

function readInline(map: Iomap, skip: number, target: Uint8Array, done: number, run: number): void {
  const bytes = map.inline?.subarray(skip, skip + run) ?? ZEROS.subarray(0, 0);
  target.set(bytes, done);
  // What the inode has no room for was never written.
  target.fill(0, done + bytes.length, done + run);
}

/**
 * Copies `source` to byte `skip` of an extent and returns how many bytes: over poison only whole
 * pages come through, and those in front of the first that does not. Durable after the next fence.
 * @throws EIO for a part of a poisoned page, EOPNOTSUPP for shared blocks, EIO for what is no
 *   mapped extent, each only when not a byte came before it
 */
export function storeExtent(map: Iomap, skip: number, source: Uint8Array): number {
  if (map.shared === true) refuseShared("write", map);
  if (map.type === "inline") return writeInline(map, skip, source);
  if (map.type !== "mapped") refuseUnmapped("write", map);
  const { range } = map;
  const start = map.addr + skip;
  if (range === undefined || start + source.length > range.length) {
    map.store.writeBytes(start, source);
    return source.length;
  }
  const byte = range.start + start;
  const pgoff = Math.floor(byte / PAGE_SIZE);
  try {
    ONE[0] = source;
    return range.device.copyFromIter(pgoff, byte - pgoff * PAGE_SIZE, ONE);
  } catch (error) {
    if (!isDaxError(error, "EHWPOISON")) throw pastEnd("write", error);
    return writeOverPoison(range.device, byte, source);
  } finally {
    ONE[0] = NOTHING;
  }
}

/** Page by page, so that whole pages heal however ragged the ends of the write are. */
function writeOverPoison(device: DaxDevice, byte: number, source: Uint8Array): number {
  let done = 0;
  while (done < source.length) {
    const pgoff = Math.floor((byte + done) / PAGE_SIZE);
    const within = byte + done - pgoff * PAGE_SIZE;
    const piece = source.subarray(done, done + PAGE_SIZE - within);
    const written = writePage(device, pgoff, within, piece);
    done += written;
    if (written < piece.length) break;
  }
  if (done > 0) return done;
  const pgoff = Math.floor(byte / PAGE_SIZE);
  throw new DaxError("EIO", {
    syscall: "write",
    detail: `${device.name}: page ${pgoff} is poisoned; only writing all of its bytes heals it`,
  });
}

function writePage(device: DaxDevice, pgoff: number, within: number, piece: Uint8Array): number {
  try {
    return device.copyFromIter(pgoff, within, [piece]);
  } catch (error) {
    if (!isDaxError(error, "EHWPOISON")) throw error;
    return device.recoveryWrite(pgoff, within, piece);
  }
}

function writeInline(map: Iomap, skip: number, source: Uint8Array): number {
  const room = map.inline?.subarray(skip) ?? ZEROS.subarray(0, 0);
  const piece = source.subarray(0, room.length);
  room.set(piece);
  return piece.length;
}

/**
 * Zeroes `run` bytes at byte `skip` of an extent, unless they read as zeros already. Durable after
 * the next fence. @throws EIO for a part of a poisoned page, EOPNOTSUPP for shared blocks
 */
export function zeroExtent(map: Iomap, skip: number, run: number): void {
  if (map.type === "hole" || map.type === "unwritten") return;
  if (map.shared === true) refuseShared("zero", map);
  if (map.type === "inline") {
    map.inline?.fill(0, skip, skip + run);
    return;
  }
  const { range } = map;
  const start = map.addr + skip;
  if (range !== undefined && start + run <= range.length) {
    const byte = range.start + start;
    const pgoff = Math.floor(byte / PAGE_SIZE);
    range.device.zero(pgoff, byte - pgoff * PAGE_SIZE, run);
    return;
  }
  for (let done = 0; done < run; done += ZEROS.length) {
    map.store.writeBytes(start + done, ZEROS.subarray(0, Math.min(ZEROS.length, run - done)));
  }
}

function refuseOffset(syscall: string, offset: number): never {
  throw new DaxError("EINVAL", { syscall, detail: `offset ${offset} is no byte of a file` });
}

/** A filesystem that answers for another place would make every caller loop for ever. */
function refuseMap(syscall: string, map: Iomap, at: number): never {
  throw new DaxError("EUCLEAN", {
    syscall,
    detail: `the filesystem maps ${map.offset}+${map.length} when asked for byte ${at}`,
  });
}

function refuseUnmapped(syscall: string, map: Iomap): never {
  throw new DaxError("EIO", {
    syscall,
    detail: `the filesystem offers ${map.type} bytes at ${map.offset} to be written`,
  });
}

function refuseShared(syscall: string, map: Iomap): never {
  throw new DaxError("EOPNOTSUPP", {
    syscall,
    detail: `blocks at ${map.offset}+${map.length} belong to another file too; copy them first`,
  });
}
