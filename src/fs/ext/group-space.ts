/**
 * What may be given out, group by group: what the bitmaps say is free, less what was freed and
 * waits for its commit. The longest run of every group is known even while its bits are not kept.
 *
 * @module
 */
import type { Bitmap } from "../../lib/bitmap.ts";
import { FreeMap } from "../../lib/free-map.ts";
import { MaxTree } from "../../lib/max-tree.ts";
import { type Range, RangeSet } from "../../lib/range-set.ts";
import { type BitmapWriter, clustersOf } from "./bitmap-writer.ts";
import { corrupt } from "./corruption.ts";
import { groupLength, groupStart } from "./geometry.ts";
import type { GroupWriter } from "./group-writer.ts";
import type { SystemZone } from "./system-zone.ts";
import type { Volume } from "./volume.ts";

/** Bytes of free maps that are kept, besides those of groups that changed since the last commit. */
const KEPT_BYTES = 4 << 20;

/** The clusters of one group that may be given out. */
export class GroupSpace {
  readonly group: number;
  readonly free: FreeMap;
  /** Given out since the last commit: what of it is freed again may be used at once. */
  readonly fresh = new RangeSet();
  /** Freed since the last commit. */
  readonly waiting: Range[] = [];
  /** Runs that are kept for files that grow: only the free map knows of them. */
  kept = 0;

  constructor(group: number, free: FreeMap) {
    this.group = group;
    this.free = free;
  }
}

/** What the space of groups is found out from. */
export interface SpaceSources {
  readonly bitmaps: BitmapWriter;
  readonly zone: SystemZone;
  readonly writer: GroupWriter;
}

/** The space of all groups. */
export class GroupSpaces {
  readonly groups: number;
  /** Words of bitmaps that searches looked at, in spaces that are no longer kept. */
  #looked = 0;
  /** Bitmaps that were read. */
  loads = 0;
  readonly #volume: Volume;
  readonly #bitmaps: BitmapWriter;
  readonly #zone: SystemZone;
  /** The longest run of each group, or more: 0 where nothing may be given out. */
  readonly #longest: MaxTree;
  /** Whether that number is exact. */
  readonly #exact: Uint8Array;
  /** Least recently used first. */
  readonly #resting = new Map<number, GroupSpace>();
  readonly #changed = new Map<number, GroupSpace>();
  readonly #most: number;

  constructor(volume: Volume, { bitmaps, zone, writer }: SpaceSources) {
    const { groups, blockSize } = volume.superblock;
    this.groups = groups;
    this.#volume = volume;
    this.#bitmaps = bitmaps;
    this.#zone = zone;
    this.#longest = new MaxTree(groups);
    this.#exact = new Uint8Array(groups);
    this.#most = Math.max(16, Math.floor(KEPT_BYTES / (2 * blockSize)));
    for (let group = 0; group < groups; group++) {
      this.#longest.set(group, writer.freeClusters[group] as number);
    }
  }

  /** Words of bitmaps that were looked at. */
  get looked(): number {
    let sum = this.#looked;
    for (const { free } of this.#resting.values()) sum += free.looked;
    for (const { free } of this.#changed.values()) sum += free.looked;
    return sum;
  }

  /** What no longest run is above. */
  get longest(): number {
    return this.#longest.max;
  }

  /** The longest run of a group, or more. */
  longestOf(group: number): number {
    return this.#longest.get(group);
  }

  /** Whether the bits of a group were looked at before: its longest run is exact. */
  isKnown(group: number): boolean {
    return this.#exact[group] === 1;
  }

  /** The first group from `from` on that may have `length` in a row; -1 for none. */
  next(from: number, length: number): number {
    return this.#longest.nextAtLeast(from, length);
  }

  /**
   * The space of a group.
   * @throws EUCLEAN, EBADMSG for a bitmap that cannot be: nothing is given out there from then on;
   *   EIO
   */
  get(group: number): GroupSpace {
    const changed = this.#changed.get(group);
    if (changed !== undefined) return changed;
    let space = this.#resting.get(group);
    if (space === undefined) space = this.#load(group);
    else this.#resting.delete(group);
    this.#resting.set(group, space);
    this.#forgetOldest();
    return space;
  }

  /** A group is about to change: its bits are kept until `settle`. */
  hold(space: GroupSpace): void {
    this.#resting.delete(space.group);
    this.#changed.set(space.group, space);
  }

  /** The free map of a group changed. */
  measure(space: GroupSpace): void {
    this.#longest.set(space.group, space.free.longest);
  }

  /** After a commit: what waited may be given out, and no space is fresh any more. */
  settle(): void {
    for (const space of this.#changed.values()) {
      for (const { start, length } of space.waiting) space.free.give(start, length);
      space.waiting.length = 0;
      space.fresh.clear();
      this.measure(space);
      this.#resting.set(space.group, space);
    }
    this.#changed.clear();
    this.#forgetOldest();
  }

  #load(group: number): GroupSpace {
    this.loads++;
    try {
      const used = this.#bitmaps.readBlocks(group);
      this.#checkZone(group, used);
      const space = new GroupSpace(group, new FreeMap(clustersOf(this.#volume, group), used.bytes));
      this.#exact[group] = 1;
      this.measure(space);
      return space;
    } catch (error) {
      this.#longest.set(group, 0);
      throw error;
    }
  }

  /** A bitmap in which the filesystem's own blocks are free would give them away. */
  #checkZone(group: number, used: Bitmap): void {
    const { superblock } = this.#volume;
    const { clusterRatio } = superblock;
    const first = groupStart(superblock, group);
    for (const { start, length } of this.#zone.within(first, groupLength(superblock, group))) {
      const bit = Math.floor((start - first) / clusterRatio);
      const last = Math.floor((start + length - 1 - first) / clusterRatio);
      const clear = used.nextClear(bit);
      if (clear < 0 || clear > last) continue;
      const rule = "it belongs to the filesystem itself";
      const block = first + clear * clusterRatio;
      throw corrupt(`group ${group} block bitmap`, `block ${block}`, "free", rule);
    }
  }

  #forgetOldest(): void {
    if (this.#resting.size <= this.#most) return;
    for (const [group, { free, kept }] of this.#resting) {
      if (this.#resting.size <= this.#most) return;
      if (kept > 0) continue;
      this.#looked += free.looked;
      this.#resting.delete(group);
    }
  }
}
