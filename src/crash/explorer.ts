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
import type { ModelledOptions } from "../media/modelled.ts";
import type { Trace } from "../media/trace.ts";
import type { Fork } from "./chooser.ts";
import { advance } from "./fork-path.ts";
import { type Failure, FailureRanking, type Stage } from "./failure.ts";
import { type CrashPoint, type FlushEffect, Frontier, countCrashPoints } from "./frontier.ts";
import { type Ground, Grounds } from "./ground.ts";
import { LeafRunner, type Recovery } from "./leaf-runner.ts";
import type { LeafSet } from "./leaf-set.ts";
import { PaidLeaves } from "./paid-leaves.ts";
import type { Program } from "./program.ts";
import type { Remembering } from "./remembering.ts";
import { type Tally, addTally, countedSince, newTally } from "./tally.ts";
import type { Transcripts } from "./transcript.ts";
import type { Torn } from "./versions.ts";
import { Unmeasurable } from "./unmeasurable.ts";

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
  /** Told now and then how many of the workload's crash points are done, after how many leaves. */
  readonly progress?: (done: number, total: number, leaves: number) => void;
  /** Stop at the first state that fails. */
  readonly stopAtFirst?: boolean;
  /** Leaves after the first that fails; unless given, as many as the budget has. */
  readonly afterFailure?: number;
  /** Told each leaf of a power cut in the workload. */
  readonly leaves?: LeafSet;
  /** Leaves that the budget has paid for already. */
  readonly scouted?: LeafSet;
  /** Where failures are ranked, if others are to be ranked with them. */
  readonly ranking?: FailureRanking;
  /** Captures the call sites of recovery's events there. */
  readonly sites?: CallSites;
  /** Recovery or check waits for something: {@link NeedsRun} is thrown where they are to be run. */
  readonly waits?: boolean;
  /** What the same program did before, in other explorations. */
  readonly transcripts?: Transcripts;
  /** What of earlier runs is used; `everything` unless given. What is found is the same. */
  readonly remembers?: Remembering;
  /** Only the workload's crash points at events from the first number to before the second. */
  readonly span?: readonly [from: number, before: number];
  /** False: no leaf is run twice to compare; who explores many programs alike samples some. */
  readonly sample?: boolean;
  /** Memory of other explorations, which is used again. */
  readonly grounds?: Grounds;
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

/** Leaves between two calls of `progress`. */
const PROGRESS_EVERY = 256;
/** What is kept back for each later crash point when an earlier one is large. */
const RESERVE = 1000;

/** Explores a trace. @throws HarnessFault when recovery or check is asynchronous */
export function explore(exploration: Exploration): Findings {
  const { initial, modelled, grounds = new Grounds() } = exploration;
  const ground = grounds.take(initial, modelled);
  ground.image.open();
  const findings = new Explorer(exploration, ground).findings();
  ground.image.close();
  // What somebody threw out of may have been left in the middle of something.
  if (findings.unmeasurable === undefined) grounds.give(ground);
  return findings;
}

/** A crash point that was explored, and those after it that are alike. */
interface Explored {
  stamp: number;
  readonly steady: number;
  /** When it was begun. */
  readonly since: number;
  readonly acked: number;
  readonly counted: readonly Tally[];
}

class Explorer {
  readonly #what: Exploration;
  readonly #ground: Ground;
  readonly #runner: LeafRunner;
  readonly #tallies: Tally[];
  readonly #ranking: FailureRanking;
  readonly #flushes: FlushEffect[] = [];
  #leaves = 0;
  #limit = 0;
  /** Leaves at which it ends, since something failed. */
  #last = Number.POSITIVE_INFINITY;
  readonly #paid: PaidLeaves;
  /** Crash points of the workload: all, and those after the present one. */
  #total = 0;
  #left = 0;
  #atLimit = false;
  #cut = false;

  constructor(what: Exploration, ground: Ground) {
    this.#what = what;
    this.#ground = ground;
    this.#ranking = what.ranking ?? new FailureRanking();
    this.#paid = new PaidLeaves(what.scouted);
    this.#total = countCrashPoints(what.trace, ground.media.classes);
    this.#runner = new LeafRunner(what, ground, this.#total);
    this.#tallies = Array.from({ length: what.depth }, newTally);
  }

  findings(): Findings {
    const unmeasurable = this.#exploreWorkload();
    this.#paid.settle(this.#tallies[0] as Tally);
    return {
      tallies: this.#tallies,
      failure: this.#ranking.best,
      loads: this.#runner.loads,
      flushes: this.#flushes,
      unmeasurable,
      cut: this.#cut,
    };
  }

