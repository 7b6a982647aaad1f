/**
 * Where superblocks, descriptors, bitmaps and inode tables go: every group's own in the group, or
 * with flex_bg those of several groups next to each other in the first of them.
 *
 * @module
 */
import {
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_INCOMPAT_META_BG,
} from "../../format/ext-superblock.ts";
import { hasIncompat } from "./features.ts";
import { hasSuper } from "./geometry.ts";
import type { Fitted } from "./mkfs-fit.ts";
import { noRoom } from "./mkfs-options.ts";
import { Space } from "./mkfs-space.ts";

/** Block numbers by group. */
export interface Tables {
  readonly blockBitmap: Float64Array;
  readonly inodeBitmap: Float64Array;
  readonly inodeTable: Float64Array;
  /** Groups that hold tables of other groups too: their bitmap does not follow from the layout. */
  readonly shared: Set<number>;
}

/** How tables are placed. */
export interface TableWishes {
  readonly blockSize: number;
  readonly logGroupsPerFlex: number;
  /** Blocks of a RAID chunk; bitmaps wander over the disks, without flex_bg. */
  readonly stride: number;
  /** All at the start, with flex_bg. */
  readonly packed: boolean;
}

/** Where one group's superblock and descriptors lie; 0 for what it has not. */
export interface GroupHead {
  readonly superBlock: number | undefined;
  /** Plain descriptors and the reserve behind them. */
  readonly descriptors: { readonly start: number; readonly length: number } | undefined;
  /** The group's copy of its meta group's one block. */
  readonly metaDescriptor: number | undefined;
}

/** First block of a group. */
export function startOf(fitted: Fitted, group: number): number {
  return fitted.firstDataBlock + group * fitted.blocksPerGroup;
}

/** Blocks of a group; the last may be short. */
export function lengthOf(fitted: Fitted, group: number): number {
  return Math.min(fitted.blocksPerGroup, fitted.blocks - startOf(fitted, group));
}

/** Superblock and descriptors of a group. */
export function headOf(fitted: Fitted, blockSize: number, group: number): GroupHead {
  let start = startOf(fitted, group);
  // With 1 KiB blocks and bigalloc block 0 is before the superblock.
  if (start === 0 && blockSize === 1024) start = 1;
  const here = hasSuper({ ...fitted.features, backupBgs: fitted.backupBgs }, group);
  const superBlock = here ? start : undefined;
  if (!hasIncompat(fitted.features, EXT4_FEATURE_INCOMPAT_META_BG)) {
    const length = fitted.descriptorBlocks + fitted.reservedGdtBlocks;
    const descriptors = here ? { start: start + 1, length } : undefined;
    return { superBlock, descriptors, metaDescriptor: undefined };
  }
  const within = group % fitted.descriptorsPerBlock;
  const copy = within === 0 || within === 1 || within === fitted.descriptorsPerBlock - 1;
  const metaDescriptor = copy ? start + (here ? 1 : 0) : undefined;
  return { superBlock, descriptors: undefined, metaDescriptor };
}

/** Places everything; the space that comes back counts whole clusters. @throws ENOSPC */
export function placeTables(fitted: Fitted, wishes: TableWishes): { space: Space; tables: Tables } {
  const space = new Space(fitted.firstDataBlock, fitted.blocks);
  const tables: Tables = {
    blockBitmap: new Float64Array(fitted.groups),
    inodeBitmap: new Float64Array(fitted.groups),
    inodeTable: new Float64Array(fitted.groups),
    shared: new Set(),
  };
  const flex = hasIncompat(fitted.features, EXT4_FEATURE_INCOMPAT_FLEX_BG);
  const placer = new Placer(fitted, wishes, space, tables);
  if (flex && wishes.packed) placer.pack();
  else if (flex && wishes.logGroupsPerFlex > 0) placer.placeInFlexGroups();
  else placer.placeInOwnGroups();
  placer.markHeads(fitted.blocks);
  space.roundToClusters(fitted.clusterRatio);
  return { space, tables };
}

function markHead(fitted: Fitted, blockSize: number, space: Space, group: number): void {
  const { superBlock, descriptors, metaDescriptor } = headOf(fitted, blockSize, group);
  if (superBlock !== undefined) space.mark(superBlock, 1);
  if (metaDescriptor !== undefined) space.mark(metaDescriptor, 1);
  if (descriptors === undefined) return;
  const { start, length } = descriptors;
  space.mark(start, Math.min(length, fitted.blocks - start));
}

/** How much of a flex group's tables is looked for in one piece, as a share of a group. */
const LONGEST_SHARE = 4;

class Placer {
  readonly #fitted: Fitted;
  readonly #wishes: TableWishes;
  readonly #space: Space;
  readonly #tables: Tables;
  /** Groups whose superblock and descriptors are marked. */
  #headed = 0;

  constructor(fitted: Fitted, wishes: TableWishes, space: Space, tables: Tables) {
    this.#fitted = fitted;
    this.#wishes = wishes;
    this.#space = space;
    this.#tables = tables;
    if (wishes.blockSize === 1024 && fitted.clusterRatio > 1) space.mark(0, 1);
  }

