/**
 * The ext2/ext3/ext4 group descriptor, the multi-mount block and the orphan file's block tail.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `flags`: the inode table and bitmap of the group are not initialised. */
export const EXT4_BG_INODE_UNINIT = 0x0001;
/** `flags`: there is no block bitmap on the media; it has to be built. */
export const EXT4_BG_BLOCK_UNINIT = 0x0002;
/** `flags`: the group's inode table is zeroed on the media. */
export const EXT4_BG_INODE_ZEROED = 0x0004;

/** `struct ext4_group_desc`; without `64bit` only the first 32 bytes exist. */
export const Ext4GroupDesc = /* @__PURE__ */ struct("ext4_group_desc", 64, (at) => ({
  blockBitmapLo: at.le32(),
  inodeBitmapLo: at.le32(),
  inodeTableLo: at.le32(),
  /** Clusters, with bigalloc. */
  freeBlocksCountLo: at.le16(),
  freeInodesCountLo: at.le16(),
  usedDirsCountLo: at.le16(),
  flags: at.le16(),
  excludeBitmapLo: at.le32(),
  blockBitmapCsumLo: at.le16(),
  inodeBitmapCsumLo: at.le16(),
  /** Inodes at the end of the table that were never used. */
  itableUnusedLo: at.le16(),
  checksum: at.le16(),
  blockBitmapHi: at.le32(),
  inodeBitmapHi: at.le32(),
  inodeTableHi: at.le32(),
  freeBlocksCountHi: at.le16(),
  freeInodesCountHi: at.le16(),
  usedDirsCountHi: at.le16(),
  itableUnusedHi: at.le16(),
  excludeBitmapHi: at.le32(),
  blockBitmapCsumHi: at.le16(),
  inodeBitmapCsumHi: at.le16(),
  reserved: at.le32(),
}));

/** `magic` of {@link MmpStruct}. */
export const EXT4_MMP_MAGIC = 0x004d4d50;
/** `seq`: cleanly unmounted. */
export const EXT4_MMP_SEQ_CLEAN = 0xff4d4d50;
/** `seq`: e2fsck is at work. */
export const EXT4_MMP_SEQ_FSCK = 0xe24d4d50;
/** Highest `seq` that a mount counts to. */
export const EXT4_MMP_SEQ_MAX = 0xe24d4d4f;

/** `struct mmp_struct`: who has the filesystem mounted. */
export const MmpStruct = /* @__PURE__ */ struct("mmp_struct", 1024, (at) => ({
  magic: at.le32(),
  seq: at.le32(),
  time: at.le64(),
  nodename: at.bytes(64),
  bdevname: at.bytes(32),
  checkInterval: at.le16(),
  pad1: at.le16(),
  pad2: at.bytes(904),
  /** crc32c over the bytes before it, started with the filesystem's seed. */
  checksum: at.le32(),
}));

/** `magic` of {@link Ext4OrphanBlockTail}. */
export const EXT4_ORPHAN_BLOCK_MAGIC = 0x0b10ca04;

/** `struct ext4_orphan_block_tail`: the last 8 bytes of each block of the orphan file. */
export const Ext4OrphanBlockTail = /* @__PURE__ */ struct("ext4_orphan_block_tail", 8, (at) => ({
  magic: at.le32(),
  checksum: at.le32(),
}));
