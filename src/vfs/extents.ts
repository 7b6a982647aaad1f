/**
 * Extents of a file, as FIEMAP lists them, and seeking to data and holes.
 *
 * @module
 */
import type { Iomap } from "../dax/iomap.ts";
import { DaxError } from "../lib/errno.ts";
import { MappedBytes, type WalkedFile } from "./mapped-bytes.ts";

/** An allocated run of a file. Holes have no extent. */
export interface FileExtent {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  /** Bytes from the start of the filesystem's device; undefined for inline bytes. */
  readonly addr: number | undefined;
  readonly unwritten: boolean;
  readonly inline: boolean;
  /** The blocks belong to another file too. */
  readonly shared: boolean;
}

function extentOf(map: Iomap): FileExtent {
  return {
    offset: map.offset,
    length: map.length,
    addr: map.type === "inline" ? undefined : map.addr,
    unwritten: map.type === "unwritten",
    inline: map.type === "inline",
    shared: map.shared ?? false,
  };
}

function joins(extent: FileExtent, next: FileExtent): boolean {
  return (
    extent.addr !== undefined &&
    next.addr !== undefined &&
    extent.addr + extent.length === next.addr &&
    extent.offset + extent.length === next.offset &&
    extent.unwritten === next.unwritten &&
    extent.shared === next.shared
  );
}

function extended(extent: FileExtent, more: number): FileExtent {
  return { ...extent, length: extent.length + more };
}

/**
 * The extents that hold bytes of `[offset, offset + length)`, in order of the file and whole: the
 * first may start before and the last may reach past the range. Contiguous neighbours come as one.
 * @throws EUCLEAN
 */
export function* extentsIn(
  inode: WalkedFile,
  offset: number,
  length: number,
): Generator<FileExtent> {
  const stop = offset + length;
  const mapped = new MappedBytes(inode);
  let held: FileExtent | undefined;
  for (let at = offset; at < stop;) {
    const map = inode.iomapBegin(at, stop - at, "report");
    mapped.add(map);
    at = map.offset + map.length;
    if (map.type === "hole") continue;
    const next = extentOf(map);
    if (held !== undefined && joins(held, next)) {
      held = extended(held, next.length);
      continue;
    }
    if (held !== undefined) yield held;
    held = next;
  }
  if (held !== undefined) yield held;
}

/** What lseek(2) looks for. */
type Sought = "data" | "hole";

function isSought(map: Iomap, sought: Sought): boolean {
  const data = map.type === "mapped" || map.type === "inline";
  return sought === "data" ? data : !data;
}

/**
 * The first offset from `offset` on that is data, or a hole (lseek(2), SEEK_DATA and SEEK_HOLE).
 * Unwritten ranges are holes; the end of the file is one too.
 * @throws ENXIO past the end of the file, or when no data follows; EUCLEAN
 */
export function seekTo(inode: WalkedFile, offset: number, sought: Sought): number {
  const { size } = inode;
  if (offset < 0 || offset >= size) throw new DaxError("ENXIO", { syscall: "lseek" });
  const mapped = new MappedBytes(inode);
  for (let at = offset; at < size;) {
    const map = inode.iomapBegin(at, size - at, "report");
    mapped.add(map);
    if (isSought(map, sought)) return at;
    at = map.offset + map.length;
  }
  if (sought === "hole") return size;
  throw new DaxError("ENXIO", { syscall: "lseek" });
}
