/**
 * Which blocks are in use while a filesystem is planned: runs, not bitmaps, so that a filesystem of
 * any size costs as much as it has pieces.
 *
 * @module
 */
import { assert } from "../../lib/errno.ts";
import { type Range, RangeSet } from "../../lib/range-set.ts";
import { noRoom } from "./mkfs-options.ts";

/** Runs that a plan may have: every group of the largest filesystem has a few. */
const MOST_RUNS = 2 ** 26;

/** The blocks of a filesystem from its first data block to its end. */
export class Space {
  readonly used: RangeSet = new RangeSet([], MOST_RUNS);
  readonly start: number;
  readonly blocks: number;
  /** Blocks that are given out together; 1 while the tables are placed. */
  #ratio = 1;

  constructor(start: number, blocks: number) {
    this.start = start;
    this.blocks = blocks;
  }

  /** From here on whole clusters are in use: what is in use in part is in use. */
  roundToClusters(ratio: number): void {
    this.#ratio = ratio;
    if (ratio === 1) return;
    const before = [...this.used];
    for (const { start, length } of before) this.mark(start, length);
  }

  /** Takes these blocks, and all of their clusters. */
  mark(start: number, length: number): void {
    const first = start - (start % this.#ratio);
    const after = Math.ceil((start + length) / this.#ratio) * this.#ratio;
    this.used.add(first, Math.min(after, this.blocks) - first);
  }

  /** Clusters in use among `length` blocks from `start`, which is a cluster's first block. */
  clustersIn(start: number, length: number): number {
    return Math.ceil(this.used.overlap(start, length) / this.#ratio);
  }

  /**
   * The first place for `count` blocks that starts in `[from, to)`; where `to` is not behind
   * `from`, in all of the filesystem, from `from` on and then from its start.
   */
  findRun(from: number, to: number, count: number): number | undefined {
    const start = Math.max(from, this.start);
    if (to > start) return this.#search(start, to, count);
    return this.#search(start, this.blocks, count) ?? this.#search(this.start, start, count);
  }

  #search(from: number, to: number, count: number): number | undefined {
    const stop = Math.min(this.blocks, to + count - 1);
    if (stop <= from) return undefined;
    for (const gap of this.used.gaps(from, stop - from)) {
      if (gap.start >= to) return undefined;
      if (gap.length >= count) return gap.start;
    }
    return undefined;
  }

  /**
   * Takes up to `count` free blocks in one run, the first at or after `goal`, else anywhere. With
   * bigalloc the run starts a cluster, and its last cluster is taken whole. @throws ENOSPC
   */
  take(goal: number, count: number): Range {
    assert(count > 0, "take no blocks");
    const wanted = goal >= this.start && goal < this.blocks ? goal : this.start;
    const from = wanted - (wanted % this.#ratio);
    const free = this.#firstFree(from, this.blocks) ?? this.#firstFree(this.start, from);
    if (free === undefined) noRoom("the filesystem is full before all of its own files are made");
    const length = Math.min(count, free.length);
    this.mark(free.start, length);
    return { start: free.start, length };
  }

  /** Takes one block (a cluster of which it is the first). @throws ENOSPC */
  takeOne(goal: number): number {
    return this.take(goal, 1).start;
  }

  #firstFree(from: number, to: number): Range | undefined {
    if (to <= from) return undefined;
    for (const gap of this.used.gaps(from, to - from)) return gap;
    return undefined;
  }
}
