/**
 * Inodes as they are first written.
 *
 * @module
 */
import { Ext4Inode as DI, Ext4InodeExtra as DX } from "../../format/ext-inode.ts";
import { EXT4_GOOD_OLD_INODE_SIZE } from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Timespec } from "../../lib/environment.ts";
import { sizeof } from "../../lib/struct.ts";
import { ExtentRoot, inodeSeed } from "./mkfs-maps.ts";
import type { Superblock } from "./superblock.ts";

/** Times that come from elsewhere. */
export interface CopiedTimes {
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
}

/** What an inode is given; its times are all the same, its generation is 0. */
export interface NewInode {
  readonly ino: number;
  readonly mode: number;
  readonly links: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes. */
  readonly size: number;
  /** Units of 512 bytes. */
  readonly sectors: number;
  readonly flags: number;
  /** The 60 bytes of the map, or what makes them. */
  readonly block?: Uint8Array | ExtentRoot | undefined;
  /** Seconds since 1970. */
  readonly time: number;
  /** Times of their own, for what is copied. */
  readonly times?: CopiedTimes;
  /** What stands behind the inode's fields: attributes. */
  readonly attributes?: Uint8Array | undefined;
  /** A block of attributes; 0 for none. */
  readonly fileAcl?: number | undefined;
  /** Without fields behind byte 128: the inodes that are reserved and unused. */
  readonly bare?: boolean;
}

const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;
const EXTRA_BYTES = sizeof(DX);

/** The epoch bits of a time behind 2038. */
function epochOf(seconds: number): number {
  return Math.floor((seconds - (seconds | 0)) / 2 ** 32) & 3;
}

/** Epoch and nanoseconds. */
function extraOf({ sec, nsec }: Timespec): number {
  return epochOf(sec) + nsec * 4;
}

// Hot: there is one for each file of a tree.
const {
  mode,
  uid: uidLo,
  gid: gidLo,
  sizeLo,
  sizeHigh,
  linksCount,
  blocksLo,
  flags: flagWord,
} = DI;
const { blocksHigh, fileAclLo, fileAclHigh, uidHigh, gidHigh, checksumLo, block: blockWords } = DI;
const { atime: atimeWord, ctime: ctimeWord, mtime: mtimeWord } = DI;
const { extraIsize, ctimeExtra, mtimeExtra, atimeExtra, crtime, crtimeExtra, checksumHi } = DX;

/**
 * Fills the `inode_size` zeros of `bytes` from `at` on with an inode and its checksum; `view` shows
 * all of `bytes`.
 */
export function encodeInode(
  superblock: Superblock,
  inode: NewInode,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): void {
  const { time, uid = 0, gid = 0 } = inode;
  const { inodeSize } = superblock;
  mode.set(view, at, inode.mode);
  uidLo.set(view, at, uid & 0xffff);
  uidHigh.set(view, at, uid >>> 16);
  gidLo.set(view, at, gid & 0xffff);
  gidHigh.set(view, at, gid >>> 16);
  sizeLo.set(view, at, inode.size >>> 0);
  sizeHigh.set(view, at, Math.floor(inode.size / 2 ** 32));
  linksCount.set(view, at, inode.links);
  blocksLo.set(view, at, inode.sectors >>> 0);
  blocksHigh.set(view, at, Math.floor(inode.sectors / 2 ** 32));
  flagWord.set(view, at, inode.flags);
  const { block } = inode;
  if (block instanceof ExtentRoot) block.encode(view, at + blockWords.offset);
  else if (block !== undefined) bytes.set(block, at + blockWords.offset);
  const { times } = inode;
  atimeWord.set(view, at, (times?.atime.sec ?? time) >>> 0);
  ctimeWord.set(view, at, (times?.ctime.sec ?? time) >>> 0);
  mtimeWord.set(view, at, (times?.mtime.sec ?? time) >>> 0);
  fileAclLo.set(view, at, (inode.fileAcl ?? 0) >>> 0);
  fileAclHigh.set(view, at, Math.floor((inode.fileAcl ?? 0) / 2 ** 32));
  const full = inode.bare !== true && inodeSize > EXTRA;
  if (full) encodeExtra(view, at + EXTRA, time, times);
  if (inode.attributes !== undefined) bytes.set(inode.attributes, at + EXTRA + EXTRA_BYTES);
  if (!superblock.metadataCsum) return;
  const sum = crc32c(inodeSeed(superblock, inode.ino), bytes.subarray(at, at + inodeSize));
  checksumLo.set(view, at, sum & 0xffff);
  if (full) checksumHi.set(view, at + EXTRA, sum >>> 16);
}

function encodeExtra(
  view: DataView,
  at: number,
  time: number,
  times: CopiedTimes | undefined,
): void {
  extraIsize.set(view, at, EXTRA_BYTES);
  const still = epochOf(time);
  ctimeExtra.set(view, at, times === undefined ? still : extraOf(times.ctime));
  mtimeExtra.set(view, at, times === undefined ? still : extraOf(times.mtime));
  atimeExtra.set(view, at, times === undefined ? still : extraOf(times.atime));
  crtimeExtra.set(view, at, still);
  crtime.set(view, at, time >>> 0);
}