  #exploreWorkload(): string | undefined {
    const { trace, torn, budget } = this.#what;
    const { image, media } = this.#ground;
    const frontier = new Frontier({ image, trace, classes: media.classes, torn, level: 0 });
    frontier.onFlush = (effect) => this.#flushes.push(effect);
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
    let last: Explored | undefined;
    const [from, before = Number.POSITIVE_INFINITY] = (level === 0 && this.#what.span) || [0];
    for (const point of frontier.points()) {
      const { stamp, event } = point;
      if (event < from) continue;
      if (event >= before) return;
      const acked = ackedAt(point);
      if (last?.acked === acked.length && this.#isAlike(last, point)) {
        // The same states and the same promises as at the crash point before: counted, not run.
        last.stamp = stamp;
        if (level === 0) this.#skip(point);
        for (const [i, more] of last.counted.entries()) addTally(tallies[i] as Tally, more);
        continue;
      }
      const earlier = tallies.map((now) => countedSince(now, newTally()));
      tally.crashPoints++;
      tally.space += point.space;
      const since = this.#runner.now();
      this.#explorePoint(frontier, stages, point, acked);
      const counted = tallies.map((now, i) => countedSince(now, earlier[i] as Tally));
      last = { stamp, steady: point.steady, since, acked: acked.length, counted };
      if (this.#stopped || (this.#atLimit && level > 0)) return;
    }
  }

  #skip({ index }: CrashPoint): void {
    this.#paid.skip(index);
    this.#what.leaves?.skip(index);
  }

  /** Whether the states differ at most in an atom at which nobody looked. */
  #isAlike({ stamp, steady, since }: Explored, point: CrashPoint): boolean {
    if (stamp === point.stamp) return true;
    return steady === point.steady && !this.#runner.hasLooked(point.line, since);
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
    if (level === 0) this.#paid.begin(point.index);
    const descent = this.#runner.descentTo(frontier, path, point, acked);
    let covered = 0n;
    for (let leaf = 0; ; leaf++) {
      const room = this.#room;
      if (room < 0 || (room === 0 && this.#paid.left === 0)) {
        this.#endAtLimit();
        break;
      }
      const run = this.#runner.run({ frontier, path, point, acked, descent }, leaf);
      const { states, looked } = run;
      const isPaid = level === 0 && this.#paid.meet(point.index, path, states);
      if (room === 0 && !isPaid) {
        this.#endAtLimit();
        break;
      }
      if (level === 0) this.#what.leaves?.add(point.index, path, states);
      this.#counted(tally);
      // The image has to be as power left it where more is worked out from it.
      if (run.objection !== undefined || run.recovery !== undefined) descent.leave();
      if (run.objection !== undefined) {
        tally.failing += states;
        this.#ranking.consider([...before, { point, frontier, looked }], run.objection);
        this.#last = Math.min(this.#last, this.#leaves + (this.#what.afterFailure ?? Infinity));
      }
      if (run.recovery !== undefined) {
        const stage = { point, frontier, looked: run.recovery.looked };
        this.#cutRecovery(frontier, [...before, stage], run.recovery, acked);
      }
      if (this.#atLimit) break;
      covered += states;
      if (this.#stopped || !advance(path)) break;
    }
    descent.leave();
    tally.covered += covered;
    if (!this.#atLimit && !this.#stopped) {
      assert(
        covered === point.space,
        () => `leaves weigh ${covered}, the crash point ${point.space}`,
      );
    }
  }

  /** Leaves that the budget still pays for. */
  get #room(): number {
    const { left, here } = this.#paid;
    const most = Math.min(this.#limit - here, this.#what.budget.leaves - left, this.#last);
    return most - this.#leaves;
  }

  #endAtLimit(): void {
    this.#atLimit = true;
    this.#cut = true;
  }

  #counted(tally: Tally): void {
    tally.leaves++;
    this.#leaves++;
    if (this.#leaves % PROGRESS_EVERY === 0) {
      this.#what.progress?.(this.#total - this.#left - 1, this.#total, this.#leaves);
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
    const { image, media } = this.#ground;
    const recorded = this.#runner.traceOf(frontier);
    const trace = this.#what.amend?.(recorded) ?? recorded;
    image.open();
    const inner = new Frontier({
      image,
      trace,
      classes: media.classes,
      torn: this.#what.torn,
      level: frontier.level + 1,
      before: { space: states, group: (line) => looked.get(line) ?? frontier.group(line) },
    });
    this.#explore(inner, before, () => acked);
    image.close();
  }
}
