/**
 * The ext2/ext3/ext4 inode, and the header and entries of extent trees.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** The inode whose blocks are the bad ones. */
export const EXT4_BAD_INO = 1;
/** The root directory. */
export const EXT4_ROOT_INO = 2;
/** The quota file of users. */
export const EXT4_USR_QUOTA_INO = 3;
/** The quota file of groups. */
export const EXT4_GRP_QUOTA_INO = 4;
/** Room for a boot loader. */
export const EXT4_BOOT_LOADER_INO = 5;
/** Meant for a directory of undeleted files; Linux does not use it. */
export const EXT4_UNDEL_DIR_INO = 6;
/** The inode whose blocks are group descriptors to come, for online growth. */
export const EXT4_RESIZE_INO = 7;
/** The journal, unless the superblock names another inode. */
export const EXT4_JOURNAL_INO = 8;

/** Direct blocks of a block map. */
export const EXT4_NDIR_BLOCKS = 12;
/** Index in the block map of the indirect block. */
export const EXT4_IND_BLOCK = 12;
/** Index in the block map of the double indirect block. */
export const EXT4_DIND_BLOCK = 13;
/** Index in the block map of the triple indirect block. */
export const EXT4_TIND_BLOCK = 14;
/** Words of a block map. */
export const EXT4_N_BLOCKS = 15;

/** `flags`: overwrite when deleted; Linux keeps the flag and does not obey it. */
export const EXT4_SECRM_FL = 0x0000_0001;
/** `flags`: keep for undeletion; Linux keeps the flag and does not obey it. */
export const EXT4_UNRM_FL = 0x0000_0002;
/** `flags`: compress the file; Linux keeps the flag and does not obey it. */
export const EXT4_COMPR_FL = 0x0000_0004;
/** `flags`: every write is synchronous. */
export const EXT4_SYNC_FL = 0x0000_0008;
/** `flags`: nothing about the file may change. */
export const EXT4_IMMUTABLE_FL = 0x0000_0010;
/** `flags`: writes may only append. */
export const EXT4_APPEND_FL = 0x0000_0020;
/** `flags`: dump(8) leaves the file out. */
export const EXT4_NODUMP_FL = 0x0000_0040;
/** `flags`: reads do not change the access time. */
export const EXT4_NOATIME_FL = 0x0000_0080;
/** `flags`: the file, or the directory's names, are encrypted. */
export const EXT4_ENCRYPT_FL = 0x0000_0800;
/** `flags`: the directory has a hash tree. */
export const EXT4_INDEX_FL = 0x0000_1000;
/** `flags`: an inode of AFS. */
export const EXT4_IMAGIC_FL = 0x0000_2000;
/** `flags`: the file's data go through the journal. */
export const EXT4_JOURNAL_DATA_FL = 0x0000_4000;
/** `flags`: do not merge the file's tail; without meaning in ext4. */
export const EXT4_NOTAIL_FL = 0x0000_8000;
/** `flags`: changes of the directory are synchronous. */
export const EXT4_DIRSYNC_FL = 0x0001_0000;
/** `flags`: subdirectories are unrelated, and are allocated far from each other. */
export const EXT4_TOPDIR_FL = 0x0002_0000;
/** `flags`: the inode counts its `blocks` in filesystem blocks, not in sectors. */
export const EXT4_HUGE_FILE_FL = 0x0004_0000;
/** `flags`: `block` holds the root of an extent tree, not a block map. */
export const EXT4_EXTENTS_FL = 0x0008_0000;
/** `flags`: the file is protected by fs-verity. */
export const EXT4_VERITY_FL = 0x0010_0000;
/** `flags`: the inode holds the value of an extended attribute. */
export const EXT4_EA_INODE_FL = 0x0020_0000;
/** `flags`: blocks lie behind the file's size; no longer written. */
export const EXT4_EOFBLOCKS_FL = 0x0040_0000;
/** `flags`: access the file directly, where `dax=inode` is mounted. */
export const EXT4_DAX_FL = 0x0200_0000;
/** `flags`: the contents lie in the inode itself. */
export const EXT4_INLINE_DATA_FL = 0x1000_0000;
/** `flags`: what is made in the directory inherits its project. */
export const EXT4_PROJINHERIT_FL = 0x2000_0000;
/** `flags`: names in the directory are compared without case. */
export const EXT4_CASEFOLD_FL = 0x4000_0000;
/** `flags`: reserved for the ext4 library. */
export const EXT4_RESERVED_FL = 0x8000_0000;

