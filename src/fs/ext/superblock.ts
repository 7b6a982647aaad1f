/**
 * The superblock as a plain object whose every number has been checked, by the rules with which
 * Linux mounts (`ext4_fill_super`).
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import {
  EXT2_FLAGS_UNSIGNED_HASH,
  EXT4_CRC32C_CHKSUM,
  EXT4_DYNAMIC_REV,
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_GOOD_OLD_INODE_SIZE,
  EXT4_MAX_DESC_SIZE,
  EXT4_MIN_BLOCK_SIZE,
  EXT4_MIN_DESC_SIZE,
  EXT4_MIN_DESC_SIZE_64BIT,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_SUPER_MAGIC,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { isDaxError } from "../../lib/errno.ts";
import { recall } from "../../lib/memo.ts";
import { type Memory, copyOf } from "../../lib/memory.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { isTornFlag, superblockChecksumOf } from "./recover-flag.ts";
import { type Features, checkIncompat, hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import { LastParsed } from "./last-parsed.ts";

/** The geometry and features of a filesystem; sizes in bytes, counts in blocks unless named. */
export interface Superblock extends Features {
  readonly revLevel: number;
  readonly state: number;
  /** What to do when the image turns out to be damaged (`EXT4_ERRORS_*`). */
  readonly errors: number;
  readonly flags: number;
  readonly uuid: Uint8Array;
  readonly volumeName: Uint8Array;

  readonly blockSize: number;
  readonly clusterSize: number;
  /** Blocks in a cluster; 1 without bigalloc. */
  readonly clusterRatio: number;
  readonly inodeSize: number;
  /** Bytes of extra fields that new inodes should have; may be more than there is room for. */
  readonly wantExtraIsize: number;
  readonly firstIno: number;
  readonly descSize: number;

  readonly blocks: number;
  readonly reservedBlocks: number;
  /** As stored, in blocks; may be stale, the descriptors know better. */
  readonly freeBlocks: number;
  readonly firstDataBlock: number;
  readonly groups: number;
  readonly blocksPerGroup: number;
  readonly clustersPerGroup: number;
  readonly inodes: number;
  readonly freeInodes: number;
  readonly inodesPerGroup: number;

  readonly descriptorsPerBlock: number;
  /** Blocks of group descriptors. */
  readonly descriptorBlocks: number;
  readonly reservedGdtBlocks: number;
  readonly firstMetaBg: number;
  readonly logGroupsPerFlex: number;
  readonly backupBgs: readonly [number, number];
  readonly overheadClusters: number;

  readonly metadataCsum: boolean;
  /** crc16 descriptors; false when metadata_csum takes their place. */
  readonly gdtCsum: boolean;
  /** Where every crc32c of metadata starts: that of the uuid, or the stored seed. */
  readonly checksumSeed: number;

  readonly hashSeed: readonly [number, number, number, number];
  readonly defHashVersion: number;
  /** Directory hashes take bytes as unsigned. */
  readonly unsignedHash: boolean;

  // The numbers below are as stored: whoever loads such an inode or block checks them.

  /** 0 without has_journal. */
  readonly journalInum: number;
  readonly journalDev: number;
  readonly journalUuid: Uint8Array;
  readonly jnlBackupType: number;
  readonly lastOrphan: number;
  readonly orphanFileInum: number;
  readonly usrQuotaInum: number;
  readonly grpQuotaInum: number;
  readonly prjQuotaInum: number;
  readonly mmpBlock: number;
}

/** True when the device holds an ext superblock's magic. @throws EIO */
export function probeSuperblock(device: BlockDevice): boolean {
  if (device.sectors * 512 < EXT4_SUPERBLOCK_OFFSET + sizeof(SB)) return false;
  const bytes = new Uint8Array(2);
  device.readBytes(EXT4_SUPERBLOCK_OFFSET + SB.magic.offset, bytes);
  return ((bytes[0] as number) | ((bytes[1] as number) << 8)) === EXT4_SUPER_MAGIC;
}

