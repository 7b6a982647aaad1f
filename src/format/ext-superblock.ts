/**
 * The ext2/ext3/ext4 superblock: 1024 bytes at byte 1024 of the device, little-endian.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** Byte of the device at which the primary superblock starts, whatever the block size. */
export const EXT4_SUPERBLOCK_OFFSET = 1024;
/** `magic` of {@link Ext4SuperBlock}. */
export const EXT4_SUPER_MAGIC = 0xef53;

/** `revLevel`: no features, inodes of 128 bytes, the first that is not reserved is 11. */
export const EXT4_GOOD_OLD_REV = 0;
/** `revLevel`: features count, and `inodeSize` and `firstIno` hold. */
export const EXT4_DYNAMIC_REV = 1;
/** Bytes of an inode of revision 0; every inode has these. */
export const EXT4_GOOD_OLD_INODE_SIZE = 128;
/** The first inode of revision 0 that is not reserved. */
export const EXT4_GOOD_OLD_FIRST_INO = 11;
/** Bytes of the smallest block. */
export const EXT4_MIN_BLOCK_SIZE = 1024;
/** Bytes of the largest block. */
export const EXT4_MAX_BLOCK_SIZE = 65536;
/** Bytes of a group descriptor without `64bit`. */
export const EXT4_MIN_DESC_SIZE = 32;
/** Bytes of the smallest group descriptor with `64bit`. */
export const EXT4_MIN_DESC_SIZE_64BIT = 64;
/** Bytes that a group descriptor may have. */
export const EXT4_MAX_DESC_SIZE = 1024;
/** The only value of `checksumType`. */
export const EXT4_CRC32C_CHKSUM = 1;

/** `state`: cleanly unmounted. */
export const EXT4_VALID_FS = 0x0001;
/** `state`: errors were found. */
export const EXT4_ERROR_FS = 0x0002;
/** `state`: orphans are being recovered. */
export const EXT4_ORPHAN_FS = 0x0004;
/** `state`: fast commits are being replayed. */
export const EXT4_FC_REPLAY = 0x0020;

/** `errors`: go on. */
export const EXT4_ERRORS_CONTINUE = 1;
/** `errors`: from then on for reading only. */
export const EXT4_ERRORS_RO = 2;
/** `errors`: stop the machine. */
export const EXT4_ERRORS_PANIC = 3;

/** `creatorOs`: Linux. */
export const EXT4_OS_LINUX = 0;
/** `creatorOs`: the Hurd, which lays out parts of the inode in its own way. */
export const EXT4_OS_HURD = 1;

/** `flags`: directory hashes sign-extend their bytes. */
export const EXT2_FLAGS_SIGNED_HASH = 0x0001;
/** `flags`: directory hashes take their bytes as unsigned. */
export const EXT2_FLAGS_UNSIGNED_HASH = 0x0002;
/** `flags`: made to test code under development. */
export const EXT2_FLAGS_TEST_FILESYS = 0x0004;

/** Blocks are set aside for directories that grow. */
export const EXT4_FEATURE_COMPAT_DIR_PREALLOC = 0x0001;
/** There are inodes of AFS. */
export const EXT4_FEATURE_COMPAT_IMAGIC_INODES = 0x0002;
/** There is a journal. */
export const EXT4_FEATURE_COMPAT_HAS_JOURNAL = 0x0004;
/** There are extended attributes. */
export const EXT4_FEATURE_COMPAT_EXT_ATTR = 0x0008;
/** Blocks are reserved for group descriptors to come. */
export const EXT4_FEATURE_COMPAT_RESIZE_INODE = 0x0010;
/** Directories may have hash trees. */
export const EXT4_FEATURE_COMPAT_DIR_INDEX = 0x0020;
/** Groups may be uninitialised; an early form of `uninit_bg`. */
export const EXT4_FEATURE_COMPAT_LAZY_BG = 0x0040;
/** Of snapshots, which never came into Linux. */
export const EXT4_FEATURE_COMPAT_EXCLUDE_INODE = 0x0080;
/** Of snapshots, which never came into Linux. */
export const EXT4_FEATURE_COMPAT_EXCLUDE_BITMAP = 0x0100;
/** At most two backup superblocks, in the groups of `backupBgs`. */
export const EXT4_FEATURE_COMPAT_SPARSE_SUPER2 = 0x0200;
/** The journal may have a fast-commit area. */
export const EXT4_FEATURE_COMPAT_FAST_COMMIT = 0x0400;
/** Inode numbers and the uuid stay; encryption relies on them. */
export const EXT4_FEATURE_COMPAT_STABLE_INODES = 0x0800;
/** Orphans are listed in a file, not in a chain of inodes. */
export const EXT4_FEATURE_COMPAT_ORPHAN_FILE = 0x1000;

