/**
 * Where bitmaps and inode tables of new groups go: with flex_bg next to those of the groups before
 * them, into free blocks of old groups too; else into the group itself.
 *
 * @module
 */
import { EXT4_FEATURE_INCOMPAT_FLEX_BG } from "../../format/ext-superblock.ts";
import { DaxError } from "../../lib/errno.ts";
import { RangeSet } from "../../lib/range-set.ts";
import { hasIncompat } from "./features.ts";
import { fixedBlocks, groupLength, groupStart, inodeTableBlocks } from "./geometry.ts";
import { Space } from "./mkfs-space.ts";
import type { Superblock } from "./superblock.ts";

/** Places by group; those of old groups are known for the last one only. */
export interface NewTables {
  readonly blockBitmap: Map<number, number>;
  readonly inodeBitmap: Map<number, number>;
  readonly inodeTable: Map<number, number>;
  /** Groups that hold tables placed by the rules of flex_bg: their bitmap has to be stored. */
  readonly stored: Set<number>;
}

/** Runs that a plan may have. */
const MOST_RUNS = 2 ** 26;
/** How much of a flex group's tables is looked for in one piece, as a share of a group. */
const LONGEST_SHARE = 4;

/** Groups that keep their tables together; 0: each keeps its own. */
export function groupsPerFlex(superblock: Superblock): number {
  const flex = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_FLEX_BG);
  return flex && superblock.logGroupsPerFlex > 0 ? 2 ** superblock.logGroupsPerFlex : 0;
}

/** The first group whose free blocks may be used for tables of groups from `group` on. */
export function firstGroupFor(superblock: Superblock, group: number): number {
  const size = groupsPerFlex(superblock);
  return size === 0 ? group : group - (group % size);
}

/** Places heads and tables of new groups. */
export class NewGroups {
  /** All that is in use from the first group whose blocks count. */
  readonly space: Space;
  /** What the new groups took. */
  readonly taken = new RangeSet([], MOST_RUNS);
  readonly tables: NewTables = {
    blockBitmap: new Map(),
    inodeBitmap: new Map(),
    inodeTable: new Map(),
    stored: new Set(),
  };
  readonly #superblock: Superblock;
  readonly #first: number;
  /** Groups whose superblock and descriptors are marked. */
  #headed: number;

  /** `superblock` as it will be; `first`: the first new group; `used`: runs in use before it. */
  constructor(
    superblock: Superblock,
    first: number,
    used: Iterable<{ readonly start: number; readonly length: number }>,
  ) {
    this.#superblock = superblock;
    this.#first = first;
    this.#headed = first;
    this.space = new Space(superblock.firstDataBlock, superblock.blocks);
    this.space.roundToClusters(superblock.clusterRatio);
    for (const { start, length } of used) this.space.mark(start, length);
  }

  /** Places all of them; the tables of the group before the first are known. @throws ENOSPC */
  place(): void {
    const { groups } = this.#superblock;
    const flex = groupsPerFlex(this.#superblock);
    for (let group = this.#first; group < groups; group++) {
      if (flex === 0) this.#placeInOwn(group);
      else this.#placeInFlex(group, flex);
    }
    this.#markHeads(this.#superblock.blocks);
  }

  /** Heads are marked as late as can be, so that what is in use grows at its end. */
  #markHeads(block: number): void {
    const superblock = this.#superblock;
    const { groups } = superblock;
    while (this.#headed < groups && groupStart(superblock, this.#headed) < block) {
      const { start, count } = fixedBlocks(superblock, this.#headed++);
      if (count > 0) this.#mark(start, count);
    }
  }

  #mark(start: number, count: number): number {
    this.space.mark(start, count);
    this.taken.add(start, count);
    return start;
  }

  #find(from: number, to: number, count: number): number | undefined {
    const start = from - (from % this.#superblock.clusterRatio);
    this.#markHeads(to > start ? to + count : this.#superblock.blocks);
    return this.space.findRun(start, to, Math.max(1, count));
  }

  #placeInOwn(group: number): void {
    const start = groupStart(this.#superblock, group);
    const last = start + groupLength(this.#superblock, group) - 1;
    const put = (count: number): number =>
      this.#mark(this.#find(start, last, count) ?? noRoomIn(group), count);
    this.tables.blockBitmap.set(group, put(1));
    this.tables.inodeBitmap.set(group, put(1));
    this.tables.inodeTable.set(group, put(inodeTableBlocks(this.#superblock)));
  }

  #placeInFlex(group: number, size: number): void {
    const { blockBitmap, inodeBitmap, inodeTable } = this.tables;
    const first = group - (group % size);
    const last = Math.min(first + size, this.#superblock.groups) - 1;
    const flex = { first, last, left: last - group + 1 };
    const behind = this.#gapBehindBitmaps(group, flex, size);
    const opening = group === first;
    const table = inodeTableBlocks(this.#superblock);
    const after = (places: Map<number, number>, count: number): number =>
      (places.get(group - 1) as number) + count;
    const bitmap = this.#putFlex(flex, opening ? 0 : after(blockBitmap, 1), 1);
    blockBitmap.set(group, bitmap);
    const inodes = this.#putFlex(flex, opening ? bitmap + behind : after(inodeBitmap, 1), 1);
    inodeBitmap.set(group, inodes);
    const goal = opening ? inodes + behind : after(inodeTable, table);
    inodeTable.set(group, this.#putFlex(flex, goal, table));
  }

  /** Bitmaps of a kind are kept together: so many blocks are left for those to come. */
  #gapBehindBitmaps(group: number, flex: FlexGroup, size: number): number {
    if (group !== flex.first || flex.last !== this.#superblock.groups - 1) return size;
    const within = flex.last % size;
    return within === 0 ? size : within + 1;
  }

  #putFlex(flex: FlexGroup, goal: number, count: number): number {
    const superblock = this.#superblock;
    const last = groupStart(superblock, flex.last) + groupLength(superblock, flex.last) - 1;
    const start = this.#flexGoal(flex, goal, count, last);
    const found = this.#find(start, last, count) ?? noRoomIn(flex.first);
    const { firstDataBlock, blocksPerGroup } = superblock;
    const groupOf = (block: number): number =>
      Math.floor((block - firstDataBlock) / blocksPerGroup);
    for (let at = groupOf(found); at <= groupOf(found + count - 1); at++) {
      this.tables.stored.add(at);
    }
    return this.#mark(found, count);
  }

  /** The goal if there is room just behind it, else where all that is left of a kind fits. */
  #flexGoal(flex: FlexGroup, goal: number, count: number, last: number): number {
    const { blocks, blocksPerGroup } = this.#superblock;
    const size = Math.min(flex.left * count, Math.floor(blocksPerGroup / LONGEST_SHARE));
    if (goal > 0 && goal < blocks) {
      const near = this.#find(goal, goal + size, count);
      if (near !== undefined) return near;
    }
    const start = groupStart(this.#superblock, flex.first);
    return this.#find(start, last, size) ?? this.#find(start, last, count) ?? noRoomIn(flex.first);
  }
}

/** Groups that keep their tables together: the first, the last, and how many wait. */
interface FlexGroup {
  readonly first: number;
  readonly last: number;
  readonly left: number;
}

function noRoomIn(group: number): never {
  const detail = `group ${group} has no room for its bitmaps and inode table`;
  throw new DaxError("ENOSPC", { syscall: "resize", detail });
}
