/**
 * Looks at the states of a disk at one instant. With a check that reads through observed memory a
 * state is decided where the check looks, so that few runs cover all states; with one that wants a
 * whole disk, such as another program, each different state is checked once.
 *
 * @module
 */
import { AssertionError, assert } from "../lib/errno.ts";
import { Prng } from "../lib/prng.ts";
import type { Recorder } from "../media/recorder.ts";
import { BlockChooser, type BlockFork, type ChooseWay } from "./block-chooser.ts";
import { advance } from "./fork-path.ts";
import type { BlockFrontier } from "./block-frontier.ts";
import {
  type Assignment,
  type Stop,
  nameOfState,
  onDisk,
  putState,
  smallestLoss,
  statesAt,
  takeState,
} from "./block-states.ts";
import { LeafWalk, along } from "./leaf-walk.ts";
import { RunEnded, wordsOf } from "./program.ts";
import type {
  BlockFailure,
  LostRequest,
  StopBudget,
  StopFindings,
  StopRest,
  StopWatch,
} from "./stop-findings.ts";

/** Looks at the disk as it is now: what is wrong with it, or nothing. */
export type DiskCheck = (mark: string | undefined) => string | undefined;

/** Nobody follows. */
const UNWATCHED: StopWatch = { ran: () => {}, isOver: () => false };

/** Runs of the check that may be spent on making a loss small. */
const SIMPLIFYING_RUNS = 200;

/** Explores one stop after the other; the frontier stands where the stop is. */
export abstract class StopExplorer {
  readonly frontier: BlockFrontier;
  readonly budget: StopBudget;
  watch: StopWatch = UNWATCHED;

  constructor(frontier: BlockFrontier, budget: StopBudget) {
    this.frontier = frontier;
    this.budget = budget;
  }

  /** Looks at what the power may leave there, from where it was ended before. */
  abstract explore(stop: Stop, rest?: StopRest): StopFindings;

  /** Looks at one state. */
  abstract objectionTo(stop: Stop, given: Assignment): string | undefined;

  /** The smallest loss from which the same fails, and its words. */
  protected failureOf(stop: Stop, found: Assignment, said: string): BlockFailure {
    let words = said;
    const given = smallestLoss(
      found,
      (fewer) => {
        if (this.watch.isOver()) return false;
        const objection = this.objectionTo(stop, fewer);
        if (objection !== undefined) words = objection;
        return objection !== undefined;
      },
      SIMPLIFYING_RUNS,
    );
    const state = nameOfState(stop, this.frontier.model, onDisk(this.frontier, given));
    return { state, said: words, lost: lostIn(this.frontier, given) };
  }

  /** What is chosen by chance at a stop is the same in each replay. */
  protected prng({ index }: Stop): Prng {
    return new Prng(this.budget.seed + index);
  }
}

/** Explores with a check that wants a whole disk. */
export class WholeDiskExplorer extends StopExplorer {
  readonly #check: DiskCheck;
  /** What was said of contents that were checked before, by their sum and the mark. */
  readonly #known = new Map<string, string | undefined>();
  #runs = 0;

  constructor(frontier: BlockFrontier, budget: StopBudget, check: DiskCheck) {
    super(frontier, budget);
    this.#check = check;
  }

