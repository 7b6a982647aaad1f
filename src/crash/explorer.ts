/**
 * The exact explorer: it runs recovery and check on every state that a power cut may leave, and
 * runs once for all states that nobody can tell apart (crash model, "Exact exploration").
 *
 * Depth first and by running anew: a run follows its path of decisions and extends it; the next
 * path takes the next way at the last fork that has one. The weights of the leaves must sum to the
 * space of the crash point, and that is asserted.
 *
 * @module
 */
import type { CallSites } from "../lib/call-site.ts";
import { assert } from "../lib/errno.ts";
import { LineClass, ModelledMedia, type ModelledOptions } from "../media/modelled.ts";
import { LINE_BYTES, Trace } from "../media/trace.ts";
import { Chooser, type Fork } from "./chooser.ts";
import { CrashImage } from "./crash-image.ts";
import { type Failure, FailureRanking, type Stage } from "./failure.ts";
import { differenceOfLoads, differenceOfStores, differenceOfWords } from "./differences.ts";
import { type CrashPoint, type FlushEffect, Frontier, countCrashPoints } from "./frontier.ts";
import type { Objection, Program } from "./program.ts";
import { recoverAndCheck } from "./run.ts";
import { type Tally, addTally, countedSince, newTally } from "./tally.ts";
import type { Group, Torn } from "./versions.ts";

/** How far exploration goes. */
export interface Budget {
  /** Leaves, over all crash points: runs of recovery and check. */
  readonly leaves: number;
  /** Loads, stores, flushes and fences that one run may make; more is a hang. */
  readonly steps: number;
}

/** What is explored. */
export interface Exploration {
  /** The media at the start of the trace; all of it durable. Volatile ranges are zeroed. */
  readonly initial: Uint8Array;
  readonly modelled: ModelledOptions;
  readonly trace: Trace;
  readonly program: Program;
  readonly torn: Torn;
  /** Power cuts in a row: 1 cuts the workload only, 2 cuts each recovery too. */
  readonly depth: number;
  readonly budget: Budget;
  /** Told now and then how many of the workload's crash points are done. */
  readonly progress?: (done: number, total: number) => void;
  /** Stop at the first state that fails. */
  readonly stopAtFirst?: boolean;
  /** Captures the call sites of recovery's events there. */
  readonly sites?: CallSites;
  /** Changes the trace of a recovery before it is cut; given to verify a remedy. */
  readonly amend?: (trace: Trace) => Trace;
}

/** What exploration found. */
export interface Findings {
  /** `tallies[0]` counts power cuts in the workload, `tallies[1]` in recovery from them, … */
  readonly tallies: readonly Tally[];
  /** The smallest failing state, if any fails. */
  readonly failure: Failure | undefined;
  /** Loads that recovery and check made, over all runs. */
  readonly loads: number;
  readonly flushes: readonly FlushEffect[];
  /** Why the tallies say nothing: the program was not deterministic, or stored unobserved. */
  readonly unmeasurable: string | undefined;
  /** Whether the budget ended it before every state was checked. */
  readonly cut: boolean;
}

/** One leaf in so many is run again, and its loads compared; the first of each crash point too. */
const SAMPLE_EVERY = 64;
/** Leaves between two calls of `progress`. */
const PROGRESS_EVERY = 256;
/** What is kept back for each later crash point when an earlier one is large. */
const RESERVE = 1000;

/** A recovery that stored, on a path of decisions that no run took before. */
interface Recovery {
  /** The lines it looked at, and what they may still be. */
  readonly looked: ReadonlyMap<number, Group>;
  /** The raw states that all lead to it. */
  readonly states: bigint;
}

/** One run of recovery and check. */
interface Run {
  readonly objection: Objection | undefined;
  readonly recovery: Recovery | undefined;
}

class Unmeasurable extends Error {}

/** Explores a trace. @throws HarnessFault when recovery or check is asynchronous */
export function explore(exploration: Exploration): Findings {
  return new Explorer(exploration).findings();
}

class Explorer {
  readonly #what: Exploration;
  readonly #media: ModelledMedia;
  readonly #image: CrashImage;
  readonly #chooser: Chooser;
  /** The trace of the recovery from the power cut of each level. */
  readonly #traces: Trace[];
  #spare: Trace;
  readonly #tallies: Tally[];
  readonly #ranking = new FailureRanking();
  readonly #flushes: FlushEffect[] = [];
  #loads = 0;
  #leaves = 0;
  #limit = 0;
  /** Crash points of the workload: all, and those after the present one. */
  #total = 0;
  #left = 0;
  #atLimit = false;
  #cut = false;

