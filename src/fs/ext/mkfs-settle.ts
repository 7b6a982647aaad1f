/**
 * From options and a size to settled numbers: the defaults that depend on each other, and every
 * combination that is refused. The order of decisions is that of mke2fs 1.47.
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_FEATURE_RO_COMPAT_PROJECT,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
  EXT4_GOOD_OLD_INODE_SIZE,
  EXT4_MAX_BLOCK_SIZE,
  EXT4_MAX_DESC_SIZE,
  EXT4_MIN_BLOCK_SIZE,
  EXT4_MIN_DESC_SIZE,
  EXT4_MIN_DESC_SIZE_64BIT,
} from "../../format/ext-superblock.ts";
import { type Features, hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import { type FeatureWords, NO_FEATURES, editFeatures } from "./mkfs-features.ts";
import {
  type ExtKind,
  type MakeExtOptions,
  type QuotaType,
  inBlocks,
  isPowerOfTwo,
  log2,
  refuse,
} from "./mkfs-options.ts";
import {
  BASE_FEATURES,
  DEFAULT_FLEX_GROUPS,
  DEFAULT_RESERVED_PERCENT,
  type Profile,
  TYPE_FEATURES,
  profileOf,
} from "./mkfs-profile.ts";

/** What is decided before the groups are laid out; counts in blocks unless named. */
export interface Settled {
  readonly type: ExtKind;
  readonly features: Features;
  readonly revision: 0 | 1;
  /** Bytes. */
  readonly blockSize: number;
  readonly clusterSize: number;
  readonly inodeSize: number;
  /** 0 without 64bit. */
  readonly descSize: number;
  /** As asked for; the last group may turn out too short to be kept. */
  readonly blocks: number;
  readonly reservedBlocks: number;
  /** As asked for; groups hold at least that many together. */
  readonly inodes: number;
  /** 0: as many as a bitmap has bits. Clusters, with bigalloc. */
  readonly perGroup: number;
  readonly logGroupsPerFlex: number;
  /** 0: by the size of the filesystem. */
  readonly reservedGdtBlocks: number;
  readonly backupBgs: readonly [number, number];
  readonly quotaTypes: readonly QuotaType[];
}

/** The largest block that this system's kernel mounts, and what DAX takes. */
const PAGE_SIZE = 4096;
const MAX_32 = 0xffff_ffff;

/** Settles everything for a device of `deviceBytes`. @throws EINVAL, ENOSPC */
export function settle(options: MakeExtOptions, deviceBytes: number): Settled {
  const type = options.type ?? "ext4";
  const given = checkBlockSize(options);
  const unit = given > 0 ? given : EXT4_MIN_BLOCK_SIZE;
  const units = sizeIn(unit, options, deviceBytes);
  const profile = profileOf(options.usage, units, unit);
  const features = settleFeatures(options, type);
  const blockSize = given > 0 ? given : Math.max(profile.blockSize, -given);
  const blocks = Math.floor(units / (blockSize / unit));
  checkBlocks(options, features, blocks, blockSize);
  const clusterSize = settleClusterSize(options, features, blockSize);
  const descSize = settleDescSize(options, features);
  const reservedGdtBlocks = settleResize(options, features, { blocks, blockSize, descSize });
  const inodeSize = settleInodeSize(options, features, profile, blockSize);
  checkFeatures(features);
  checkGroupSize(options, blockSize);
  const sizes = { blocks, blockSize, clusterSize, inodeSize };
  return {
    type,
    features,
    revision: options.revision ?? 1,
    ...sizes,
    descSize,
    reservedBlocks: settleReserved(options, blocks),
    inodes: settleInodes(options, features, profile, sizes),
    perGroup: options.blocksPerGroup ?? 0,
    logGroupsPerFlex: settleFlex(options, features),
    reservedGdtBlocks,
    backupBgs: settleBackups(options, features),
    quotaTypes: settleQuota(options, features),
  };
}

