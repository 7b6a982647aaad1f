/**
 * The ext2/ext3/ext4 superblock: 1024 bytes at byte 1024 of the device, little-endian.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** Byte of the device at which the primary superblock starts, whatever the block size. */
export const EXT4_SUPERBLOCK_OFFSET = 1024;
export const EXT4_SUPER_MAGIC = 0xef53;

export const EXT4_GOOD_OLD_REV = 0;
export const EXT4_DYNAMIC_REV = 1;
export const EXT4_GOOD_OLD_INODE_SIZE = 128;
export const EXT4_GOOD_OLD_FIRST_INO = 11;
export const EXT4_MIN_BLOCK_SIZE = 1024;
export const EXT4_MAX_BLOCK_SIZE = 65536;
export const EXT4_MIN_DESC_SIZE = 32;
export const EXT4_MIN_DESC_SIZE_64BIT = 64;
export const EXT4_MAX_DESC_SIZE = 1024;
/** The only value of `checksumType`. */
export const EXT4_CRC32C_CHKSUM = 1;

/** `state`: cleanly unmounted. */
export const EXT4_VALID_FS = 0x0001;
export const EXT4_ERROR_FS = 0x0002;
export const EXT4_ORPHAN_FS = 0x0004;
/** `state`: fast commits are being replayed. */
export const EXT4_FC_REPLAY = 0x0020;

export const EXT4_OS_LINUX = 0;
export const EXT4_OS_HURD = 1;

/** `flags`: directory hashes sign-extend their bytes. */
export const EXT2_FLAGS_SIGNED_HASH = 0x0001;
export const EXT2_FLAGS_UNSIGNED_HASH = 0x0002;
export const EXT2_FLAGS_TEST_FILESYS = 0x0004;

export const EXT4_FEATURE_COMPAT_DIR_PREALLOC = 0x0001;
export const EXT4_FEATURE_COMPAT_IMAGIC_INODES = 0x0002;
export const EXT4_FEATURE_COMPAT_HAS_JOURNAL = 0x0004;
export const EXT4_FEATURE_COMPAT_EXT_ATTR = 0x0008;
export const EXT4_FEATURE_COMPAT_RESIZE_INODE = 0x0010;
export const EXT4_FEATURE_COMPAT_DIR_INDEX = 0x0020;
export const EXT4_FEATURE_COMPAT_LAZY_BG = 0x0040;
export const EXT4_FEATURE_COMPAT_EXCLUDE_INODE = 0x0080;
export const EXT4_FEATURE_COMPAT_EXCLUDE_BITMAP = 0x0100;
export const EXT4_FEATURE_COMPAT_SPARSE_SUPER2 = 0x0200;
export const EXT4_FEATURE_COMPAT_FAST_COMMIT = 0x0400;
export const EXT4_FEATURE_COMPAT_STABLE_INODES = 0x0800;
export const EXT4_FEATURE_COMPAT_ORPHAN_FILE = 0x1000;

export const EXT4_FEATURE_INCOMPAT_COMPRESSION = 0x0001;
export const EXT4_FEATURE_INCOMPAT_FILETYPE = 0x0002;
export const EXT4_FEATURE_INCOMPAT_RECOVER = 0x0004;
export const EXT4_FEATURE_INCOMPAT_JOURNAL_DEV = 0x0008;
export const EXT4_FEATURE_INCOMPAT_META_BG = 0x0010;
export const EXT4_FEATURE_INCOMPAT_EXTENTS = 0x0040;
export const EXT4_FEATURE_INCOMPAT_64BIT = 0x0080;
export const EXT4_FEATURE_INCOMPAT_MMP = 0x0100;
export const EXT4_FEATURE_INCOMPAT_FLEX_BG = 0x0200;
export const EXT4_FEATURE_INCOMPAT_EA_INODE = 0x0400;
export const EXT4_FEATURE_INCOMPAT_DIRDATA = 0x1000;
export const EXT4_FEATURE_INCOMPAT_CSUM_SEED = 0x2000;
export const EXT4_FEATURE_INCOMPAT_LARGEDIR = 0x4000;
export const EXT4_FEATURE_INCOMPAT_INLINE_DATA = 0x8000;
export const EXT4_FEATURE_INCOMPAT_ENCRYPT = 0x1_0000;
export const EXT4_FEATURE_INCOMPAT_CASEFOLD = 0x2_0000;