  constructor(what: Exploration) {
    this.#what = what;
    this.#media = new ModelledMedia(what.initial.length, what.modelled);
    const { recorder } = this.#media;
    recorder.image.set(what.initial);
    zeroVolatile(this.#media);
    this.#image = new CrashImage(recorder.image);
    this.#chooser = new Chooser(this.#image, what.budget.steps);
    recorder.observer = this.#chooser;
    this.#traces = Array.from({ length: what.depth }, () => this.#newTrace());
    this.#spare = this.#newTrace();
    this.#tallies = Array.from({ length: what.depth }, newTally);
  }

  #newTrace(): Trace {
    const trace = new Trace();
    if (this.#what.sites !== undefined) trace.captureSites(this.#what.sites);
    return trace;
  }

  findings(): Findings {
    const unmeasurable = this.#exploreWorkload();
    return {
      tallies: this.#tallies,
      failure: this.#ranking.best,
      loads: this.#loads,
      flushes: this.#flushes,
      unmeasurable,
      cut: this.#cut,
    };
  }

  #exploreWorkload(): string | undefined {
    const { trace, torn, budget } = this.#what;
    const { classes } = this.#media;
    const frontier = new Frontier({ image: this.#image, trace, classes, torn, level: 0 });
    frontier.onFlush = (effect) => this.#flushes.push(effect);
    this.#total = countCrashPoints(trace, classes);
    this.#left = this.#total;
    const reserve = Math.min(RESERVE, Math.floor(budget.leaves / this.#total / 2));
    try {
      this.#explore(frontier, [], (point) => {
        this.#limit = budget.leaves - reserve * --this.#left;
        this.#atLimit = false;
        return Object.freeze(trace.labels.slice(0, point.acked));
      });
    } catch (error) {
      if (error instanceof Unmeasurable) return error.message;
      throw error;
    }
    return undefined;
  }

  /** Explores every crash point of the frontier's trace. */
  #explore(
    frontier: Frontier,
    stages: readonly Stage[],
    ackedAt: (point: CrashPoint) => readonly unknown[],
  ): void {
    const { level } = frontier;
    const tallies = this.#tallies.slice(level);
    const tally = tallies[0] as Tally;
    let last: { stamp: number; acked: number; counted: readonly Tally[] } | undefined;
    for (const point of frontier.points()) {
      const { stamp } = point;
      const acked = ackedAt(point);
      if (last?.stamp === stamp && last.acked === acked.length) {
        // The same states and the same promises as at the crash point before: counted, not run.
        for (const [i, more] of last.counted.entries()) addTally(tallies[i] as Tally, more);
        continue;
      }
      const before = tallies.map((now) => countedSince(now, newTally()));
      tally.crashPoints++;
      tally.space += point.space;
      this.#explorePoint(frontier, stages, point, acked);
      const counted = tallies.map((now, i) => countedSince(now, before[i] as Tally));
      last = { stamp, acked: acked.length, counted };
      if (this.#stopped || (this.#atLimit && level > 0)) return;
    }
  }

  get #stopped(): boolean {
    return this.#what.stopAtFirst === true && this.#ranking.best !== undefined;
  }

  #explorePoint(
    frontier: Frontier,
    before: readonly Stage[],
    point: CrashPoint,
    acked: readonly unknown[],
  ): void {
    const { level } = frontier;
    const tally = this.#tallies[level] as Tally;
    const path: Fork[] = [];
    let covered = 0n;
    for (let leaf = 0; ; leaf++) {
      if (this.#leaves >= this.#limit) {
        this.#atLimit = true;
        this.#cut = true;
        break;
      }
      const run = this.#runLeaf(frontier, path, point, acked, leaf);
      const { states } = this.#chooser;
      this.#leaves++;
      if (this.#leaves % PROGRESS_EVERY === 0) {
        this.#what.progress?.(this.#total - this.#left - 1, this.#total);
      }
      tally.leaves++;
      if (run.objection !== undefined) {
        tally.failing += states;
        const { looked } = this.#chooser;
        this.#ranking.consider([...before, { point, frontier, looked }], run.objection);
      }
      if (run.recovery !== undefined) {
        const stage = { point, frontier, looked: run.recovery.looked };
        this.#cutRecovery(frontier, [...before, stage], run.recovery, acked);
      }
      if (this.#atLimit) break;
      covered += states;
      if (this.#stopped || !advance(path)) break;
    }
    tally.covered += covered;
    if (!this.#atLimit && !this.#stopped) {
      assert(
        covered === point.space,
        () => `leaves weigh ${covered}, the crash point ${point.space}`,
      );
    }
  }

  /**
   * Cuts power inside the recovery that just ran. What it did not look at is open still, and what
   * it did is what it was when it looked.
   */
  #cutRecovery(
    frontier: Frontier,
    before: readonly Stage[],
    { looked, states }: Recovery,
    acked: readonly unknown[],
  ): void {
    const recorded = this.#traces[frontier.level] as Trace;
    const trace = this.#what.amend?.(recorded) ?? recorded;
    this.#image.open();
    const inner = new Frontier({
      image: this.#image,
      trace,
      classes: this.#media.classes,
      torn: this.#what.torn,
      level: frontier.level + 1,
      before: { space: states, group: (line) => looked.get(line) ?? frontier.group(line) },
    });
    this.#explore(inner, before, () => acked);
    this.#image.close();
  }

  /** Runs a leaf, and a sample of them twice. */
  #runLeaf(
    frontier: Frontier,
    path: Fork[],
    point: CrashPoint,
    acked: readonly unknown[],
    leaf: number,
  ): Run {
    const sampled = leaf === 0 || this.#leaves % SAMPLE_EVERY === 0;
    if (!sampled) return this.#run(frontier, path, point, acked, undefined);
    const { level } = frontier;
    const first: number[] = [];
    const once = this.#run(frontier, path, point, acked, first);
    const before = this.#traces[level] as Trace;
    this.#traces[level] = this.#spare;
    this.#spare = before;
    const second: number[] = [];
    const forks = path.length;
    const again = this.#run(frontier, path, point, acked, second);
    const difference =
      differenceOfLoads(first, second) ??
      differenceOfStores(before, this.#traces[level]) ??
      (path.length === forks ? differenceOfWords(once.objection, again.objection) : "it forked");
    if (difference !== undefined) throw new Unmeasurable(strayed(difference));
    return { objection: again.objection, recovery: once.recovery };
  }

  #run(
    frontier: Frontier,
    path: Fork[],
    point: CrashPoint,
    acked: readonly unknown[],
    log: number[] | undefined,
  ): Run {
    const { recorder } = this.#media;
    const chooser = this.#chooser;
    const trace = this.#traces[frontier.level] as Trace;
    trace.clear();
    recorder.trace = trace;
    recorder.forgetAliases();
    this.#image.open();
    chooser.begin(frontier, path, point.space, log);
    let recovery: Recovery | undefined;
    const record =
      frontier.level + 1 < this.#what.depth && this.#what.program.recover !== undefined;
    const objection = recoverAndCheck(this.#media, {
      program: this.#what.program,
      acked,
      counter: chooser.counter,
      record,
      recovered: () => {
        // A path that ends here has not been further: its recovery is cut now, and only now.
        if (!record || path.length !== chooser.depth || trace.stores === 0) return;
        recovery = { looked: new Map(chooser.looked), states: chooser.states };
      },
    });
    chooser.end();
    const unobserved = recorder.unobserved();
    this.#image.close();
    this.#loads += chooser.loads;
    if (chooser.strayed !== undefined) throw new Unmeasurable(strayed(chooser.strayed));
    if (unobserved !== undefined) {
      throw new Unmeasurable(
        `recovery or check stored to bytes ${unobserved.start}+${unobserved.length} through ` +
          "mapping.bytes, where stores are not observed; use store, copyIn or fill",
      );
    }
    return { objection, recovery };
  }
}

/** What a power cut leaves of volatile ranges. */
export function zeroVolatile({ recorder, classes }: ModelledMedia): void {
  for (const [line, kind] of classes.entries()) {
    const start = line * LINE_BYTES;
    if (kind === LineClass.volatile) recorder.image.fill(0, start, start + LINE_BYTES);
  }
}

function strayed(how: string): string {
  return `recovery or check is not deterministic: ${how}`;
}

/** The next path: the next way at the last fork that has one left. */
function advance(path: Fork[]): boolean {
  for (;;) {
    const last = path.at(-1);
    if (last === undefined) return false;
    if (last.chosen + 1 < last.groups.length) {
      last.chosen++;
      return true;
    }
    path.pop();
  }
}