/** The block size as given; 0 when not, negative for a lower bound. */
function checkBlockSize({ blockSize = 0, force = false }: MakeExtOptions): number {
  const size = Math.abs(blockSize);
  if (blockSize === 0) return 0;
  if (!isPowerOfTwo(size) || size < EXT4_MIN_BLOCK_SIZE || size > EXT4_MAX_BLOCK_SIZE) {
    refuse(`block size ${blockSize}; give 1024, 2048, 4096 or, with force, up to 65536`);
  }
  if (size > PAGE_SIZE && !force) {
    refuse(
      `blocks of ${size} bytes are more than a page (${PAGE_SIZE}); force makes them all the same`,
    );
  }
  return blockSize;
}

/** Size in units of the block size, if that is known yet, or of 1024 bytes. */
function sizeIn(unit: number, { size }: MakeExtOptions, deviceBytes: number): number {
  if (size === undefined) {
    const all = Math.floor(deviceBytes / unit);
    const page = Math.max(1, PAGE_SIZE / unit);
    return all - (all % page);
  }
  const count = inBlocks(size, unit);
  if (!Number.isSafeInteger(count) || count <= 0) {
    const shown = "blocks" in size ? `${size.blocks} blocks` : `${size.bytes} bytes`;
    refuse(`a size of ${shown} is less than one block of ${unit} bytes`);
  }
  return count;
}

function settleFeatures(options: MakeExtOptions, type: ExtKind): FeatureWords {
  const words: FeatureWords = { ...NO_FEATURES };
  const old = options.revision === 0;
  if (!old) editFeatures(words, `${BASE_FEATURES},${TYPE_FEATURES[type]}`);
  if (options.features !== undefined) editFeatures(words, options.features);
  if (options.quotaTypes?.includes("prj") === true && !old) editFeatures(words, "project");
  if (options.encoding !== undefined) editFeatures(words, "casefold");
  const journal = options.journal === true || options.journalMegabytes !== undefined;
  if (old && (journal || Object.values(words).some((word) => word !== 0))) {
    refuse("revision 0 knows neither features nor journals; leave them out or the revision");
  }
  if (journal) words.featureCompat |= EXT4_FEATURE_COMPAT_HAS_JOURNAL;
  if (hasRoCompat(words, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) {
    words.featureRoCompat &= ~EXT4_FEATURE_RO_COMPAT_GDT_CSUM;
  }
  return words;
}

function checkBlocks(
  { force = false }: MakeExtOptions,
  features: FeatureWords,
  blocks: number,
  blockSize: number,
): void {
  if (blockSize > PAGE_SIZE && !force) {
    refuse(`blocks of ${blockSize} bytes are more than a page; force makes them all the same`);
  }
  const wide = hasIncompat(features, EXT4_FEATURE_INCOMPAT_64BIT);
  if (wide && !hasIncompat(features, EXT4_FEATURE_INCOMPAT_EXTENTS)) {
    refuse("64bit needs the extent feature; add extent or take 64bit away");
  }
  if (blocks <= MAX_32) return;
  if (!wide) {
    refuse(`${blocks} blocks of ${blockSize} bytes need the 64bit feature, or larger blocks`);
  }
  features.featureCompat &= ~EXT4_FEATURE_COMPAT_RESIZE_INODE;
}

function settleClusterSize(options: MakeExtOptions, features: Features, blockSize: number): number {
  const { clusterSize } = options;
  if (!hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_BIGALLOC)) {
    if (clusterSize === undefined) return blockSize;
    refuse("a cluster size needs the bigalloc feature");
  }
  if (!hasIncompat(features, EXT4_FEATURE_INCOMPAT_EXTENTS)) {
    refuse("bigalloc needs the extent feature");
  }
  const size = clusterSize ?? blockSize * 16;
  // Linux takes no cluster of more blocks than an extent can have.
  if (!isPowerOfTwo(size) || size < 2048 || size > 2 ** 29) {
    refuse(`cluster size ${size}; give a power of two from 2048 to 512 MiB`);
  }
  if (size < blockSize)
    refuse(`a cluster of ${size} bytes is smaller than a block of ${blockSize}`);
  return size;
}

