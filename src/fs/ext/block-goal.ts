/**
 * Where the first block of a file goes: near its inode. In flex groups the first group is left to
 * directories and to the maps of files, so that these stay together.
 *
 * @module
 */
import { groupStart } from "./geometry.ts";
import type { Superblock } from "./superblock.ts";

/** Flex groups of fewer groups have no group to spare (`EXT4_FLEX_SIZE_DIR_ALLOC_SCHEME`). */
const FEWEST_IN_FLEX = 4;

/** The block to be near to (`ext4_inode_to_goal_block`). */
export function goalOfInode(superblock: Superblock, ino: number, data: boolean): number {
  const { inodesPerGroup, logGroupsPerFlex, groups } = superblock;
  const group = Math.floor((ino - 1) / inodesPerGroup);
  const flex = 2 ** logGroupsPerFlex;
  if (flex < FEWEST_IN_FLEX) return groupStart(superblock, group);
  const first = group - (group % flex);
  const chosen = data && first + 1 < groups ? first + 1 : first;
  return groupStart(superblock, chosen);
}
