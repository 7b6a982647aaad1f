/**
 * The file types that directory entries record, and those of modes.
 *
 * @module
 */
import {
  EXT4_FT_BLKDEV,
  EXT4_FT_CHRDEV,
  EXT4_FT_DIR,
  EXT4_FT_FIFO,
  EXT4_FT_REG_FILE,
  EXT4_FT_SOCK,
  EXT4_FT_SYMLINK,
  EXT4_FT_UNKNOWN,
} from "../../format/ext-directory.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from "../../vfs/modes.ts";

/** `st_mode >> 12` by the type that entries record. */
const BITS: Readonly<Record<number, number>> = {
  [EXT4_FT_REG_FILE]: S_IFREG >> 12,
  [EXT4_FT_DIR]: S_IFDIR >> 12,
  [EXT4_FT_CHRDEV]: S_IFCHR >> 12,
  [EXT4_FT_BLKDEV]: S_IFBLK >> 12,
  [EXT4_FT_FIFO]: S_IFIFO >> 12,
  [EXT4_FT_SOCK]: S_IFSOCK >> 12,
  [EXT4_FT_SYMLINK]: S_IFLNK >> 12,
};

const TYPES = new Map(Object.entries(BITS).map(([type, bits]) => [bits, Number(type)]));

/** `st_mode >> 12` of an entry's type; 0 when it says none. */
export function typeBits(fileType: number): number {
  return BITS[fileType] ?? 0;
}

/** The type that an entry records of an inode with this mode. */
export function typeOfMode(mode: number): number {
  return TYPES.get(mode >> 12) ?? EXT4_FT_UNKNOWN;
}
