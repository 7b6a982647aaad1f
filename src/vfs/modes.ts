/**
 * File types and permission bits, as `st_mode` holds them (inode(7)).
 *
 * @module
 */
import type { ErrnoCode } from "../lib/errno.ts";

/** The bits of a mode that say what kind of file it is. */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

const LETTERS: ReadonlyMap<number, string> = new Map([
  [S_IFSOCK, "s"],
  [S_IFLNK, "l"],
  [S_IFREG, "-"],
  [S_IFBLK, "b"],
  [S_IFDIR, "d"],
  [S_IFCHR, "c"],
  [S_IFIFO, "p"],
]);

/** True for a directory. */
export function isDirectory(mode: number): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}

/** True for a regular file. */
export function isRegular(mode: number): boolean {
  return (mode & S_IFMT) === S_IFREG;
}

/** True for a symbolic link. */
export function isSymlink(mode: number): boolean {
  return (mode & S_IFMT) === S_IFLNK;
}

/** True for a block or character device. */
export function isDevice(mode: number): boolean {
  return (mode & S_IFMT) === S_IFBLK || (mode & S_IFMT) === S_IFCHR;
}

/** True for what holds no bytes of the filesystem: a device, a fifo or a socket. */
export function isSpecial(mode: number): boolean {
  return !isRegular(mode) && !isDirectory(mode) && !isSymlink(mode);
}

/** The mode as `ls -l` writes it: `drwxr-sr-t`; `?` for a type that is none. */
export function formatMode(mode: number): string {
  const triplet = (shift: number, special: number, letter: string): string => {
    const bits = mode >> shift;
    const x = (bits & 1) !== 0;
    const set = (mode & special) !== 0;
    const last = set ? (x ? letter : letter.toUpperCase()) : x ? "x" : "-";
    return ((bits & 4) === 0 ? "-" : "r") + ((bits & 2) === 0 ? "-" : "w") + last;
  };
  const type = LETTERS.get(mode & S_IFMT) ?? "?";
  return type + triplet(6, 0o4000, "s") + triplet(3, 0o2000, "s") + triplet(0, 0o1000, "t");
}

/** The major number of Linux's 64-bit `dev_t` (makedev(3)). */
export function majorOf(rdev: number): number {
  return ((rdev >>> 8) & 0xfff) + Math.floor(rdev / 2 ** 44) * 2 ** 12;
}

/** The minor number of Linux's 64-bit `dev_t` (makedev(3)). */
export function minorOf(rdev: number): number {
  return (rdev & 0xff) + (Math.floor(rdev / 2 ** 20) % 2 ** 24) * 2 ** 8;
}

/** Linux's 64-bit `dev_t` of two numbers, of which it has 12 and 20 bits (makedev(3)). */
export function makedev(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + (minor >>> 8) * 0x10_0000;
}

/** Which error an open(2) for data gives for this type, or undefined where it succeeds. */
export function openRefusal(mode: number): ErrnoCode | undefined {
  const type = mode & S_IFMT;
  if (type === S_IFREG || type === S_IFDIR) return undefined;
  return type === S_IFLNK ? "ELOOP" : "ENXIO";
}
