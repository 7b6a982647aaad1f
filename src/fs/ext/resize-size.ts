/**
 * How large a filesystem becomes: the size that is asked for, less a last group that would be too
 * short to be of use, and what of the superblock follows from it.
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_META_BG,
} from "../../format/ext-superblock.ts";
import { DaxError } from "../../lib/errno.ts";
import { hasCompat, hasIncompat } from "./features.ts";
import { hasSuper, inodeTableBlocks } from "./geometry.ts";
import type { Superblock } from "./superblock.ts";

const MAX_32 = 0xffff_ffff;
/** Blocks that a last group must have beside its own, or it is dropped. */
const LEAST_FREE = 50;
/** Groups of a filesystem that is resized, at most: each is planned in memory. */
const MOST_GROUPS = 2 ** 22;

/** @throws EINVAL */
export function refuseResize(detail: string): never {
  throw new DaxError("EINVAL", { syscall: "resize", detail });
}

/** Groups of a filesystem of so many blocks. */
export function groupsIn({ firstDataBlock, blocksPerGroup }: Superblock, blocks: number): number {
  return Math.ceil((blocks - firstDataBlock) / blocksPerGroup);
}

/**
 * The size that a filesystem gets when `wanted` blocks are asked for, by the rules of resize2fs:
 * whole clusters, no last group that has hardly room for its own tables, fewer than 2^32 inodes.
 * @throws EINVAL for a size that the filesystem cannot have
 */
export function fittingBlocks(superblock: Superblock, wanted: number): number {
  const { firstDataBlock, blocksPerGroup, clusterRatio, inodesPerGroup } = superblock;
  let blocks = wanted - (wanted % clusterRatio);
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_64BIT)) {
    if (blocks === MAX_32 + 1) blocks--;
    if (blocks > MAX_32) refuseResize(`${blocks} blocks need the 64bit feature`);
  }
  const most = Math.floor(MAX_32 / inodesPerGroup);
  if (groupsIn(superblock, blocks) === most + 1) blocks = firstDataBlock + most * blocksPerGroup;
  const groups = groupsIn(superblock, blocks);
  if (groups > most) refuseResize(`${blocks} blocks would have 2^32 inodes or more`);
  if (groups > MOST_GROUPS) refuseResize(`${groups} block groups; at most ${MOST_GROUPS}`);
  const rest = (blocks - firstDataBlock) % blocksPerGroup;
  const short = groups > 1 && rest > 0 && rest < lastGroupOverhead(superblock, groups) + LEAST_FREE;
  return short ? blocks - rest : blocks;
}

/** Blocks that the last of so many groups needs for itself. */
function lastGroupOverhead(superblock: Superblock, groups: number): number {
  const { backupBgs, descriptorsPerBlock, reservedGdtBlocks } = superblock;
  const sparse2 = hasCompat(superblock, EXT4_FEATURE_COMPAT_SPARSE_SUPER2);
  const copy = sparse2 ? backupBgs[groups === 2 ? 0 : 1] !== 0 : hasSuper(superblock, groups - 1);
  const own = 2 + inodeTableBlocks(superblock);
  return copy ? own + 1 + Math.ceil(groups / descriptorsPerBlock) + reservedGdtBlocks : own;
}

/** Where the group descriptors go as there are more of them. */
export interface DescriptorRoom {
  /** Blocks reserved for still more. */
  readonly reservedGdtBlocks: number;
  /** From here on the filesystem has meta_bg, which it did not have. */
  readonly becomesMetaBg: boolean;
}

/**
 * Room for the descriptors of so many groups: in blocks that are reserved for that, or, where
 * there are none left, in the new groups themselves (meta_bg). Undefined: first grow to
 * {@link mostPlainGroups}, then ask again.
 */
export function descriptorRoom(superblock: Superblock, groups: number): DescriptorRoom | undefined {
  const { reservedGdtBlocks, descriptorBlocks, descriptorsPerBlock } = superblock;
  const more = Math.ceil(groups / descriptorsPerBlock) - descriptorBlocks;
  const metaBg = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG);
  if (more <= 0 || metaBg) return { reservedGdtBlocks, becomesMetaBg: false };
  const reserve = hasCompat(superblock, EXT4_FEATURE_COMPAT_RESIZE_INODE) ? reservedGdtBlocks : 0;
  if (more <= reserve) return { reservedGdtBlocks: reserve - more, becomesMetaBg: false };
  if (reserve > 0) return undefined;
  if (superblock.revLevel === 0) {
    refuseResize(`${groups} groups: revision 0 has no room for their descriptors (meta_bg)`);
  }
  return { reservedGdtBlocks: 0, becomesMetaBg: true };
}

/** Groups whose descriptors the blocks reserved for them have room for. */
export function mostPlainGroups(superblock: Superblock): number {
  const { reservedGdtBlocks, descriptorBlocks, descriptorsPerBlock } = superblock;
  return (descriptorBlocks + reservedGdtBlocks) * descriptorsPerBlock;
}

/**
 * With sparse_super2 the second copy of the superblock stays in the last group. It stays where it
 * is where the blocks that it leaves are not its own: they may share a cluster with tables, and
 * with meta_bg descriptors would have to move up.
 */
export function grownBackups(
  superblock: Superblock,
  groups: number,
  { becomesMetaBg }: DescriptorRoom,
): readonly [number, number] {
  const { backupBgs, groups: before, clusterRatio } = superblock;
  const sparse2 = hasCompat(superblock, EXT4_FEATURE_COMPAT_SPARSE_SUPER2);
  if (!sparse2 || groups <= before) return backupBgs;
  let [first, second] = backupBgs;
  if (before === 1) first = 1;
  const metaBg = becomesMetaBg || hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG);
  const movable = (clusterRatio === 1 && !metaBg) || second === 0;
  if (movable && ((before < 3 && groups > 2) || second !== 0)) second = groups - 1;
  return [first, second];
}
