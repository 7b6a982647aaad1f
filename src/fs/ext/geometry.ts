/**
 * Where things are, by arithmetic alone: groups, superblock copies, descriptor blocks.
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
  EXT4_SUPERBLOCK_OFFSET,
} from "../../format/ext-superblock.ts";
import { type Features, hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import type { Superblock } from "./superblock.ts";

/** What decides which groups have copies of the superblock. */
export type SuperPlacement = Features & Pick<Superblock, "backupBgs">;

/** The first block of a group. */
export function groupStart(superblock: Superblock, group: number): number {
  return superblock.firstDataBlock + group * superblock.blocksPerGroup;
}

/** Blocks in a group; the last one may be short. */
export function groupLength(superblock: Superblock, group: number): number {
  const left = superblock.blocks - groupStart(superblock, group);
  return Math.min(left, superblock.blocksPerGroup);
}

/** Blocks in the inode table of each group. */
export function inodeTableBlocks(superblock: Superblock): number {
  return Math.ceil((superblock.inodesPerGroup * superblock.inodeSize) / superblock.blockSize);
}

function isPowerOf(value: number, base: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}

/** Whether no feature thins out the copies of the superblock. */
export function everyGroupHasSuper(superblock: Features): boolean {
  const sparse2 = hasCompat(superblock, EXT4_FEATURE_COMPAT_SPARSE_SUPER2);
  return !sparse2 && !hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER);
}

/** Whether the group starts with a copy of the superblock. */
export function hasSuper(superblock: SuperPlacement, group: number): boolean {
  if (group === 0 || everyGroupHasSuper(superblock)) return true;
  if (hasCompat(superblock, EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) {
    return superblock.backupBgs.includes(group);
  }
  if (group === 1) return true;
  if (group % 2 === 0) return false;
  return isPowerOf(group, 3) || isPowerOf(group, 5) || isPowerOf(group, 7);
}

/** The groups that start with a copy of the superblock, in no particular order. */
export function* superGroups(superblock: Superblock): Generator<number> {
  const { groups } = superblock;
  if (everyGroupHasSuper(superblock)) {
    for (let group = 0; group < groups; group++) yield group;
    return;
  }
  yield 0;
  if (hasCompat(superblock, EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) {
    const backups = new Set(superblock.backupBgs);
    for (const group of backups) if (group > 0 && group < groups) yield group;
    return;
  }
  if (groups > 1) yield 1;
  for (const base of [3, 5, 7]) {
    for (let group = base; group < groups; group *= base) yield group;
  }
}

/** Descriptor blocks that are not spread over meta groups: those right behind a superblock. */
export function plainDescriptorBlocks(superblock: Superblock): number {
  const metaBg = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG);
  return metaBg ? superblock.firstMetaBg : superblock.descriptorBlocks;
}

/** The block that holds the primary superblock. */
export function superBlockNumber(superblock: Superblock): number {
  return Math.floor(EXT4_SUPERBLOCK_OFFSET / superblock.blockSize);
}

/** Which block holds the `index`-th block of group descriptors, its first copy. */
export function descriptorBlock(superblock: Superblock, index: number): number {
  if (index < plainDescriptorBlocks(superblock)) return superBlockNumber(superblock) + 1 + index;
  const group = index * superblock.descriptorsPerBlock;
  const behindSuper = hasSuper(superblock, group) ? 1 : 0;
  // With 1 KiB blocks and bigalloc block 0 is in group 0, and the superblock in block 1.
  const shifted = superblock.blockSize === 1024 && superblock.firstDataBlock === 0;
  const extra = shifted && index === 0 ? 1 : 0;
  return groupStart(superblock, group) + behindSuper + extra;
}

/** Blocks of descriptors inside a group, copies included (`ext4_bg_num_gdb`). */
export function descriptorBlocksOf(superblock: Superblock, group: number): number {
  const { descriptorsPerBlock: perBlock } = superblock;
  const metaGroup = Math.floor(group / perBlock);
  if (metaGroup < plainDescriptorBlocks(superblock)) {
    return hasSuper(superblock, group) ? plainDescriptorBlocks(superblock) : 0;
  }
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG)) return 0;
  const within = group - metaGroup * perBlock;
  return within === 0 || within === 1 || within === perBlock - 1 ? 1 : 0;
}

/** The run with which a group may start: superblock, descriptors, blocks reserved for more. */
export function fixedBlocks(
  superblock: Superblock,
  group: number,
): { readonly start: number; readonly count: number } {
  const { blocks, reservedGdtBlocks, firstDataBlock } = superblock;
  const copy = hasSuper(superblock, group);
  const metaBg = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG);
  // With 1 KiB blocks and bigalloc block 0 is the boot block.
  const boot = group === 0 && firstDataBlock < superBlockNumber(superblock) ? 1 : 0;
  const start = groupStart(superblock, group) + boot;
  const reserved = copy && !metaBg ? reservedGdtBlocks : 0;
  const count = (copy ? 1 : 0) + descriptorBlocksOf(superblock, group) + reserved;
  return { start, count: Math.max(0, Math.min(count, blocks - start)) };
}
