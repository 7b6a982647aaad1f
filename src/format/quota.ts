/**
 * Quota files in the format that Linux calls vfsv1 and quota tools v2r1: a tree of 1 KiB blocks
 * with usage and limits of users, groups or projects.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** First word of the files for users, groups and projects, in this order. */
export const V2_INITQMAGICS = [0xd9c01f11, 0xd9c01927, 0xd9c03f14] as const;
/** `version`: entries are {@link V2r1DiskDqblk}, with 64-bit limits. */
export const V2_VERSION_R1 = 1;

/** Bytes of a block of the file, whatever the filesystem's blocks. */
export const QT_BLKSIZE = 1024;
/** The tree's root is this block; block 0 holds the header. */
export const QT_TREEOFF = 1;
/** Levels of the tree: one for each byte of an id. */
export const QT_TREEDEPTH = 4;

/** `struct v2_disk_dqheader` and `struct v2_disk_dqinfo`, which follows it. */
export const V2DiskDqheader = /* @__PURE__ */ struct("v2_disk_dqheader", 32, (at) => ({
  magic: at.le32(),
  version: at.le32(),
  bgrace: at.le32(),
  igrace: at.le32(),
  flags: at.le32(),
  /** Blocks of the file. */
  blocks: at.le32(),
  freeBlk: at.le32(),
  freeEntry: at.le32(),
}));

/** `struct qt_disk_dqdbheader`: opens a block of entries. */
export const QtDiskDqdbheader = /* @__PURE__ */ struct("qt_disk_dqdbheader", 16, (at) => ({
  nextFree: at.le32(),
  prevFree: at.le32(),
  entries: at.le16(),
  pad1: at.le16(),
  pad2: at.le32(),
}));

/** `struct v2r1_disk_dqblk`: what one id uses and may use; all zero when unused. */
export const V2r1DiskDqblk = /* @__PURE__ */ struct("v2r1_disk_dqblk", 72, (at) => ({
  id: at.le32(),
  pad: at.le32(),
  ihardlimit: at.le64(),
  isoftlimit: at.le64(),
  curinodes: at.le64(),
  /** In KiB, as the soft limit. */
  bhardlimit: at.le64(),
  bsoftlimit: at.le64(),
  /** Bytes. */
  curspace: at.le64(),
  btime: at.le64(),
  itime: at.le64(),
}));
