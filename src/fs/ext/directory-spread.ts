/**
 * In which group a new directory goes, after Orlov: directories of the root go far from each other,
 * to where there is room and few others are; others stay near their parent while it has room.
 *
 * @module
 */
import type { GroupWriter } from "./group-writer.ts";
import type { Volume } from "./volume.ts";

/** Flex groups that one search weighs, at most. */
const MOST_WEIGHED = 64;

/** What a number of neighbouring groups have. */
interface Weight {
  readonly first: number;
  readonly freeInodes: number;
  readonly freeClusters: number;
  readonly usedDirs: number;
}

/** A group with a free inode; -1 when there is none. `from`: the parent's, or a random one. */
export function findDirectoryGroup(
  volume: Volume,
  writer: GroupWriter,
  from: number,
  spread: boolean,
): number {
  const search = new DirectorySearch(volume, writer);
  return (spread ? search.far(from) : search.near(from)) ?? search.any(from);
}

class DirectorySearch {
  readonly #volume: Volume;
  readonly #writer: GroupWriter;
  /** Groups that share their tables' place. */
  readonly #flex: number;
  readonly #flexes: number;

  constructor(volume: Volume, writer: GroupWriter) {
    const { groups, logGroupsPerFlex } = volume.superblock;
    this.#volume = volume;
    this.#writer = writer;
    this.#flex = Math.min(2 ** logGroupsPerFlex, groups);
    this.#flexes = Math.ceil(groups / this.#flex);
  }

  /** Of the flex groups with no less than the average free, the one with the fewest directories. */
  far(from: number): number | undefined {
    const average = this.#average();
    let best: Weight | undefined;
    for (const weight of this.#weights(from)) {
      const { freeInodes, freeClusters, usedDirs } = weight;
      if (freeInodes === 0 || freeInodes < average.freeInodes) continue;
      if (freeClusters < average.freeClusters) continue;
      if (best === undefined || usedDirs < best.usedDirs) best = weight;
    }
    return best === undefined ? undefined : this.#inside(best.first);
  }

  /** The parent's flex group or the next ones, while they are not much worse than the average. */
  near(parent: number): number | undefined {
    const { inodesPerGroup, clustersPerGroup } = this.#volume.superblock;
    const average = this.#average();
    const mostDirs = average.usedDirs + (inodesPerGroup * this.#flex) / 16;
    const fewestInodes = Math.max(1, average.freeInodes - (inodesPerGroup * this.#flex) / 4);
    const fewestClusters = Math.max(0, average.freeClusters - (clustersPerGroup * this.#flex) / 4);
    for (const { first, freeInodes, freeClusters, usedDirs } of this.#weights(parent)) {
      if (usedDirs > mostDirs || freeInodes < fewestInodes) continue;
      if (freeClusters < fewestClusters) continue;
      if (this.#isHome(first, parent)) return parent;
      return this.#inside(first);
    }
    return undefined;
  }

  any(from: number): number {
    const { freeInodes } = this.#writer;
    const ahead = freeInodes.nextAtLeast(from, 1);
    return ahead >= 0 ? ahead : freeInodes.nextAtLeast(0, 1);
  }

  #isHome(first: number, parent: number): boolean {
    const within = parent >= first && parent < first + this.#flex;
    return within && this.#writer.freeInodes.get(parent) > 0;
  }

  /** The first group of a flex group that has a free inode. */
  #inside(first: number): number | undefined {
    const group = this.#writer.freeInodes.nextAtLeast(first, 1);
    return group >= 0 && group < first + this.#flex ? group : undefined;
  }

  #average(): Omit<Weight, "first"> {
    const { totalInodes, totalClusters, totalDirs } = this.#writer;
    return {
      freeInodes: Math.floor(totalInodes / this.#flexes),
      freeClusters: Math.floor(totalClusters / this.#flexes),
      usedDirs: Math.floor(totalDirs / this.#flexes),
    };
  }

  *#weights(from: number): Generator<Weight> {
    const { groups } = this.#volume.superblock;
    const { freeInodes, freeClusters, usedDirs } = this.#writer;
    const home = Math.floor(from / this.#flex);
    for (let i = 0; i < Math.min(this.#flexes, MOST_WEIGHED); i++) {
      const first = ((home + i) % this.#flexes) * this.#flex;
      const sum = { first, freeInodes: 0, freeClusters: 0, usedDirs: 0 };
      for (let group = first; group < Math.min(first + this.#flex, groups); group++) {
        sum.freeInodes += freeInodes.get(group);
        sum.freeClusters += freeClusters[group] as number;
        sum.usedDirs += usedDirs[group] as number;
      }
      yield sum;
    }
  }
}
