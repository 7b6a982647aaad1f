/**
 * The scout: where there are too many states to come to all of them soon, it looks at a few of each
 * crash point first. What it finds to fail fails; that it finds nothing says nothing.
 *
 * A probe is a run like any other, which at each fork goes by a plan (`probes.ts`) instead of by
 * turns; so what it comes to is a leaf, and is counted as one.
 *
 * @module
 */
import type { Fork, Guide } from "./chooser.ts";
import type { Exploration } from "./explorer.ts";
import { FailureRanking } from "./failure.ts";
import { type CrashPoint, Frontier } from "./frontier.ts";
import { type Ground, Grounds } from "./ground.ts";
import { LeafRunner } from "./leaf-runner.ts";
import { LeafSet } from "./leaf-set.ts";
import { MISSING, THERE, lacking, probesAt, spread } from "./probes.ts";
import { type Tally, newTally } from "./tally.ts";
import { Unmeasurable } from "./unmeasurable.ts";

/** What the scout came to, beside what was known. */
export interface Scouted {
  readonly ranking: FailureRanking;
  /** Leaves that nobody had come to before. */
  readonly leaves: LeafSet;
  /** What they count. */
  readonly tally: Tally;
  readonly loads: number;
  readonly unmeasurable: string | undefined;
}

/** How a scout goes. */
export interface ScoutOptions {
  /** Leaves that are known. */
  readonly known: LeafSet;
  /** The smallest failure that is. */
  readonly ranking: FailureRanking;
  /** Leaves that it may come to. */
  readonly most: number;
  readonly seed: number;
}

/** Part of its leaves that go to the two plainest states of crash points. */
const PLAIN_SHARE = 4;
/** Other probes of a crash point, at least. */
const LEAST_PROBES = 16;
/** Probes for each that may be new: most come to leaves that are known, where there are few. */
const TRIES = 4;
/** Runs that make one failing state smaller. */
const MOST_SHRUNK = 48;

/** Looks at a few states of many crash points. */
export function scout(what: Exploration, options: ScoutOptions): Scouted {
  return new Scout(what, options).scouted();
}

/** A crash point while the scout stands there. */
interface Standing {
  readonly frontier: Frontier;
  readonly point: CrashPoint;
  readonly acked: readonly unknown[];
}

/** What a probe came to. */
interface Found {
  readonly path: readonly Fork[];
  readonly fails: boolean;
}

class Scout {
  readonly #what: Exploration;
  readonly #options: ScoutOptions;
  readonly #grounds: Grounds;
  readonly #ranking: FailureRanking;
  readonly #leaves = new LeafSet();
  readonly #tally = newTally();
  #loads = 0;
  #runner: LeafRunner | undefined;

  constructor(what: Exploration, options: ScoutOptions) {
    // Power is cut in the workload only.
    this.#what = { ...what, depth: 1 };
    this.#options = options;
    this.#grounds = what.grounds ?? new Grounds();
    this.#ranking = new FailureRanking(options.ranking);
  }

  scouted(): Scouted {
    return {
      unmeasurable: this.#scout(),
      ranking: this.#ranking,
      leaves: this.#leaves,
      tally: this.#tally,
      loads: this.#loads,
    };
  }