export const EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x0001;
export const EXT4_FEATURE_RO_COMPAT_LARGE_FILE = 0x0002;
export const EXT4_FEATURE_RO_COMPAT_BTREE_DIR = 0x0004;
export const EXT4_FEATURE_RO_COMPAT_HUGE_FILE = 0x0008;
export const EXT4_FEATURE_RO_COMPAT_GDT_CSUM = 0x0010;
export const EXT4_FEATURE_RO_COMPAT_DIR_NLINK = 0x0020;
export const EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE = 0x0040;
export const EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT = 0x0080;
export const EXT4_FEATURE_RO_COMPAT_QUOTA = 0x0100;
export const EXT4_FEATURE_RO_COMPAT_BIGALLOC = 0x0200;
export const EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x0400;
export const EXT4_FEATURE_RO_COMPAT_REPLICA = 0x0800;
export const EXT4_FEATURE_RO_COMPAT_READONLY = 0x1000;
export const EXT4_FEATURE_RO_COMPAT_PROJECT = 0x2000;
export const EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS = 0x4000;
export const EXT4_FEATURE_RO_COMPAT_VERITY = 0x8000;
export const EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT = 0x1_0000;

/** Names of the compat bits, as dumpe2fs prints them. */
export const EXT4_COMPAT_NAMES: Readonly<Record<number, string>> = {
  [EXT4_FEATURE_COMPAT_DIR_PREALLOC]: "dir_prealloc",
  [EXT4_FEATURE_COMPAT_IMAGIC_INODES]: "imagic_inodes",
  [EXT4_FEATURE_COMPAT_HAS_JOURNAL]: "has_journal",
  [EXT4_FEATURE_COMPAT_EXT_ATTR]: "ext_attr",
  [EXT4_FEATURE_COMPAT_RESIZE_INODE]: "resize_inode",
  [EXT4_FEATURE_COMPAT_DIR_INDEX]: "dir_index",
  [EXT4_FEATURE_COMPAT_LAZY_BG]: "lazy_bg",
  [EXT4_FEATURE_COMPAT_EXCLUDE_INODE]: "exclude_inode",
  [EXT4_FEATURE_COMPAT_EXCLUDE_BITMAP]: "exclude_bitmap",
  [EXT4_FEATURE_COMPAT_SPARSE_SUPER2]: "sparse_super2",
  [EXT4_FEATURE_COMPAT_FAST_COMMIT]: "fast_commit",
  [EXT4_FEATURE_COMPAT_STABLE_INODES]: "stable_inodes",
  [EXT4_FEATURE_COMPAT_ORPHAN_FILE]: "orphan_file",
};

/** Names of the incompat bits, as dumpe2fs prints them. */
export const EXT4_INCOMPAT_NAMES: Readonly<Record<number, string>> = {
  [EXT4_FEATURE_INCOMPAT_COMPRESSION]: "compression",
  [EXT4_FEATURE_INCOMPAT_FILETYPE]: "filetype",
  [EXT4_FEATURE_INCOMPAT_RECOVER]: "needs_recovery",
  [EXT4_FEATURE_INCOMPAT_JOURNAL_DEV]: "journal_dev",
  [EXT4_FEATURE_INCOMPAT_META_BG]: "meta_bg",
  [EXT4_FEATURE_INCOMPAT_EXTENTS]: "extent",
  [EXT4_FEATURE_INCOMPAT_64BIT]: "64bit",
  [EXT4_FEATURE_INCOMPAT_MMP]: "mmp",
  [EXT4_FEATURE_INCOMPAT_FLEX_BG]: "flex_bg",
  [EXT4_FEATURE_INCOMPAT_EA_INODE]: "ea_inode",
  [EXT4_FEATURE_INCOMPAT_DIRDATA]: "dirdata",
  [EXT4_FEATURE_INCOMPAT_CSUM_SEED]: "metadata_csum_seed",
  [EXT4_FEATURE_INCOMPAT_LARGEDIR]: "large_dir",
  [EXT4_FEATURE_INCOMPAT_INLINE_DATA]: "inline_data",
  [EXT4_FEATURE_INCOMPAT_ENCRYPT]: "encrypt",
  [EXT4_FEATURE_INCOMPAT_CASEFOLD]: "casefold",
};

/** Names of the ro_compat bits, as dumpe2fs prints them. */
export const EXT4_RO_COMPAT_NAMES: Readonly<Record<number, string>> = {
  [EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER]: "sparse_super",
  [EXT4_FEATURE_RO_COMPAT_LARGE_FILE]: "large_file",
  [EXT4_FEATURE_RO_COMPAT_BTREE_DIR]: "btree_dir",
  [EXT4_FEATURE_RO_COMPAT_HUGE_FILE]: "huge_file",
  [EXT4_FEATURE_RO_COMPAT_GDT_CSUM]: "uninit_bg",
  [EXT4_FEATURE_RO_COMPAT_DIR_NLINK]: "dir_nlink",
  [EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE]: "extra_isize",
  [EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT]: "snapshot",
  [EXT4_FEATURE_RO_COMPAT_QUOTA]: "quota",
  [EXT4_FEATURE_RO_COMPAT_BIGALLOC]: "bigalloc",
  [EXT4_FEATURE_RO_COMPAT_METADATA_CSUM]: "metadata_csum",
  [EXT4_FEATURE_RO_COMPAT_REPLICA]: "replica",
  [EXT4_FEATURE_RO_COMPAT_READONLY]: "read-only",
  [EXT4_FEATURE_RO_COMPAT_PROJECT]: "project",
  [EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS]: "shared_blocks",
  [EXT4_FEATURE_RO_COMPAT_VERITY]: "verity",
  [EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT]: "orphan_present",
};