function settleDescSize({ descSize }: MakeExtOptions, features: Features): number {
  const wide = hasIncompat(features, EXT4_FEATURE_INCOMPAT_64BIT);
  if (descSize === undefined) return wide ? EXT4_MIN_DESC_SIZE_64BIT : 0;
  if (!wide) refuse("desc_size needs the 64bit feature");
  const low = EXT4_MIN_DESC_SIZE_64BIT;
  if (isPowerOfTwo(descSize) && descSize >= low && descSize <= EXT4_MAX_DESC_SIZE) return descSize;
  return refuse(`desc_size ${descSize}; give a power of two from ${low} to ${EXT4_MAX_DESC_SIZE}`);
}

interface ResizeSizes {
  readonly blocks: number;
  readonly blockSize: number;
  readonly descSize: number;
}

/** Blocks for descriptors up to the size of `resize`; sets resize_inode when there are any. */
function settleResize(options: MakeExtOptions, features: FeatureWords, sizes: ResizeSizes): number {
  const { blocks, blockSize } = sizes;
  if (options.resize === undefined) return 0;
  const largest = inBlocks(options.resize, blockSize);
  if (largest <= blocks) {
    refuse(`resize to ${largest} blocks is no more than the filesystem's ${blocks}`);
  }
  if (options.revision === 0) refuse("resize needs a filesystem of revision 1");
  const perGroup = options.blocksPerGroup ?? blockSize * 8;
  const perBlock = blockSize / Math.max(sizes.descSize, EXT4_MIN_DESC_SIZE);
  const now = Math.ceil(Math.ceil(blocks / perGroup) / perBlock);
  const then = Math.ceil(Math.ceil(largest / perGroup) / perBlock);
  const room = Math.min(then - now, blockSize / 4);
  if (room > 0) features.featureCompat |= EXT4_FEATURE_COMPAT_RESIZE_INODE;
  return Math.max(0, room);
}

function settleInodeSize(
  options: MakeExtOptions,
  features: Features,
  profile: Profile,
  blockSize: number,
): number {
  const { inodeSize, revision } = options;
  if (revision === 0) return EXT4_GOOD_OLD_INODE_SIZE;
  const size = inodeSize ?? profile.inodeSize;
  if (!isPowerOfTwo(size) || size < EXT4_GOOD_OLD_INODE_SIZE || size > blockSize) {
    refuse(`inode size ${size}; give a power of two from 128 to a block of ${blockSize}`);
  }
  if (size > EXT4_GOOD_OLD_INODE_SIZE) return size;
  if (hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_PROJECT)) {
    refuse("inodes of 128 bytes have no room for a project");
  }
  if (hasIncompat(features, EXT4_FEATURE_INCOMPAT_INLINE_DATA)) {
    refuse("inodes of 128 bytes have no room for inline data");
  }
  return size;
}

function checkFeatures(features: FeatureWords): void {
  const resize = hasCompat(features, EXT4_FEATURE_COMPAT_RESIZE_INODE);
  if (resize && hasIncompat(features, EXT4_FEATURE_INCOMPAT_META_BG)) {
    refuse("resize_inode and meta_bg exclude each other; take one away, such as ^resize_inode");
  }
  if (resize && !hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER)) {
    refuse("resize_inode needs sparse_super; take it away too: ^resize_inode");
  }
  const checksums = hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
  if (hasIncompat(features, EXT4_FEATURE_INCOMPAT_CSUM_SEED) && !checksums) {
    refuse("metadata_csum_seed needs metadata_csum");
  }
  const journal = hasCompat(features, EXT4_FEATURE_COMPAT_HAS_JOURNAL);
  if (hasCompat(features, EXT4_FEATURE_COMPAT_ORPHAN_FILE) && !journal) {
    refuse("orphan_file needs a journal");
  }
}