/**
 * Reads and checks the primary superblock.
 * @throws EUCLEAN, EBADMSG, ENOTSUP as {@link parseSuperblock}, EIO
 */
export function readSuperblock(device: BlockDevice): Superblock {
  return readPrimary(device, false);
}

/**
 * As {@link readSuperblock}, for whoever calls `recover` or `recoverOnDevice` with it: when power
 * went while the superblock was brought to its place it is torn, and its journal has it whole. What
 * says where the journal lies never changes; recovery reads and proves the superblock anew.
 * @throws as {@link readSuperblock}, unless there is a journal to replay
 */
export function readSuperblockToRecover(device: BlockDevice): Superblock {
  return recall(device.memo, lastParsed, `${device.sectors}`, () => readToRecover(device));
}

function readToRecover(device: BlockDevice): Superblock {
  try {
    return readSuperblock(device);
  } catch (error) {
    if (!isDaxError(error, "EBADMSG")) throw error;
    const torn = readPrimary(device, true);
    const replays =
      hasCompat(torn, EXT4_FEATURE_COMPAT_HAS_JOURNAL) &&
      hasIncompat(torn, EXT4_FEATURE_INCOMPAT_RECOVER);
    if (!replays) throw error;
    return torn;
  }
}

function readPrimary(device: BlockDevice, unproved: boolean): Superblock {
  const size = device.sectors * 512;
  if (size < EXT4_SUPERBLOCK_OFFSET + sizeof(SB)) {
    throw corrupt("superblock", "device size", size, "too small to hold one");
  }
  const bytes = new Uint8Array(sizeof(SB));
  device.readBytes(EXT4_SUPERBLOCK_OFFSET, bytes);
  return lastParsed.of(bytes, size, unproved);
}

/**
 * Checks the 1024 bytes at `base` and makes them a plain object. `deviceSize` is in bytes; with
 * `unproved` a checksum that fails is passed over.
 * @throws EUCLEAN, EBADMSG for a number that cannot be, ENOTSUP for a feature that is not read
 */
export function parseSuperblock(
  memory: Memory,
  base: number,
  deviceSize: number,
  unproved = false,
): Superblock {
  return lastParsed.of(copyOf(memory, base, sizeof(SB)), deviceSize, unproved);
}

const lastParsed = new LastParsed(parseBytes);

function parseBytes(
  bytes: Uint8Array<ArrayBuffer>,
  deviceSize: number,
  unproved: boolean,
): Superblock {
  const raw = new DataView(bytes.buffer);
  const magic = SB.magic.get(raw, 0);
  if (magic !== EXT4_SUPER_MAGIC) {
    throw corrupt("superblock", "magic", `0x${magic.toString(16)}`, "not 0xef53");
  }
  const stored = {
    featureCompat: SB.featureCompat.get(raw, 0),
    featureIncompat: SB.featureIncompat.get(raw, 0),
    featureRoCompat: SB.featureRoCompat.get(raw, 0),
  };
  const { torn, ...checksums } = readChecksums(raw, bytes, stored, unproved);
  const flag = torn ? EXT4_FEATURE_INCOMPAT_RECOVER : 0;
  const features = { ...stored, featureIncompat: (stored.featureIncompat | flag) >>> 0 };
  checkIncompat(features);
  const sizes = readSizes(raw, features);
  const geometry = readGeometry(raw, features, sizes, deviceSize);
  return {
    revLevel: SB.revLevel.get(raw, 0),
    state: SB.state.get(raw, 0),
    errors: SB.errors.get(raw, 0),
    flags: SB.flags.get(raw, 0),
    uuid: SB.uuid.get(raw, 0),
    volumeName: SB.volumeName.get(raw, 0),
    ...features,
    ...checksums,
    ...sizes,
    ...geometry,
    ...readHash(raw),
    ...readSpecialInodes(raw, features),
    wantExtraIsize: Math.max(SB.wantExtraIsize.get(raw, 0), SB.minExtraIsize.get(raw, 0)),
    mmpBlock: SB.mmpBlock.get(raw, 0),
  };
}