/** Files may be compressed; Linux knows no such files. */
export const EXT4_FEATURE_INCOMPAT_COMPRESSION = 0x0001;
/** Directory entries have a `fileType`. */
export const EXT4_FEATURE_INCOMPAT_FILETYPE = 0x0002;
/** The journal has to be replayed. */
export const EXT4_FEATURE_INCOMPAT_RECOVER = 0x0004;
/** The device is a journal, not a filesystem. */
export const EXT4_FEATURE_INCOMPAT_JOURNAL_DEV = 0x0008;
/** Group descriptors lie with the groups that they describe. */
export const EXT4_FEATURE_INCOMPAT_META_BG = 0x0010;
/** Files may have extent trees. */
export const EXT4_FEATURE_INCOMPAT_EXTENTS = 0x0040;
/** Block numbers have more than 32 bits, group descriptors their `Hi` half. */
export const EXT4_FEATURE_INCOMPAT_64BIT = 0x0080;
/** A block says who has the filesystem mounted. */
export const EXT4_FEATURE_INCOMPAT_MMP = 0x0100;
/** A group's bitmaps and inode table may lie in other groups. */
export const EXT4_FEATURE_INCOMPAT_FLEX_BG = 0x0200;
/** Values of attributes may have inodes of their own. */
export const EXT4_FEATURE_INCOMPAT_EA_INODE = 0x0400;
/** Directory entries carry more than a name; Lustre's. */
export const EXT4_FEATURE_INCOMPAT_DIRDATA = 0x1000;
/** Checksums start with `checksumSeed`, not with that of the uuid. */
export const EXT4_FEATURE_INCOMPAT_CSUM_SEED = 0x2000;
/** Directories may pass 2 GiB, hash trees may have three levels. */
export const EXT4_FEATURE_INCOMPAT_LARGEDIR = 0x4000;
/** Small files and directories may lie in their inode. */
export const EXT4_FEATURE_INCOMPAT_INLINE_DATA = 0x8000;
/** Files and names may be encrypted. */
export const EXT4_FEATURE_INCOMPAT_ENCRYPT = 0x1_0000;
/** Directories may compare names without case. */
export const EXT4_FEATURE_INCOMPAT_CASEFOLD = 0x2_0000;

/** Backup superblocks only in group 1 and in powers of 3, 5 and 7. */
export const EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x0001;
/** Files may pass 2 GiB. */
export const EXT4_FEATURE_RO_COMPAT_LARGE_FILE = 0x0002;
/** Directories as B-trees; never used. */
export const EXT4_FEATURE_RO_COMPAT_BTREE_DIR = 0x0004;
/** Files may count their blocks in filesystem blocks. */
export const EXT4_FEATURE_RO_COMPAT_HUGE_FILE = 0x0008;
/** Group descriptors have crc16 checksums; groups may be uninitialised. */
export const EXT4_FEATURE_RO_COMPAT_GDT_CSUM = 0x0010;
/** A directory with too many subdirectories to count has a link count of 1. */
export const EXT4_FEATURE_RO_COMPAT_DIR_NLINK = 0x0020;
/** Every inode has at least `minExtraIsize` bytes of extra fields. */
export const EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE = 0x0040;
/** Of snapshots, which never came into Linux. */
export const EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT = 0x0080;
/** Quotas are kept in inodes that the superblock names. */
export const EXT4_FEATURE_RO_COMPAT_QUOTA = 0x0100;
/** Blocks are allocated in clusters. */
export const EXT4_FEATURE_RO_COMPAT_BIGALLOC = 0x0200;
/** All metadata have crc32c checksums. */
export const EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x0400;
/** Files may have replicas; Linux does not know it. */
export const EXT4_FEATURE_RO_COMPAT_REPLICA = 0x0800;
/** Nobody may mount it for writing. */
export const EXT4_FEATURE_RO_COMPAT_READONLY = 0x1000;
/** Inodes have a project, and projects have quotas. */
export const EXT4_FEATURE_RO_COMPAT_PROJECT = 0x2000;
/** Files may share blocks; nobody may mount it for writing. */
export const EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS = 0x4000;
/** Files may be protected by fs-verity. */
export const EXT4_FEATURE_RO_COMPAT_VERITY = 0x8000;
/** The orphan file may name orphans. */
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
