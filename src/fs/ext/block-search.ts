/**
 * Which free blocks to take: at the goal, behind it in its group, in the next group that has so
 * many in a row, and only when no group has, a shorter run.
 *
 * @module
 */
import type { GroupSpaces } from "./group-space.ts";

/** What is looked for; everything in clusters. */
export interface SpaceWanted {
  readonly group: number;
  /** The cluster of that group to be near to. */
  readonly bit: number;
  /** How many, at least 1. */
  readonly count: number;
  /** A run right at the goal is taken when it is this long. */
  readonly goalRun: number;
  /** Only right at the goal. */
  readonly exact: boolean;
  /** The start is to be a multiple of so many, counted from physical address 0. */
  readonly align: number;
  /** How many clusters from there a group starts; no integer where nothing can be a multiple. */
  shiftOf(group: number): number;
}

/** Free clusters in a group. */
export interface SpaceFound {
  readonly group: number;
  readonly bit: number;
  readonly count: number;
}

/** Bitmaps that one search reads at most, before it takes the best that it has seen. */
const MOST_LOADS = 128;

/** Groups with long runs that are searched for one on a multiple. */
const MOST_ALIGNED = 64;

/** Finds space; undefined when there is none. @throws EUCLEAN, EBADMSG, EIO as `GroupSpaces.get` */
export function findSpace(spaces: GroupSpaces, wanted: SpaceWanted): SpaceFound | undefined {
  const atGoal = runAtGoal(spaces, wanted);
  if (atGoal !== undefined || wanted.exact) return atGoal;
  const search = new SpaceSearch(spaces, wanted);
  return search.aligned() ?? search.unaligned();
}

function runAtGoal(spaces: GroupSpaces, wanted: SpaceWanted): SpaceFound | undefined {
  const { group, bit, count, goalRun, align } = wanted;
  if (spaces.longestOf(group) === 0) return undefined;
  if (align > 1 && (bit + wanted.shiftOf(group)) % align !== 0) return undefined;
  const run = spaces.get(group).free.runAt(bit, count);
  return run >= Math.min(count, goalRun) ? { group, bit, count: run } : undefined;
}

class SpaceSearch {
  readonly #spaces: GroupSpaces;
  readonly #wanted: SpaceWanted;
  #loadsLeft = MOST_LOADS;
  #alignedLeft = MOST_ALIGNED;
  /** The group with the longest run among those that had none that was long enough. */
  #best = -1;

  constructor(spaces: GroupSpaces, wanted: SpaceWanted) {
    this.#spaces = spaces;
    this.#wanted = wanted;
  }

  /** A run that starts on a multiple: as long as asked for, or else of one multiple at least. */
  aligned(): SpaceFound | undefined {
    const { align, count } = this.#wanted;
    if (align <= 1 || !Number.isInteger(this.#wanted.shiftOf(0))) return undefined;
    for (const length of count > align ? [count, align] : [count]) {
      this.#alignedLeft = MOST_ALIGNED;
      const found = this.#near(length, (group, from) => this.#alignedIn(group, from, length));
      if (found === undefined) continue;
      const run = this.#spaces.get(found.group).free.runAt(found.bit, count);
      // Whole multiples: what comes behind them starts on one again.
      return { ...found, count: run < count ? run - (run % align) || run : run };
    }
    return undefined;
  }

  unaligned(): SpaceFound | undefined {
    for (let length = this.#wanted.count; length > 0; length = this.#shorter(length)) {
      const found = this.#near(length, (group, from) => {
        return this.#spaces.get(group).free.find(from, length);
      });
      if (found === undefined && this.#loadsLeft >= 0) continue;
      return found === undefined ? this.#longestSeen() : this.#whole(found);
    }
    return undefined;
  }

  #longestSeen(): SpaceFound | undefined {
    if (this.#best < 0) return undefined;
    const { free } = this.#spaces.get(this.#best);
    const bit = free.find(0, Math.max(1, free.longest));
    return bit < 0 ? undefined : this.#whole({ group: this.#best, bit, count: 1 });
  }

  /** All of the run that was found, as far as it was asked for. */
  #whole(found: SpaceFound): SpaceFound {
    const { free } = this.#spaces.get(found.group);
    return { ...found, count: free.runAt(found.bit, this.#wanted.count) };
  }

  /** What to look for when there is no run of `length`: a power of two that there may be. */
  #shorter(length: number): number {
    const { longest } = this.#spaces;
    const most = Math.min(longest, length - 1);
    return most === 0 ? 0 : 2 ** (31 - Math.clz32(most));
  }

  /** The first place from the goal on, around all groups, where `find` finds something. */
  #near(length: number, find: (group: number, from: number) => number): SpaceFound | undefined {
    const { group, bit } = this.#wanted;
    const spaces = this.#spaces;
    if (spaces.longestOf(group) >= length) {
      const found = find(group, bit);
      if (found >= 0) return { group, bit: found, count: length };
    }
    const ahead = this.#among(group + 1, spaces.groups, length, find);
    return ahead ?? (this.#loadsLeft < 0 ? undefined : this.#among(0, group + 1, length, find));
  }

  #among(
    from: number,
    stop: number,
    length: number,
    find: (group: number, from: number) => number,
  ): SpaceFound | undefined {
    const spaces = this.#spaces;
    for (let group = spaces.next(from, length); group >= 0 && group < stop;) {
      if (!spaces.isKnown(group) && --this.#loadsLeft < 0) return undefined;
      const bit = find(group, 0);
      if (bit >= 0) return { group, bit, count: length };
      const run = spaces.longestOf(group);
      if (this.#best < 0 || run > spaces.longestOf(this.#best)) this.#best = group;
      group = spaces.next(group + 1, length);
    }
    return undefined;
  }

  #alignedIn(group: number, from: number, length: number): number {
    const { align } = this.#wanted;
    if (this.#alignedLeft-- <= 0) return -1;
    const { free } = this.#spaces.get(group);
    return free.findAligned(from, length, align, this.#wanted.shiftOf(group));
  }
}
