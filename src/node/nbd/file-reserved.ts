/**
 * Space of a file that was allocated and never written: `fallocate`, and WRITE_ZEROES with NO_HOLE.
 * It reads as zeros, SEEK_HOLE calls it a hole, and only FIEMAP (Documentation/filesystems/fiemap)
 * tells it from one.
 *
 * @module
 */
import type { StoreExtent } from "../../nbd/store.ts";
import type { FileCalls } from "./file-calls.unsafe.ts";

const FS_IOC_FIEMAP = 0xc020_660b;
const HEADER_BYTES = 32;
const EXTENT_BYTES = 56;
/** Extents that one call answers with. */
const MOST_EXTENTS = 64;
/** Calls that one hole is worth; the rest of it is told as the hole that SEEK_HOLE says it is. */
const MOST_CALLS = 64;
const FIEMAP_EXTENT_UNWRITTEN = 0x800;

interface Reserved {
  readonly start: number;
  readonly stop: number;
  readonly unwritten: boolean;
}

/** The runs of what SEEK_HOLE says is a hole, in order; their lengths add up to `length`. */
export function* reservedExtents(
  calls: FileCalls,
  { fd }: { readonly fd: number },
  offset: number,
  length: number,
): Generator<StoreExtent, void> {
  const stop = offset + length;
  let at = offset;
  for (const found of mapped(calls, fd, offset, length)) {
    const start = Math.min(Math.max(found.start, at), stop);
    const behind = Math.min(Math.max(found.stop, start), stop);
    if (start > at) yield { length: start - at, hole: true, zero: true };
    // Written after SEEK_HOLE looked: data by now.
    if (behind > start) yield { length: behind - start, hole: false, zero: found.unwritten };
    at = behind;
  }
  if (at < stop) yield { length: stop - at, hole: true, zero: true };
}

/** Allocated extents of a range; none where the file system does not tell. */
function* mapped(
  calls: FileCalls,
  fd: number,
  offset: number,
  length: number,
): Generator<Reserved, void> {
  const bytes = new Uint8Array(HEADER_BYTES + MOST_EXTENTS * EXTENT_BYTES);
  const view = new DataView(bytes.buffer);
  const stop = offset + length;
  for (let at = offset, count = 0; at < stop && count < MOST_CALLS; count++) {
    bytes.fill(0);
    view.setBigUint64(0, BigInt(at), true);
    view.setBigUint64(8, BigInt(stop - at), true);
    view.setUint32(24, MOST_EXTENTS, true);
    // No FIEMAP_FLAG_SYNC: a question must not write anything back.
    if (calls.ioctl(fd, FS_IOC_FIEMAP, bytes) === -1) return;
    const found = Math.min(view.getUint32(20, true), MOST_EXTENTS);
    for (let i = 0; i < found; i++) {
      const extent = extentAt(view, HEADER_BYTES + i * EXTENT_BYTES);
      yield extent;
      at = Math.max(at, extent.stop);
    }
    if (found < MOST_EXTENTS) return;
  }
}

function extentAt(view: DataView, at: number): Reserved {
  const start = Number(view.getBigUint64(at, true));
  const length = Number(view.getBigUint64(at + 16, true));
  const flags = view.getUint32(at + 40, true);
  return { start, stop: start + length, unwritten: (flags & FIEMAP_EXTENT_UNWRITTEN) !== 0 };
}