function readChecksums(
  raw: DataView,
  bytes: Uint8Array,
  features: Features,
  unproved: boolean,
): Pick<Superblock, "metadataCsum" | "gdtCsum" | "checksumSeed"> & { torn: boolean } {
  const metadataCsum = hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
  let torn = false;
  const storedSeed = hasIncompat(features, EXT4_FEATURE_INCOMPAT_CSUM_SEED);
  if (metadataCsum) {
    const type = SB.checksumType.get(raw, 0);
    if (type !== EXT4_CRC32C_CHKSUM) {
      throw corrupt("superblock", "checksum_type", type, "only 1 (crc32c) is known");
    }
    const stored = SB.checksum.get(raw, 0);
    const computed = superblockChecksumOf(bytes);
    torn = stored !== computed && isTornFlag(bytes);
    if (stored !== computed && !torn && !unproved)
      throw badChecksum("superblock", stored, computed);
  }
  const uuid = SB.uuid.get(raw, 0);
  return {
    torn,
    metadataCsum,
    gdtCsum: !metadataCsum && hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_GDT_CSUM),
    checksumSeed: storedSeed ? SB.checksumSeed.get(raw, 0) : crc32c(0xffff_ffff, uuid),
  };
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

type Sizes = Pick<
  Superblock,
  "blockSize" | "clusterSize" | "clusterRatio" | "inodeSize" | "firstIno" | "descSize"
>;

function readSizes(raw: DataView, features: Features): Sizes {
  const log = SB.logBlockSize.get(raw, 0);
  if (log > 6) throw corrupt("superblock", "log_block_size", log, "above 6 (64 KiB)");
  const blockSize = EXT4_MIN_BLOCK_SIZE << log;
  const clusterSize = readClusterSize(raw, features, blockSize);
  return {
    blockSize,
    clusterSize,
    clusterRatio: clusterSize / blockSize,
    ...readInodeSize(raw, blockSize),
    descSize: readDescSize(raw, features),
  };
}

function readClusterSize(raw: DataView, features: Features, blockSize: number): number {
  const log = SB.logClusterSize.get(raw, 0);
  const bigalloc = hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_BIGALLOC);
  const clusterSize = log <= 30 ? EXT4_MIN_BLOCK_SIZE * 2 ** log : 0;
  if (bigalloc ? clusterSize < blockSize : clusterSize !== blockSize) {
    const rule = bigalloc ? "smaller than a block or far too large" : "not log_block_size";
    throw corrupt("superblock", "log_cluster_size", log, rule);
  }
  return clusterSize;
}

function readInodeSize(
  raw: DataView,
  blockSize: number,
): Pick<Superblock, "inodeSize" | "firstIno"> {
  const dynamic = SB.revLevel.get(raw, 0) >= EXT4_DYNAMIC_REV;
  const inodeSize = dynamic ? SB.inodeSize.get(raw, 0) : EXT4_GOOD_OLD_INODE_SIZE;
  if (!isPowerOfTwo(inodeSize) || inodeSize < EXT4_GOOD_OLD_INODE_SIZE || inodeSize > blockSize) {
    throw corrupt("superblock", "inode_size", inodeSize, "not a power of two from 128 to a block");
  }
  const firstIno = dynamic ? SB.firstIno.get(raw, 0) : EXT4_GOOD_OLD_FIRST_INO;
  if (firstIno < EXT4_GOOD_OLD_FIRST_INO) {
    throw corrupt("superblock", "first_ino", firstIno, "below 11");
  }
  return { inodeSize, firstIno };
}