function checkGroupSize({ blocksPerGroup }: MakeExtOptions, blockSize: number): void {
  if (blocksPerGroup === undefined) return;
  const most = blockSize * 8;
  if (blocksPerGroup % 8 === 0 && blocksPerGroup >= 256 && blocksPerGroup <= most) return;
  refuse(`${blocksPerGroup} blocks per group; give a multiple of 8 from 256 to ${most}`);
}

function settleReserved({ reservedPercent }: MakeExtOptions, blocks: number): number {
  const percent = reservedPercent ?? DEFAULT_RESERVED_PERCENT;
  if (!(percent >= 0 && percent <= 50)) refuse(`reserved ${percent} percent; give 0 to 50`);
  return Math.floor((percent * blocks) / 100);
}

interface InodeSizes {
  readonly blocks: number;
  readonly blockSize: number;
  readonly clusterSize: number;
  readonly inodeSize: number;
}

function settleInodes(
  options: MakeExtOptions,
  features: Features,
  profile: Profile,
  sizes: InodeSizes,
): number {
  const { blocks, blockSize, clusterSize, inodeSize } = sizes;
  const { inodes, inodeRatio } = options;
  if (inodeRatio !== undefined && !(inodeRatio >= 1024 && inodeRatio <= 2 ** 26)) {
    refuse(`${inodeRatio} bytes per inode; give 1024 to ${2 ** 26}`);
  }
  const ratio = inodeRatio ?? Math.max(profile.inodeRatio, blockSize, clusterSize);
  let count = inodes ?? Math.floor((blocks * blockSize) / ratio);
  if (count > MAX_32) {
    const byRatio = inodes === undefined && hasIncompat(features, EXT4_FEATURE_INCOMPAT_64BIT);
    if (!byRatio)
      refuse(`${count} inodes; there can be fewer than 2^32: raise the bytes per inode`);
    count = MAX_32;
  }
  if (inodes !== undefined && !(Number.isSafeInteger(inodes) && inodes > 0)) {
    refuse(`${inodes} inodes; give a number above 0`);
  }
  if (count * inodeSize >= blocks * blockSize) {
    const what = `${count} inodes of ${inodeSize} bytes do not fit into ${blocks} blocks`;
    refuse(`${what}; ask for fewer, or for more bytes per inode`);
  }
  return count;
}

function settleFlex({ flexGroups }: MakeExtOptions, features: Features): number {
  if (!hasIncompat(features, EXT4_FEATURE_INCOMPAT_FLEX_BG)) {
    if (flexGroups === undefined) return 0;
    refuse("a number of flex groups needs the flex_bg feature");
  }
  const count = flexGroups ?? DEFAULT_FLEX_GROUPS;
  if (!isPowerOfTwo(count) || count > 2 ** 31) {
    refuse(`${count} flex groups; give a power of two up to 2^31`);
  }
  return log2(count);
}

/** The last group has no number yet: the highest there can be stands for it. */
function settleBackups(options: MakeExtOptions, features: Features): [number, number] {
  const { backupSuperblocks = 2 } = options;
  if (![0, 1, 2].includes(backupSuperblocks)) {
    refuse(`${backupSuperblocks} backup superblocks; give 0, 1 or 2`);
  }
  if (!hasCompat(features, EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) return [0, 0];
  return [backupSuperblocks >= 1 ? 1 : 0, backupSuperblocks >= 2 ? MAX_32 : 0];
}

function settleQuota({ quotaTypes }: MakeExtOptions, features: Features): QuotaType[] {
  const wanted = new Set<QuotaType>(quotaTypes ?? ["usr", "grp"]);
  if (hasRoCompat(features, EXT4_FEATURE_RO_COMPAT_PROJECT)) wanted.add("prj");
  return (["usr", "grp", "prj"] as const).filter((type) => wanted.has(type));
}
