/**
 * A failing state, and which of two is the smaller: fewer power cuts, fewer lines that hold an old
 * version, then the earlier instant.
 *
 * @module
 */
import type { CrashPoint, Frontier } from "./frontier.ts";
import type { Objection } from "./program.ts";
import type { Group, Version } from "./versions.ts";

/** One power cut on the way to a state. */
export interface Stage {
  readonly point: CrashPoint;
  readonly frontier: Frontier;
  /** The lines that the run after it looked at, and what they may be. */
  readonly looked: ReadonlyMap<number, Group>;
}

/** A power cut: at which crash point, and the contents of the lines that hold an old version. */
export interface Cut {
  /** The index of the crash point in its trace. */
  readonly point: number;
  /** Contents by line; every other line holds its newest version. */
  readonly old: ReadonlyMap<number, Uint8Array>;
}

/** A state in which recovery or check failed. */
export interface Failure {
  readonly cuts: readonly Cut[];
  readonly objection: Objection;
  /** Lines that hold an old version after any of the cuts. */
  readonly lostLines: number;
}

type Rank = readonly number[];

/** Keeps the smallest of the failing states it is shown. */
export class FailureRanking {
  #best: Failure | undefined;
  #rank: Rank | undefined;

  /** `like`: begins with the smallest that it has. */
  constructor(like?: FailureRanking) {
    if (like === undefined) return;
    this.#best = like.#best;
    this.#rank = like.#rank;
  }

  get best(): Failure | undefined {
    return this.#best;
  }

  /** The failing states of one leaf; `stages` as they are now, the last one being the leaf's. */
  consider(stages: readonly Stage[], objection: Objection): void {
    const lost = lostIn(stages);
    const missing = [...lost.values()].reduce((sum, version) => sum + version.total, 0);
    const points = stages.map(({ point }) => point.index);
    const rank = [stages.length, lost.size, ...points, missing];
    if (this.#rank !== undefined && !isLess(rank, this.#rank)) return;
    this.#rank = rank;
    const cuts = stages.map(({ point }, level) => ({
      point: point.index,
      old: contentsAt(level, lost),
    }));
    this.#best = { cuts, objection, lostLines: lost.size };
  }
}

/**
 * The lines that cannot all have arrived in any state of the leaf, with the version that lost
 * least. Lines that nobody looked at have arrived: that changes nothing.
 */
function lostIn(stages: readonly Stage[]): Map<number, Version> {
  const { looked, frontier } = stages.at(-1) as Stage;
  const lost = new Map<number, Version>();
  for (const stage of stages) {
    for (const line of stage.looked.keys()) {
      const versions = (looked.get(line) ?? frontier.group(line))?.versions ?? [];
      const best = versions.toSorted((a, b) => a.total - b.total)[0];
      if (best !== undefined && best.total > 0) lost.set(line, best);
    }
  }
  return lost;
}

/** What each lost line held after the power cut of `level`, where it held an old version then. */
function contentsAt(level: number, lost: ReadonlyMap<number, Version>): Map<number, Uint8Array> {
  const contents = new Map<number, Uint8Array>();
  for (const [line, version] of lost) {
    let at: Version | undefined = version;
    while (at !== undefined && at.level > level) at = at.origin;
    if (at !== undefined && at.level === level && at.missing > 0) contents.set(line, at.bytes);
  }
  return contents;
}

function isLess(a: Rank, b: Rank): boolean {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
