/**
 * How many groups, and how large: the blocks of a filesystem dealt out, a last group that is too
 * short dropped, the inodes spread evenly.
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_MIN_DESC_SIZE,
} from "../../format/ext-superblock.ts";
import { type Features, hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import { hasSuper } from "./geometry.ts";
import type { FeatureWords } from "./mkfs-features.ts";
import { noRoom, refuse } from "./mkfs-options.ts";
import type { Settled } from "./mkfs-settle.ts";

/** The groups of a filesystem; counts in blocks unless named. */
export interface Fitted {
  readonly features: Features;
  readonly blocks: number;
  readonly reservedBlocks: number;
  readonly firstDataBlock: number;
  readonly clusterRatio: number;
  readonly blocksPerGroup: number;
  readonly clustersPerGroup: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly descriptorsPerBlock: number;
  readonly descriptorBlocks: number;
  readonly reservedGdtBlocks: number;
  readonly backupBgs: readonly [number, number];
}

/** A count that has to fit into 16 bits, less a byte of bits. */
const MOST_PER_GROUP = 65536 - 8;
const MAX_32 = 0xffff_ffff;
/** Blocks that a last group must have for files, or it is dropped. */
const LEAST_FREE = 50;

/** Each is planned in memory: 512 TiB with blocks of 4 KiB, more with bigalloc. */
const MOST_GROUPS = 2 ** 22;

/** One attempt's numbers; the next may have fewer blocks, or smaller groups. */
interface Attempt {
  readonly blocks: number;
  readonly blocksPerGroup: number;
  readonly reservedBlocks: number;
}

interface GroupInodes {
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
}

/** @throws ENOSPC, EINVAL */
export function fit(settled: Settled): Fitted {
  const fitter = new Fitter(settled);
  let attempt = fitter.first();
  for (;;) {
    const outcome = fitter.attempt(attempt);
    if (!("retry" in outcome)) return outcome;
    attempt = outcome.retry;
  }
}

class Fitter {
  readonly #settled: Settled;
  readonly #features: FeatureWords;
  readonly #ratio: number;
  readonly #bigalloc: boolean;
  readonly #firstDataBlock: number;
  readonly #perBlock: number;

  constructor(settled: Settled) {
    const { blockSize, clusterSize, descSize } = settled;
    this.#settled = settled;
    this.#features = { ...settled.features };
    this.#ratio = clusterSize / blockSize;
    this.#bigalloc = hasRoCompat(settled.features, EXT4_FEATURE_RO_COMPAT_BIGALLOC);
    this.#firstDataBlock = clusterSize === 1024 ? 1 : 0;
    this.#perBlock = blockSize / Math.max(descSize, EXT4_MIN_DESC_SIZE);
  }

