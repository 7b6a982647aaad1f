/**
 * What `stat` prints for people, in the layout of coreutils.
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
import type { OwnerNames } from "./owners.ts";
import { fullTime } from "./times.ts";

/** What surrounds the inode. */
export interface StatContext {
  /** As shown. */
  readonly name: string;
  /** The image, where coreutils prints a device number. */
  readonly image: string;
  /** Bytes. */
  readonly blockSize: number;
  readonly owners: OwnerNames;
  readonly shownTarget: (target: string) => string;
}

const KINDS: ReadonlyMap<number, string> = new Map([
  [S_IFREG, "regular file"],
  [S_IFDIR, "directory"],
  [S_IFLNK, "symbolic link"],
  [S_IFCHR, "character special file"],
  [S_IFBLK, "block special file"],
  [S_IFIFO, "fifo"],
  [S_IFSOCK, "socket"],
]);

/** The lines for one file. */
export function statLines(inode: Inode, context: StatContext): string[] {
  const { mode, nlink, uid, gid, rdev, size, blocks, ...times } = inode.attributes();
  const { name, image, blockSize, owners } = context;
  const target = isSymlink(mode) ? ` -> ${context.shownTarget(inode.readlink())}` : "";
  const type = isDevice(mode) ? ` Device type: ${majorOf(rdev)},${minorOf(rdev)}` : "";
  const links = isDevice(mode) ? String(nlink).padEnd(5) : String(nlink);
  const owner = `${pad(uid, 5)}/${pad(owners.user(uid), 8)}`;
  const group = `${pad(gid, 5)}/${pad(owners.group(gid), 8)}`;
  const bits = (mode & 0o7777).toString(8).padStart(4, "0");
  const xattrs = inode.listxattr();
  return [
    `  File: ${name}${target}`,
    `  Size: ${String(size).padEnd(10)}\tBlocks: ${String(blocks).padEnd(10)} ` +
      `IO Block: ${String(blockSize).padEnd(6)} ${kindOf(mode, size)}`,
    `Device: ${image}\tInode: ${String(inode.ino).padEnd(10)}  Links: ${links}${type}`,
    `Access: (${bits}/${formatMode(mode)})  Uid: (${owner})   Gid: (${group})`,
    `Access: ${fullTime(times.atime)}`,
    `Modify: ${fullTime(times.mtime)}`,
    `Change: ${fullTime(times.ctime)}`,
    ` Birth: ${times.btime === undefined ? "-" : fullTime(times.btime)}`,
    ...(xattrs.length === 0 ? [] : [` Xattr: ${xattrs.map(context.shownTarget).join(", ")}`]),
  ];
}

function kindOf(mode: number, size: number): string {
  if ((mode & S_IFMT) === S_IFREG && size === 0) return "regular empty file";
  return KINDS.get(mode & S_IFMT) ?? "weird file";
}

function pad(value: number | string, width: number): string {
  return String(value).padStart(width);
}