  /**
   * Marks the heads of all groups that start before `block`. They are marked as late as can be, so
   * that what is in use grows at its end and never moves.
   */
  markHeads(block: number): void {
    const { groups } = this.#fitted;
    while (this.#headed < groups && startOf(this.#fitted, this.#headed) < block) {
      markHead(this.#fitted, this.#wishes.blockSize, this.#space, this.#headed++);
    }
  }

  placeInOwnGroups(): void {
    for (let group = 0; group < this.#fitted.groups; group++) this.#placeIn(group);
  }

  #placeIn(group: number): void {
    const { inodeTableBlocks } = this.#fitted;
    const start = startOf(this.#fitted, group);
    const last = start + lengthOf(this.#fitted, group) - 1;
    const goal = this.#bitmapGoal(group, start, last);
    const near = (): number =>
      this.#find(goal, last, 1) ?? this.#find(start, last, 1) ?? noRoomIn(group);
    const { blockBitmap, inodeBitmap, inodeTable } = this.#tables;
    blockBitmap[group] = this.#mark(near(), 1);
    inodeBitmap[group] = this.#mark(near(), 1);
    const table = this.#find(start, last, inodeTableBlocks) ?? noRoomIn(group);
    inodeTable[group] = this.#mark(table, inodeTableBlocks);
  }

  /** With a stride each group's bitmaps lie on another disk than those of its neighbour. */
  #bitmapGoal(group: number, start: number, last: number): number {
    const { stride } = this.#wishes;
    if (stride === 0) return start;
    const after = (this.#find(start, last, 1) ?? noRoomIn(group)) + this.#fitted.inodeTableBlocks;
    const goal = after + ((stride * group) % Math.max(1, last - after + 1));
    return goal >= last ? start : goal;
  }

  pack(): void {
    const { groups, inodeTableBlocks, blocks, blocksPerGroup } = this.#fitted;
    const { blockBitmap, inodeBitmap, inodeTable } = this.#tables;
    let goal = 0;
    for (const [places, count] of [
      [blockBitmap, 1],
      [inodeBitmap, 1],
      [inodeTable, inodeTableBlocks],
    ] as const) {
      for (let group = 0; group < groups; group++) {
        const near = goal + count + 2 * blocksPerGroup;
        goal =
          this.#find(goal, Math.min(near, blocks), count) ??
          this.#find(goal, blocks, count) ??
          noRoomIn(group);
        places[group] = this.#markShared(goal, count);
      }
    }
  }

  placeInFlexGroups(): void {
    const { groups, inodeTableBlocks } = this.#fitted;
    const { blockBitmap, inodeBitmap, inodeTable } = this.#tables;
    const size = 2 ** this.#wishes.logGroupsPerFlex;
    for (let group = 0; group < groups; group++) {
      const first = group - (group % size);
      const last = Math.min(first + size, groups) - 1;
      const flex: FlexGroup = { first, last, left: last - group + 1 };
      const behind = this.#gapBehindBitmaps(group, flex, size);
      const opening = group === first;
      const bitmapGoal = opening ? 0 : (blockBitmap[group - 1] as number) + 1;
      blockBitmap[group] = this.#placeFlex(flex, bitmapGoal, 1);
      const inodeGoal = opening
        ? (blockBitmap[group] as number) + behind
        : (inodeBitmap[group - 1] as number) + 1;
      inodeBitmap[group] = this.#placeFlex(flex, inodeGoal, 1);
      const tableGoal = opening
        ? (inodeBitmap[group] as number) + behind
        : (inodeTable[group - 1] as number) + inodeTableBlocks;
      inodeTable[group] = this.#placeFlex(flex, tableGoal, inodeTableBlocks);
    }
  }

  /** Bitmaps of a kind are kept together: so many blocks are left for those to come. */
  #gapBehindBitmaps(group: number, flex: FlexGroup, size: number): number {
    if (group !== flex.first || flex.last !== this.#fitted.groups - 1) return size;
    const within = flex.last % size;
    return within === 0 ? size : within + 1;
  }

  #placeFlex(flex: FlexGroup, goal: number, count: number): number {
    const start = this.#flexGoal(flex, goal, count);
    const last = startOf(this.#fitted, flex.last) + lengthOf(this.#fitted, flex.last) - 1;
    const found = this.#find(start, last, count) ?? noRoomIn(flex.first);
    return this.#markShared(found, count);
  }

  /** The goal if there is room just behind it, else where all that is left of a kind fits. */
  #flexGoal(flex: FlexGroup, goal: number, count: number): number {
    const { blocks, blocksPerGroup } = this.#fitted;
    const size = Math.min(flex.left * count, Math.floor(blocksPerGroup / LONGEST_SHARE));
    if (goal > 0 && goal < blocks) {
      const near = this.#find(goal, goal + size, count);
      if (near !== undefined) return near;
    }
    const start = startOf(this.#fitted, flex.first);
    const last = startOf(this.#fitted, flex.last) + lengthOf(this.#fitted, flex.last) - 1;
    return (
      this.#find(start, last, size) ??
      this.#find(start, last, count) ??
      this.#find(0, last, count) ??
      0
    );
  }

  #find(from: number, to: number, count: number): number | undefined {
    const least = Math.max(1, count);
    this.markHeads(to > from ? to + least : this.#fitted.blocks);
    return this.#space.findRun(from, to, least);
  }

  #mark(start: number, count: number): number {
    this.#space.mark(start, count);
    return start;
  }

  #markShared(start: number, count: number): number {
    const { firstDataBlock, blocksPerGroup } = this.#fitted;
    const group = (block: number): number => Math.floor((block - firstDataBlock) / blocksPerGroup);
    for (let at = group(start); at <= group(start + count - 1); at++) this.#tables.shared.add(at);
    return this.#mark(start, count);
  }
}

/** Groups that keep their metadata together: numbers of the first and last, and how many wait. */
interface FlexGroup {
  readonly first: number;
  readonly last: number;
  readonly left: number;
}

function noRoomIn(group: number): never {
  noRoom(`group ${group} has no room for its bitmaps and inode table; ask for fewer inodes`);
}