  first(): Attempt {
    const { blocks, blockSize, clusterSize, perGroup, reservedBlocks } = this.#settled;
    const bits = blockSize * 8;
    if (!this.#bigalloc) {
      const blocksPerGroup = Math.min(perGroup || bits, MOST_PER_GROUP);
      return { blocks, blocksPerGroup, reservedBlocks };
    }
    // A group has fewer than 2^32 blocks.
    const most = clusterSize < 2 ** 27 ? bits : bits - 8;
    const clusters = Math.min(perGroup || most, MOST_PER_GROUP);
    const blocksPerGroup = clusters * this.#ratio;
    if (blocksPerGroup > MAX_32) refuse("clusters that large make groups of 2^32 blocks or more");
    return { blocks: blocks - (blocks % this.#ratio), blocksPerGroup, reservedBlocks };
  }

  attempt(attempt: Attempt): Fitted | { retry: Attempt } {
    const { blocks, blocksPerGroup, reservedBlocks } = attempt;
    const span = blocks - this.#firstDataBlock;
    const groups = Math.ceil(span / blocksPerGroup);
    if (groups <= 0) this.#tooSmall();
    if (groups > MOST_GROUPS) {
      refuse(`${groups} groups; at most ${MOST_GROUPS} are made: use larger blocks or groups`);
    }
    const inodes = this.#inodesIn(blocks, groups);
    if (inodes === undefined) return { retry: this.#smallerGroups(attempt) };
    const descriptorBlocks = Math.ceil(groups / this.#perBlock);
    const reservedGdtBlocks = this.#reserveGdt(blocks, blocksPerGroup, descriptorBlocks);
    const fitted: Fitted = {
      features: this.#features,
      blocks,
      reservedBlocks,
      firstDataBlock: this.#firstDataBlock,
      clusterRatio: this.#ratio,
      blocksPerGroup,
      clustersPerGroup: blocksPerGroup / this.#ratio,
      groups,
      ...inodes,
      descriptorsPerBlock: this.#perBlock,
      descriptorBlocks,
      reservedGdtBlocks,
      backupBgs: this.#backupsIn(groups),
    };
    return this.#lastGroup(fitted, span % blocksPerGroup);
  }

  #tooSmall(): never {
    const { blocks, blockSize } = this.#settled;
    noRoom(`${blocks} blocks of ${blockSize} bytes are too few for a filesystem and its tables`);
  }

  /** Undefined when a group's bitmap is too short for its share, and smaller groups would do. */
  #inodesIn(blocks: number, groups: number): GroupInodes | undefined {
    const { blockSize, inodeSize, inodes } = this.#settled;
    const unasked = Math.floor(blocks / Math.max(1, 4096 / blockSize));
    const wanted = Math.max(Math.min(inodes || unasked, MAX_32), EXT4_GOOD_OLD_FIRST_INO + 1);
    let share = Math.ceil(wanted / groups);
    if (share > blockSize * 8) return undefined;
    share = Math.min(share, 65536 - blockSize / inodeSize);
    for (;;) {
      const perGroup = filling(share, inodeSize, blockSize);
      if (perGroup * groups <= MAX_32) {
        const inodeTableBlocks = Math.ceil((perGroup * inodeSize) / blockSize);
        return { inodesPerGroup: perGroup, inodeTableBlocks };
      }
      share--;
    }
  }

  /** All blocks are dealt out anew; the reserve stays what the last drop made of it. */
  #smallerGroups({ blocksPerGroup, reservedBlocks }: Attempt): Attempt {
    if (this.#bigalloc || blocksPerGroup < 256) this.#tooManyInodes();
    const { blocks } = this.#settled;
    return { blocks, blocksPerGroup: blocksPerGroup - 8, reservedBlocks };
  }

  #tooManyInodes(): never {
    noRoom("that many inodes leave no room in a group; raise the bytes per inode or ask for fewer");
  }

  /** Descriptor blocks in reserve; so many that they fill groups make it a meta_bg filesystem. */
  #reserveGdt(blocks: number, blocksPerGroup: number, descriptorBlocks: number): number {
    const { blockSize, reservedGdtBlocks: asked } = this.#settled;
    const growing = hasCompat(this.#features, EXT4_FEATURE_COMPAT_RESIZE_INODE);
    const most = blockSize / 4;
    let reserved = asked;
    if (reserved === 0 && growing) {
      const target = blocks < Math.floor(MAX_32 / 1024) ? blocks * 1024 : MAX_32;
      const groups = Math.ceil((target - this.#firstDataBlock) / blocksPerGroup);
      const later = Math.ceil(groups / this.#perBlock);
      reserved = Math.min(Math.max(0, later - descriptorBlocks), most);
    }
    if (reserved + descriptorBlocks <= Math.floor((blocksPerGroup * 3) / 4)) return reserved;
    this.#features.featureIncompat |= EXT4_FEATURE_INCOMPAT_META_BG;
    this.#features.featureCompat &= ~EXT4_FEATURE_COMPAT_RESIZE_INODE;
    return 0;
  }

  /** When blocks are dropped the share stays. */
  #reservedOf(blocks: number): number {
    const { blocks: asked, reservedBlocks } = this.#settled;
    const percent = (100 * reservedBlocks) / asked;
    return Math.floor((percent * blocks) / 100);
  }

  #backupsIn(groups: number): [number, number] {
    const [low, high] = this.#settled.backupBgs.map((group) => Math.min(group, groups - 1));
    const [first, second] = [low ?? 0, high ?? 0];
    if (first === second) return [0, first].toSorted((a, b) => a - b) as [number, number];
    return first < second ? [first, second] : [second, first];
  }

  /** A last group without room for its own tables and a few files is dropped. */
  #lastGroup(fitted: Fitted, rest: number): Fitted | { retry: Attempt } {
    const { blocks, blocksPerGroup, groups, inodeTableBlocks, descriptorBlocks } = fitted;
    const metaBg = hasIncompat(this.#features, EXT4_FEATURE_INCOMPAT_META_BG);
    const full = 3 + inodeTableBlocks + fitted.reservedGdtBlocks + (metaBg ? 1 : descriptorBlocks);
    if (full > blocksPerGroup) this.#tooManyInodes();
    let needed = 2 + inodeTableBlocks;
    if (this.#lastHasSuper(groups)) needed += 1 + descriptorBlocks + fitted.reservedGdtBlocks;
    if (groups === 1 && rest > 0 && rest < needed) {
      noRoom(`${blocks} blocks are too few: the tables alone take ${needed}`);
    }
    if (rest === 0 || rest >= needed + LEAST_FREE) return fitted;
    const left = blocks - rest;
    return { retry: { blocks: left, blocksPerGroup, reservedBlocks: this.#reservedOf(left) } };
  }

  #lastHasSuper(groups: number): boolean {
    if (hasCompat(this.#features, EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) {
      return this.#settled.backupBgs[groups === 2 ? 0 : 1] !== 0;
    }
    return hasSuper({ ...this.#features, backupBgs: [0, 0] }, groups - 1);
  }
}

/** At least `share` inodes (but a multiple of 8) that fill the blocks of their table. */
function filling(share: number, inodeSize: number, blockSize: number): number {
  const tableBlocks = Math.ceil((share * inodeSize) / blockSize);
  const fits = Math.floor((tableBlocks * blockSize) / inodeSize);
  return Math.max(8, fits - (fits % 8));
}