  explore(stop: Stop): StopFindings {
    const before = this.#runs;
    let covered = 0n;
    let failing = 0n;
    let first: { given: Assignment; said: string } | undefined;
    const list =
      stop.kind === "replayed"
        ? { distinct: 1n, states: [new Map<number, number>()] }
        : statesAt(this.frontier, this.budget.runs, this.prng(stop));
    let ended = false;
    for (const given of list.states) {
      ended = this.watch.isOver();
      if (ended) break;
      const said = this.objectionTo(stop, given);
      covered++;
      const { runs: most } = this.budget;
      this.watch.ran({ stop, runs: this.#runs - before, most, space: list.distinct, covered });
      if (said === undefined) continue;
      failing++;
      first ??= { given, said };
    }
    return {
      stop,
      space: list.distinct,
      covered,
      failing,
      failure: first === undefined ? undefined : this.failureOf(stop, first.given, first.said),
      runs: this.#runs - before,
      unmeasurable: undefined,
      ...(ended ? { ended } : {}),
    };
  }

  objectionTo(stop: Stop, given: Assignment): string | undefined {
    putState(this.frontier, given);
    try {
      const key = `${this.frontier.image.sum} ${stop.mark ?? ""}`;
      if (this.#known.has(key)) return this.#known.get(key);
      this.#runs++;
      const said = this.#check(stop.mark);
      this.#known.set(key, said);
      return said;
    } finally {
      takeState(this.frontier, given);
    }
  }
}

/** Explores with a check that reads through the recorder of the frontier's image. */
export class ObservedExplorer extends StopExplorer {
  readonly #recorder: Recorder;
  readonly #check: DiskCheck;
  readonly #chooser: BlockChooser;
  #runs = 0;

  /** The recorder's image is that of the frontier. */
  constructor(frontier: BlockFrontier, budget: StopBudget, recorder: Recorder, check: DiskCheck) {
    super(frontier, budget);
    assert(recorder.image === frontier.image.bytes, "the frontier has the recorder's image");
    this.#recorder = recorder;
    this.#check = check;
    const isOver = (): boolean => this.watch.isOver();
    this.#chooser = new BlockChooser(recorder.image, frontier, budget.steps, isOver);
    recorder.observer = this.#chooser;
    recorder.recording = false;
  }

  explore(stop: Stop, rest?: StopRest): StopFindings {
    const before = this.#runs;
    const walk = new LeafWalk(stop.kind === "replayed" ? 1n : this.frontier.space());
    // Nothing is undecided where nothing is lost.
    if (stop.kind === "replayed") walk.take(this.objectionTo(stop, new Map()), 1n, new Map());
    else this.#walk(stop, walk, rest);
    const { first } = walk;
    return {
      stop,
      space: walk.space,
      covered: walk.covered,
      failing: walk.failing,
      failure: first === undefined ? undefined : this.failureOf(stop, first.given, first.said),
      runs: this.#runs - before + (rest?.leaves ?? 0),
      unmeasurable: walk.unmeasurable,
      ...(walk.rest === undefined ? {} : { ended: true, rest: walk.rest }),
    };
  }

  objectionTo(stop: Stop, given: Assignment): string | undefined {
    putState(this.frontier, given);
    try {
      return this.#run(stop);
    } finally {
      takeState(this.frontier, given);
    }
  }

  #walk(stop: Stop, walk: LeafWalk, before: StopRest | undefined): void {
    const path: BlockFork[] = [];
    const { runs, afterFailure = runs } = this.budget;
    if (before === undefined) walk.most = runs;
    else walk.resume(before, this.frontier);
    while (walk.leaves < walk.most) {
      const isFirst = path.length === 0;
      const ways = isFirst ? (before?.ways ?? []) : path.map(({ chosen }) => chosen);
      walk.next = ways;
      const said = this.#leaf(stop, path, isFirst ? along(ways) : undefined);
      if (isFirst) walk.unmeasurable = this.#strays(stop, path, said);
      else walk.unmeasurable = this.#chooser.strayed;
      if (this.#isEnded(stop, walk) || walk.unmeasurable !== undefined) return;
      walk.take(said, this.#chooser.states(walk.space), this.#chooser.decided());
      if (said !== undefined) walk.most = Math.min(walk.most, walk.leaves + afterFailure);
      this.#tell(stop, walk);
      if (!advance(path)) {
        walk.settle(before !== undefined);
        return;
      }
    }
    this.#sample(stop, walk);
  }

  /** How a run goes another way the second time. */
  #strays(stop: Stop, path: BlockFork[], said: string | undefined): string | undefined {
    if (this.#chooser.wasEnded) return undefined;
    if (this.#chooser.strayed !== undefined) return this.#chooser.strayed;
    const again = this.#leaf(stop, path);
    if (this.#chooser.wasEnded) return undefined;
    return this.#chooser.strayed ?? (again === said ? undefined : "it said otherwise");
  }

  /** What a run that was ended found is not taken. */
  #isEnded(stop: Stop, walk: LeafWalk): boolean {
    if (!this.#chooser.wasEnded) return false;
    walk.unmeasurable = undefined;
    walk.rest = walk.restAt(stop, this.frontier);
    return true;
  }

  #tell(stop: Stop, walk: LeafWalk): void {
    const { leaves: runs, most, space, covered } = walk;
    const rest = (): StopRest => walk.restAt(stop, this.frontier);
    this.watch.ran({ stop, runs, most, space, covered, rest });
  }

  /** What is too large to be covered is looked at here and there: that counts as nothing. */
  #sample(stop: Stop, walk: LeafWalk): void {
    const prng = this.prng(stop);
    const choose: ChooseWay = ({ weights }) => {
      const all = weights.reduce((sum, weight) => sum + weight, 0);
      let at = prng.below(all);
      return weights.findIndex((weight) => (at -= weight) < 0);
    };
    const samples = Math.max(1, Math.floor(this.budget.runs / 4));
    for (let i = 0; i < samples && walk.first === undefined; i++) {
      const said = this.#leaf(stop, [], choose);
      if (this.#isEnded(stop, walk)) return;
      if (said !== undefined) walk.fail(said, 0n, this.#chooser.decided());
      const { leaves, most, space, covered } = walk;
      const runs = leaves + i + 1;
      this.watch.ran({ stop, runs, most: most + samples, space, covered });
    }
  }

  #leaf(stop: Stop, path: BlockFork[], choose?: ChooseWay): string | undefined {
    this.#chooser.begin(path, choose);
    try {
      return this.#run(stop);
    } finally {
      this.#chooser.end();
    }
  }

  #run(stop: Stop): string | undefined {
    this.#runs++;
    this.#recorder.forgetAliases();
    try {
      return this.#check(stop.mark);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (error instanceof RunEnded) return error.message;
      return wordsOf(error);
    }
  }
}

/** Which requests are not there, or not in whole. */
export function lostIn(frontier: BlockFrontier, given: Assignment): LostRequest[] {
  const { unit: size } = frontier.model;
  const lost = new Map<number, { start: number; length: number }[]>();
  for (const [unit, content] of [...given].toSorted(([a], [b]) => a - b)) {
    const { entries } = frontier.versions(unit);
    for (const entry of new Set(entries.slice(content + 1))) {
      if (entry === -1) continue;
      const ranges = lost.get(entry) ?? [];
      const last = ranges.at(-1);
      const start = frontier.onDisk(unit) * size;
      if (last !== undefined && last.start + last.length === start) last.length += size;
      else ranges.push({ start, length: size });
      lost.set(entry, ranges);
    }
  }
  return [...lost].toSorted(([a], [b]) => a - b).map(([entry, ranges]) => ({ entry, ranges }));
}
