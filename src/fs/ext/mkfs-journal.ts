/**
 * How large the journal of a new filesystem is, where it goes, and its superblock.
 *
 * @module
 */
import {
  JBD2_MAGIC_NUMBER,
  JBD2_MIN_JOURNAL_BLOCKS,
  JBD2_SUPERBLOCK_V2,
  JournalSuperblock as JS,
} from "../../format/jbd2.ts";
import { EXT4_FEATURE_COMPAT_FAST_COMMIT } from "../../format/ext-superblock.ts";
import { hasCompat } from "./features.ts";
import { groupLength, groupStart } from "./geometry.ts";
import { type MakeExtOptions, noRoom, refuse } from "./mkfs-options.ts";
import type { Space } from "./mkfs-space.ts";
import type { Superblock } from "./superblock.ts";

/** Blocks of a journal. */
export interface JournalSize {
  readonly logBlocks: number;
  readonly fastCommitBlocks: number;
}

/** Most blocks that a journal is made with. */
const MOST_BLOCKS = 10_240_000;
/** The fast-commit area is this part of the log. */
const FAST_COMMIT_SHARE = 64;

/** Blocks of the journal by blocks of the filesystem, each row below its first number. */
const DEFAULTS: readonly (readonly [below: number, blocks: number])[] = [
  [32_768, 1024],
  [262_144, 4096],
  [524_288, 8192],
  [4_194_304, 16_384],
  [8_388_608, 32_768],
  [16_777_216, 65_536],
  [33_554_432, 131_072],
  [Number.POSITIVE_INFINITY, 262_144],
];

/** Filesystems with fewer blocks get no journal. */
const LEAST_BLOCKS = 2048;

/**
 * Blocks of the journal; undefined when the filesystem is too small to have one.
 * @throws EINVAL, ENOSPC for a size that was asked for and cannot be
 */
export function journalSize(
  superblock: Superblock,
  options: MakeExtOptions,
  freeBlocks: number,
): JournalSize | undefined {
  const { blockSize, blocks } = superblock;
  if (blocks < LEAST_BLOCKS) return undefined;
  const fast = hasCompat(superblock, EXT4_FEATURE_COMPAT_FAST_COMMIT);
  const { journalMegabytes = 0, fastCommitKilobytes = 0 } = options;
  const [, byDefault] = DEFAULTS.find(([below]) => blocks < below) as readonly [number, number];
  const asked = Math.floor((journalMegabytes * 2 ** 20) / blockSize);
  const logBlocks = journalMegabytes > 0 ? asked : byDefault;
  const share = fast ? Math.floor(byDefault / FAST_COMMIT_SHARE) : 0;
  const fastAsked = Math.floor((fastCommitKilobytes * 1024) / blockSize);
  const fastCommitBlocks = fast && fastCommitKilobytes > 0 ? fastAsked : share;
  const size = { logBlocks, fastCommitBlocks };
  if (journalMegabytes > 0 || (fast && fastCommitKilobytes > 0)) checkSize(size, freeBlocks);
  return size;
}

function checkSize({ logBlocks, fastCommitBlocks }: JournalSize, freeBlocks: number): void {
  const total = logBlocks + fastCommitBlocks;
  const least = JBD2_MIN_JOURNAL_BLOCKS;
  if (total < least || logBlocks < least || total > MOST_BLOCKS) {
    refuse(`a journal of ${total} blocks; it has ${least} to ${MOST_BLOCKS}`);
  }
  if (total > Math.floor(freeBlocks / 2)) {
    noRoom(`a journal of ${total} blocks would fill more than half of the free ${freeBlocks}`);
  }
}

/**
 * The first block of a group near the middle with much room: the journal is then never far. Flex
 * groups start with tables, so the one behind their first is looked at too.
 */
export function journalGoal(superblock: Superblock, space: Space): number {
  const { blocks, firstDataBlock, blocksPerGroup, groups, logGroupsPerFlex } = superblock;
  const middle = Math.floor((blocks - firstDataBlock) / 2);
  let group = Math.floor((middle - firstDataBlock) / blocksPerGroup);
  const free = (at: number): number => {
    const length = groupLength(superblock, at);
    return length - space.used.overlap(groupStart(superblock, at), length);
  };
  const perFlex = 2 ** logGroupsPerFlex;
  let start = Math.max(0, group - 1);
  if (logGroupsPerFlex > 0 && group > perFlex) {
    group -= group % perFlex;
    while (group < groups && free(group) === 0) group++;
    if (group === groups) group = 0;
    start = group;
  }
  let best = start;
  for (let at = start + 1; at <= Math.min(group + 1, groups - 1); at++) {
    if (free(at) > free(best)) best = at;
  }
  return groupStart(superblock, best);
}

/** The first block of the journal: a log that is clean. Its features are the kernel's to set. */
export function journalSuperblock(superblock: Superblock, size: JournalSize): Uint8Array {
  const bytes = new Uint8Array(superblock.blockSize);
  const view = new DataView(bytes.buffer);
  JS.magic.set(view, 0, JBD2_MAGIC_NUMBER);
  JS.blocktype.set(view, 0, JBD2_SUPERBLOCK_V2);
  JS.blocksize.set(view, 0, superblock.blockSize);
  JS.maxlen.set(view, 0, size.logBlocks + size.fastCommitBlocks);
  JS.first.set(view, 0, 1);
  JS.sequence.set(view, 0, 1);
  JS.uuid.set(view, 0, superblock.uuid);
  JS.nrUsers.set(view, 0, 1);
  JS.numFcBlks.set(view, 0, size.fastCommitBlocks);
  return bytes;
}
