/**
 * ext2/ext3/ext4 directories: linear entries, the checksum tail, and the hash tree's blocks.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** Longest name of a directory entry, in bytes. */
export const EXT4_NAME_LEN = 255;

/** `fileType`: not recorded; the inode's mode says. */
export const EXT4_FT_UNKNOWN = 0;
/** `fileType`: a regular file. */
export const EXT4_FT_REG_FILE = 1;
/** `fileType`: a directory. */
export const EXT4_FT_DIR = 2;
/** `fileType`: a character device. */
export const EXT4_FT_CHRDEV = 3;
/** `fileType`: a block device. */
export const EXT4_FT_BLKDEV = 4;
/** `fileType`: a named pipe. */
export const EXT4_FT_FIFO = 5;
/** `fileType`: a socket. */
export const EXT4_FT_SOCK = 6;
/** `fileType`: a symbolic link. */
export const EXT4_FT_SYMLINK = 7;
/** The type of the fake entry that carries a leaf block's checksum. */
export const EXT4_FT_DIR_CSUM = 0xde;

/** `struct ext4_dir_entry_2`, up to its name; without `filetype` `nameLen` has 16 bits. */
export const Ext4DirEntry2 = /* @__PURE__ */ struct("ext4_dir_entry_2", 8, (at) => ({
  /** 0: unused. */
  inode: at.le32(),
  recLen: at.le16(),
  nameLen: at.u8(),
  fileType: at.u8(),
}));

/** `struct ext4_dir_entry_tail`: the last 12 bytes of a leaf block under metadata_csum. */
export const Ext4DirEntryTail = /* @__PURE__ */ struct("ext4_dir_entry_tail", 12, (at) => ({
  reservedZero1: at.le32(),
  recLen: at.le16(),
  reservedZero2: at.u8(),
  reservedFt: at.u8(),
  checksum: at.le32(),
}));

/** `hashVersion`: the first hash of ext3, over signed bytes. */
export const DX_HASH_LEGACY = 0;
/** `hashVersion`: half MD4, over signed bytes. */
export const DX_HASH_HALF_MD4 = 1;
/** `hashVersion`: Tiny Encryption Algorithm, over signed bytes. */
export const DX_HASH_TEA = 2;
/** `hashVersion`: the first hash of ext3, over unsigned bytes. */
export const DX_HASH_LEGACY_UNSIGNED = 3;
/** `hashVersion`: half MD4, over unsigned bytes. */
export const DX_HASH_HALF_MD4_UNSIGNED = 4;
/** `hashVersion`: Tiny Encryption Algorithm, over unsigned bytes. */
export const DX_HASH_TEA_UNSIGNED = 5;
/** `hashVersion`: SipHash, in directories both encrypted and casefolded. */
export const DX_HASH_SIPHASH = 6;

/** Where the hash tree's root keeps its `DxRootInfo`: behind the entries for `.` and `..`. */
export const DX_ROOT_INFO_OFFSET = 0x18;
/** Where an interior node keeps its `DxCountlimit`: behind one fake entry. */
export const DX_NODE_COUNTLIMIT_OFFSET = 8;

/** `struct dx_root_info` */
export const DxRootInfo = /* @__PURE__ */ struct("dx_root_info", 8, (at) => ({
  reservedZero: at.le32(),
  hashVersion: at.u8(),
  /** 8 */
  infoLength: at.u8(),
  indirectLevels: at.u8(),
  unusedFlags: at.u8(),
}));

/** `struct dx_countlimit`; it takes the place of the first entry's hash. */
export const DxCountlimit = /* @__PURE__ */ struct("dx_countlimit", 4, (at) => ({
  limit: at.le16(),
  count: at.le16(),
}));

/** `struct dx_entry`; the low 28 bits of `block` count blocks of the directory. */
export const DxEntry = /* @__PURE__ */ struct("dx_entry", 8, (at) => ({
  hash: at.le32(),
  block: at.le32(),
}));

/** `struct dx_tail`: behind the `limit`-th entry under metadata_csum. */
export const DxTail = /* @__PURE__ */ struct("dx_tail", 8, (at) => ({
  reserved: at.le32(),
  checksum: at.le32(),
}));