function readDescSize(raw: DataView, features: Features): number {
  if (!hasIncompat(features, EXT4_FEATURE_INCOMPAT_64BIT)) return EXT4_MIN_DESC_SIZE;
  const size = SB.descSize.get(raw, 0);
  if (!isPowerOfTwo(size) || size < EXT4_MIN_DESC_SIZE_64BIT || size > EXT4_MAX_DESC_SIZE) {
    throw corrupt("superblock", "desc_size", size, "not a power of two from 64 to 1024");
  }
  return size;
}

type Blocks = Pick<Superblock, "blocks" | "firstDataBlock" | "reservedBlocks" | "freeBlocks">;
type PerGroup = Pick<Superblock, "blocksPerGroup" | "clustersPerGroup" | "inodesPerGroup">;
type Descriptors = Pick<
  Superblock,
  "descriptorsPerBlock" | "descriptorBlocks" | "reservedGdtBlocks" | "firstMetaBg"
>;
type Groups = Pick<
  Superblock,
  "groups" | "inodes" | "freeInodes" | "logGroupsPerFlex" | "backupBgs" | "overheadClusters"
>;

function readGeometry(
  raw: DataView,
  features: Features,
  sizes: Sizes,
  deviceSize: number,
): Blocks & PerGroup & Descriptors & Groups {
  const range = readBlocks(raw, features, sizes, deviceSize);
  const perGroup = readPerGroup(raw, sizes);
  const groups = Math.ceil((range.blocks - range.firstDataBlock) / perGroup.blocksPerGroup);
  const inodes = SB.inodesCount.get(raw, 0);
  const expected = groups * perGroup.inodesPerGroup;
  if (inodes !== expected) {
    throw corrupt("superblock", "inodes_count", inodes, `${groups} groups hold ${expected}`);
  }
  const flex = SB.logGroupsPerFlex.get(raw, 0);
  return {
    ...range,
    ...perGroup,
    groups,
    inodes,
    freeInodes: SB.freeInodesCount.get(raw, 0),
    ...readDescriptorTable(raw, features, sizes, groups),
    // Linux takes a shift that an int does not have as "no flex groups".
    logGroupsPerFlex: flex < 32 ? flex : 0,
    backupBgs: [SB.backupBgs0.get(raw, 0), SB.backupBgs1.get(raw, 0)],
    overheadClusters: SB.overheadClusters.get(raw, 0),
  };
}

/** A count split over two words, the upper of which means something with `64bit` only. */
function wide(raw: DataView, features: Features, lo: Field<number>, hi: Field<number>): number {
  const high = hasIncompat(features, EXT4_FEATURE_INCOMPAT_64BIT) ? hi.get(raw, 0) : 0;
  return lo.get(raw, 0) + high * 2 ** 32;
}

function readBlocks(raw: DataView, features: Features, sizes: Sizes, deviceSize: number): Blocks {
  const blocks = wide(raw, features, SB.blocksCountLo, SB.blocksCountHi);
  const available = Math.floor(deviceSize / sizes.blockSize);
  if (blocks > available) {
    const rule = `the device has only ${available}: it was cut short, or is not all of the image`;
    throw corrupt("superblock", "blocks_count", blocks, rule);
  }
  const firstDataBlock = SB.firstDataBlock.get(raw, 0);
  const lowest = sizes.clusterSize === 1024 ? 1 : 0;
  if (firstDataBlock < lowest || firstDataBlock >= blocks) {
    const rule = `not from ${lowest} to below ${blocks} blocks`;
    throw corrupt("superblock", "first_data_block", firstDataBlock, rule);
  }
  return {
    blocks,
    firstDataBlock,
    reservedBlocks: wide(raw, features, SB.rBlocksCountLo, SB.rBlocksCountHi),
    freeBlocks: wide(raw, features, SB.freeBlocksCountLo, SB.freeBlocksCountHi),
  };
}

