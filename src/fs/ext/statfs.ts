/**
 * statfs as Linux computes it (`ext4_statfs`, `ext4_calculate_overhead`): sizes without what the
 * filesystem needs for itself, free counts from the descriptors.
 *
 * @module
 */
import {
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_SUPER_MAGIC,
} from "../../format/ext-superblock.ts";
import { EXT4_NAME_LEN } from "../../format/ext-directory.ts";
import type { Statfs } from "../../vfs/filesystem.ts";
import { hasIncompat, hasRoCompat } from "./features.ts";
import {
  descriptorBlocksOf,
  everyGroupHasSuper,
  groupLength,
  groupStart,
  hasSuper,
  inodeTableBlocks,
  plainDescriptorBlocks,
  superGroups,
} from "./geometry.ts";
import type { Superblock } from "./superblock.ts";
import type { Volume } from "./volume.ts";

/** Above this many groups the superblock's own counts are taken, to keep the time bounded. */
const MAX_GROUPS_COUNTED = 2 ** 20;

/** Clusters that Linux keeps back for delayed work, at most. */
const MAX_RESERVED_CLUSTERS = 4096;

/** Clusters and inodes that are free. */
export interface FreeCounts {
  readonly clusters: number;
  readonly inodes: number;
}

/**
 * Sizes and free counts; `minixdf` leaves the overhead in, as the mount option does. `free` is what
 * somebody has counted already.
 */
export function statfsOf(volume: Volume, minixdf: boolean, free = countFree(volume)): Statfs {
  const { superblock } = volume;
  const { blocks, blockSize, clusterRatio, inodes } = superblock;
  const overhead = minixdf ? 0 : overheadClusters(volume) * clusterRatio;
  const bfree = free.clusters * clusterRatio;
  const kept = superblock.reservedBlocks + reservedClusters(superblock) * clusterRatio;
  return {
    magic: EXT4_SUPER_MAGIC,
    blockSize,
    blocks: Math.max(blocks - overhead, 0),
    bfree,
    bavail: Math.max(bfree - kept, 0),
    files: inodes,
    ffree: free.inodes,
    nameLength: EXT4_NAME_LEN,
  };
}

function reservedClusters(superblock: Superblock): number {
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_EXTENTS)) return 0;
  const fiftieth = Math.floor(Math.floor(superblock.blocks / superblock.clusterRatio) / 50);
  return Math.min(fiftieth, MAX_RESERVED_CLUSTERS);
}

function countFree(volume: Volume): FreeCounts {
  const { groups, freeBlocks, clusterRatio, freeInodes } = volume.superblock;
  if (groups > MAX_GROUPS_COUNTED) {
    return { clusters: Math.floor(freeBlocks / clusterRatio), inodes: freeInodes };
  }
  let [clusters, inodes] = [0, 0];
  for (let group = 0; group < groups; group++) {
    const descriptor = volume.groups.read(group);
    clusters += descriptor.freeClusters;
    inodes += descriptor.freeInodes;
  }
  return { clusters, inodes };
}

function overheadClusters(volume: Volume): number {
  const { superblock } = volume;
  const { clusterRatio, overheadClusters: cached, blocks } = superblock;
  if (!hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_BIGALLOC)) {
    return superblock.firstDataBlock + groupOverhead(superblock) + journalBlocks(volume);
  }
  // With bigalloc Linux trusts the number that mke2fs left, unless it cannot be.
  if (cached !== 0 && cached <= blocks) return cached;
  const journal = Math.ceil(journalBlocks(volume) / clusterRatio);
  const boot = Math.floor(superblock.firstDataBlock / clusterRatio);
  return boot + usedByGroups(volume) + journal;
}

/** Every group's bitmaps and table, and the copies of superblock and descriptors. */
function groupOverhead(superblock: Superblock): number {
  const { groups, reservedGdtBlocks, descriptorsPerBlock: perBlock } = superblock;
  let total = groups * (inodeTableBlocks(superblock) + 2);
  const plain = plainDescriptorBlocks(superblock);
  const plainGroups = Math.min(plain * perBlock, groups);
  if (everyGroupHasSuper(superblock)) {
    total += groups * (1 + reservedGdtBlocks) + plainGroups * plain;
  } else {
    for (const group of superGroups(superblock)) {
      total += 1 + reservedGdtBlocks + (group < plainGroups ? plain : 0);
    }
  }
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG)) return total;
  return total + metaGroupBlocks(groups - plainGroups, perBlock);
}

/** Each meta group has its descriptor block three times: in its first, second and last group. */
function metaGroupBlocks(groups: number, perBlock: number): number {
  const whole = Math.floor(groups / perBlock);
  const rest = groups - whole * perBlock;
  return whole * Math.min(3, perBlock) + Math.min(rest, 2);
}

/** Blocks of the journal inside the filesystem; 0 when there is none. */
function journalBlocks(volume: Volume): number {
  const { journalInum, blockSize } = volume.superblock;
  if (journalInum === 0) return 0;
  return Math.floor(volume.record(journalInum).size / blockSize);
}

/** Clusters that hold superblocks, descriptors, bitmaps and tables (`count_overhead`). */
function usedByGroups(volume: Volume): number {
  const { superblock } = volume;
  if (superblock.groups > MAX_GROUPS_COUNTED) return 0;
  const runs: [start: number, end: number][] = [];
  const add = (block: number, count: number): void => {
    const { clusterRatio } = superblock;
    const end = Math.floor((block + count - 1) / clusterRatio) + 1;
    runs.push([Math.floor(block / clusterRatio), end]);
  };
  for (let group = 0; group < superblock.groups; group++) {
    const { blockBitmap, inodeBitmap, inodeTable } = volume.groups.read(group);
    add(blockBitmap, 1);
    add(inodeBitmap, 1);
    add(inodeTable, inodeTableBlocks(superblock));
    const own = descriptorBlocksOf(superblock, group);
    const reserved = hasSuper(superblock, group) ? 1 + superblock.reservedGdtBlocks : 0;
    const length = Math.min(own + reserved, groupLength(superblock, group));
    if (length > 0) add(groupStart(superblock, group), length);
  }
  return unionLength(runs);
}

function unionLength(runs: [start: number, end: number][]): number {
  runs.sort((a, b) => a[0] - b[0]);
  let [total, reached] = [0, 0];
  for (const [start, end] of runs) {
    total += Math.max(end - Math.max(start, reached), 0);
    reached = Math.max(reached, end);
  }
  return total;
}
