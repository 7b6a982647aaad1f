/**
 * Files that grow piece by piece. Where an allocation starts right where an earlier one ended,
 * somebody is appending; what follows is kept for that file, in memory only, so that files which
 * grow in turns do not end up in each other's gaps. What is kept doubles as the file grows.
 *
 * @module
 */
import type { GroupSpaces } from "./group-space.ts";

/** Files that are remembered: those that grew last. */
const MOST_STREAMS = 64;

/** Clusters that are kept for a file, at least and at most. */
const FEWEST_KEPT = 8;
const MOST_KEPT = 512;

/** Clusters in a group. */
export interface ClusterRun {
  readonly group: number;
  readonly bit: number;
  readonly count: number;
}

/** What is known of a file that grows. */
export interface WriteStream {
  /** Clusters that it was given in a row of appends. */
  readonly given: number;
  /** Appends after the first allocation. */
  readonly appends: number;
  /** What follows its end and is kept for it. */
  readonly kept: ClusterRun | undefined;
}

/** The files that grow, by the cluster behind the last one that they were given. */
export class WriteStreams {
  readonly #spaces: GroupSpaces;
  readonly #clustersPerGroup: number;
  /** The one that grew last comes last. */
  readonly #streams = new Map<number, WriteStream>();

  constructor(spaces: GroupSpaces, clustersPerGroup: number) {
    this.#spaces = spaces;
    this.#clustersPerGroup = clustersPerGroup;
  }

  /** Who ended at a cluster; what was kept for them is free again. */
  resume(cluster: number): WriteStream | undefined {
    const stream = this.#streams.get(cluster);
    if (stream === undefined) return undefined;
    this.#streams.delete(cluster);
    this.#release(stream);
    return stream;
  }

  /** How many clusters in a row would do for the next append and those to come. */
  wanted(stream: WriteStream, count: number): number {
    return Math.max(count, Math.min(MOST_KEPT, Math.max(FEWEST_KEPT, 2 * stream.given)));
  }

  /** Someone was given a run; `before` is what they were when they asked. */
  note({ group, bit, count }: ClusterRun, before: WriteStream | undefined): void {
    const given = (before?.given ?? 0) + count;
    const appends = before === undefined ? 0 : before.appends + 1;
    const stream = { given, appends, kept: undefined };
    const behind = bit + count;
    const kept = appends === 0 ? undefined : this.#keep(group, behind, this.wanted(stream, 0));
    this.#streams.set(group * this.#clustersPerGroup + behind, { ...stream, kept });
    if (this.#streams.size <= MOST_STREAMS) return;
    for (const cluster of this.#streams.keys()) {
      this.resume(cluster);
      return;
    }
  }

  /** Gives everything back that is kept; false when nothing was. */
  releaseAll(): boolean {
    let any = false;
    for (const stream of this.#streams.values()) any = this.#release(stream) || any;
    this.#streams.clear();
    return any;
  }

  #keep(group: number, bit: number, most: number): ClusterRun | undefined {
    const space = this.#spaces.get(group);
    const count = space.free.runAt(bit, most);
    if (count === 0) return undefined;
    space.free.take(bit, count);
    space.kept++;
    this.#spaces.measure(space);
    return { group, bit, count };
  }

  #release({ kept }: WriteStream): boolean {
    if (kept === undefined) return false;
    const space = this.#spaces.get(kept.group);
    space.free.give(kept.bit, kept.count);
    space.kept--;
    this.#spaces.measure(space);
    return true;
  }
}