  #scout(): string | undefined {
    const { most } = this.#options;
    try {
      const points = this.#walk(
        () => true,
        () => {},
      );
      const plain = Math.ceil(most / PLAIN_SHARE / 2);
      this.#walk(spreadOver(points, plain), (standing) => this.#plain(standing));
      const left = most - this.#leaves.size;
      const open = points.filter(({ space }) => space > 1n);
      const some = Math.max(1, Math.floor(left / LEAST_PROBES));
      const each = Math.floor(left / Math.max(1, Math.min(some, open.length)));
      this.#walk(spreadOver(open, some), (standing) => this.#probes(standing, each));
    } catch (error) {
      if (error instanceof Unmeasurable) return error.message;
      throw error;
    }
    return undefined;
  }

  /** Walks over the crash points that differ from the one before, and visits some. */
  #walk(wanted: (index: number) => boolean, visit: (standing: Standing) => void): CrashPoint[] {
    const { initial, modelled } = this.#what;
    const ground = this.#grounds.take(initial, modelled);
    ground.image.open();
    const visited: CrashPoint[] = [];
    let last: CrashPoint | undefined;
    const runner = new LeafRunner(this.#what, ground, Number.POSITIVE_INFINITY);
    this.#runner = runner;
    const frontier = this.#frontierOn(ground);
    for (const point of frontier.points()) {
      if (last?.stamp === point.stamp && last.acked === point.acked) continue;
      last = point;
      if (!wanted(point.index)) continue;
      visited.push(point);
      const acked = Object.freeze(this.#what.trace.labels.slice(0, point.acked));
      visit({ frontier, point, acked });
    }
    this.#loads += runner.loads;
    ground.image.close();
    this.#grounds.give(ground);
    return visited;
  }

  #frontierOn({ image, media }: Ground): Frontier {
    const { trace, torn } = this.#what;
    return new Frontier({ image, trace, classes: media.classes, torn, level: 0 });
  }

  get #isSpent(): boolean {
    return this.#leaves.size >= this.#options.most || this.#isEnough;
  }

  get #isEnough(): boolean {
    return this.#what.stopAtFirst === true && this.#ranking.best !== undefined;
  }

  #plain(standing: Standing): void {
    for (const guide of [THERE, MISSING]) {
      if (this.#isSpent) return;
      this.#probe(standing, guide);
    }
  }

  #probes(standing: Standing, most: number): void {
    const lines = new Set<number>();
    let smallest: Found | undefined;
    const note = (found: Found): void => {
      for (const { line } of found.path) lines.add(line);
      if (found.fails && isSmaller(found, smallest)) smallest = found;
    };
    const before = this.#leaves.size;
    for (const guide of [THERE, MISSING]) {
      if (this.#isSpent) return;
      note(this.#probe(standing, guide));
    }
    let tries = most * TRIES;
    for (const guide of probesAt(standing.frontier, lines, this.#options.seed)) {
      if (this.#isSpent || this.#leaves.size - before >= most || --tries < 0) break;
      note(this.#probe(standing, guide));
    }
    if (smallest !== undefined) this.#shrink(standing, smallest);
  }

  /** Runs on the state that a guide leads to. */
  #probe({ frontier, point, acked }: Standing, guide: Guide): Found {
    const runner = this.#runner as LeafRunner;
    const path: Fork[] = [];
    const descent = runner.descentTo(frontier, path, point, acked);
    runner.guide = guide;
    const { objection, states, looked } = runner.run(
      { frontier, path, point, acked, descent },
      this.#leaves.size,
    );
    descent.leave();
    const fails = objection !== undefined;
    if (fails) this.#ranking.consider([{ point, frontier, looked }], objection);
    this.#count(point, path, states, fails);
    return { path, fails };
  }

  #count({ index }: CrashPoint, path: readonly Fork[], states: bigint, fails: boolean): void {
    if (this.#options.known.has(index, path) || !this.#leaves.add(index, path, states)) return;
    this.#tally.leaves++;
    this.#tally.covered += states;
    if (fails) this.#tally.failing += states;
  }

  /** Leaves out of what is missing what it does not take: halves, quarters, single lines. */
  #shrink(standing: Standing, found: Found): void {
    let choices = oldIn(found);
    let runs = 0;
    for (let parts = 2; choices.size > 1 && parts < choices.size * 2;) {
      const size = Math.ceil(choices.size / parts);
      const smaller = [...choices.keys()]
        .filter((_, i) => i % size === 0)
        .map((_, part) => [...choices.keys()].filter((_line, i) => Math.floor(i / size) !== part))
        .map((keep) => new Set(keep));
      let shrunk: Found | undefined;
      for (const keep of smaller) {
        if (++runs > MOST_SHRUNK || this.#isSpent) return;
        const tried = this.#probe(standing, lacking(choices, keep));
        if (!tried.fails || oldIn(tried).size >= choices.size) continue;
        shrunk = tried;
        break;
      }
      if (shrunk === undefined) parts *= 2;
      else choices = oldIn(shrunk);
    }
  }
}

/** The lines that are old in a state, and how old. */
function oldIn({ path }: Found): ReadonlyMap<number, number> {
  return new Map(path.filter(({ chosen }) => chosen > 0).map(({ line, chosen }) => [line, chosen]));
}

function isSmaller(found: Found, than: Found | undefined): boolean {
  return than === undefined || oldIn(found).size < oldIn(than).size;
}

/** So many of the crash points, the last among them, and spread. */
function spreadOver(points: readonly CrashPoint[], most: number): (index: number) => boolean {
  const wanted = new Set<number>();
  for (const at of spread(points.length)) {
    if (wanted.size >= most) break;
    wanted.add((points[at] as CrashPoint).index);
  }
  return (index) => wanted.has(index);
}