/** `struct ext4_super_block`; 64-bit counts are split over `Lo` and (with `64bit`) `Hi`. */
export const Ext4SuperBlock = /* @__PURE__ */ struct("ext4_super_block", 1024, (at) => ({
  inodesCount: at.le32(),
  blocksCountLo: at.le32(),
  rBlocksCountLo: at.le32(),
  freeBlocksCountLo: at.le32(),
  freeInodesCount: at.le32(),
  firstDataBlock: at.le32(),
  logBlockSize: at.le32(),
  logClusterSize: at.le32(),
  blocksPerGroup: at.le32(),
  clustersPerGroup: at.le32(),
  inodesPerGroup: at.le32(),
  mtime: at.le32(),
  wtime: at.le32(),
  mntCount: at.le16(),
  maxMntCount: at.le16(),
  magic: at.le16(),
  state: at.le16(),
  errors: at.le16(),
  minorRevLevel: at.le16(),
  lastcheck: at.le32(),
  checkinterval: at.le32(),
  creatorOs: at.le32(),
  revLevel: at.le32(),
  defResuid: at.le16(),
  defResgid: at.le16(),
  firstIno: at.le32(),
  inodeSize: at.le16(),
  blockGroupNr: at.le16(),
  featureCompat: at.le32(),
  featureIncompat: at.le32(),
  featureRoCompat: at.le32(),
  uuid: at.bytes(16),
  volumeName: at.bytes(16),
  lastMounted: at.bytes(64),
  algorithmUsageBitmap: at.le32(),
  preallocBlocks: at.u8(),
  preallocDirBlocks: at.u8(),
  reservedGdtBlocks: at.le16(),
  journalUuid: at.bytes(16),
  journalInum: at.le32(),
  journalDev: at.le32(),
  lastOrphan: at.le32(),
  hashSeed0: at.le32(),
  hashSeed1: at.le32(),
  hashSeed2: at.le32(),
  hashSeed3: at.le32(),
  defHashVersion: at.u8(),
  jnlBackupType: at.u8(),
  descSize: at.le16(),
  defaultMountOpts: at.le32(),
  firstMetaBg: at.le32(),
  mkfsTime: at.le32(),
  /** Copy of the journal inode: 15 words of `block`, then the size, high word first. */
  jnlBlocks: at.bytes(68),
  blocksCountHi: at.le32(),
  rBlocksCountHi: at.le32(),
  freeBlocksCountHi: at.le32(),
  minExtraIsize: at.le16(),
  wantExtraIsize: at.le16(),
  flags: at.le32(),
  raidStride: at.le16(),
  mmpUpdateInterval: at.le16(),
  mmpBlock: at.le64(),
  raidStripeWidth: at.le32(),
  logGroupsPerFlex: at.u8(),
  checksumType: at.u8(),
  encryptionLevel: at.u8(),
  reservedPad: at.u8(),
  kbytesWritten: at.le64(),
  snapshotInum: at.le32(),
  snapshotId: at.le32(),
  snapshotRBlocksCount: at.le64(),
  snapshotList: at.le32(),
  errorCount: at.le32(),
  firstErrorTime: at.le32(),
  firstErrorIno: at.le32(),
  firstErrorBlock: at.le64(),
  firstErrorFunc: at.bytes(32),
  firstErrorLine: at.le32(),
  lastErrorTime: at.le32(),
  lastErrorIno: at.le32(),
  lastErrorLine: at.le32(),
  lastErrorBlock: at.le64(),
  lastErrorFunc: at.bytes(32),
  mountOpts: at.bytes(64),
  usrQuotaInum: at.le32(),
  grpQuotaInum: at.le32(),
  overheadClusters: at.le32(),
  backupBgs0: at.le32(),
  backupBgs1: at.le32(),
  encryptAlgos: at.bytes(4),
  encryptPwSalt: at.bytes(16),
  lpfIno: at.le32(),
  prjQuotaInum: at.le32(),
  checksumSeed: at.le32(),
  wtimeHi: at.u8(),
  mtimeHi: at.u8(),
  mkfsTimeHi: at.u8(),
  lastcheckHi: at.u8(),
  firstErrorTimeHi: at.u8(),
  lastErrorTimeHi: at.u8(),
  firstErrorErrcode: at.u8(),
  lastErrorErrcode: at.u8(),
  encoding: at.le16(),
  encodingFlags: at.le16(),
  orphanFileInum: at.le32(),
  reserved: at.bytes(376),
  /** crc32c of the bytes before it, started with ~0 and without the filesystem's seed. */
  checksum: at.le32(),
}));
