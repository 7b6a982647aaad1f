/**
 * A file as JSON: what `ls`, `stat` and `tree` print for programs.
 *
 * @module
 */
import type { Inode } from "../vfs/filesystem.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  formatMode,
  isDevice,
  isSymlink,
  majorOf,
  minorOf,
} from "../vfs/modes.ts";
import { xattrsOf } from "../vfs/xattrs.ts";
import { isoTime } from "./times.ts";

const TYPES: ReadonlyMap<number, string> = new Map([
  [S_IFREG, "file"],
  [S_IFDIR, "directory"],
  [S_IFLNK, "link"],
  [S_IFCHR, "character-device"],
  [S_IFBLK, "block-device"],
  [S_IFIFO, "fifo"],
  [S_IFSOCK, "socket"],
]);

/** The kind of file in one word. */
export function typeWord(mode: number): string {
  return TYPES.get(mode & S_IFMT) ?? "unknown";
}

/**
 * Everything that stat shows. In names, a byte XX that is not UTF-8 is the escape `\udcXX`:
 * what JSON.parse makes of it encodes back to the same name.
 */
export function fileRecord(inode: Inode): Record<string, unknown> {
  const { mode, nlink, uid, gid, rdev, size, blocks, ...times } = inode.attributes();
  const { atime, mtime, ctime, btime } = times;
  return {
    ino: inode.ino,
    type: typeWord(mode),
    mode,
    permissions: formatMode(mode),
    nlink,
    uid,
    gid,
    size,
    blocks,
    ...(isDevice(mode) ? { rdev: { major: majorOf(rdev), minor: minorOf(rdev) } } : {}),
    ...(isSymlink(mode) ? { target: inode.readlink() } : {}),
    atime: isoTime(atime),
    mtime: isoTime(mtime),
    ctime: isoTime(ctime),
    ...(btime === undefined ? {} : { btime: isoTime(btime) }),
  };
}

/** Extended attributes by name, their values in base64; null where a value cannot be had. */
export function xattrRecord(inode: Inode): Record<string, string | null> {
  const record = Object.create(null) as Record<string, string | null>;
  for (const { name, value } of xattrsOf(inode)) {
    record[name] = value === undefined ? null : Buffer.from(value).toString("base64");
  }
  return record;
}