/** The 128 bytes that every inode has, as Linux uses the `osd` unions. */
export const Ext4Inode = /* @__PURE__ */ struct("ext4_inode", 128, (at) => ({
  mode: at.le16(),
  uid: at.le16(),
  sizeLo: at.le32(),
  atime: at.le32(),
  ctime: at.le32(),
  mtime: at.le32(),
  /** Deletion time, or the next inode of the orphan list. */
  dtime: at.le32(),
  gid: at.le16(),
  linksCount: at.le16(),
  blocksLo: at.le32(),
  flags: at.le32(),
  /** `osd1`: low half of `i_version`. */
  version: at.le32(),
  /** Block map, extent root, fast symlink, inline data or device number. */
  block: at.bytes(60),
  generation: at.le32(),
  fileAclLo: at.le32(),
  sizeHigh: at.le32(),
  obsoFaddr: at.le32(),
  blocksHigh: at.le16(),
  fileAclHigh: at.le16(),
  uidHigh: at.le16(),
  gidHigh: at.le16(),
  checksumLo: at.le16(),
  reserved: at.le16(),
}));

/** What follows byte 128; a field exists when it ends within `128 + extraIsize`. */
export const Ext4InodeExtra = /* @__PURE__ */ struct("ext4_inode_extra", 32, (at) => ({
  /** Bytes in use from byte 128, this field included. */
  extraIsize: at.le16(),
  checksumHi: at.le16(),
  /** Nanoseconds in the upper 30 bits, the epoch in the lower two. */
  ctimeExtra: at.le32(),
  mtimeExtra: at.le32(),
  atimeExtra: at.le32(),
  crtime: at.le32(),
  crtimeExtra: at.le32(),
  versionHi: at.le32(),
  projid: at.le32(),
}));

/** `magic` of {@link Ext4ExtentHeader}. */
export const EXT4_EXT_MAGIC = 0xf30a;
/** Levels of nodes below the root that an extent tree may have. */
export const EXT4_MAX_EXTENT_DEPTH = 5;
/** Longest initialised extent, in blocks; a larger `len` means unwritten, that much shorter. */
export const EXT_INIT_MAX_LEN = 32768;

/** `struct ext4_extent_header`, at the start of the root (in the inode) and of each node block. */
export const Ext4ExtentHeader = /* @__PURE__ */ struct("ext4_extent_header", 12, (at) => ({
  magic: at.le16(),
  entries: at.le16(),
  max: at.le16(),
  /** 0 in a leaf. */
  depth: at.le16(),
  generation: at.le32(),
}));

/** `struct ext4_extent_idx`: an entry of a node with `depth` above 0. */
export const Ext4ExtentIdx = /* @__PURE__ */ struct("ext4_extent_idx", 12, (at) => ({
  block: at.le32(),
  leafLo: at.le32(),
  leafHi: at.le16(),
  unused: at.le16(),
}));

/** `struct ext4_extent`: an entry of a leaf. */
export const Ext4Extent = /* @__PURE__ */ struct("ext4_extent", 12, (at) => ({
  block: at.le32(),
  len: at.le16(),
  startHi: at.le16(),
  startLo: at.le32(),
}));

/** `struct ext4_extent_tail`: behind the `max`-th entry of a node block. */
export const Ext4ExtentTail = /* @__PURE__ */ struct("ext4_extent_tail", 4, (at) => ({
  checksum: at.le32(),
}));