function readPerGroup(raw: DataView, sizes: Sizes): PerGroup {
  const { blockSize, clusterRatio, inodeSize } = sizes;
  const bits = blockSize * 8;
  const blocksPerGroup = SB.blocksPerGroup.get(raw, 0);
  const clustersPerGroup = SB.clustersPerGroup.get(raw, 0);
  if (clustersPerGroup === 0 || clustersPerGroup > bits) {
    throw corrupt("superblock", "clusters_per_group", clustersPerGroup, `not from 1 to ${bits}`);
  }
  if (blocksPerGroup !== clustersPerGroup * clusterRatio) {
    const rule = `its clusters hold ${clustersPerGroup * clusterRatio}`;
    throw corrupt("superblock", "blocks_per_group", blocksPerGroup, rule);
  }
  const inodesPerGroup = SB.inodesPerGroup.get(raw, 0);
  const fewest = blockSize / inodeSize;
  if (inodesPerGroup < fewest || inodesPerGroup > bits) {
    const rule = `not from ${fewest} to ${bits}`;
    throw corrupt("superblock", "inodes_per_group", inodesPerGroup, rule);
  }
  return { blocksPerGroup, clustersPerGroup, inodesPerGroup };
}

function readDescriptorTable(
  raw: DataView,
  features: Features,
  sizes: Sizes,
  groups: number,
): Descriptors {
  const descriptorsPerBlock = sizes.blockSize / sizes.descSize;
  const descriptorBlocks = Math.ceil(groups / descriptorsPerBlock);
  const reservedGdtBlocks = SB.reservedGdtBlocks.get(raw, 0);
  if (reservedGdtBlocks > sizes.blockSize / 4) {
    const rule = `above ${sizes.blockSize / 4}`;
    throw corrupt("superblock", "reserved_gdt_blocks", reservedGdtBlocks, rule);
  }
  const firstMetaBg = SB.firstMetaBg.get(raw, 0);
  if (hasIncompat(features, EXT4_FEATURE_INCOMPAT_META_BG) && firstMetaBg > descriptorBlocks) {
    const rule = `there are ${descriptorBlocks} descriptor blocks`;
    throw corrupt("superblock", "first_meta_bg", firstMetaBg, rule);
  }
  return { descriptorsPerBlock, descriptorBlocks, reservedGdtBlocks, firstMetaBg };
}

function readHash(raw: DataView): Pick<Superblock, "hashSeed" | "defHashVersion" | "unsignedHash"> {
  return {
    hashSeed: [
      SB.hashSeed0.get(raw, 0),
      SB.hashSeed1.get(raw, 0),
      SB.hashSeed2.get(raw, 0),
      SB.hashSeed3.get(raw, 0),
    ],
    defHashVersion: SB.defHashVersion.get(raw, 0),
    unsignedHash: (SB.flags.get(raw, 0) & EXT2_FLAGS_UNSIGNED_HASH) !== 0,
  };
}

type SpecialInodes = Pick<
  Superblock,
  | "journalInum"
  | "journalDev"
  | "journalUuid"
  | "jnlBackupType"
  | "lastOrphan"
  | "orphanFileInum"
  | "usrQuotaInum"
  | "grpQuotaInum"
  | "prjQuotaInum"
>;

function readSpecialInodes(raw: DataView, features: Features): SpecialInodes {
  const journal = hasCompat(features, EXT4_FEATURE_COMPAT_HAS_JOURNAL);
  const orphanFile = hasCompat(features, EXT4_FEATURE_COMPAT_ORPHAN_FILE);
  return {
    journalInum: journal ? SB.journalInum.get(raw, 0) : 0,
    journalDev: journal ? SB.journalDev.get(raw, 0) : 0,
    journalUuid: SB.journalUuid.get(raw, 0),
    jnlBackupType: SB.jnlBackupType.get(raw, 0),
    lastOrphan: SB.lastOrphan.get(raw, 0),
    orphanFileInum: orphanFile ? SB.orphanFileInum.get(raw, 0) : 0,
    usrQuotaInum: SB.usrQuotaInum.get(raw, 0),
    grpQuotaInum: SB.grpQuotaInum.get(raw, 0),
    prjQuotaInum: SB.prjQuotaInum.get(raw, 0),
  };
}
