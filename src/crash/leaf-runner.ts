/**
 * Runs the leaves of an exploration: walks as much of each as is known, runs the rest for real, and
 * runs a sample of them twice.
 *
 * @module
 */
import { LineClass } from "../media/modelled.ts";
import { Trace } from "../media/trace.ts";
import { Chooser, type Fork, type Guide } from "./chooser.ts";
import { Descent } from "./descent.ts";
import { differenceOfLoads, differenceOfStores, differenceOfWords } from "./differences.ts";
import type { Exploration } from "./explorer.ts";
import { assert } from "../lib/errno.ts";
import type { CrashPoint, Frontier } from "./frontier.ts";
import type { Ground } from "./ground.ts";
import { Novelty } from "./novelty.ts";
import { type Objection, RunEnded } from "./program.ts";
import { Recollection } from "./recollection.ts";
import { type Ran, judged, recoverAndLook } from "./run.ts";
import { NeedsRun, Scribe } from "./scribe.ts";
import type { Step } from "./step.ts";
import { Transcripts, type Walked } from "./transcript.ts";
import type { Group } from "./versions.ts";
import { Unmeasurable } from "./unmeasurable.ts";

/** One leaf in so many is run again, and its loads compared. */
const SAMPLE_EVERY = 64;
/** One in so many, when that many samples were taken: chance is found early, or never. */
const SAMPLE_LATER = 4096;
const MANY_SAMPLES = 8;
/** So is the first of each crash point of a workload that has no more of them than these. */
const MOST_FIRST = 4;

const TWICE = "the same state was run twice, and the second time it did something else";

/** A recovery that stored, on a path of decisions that no run took before. */
export interface Recovery {
  /** The lines it looked at, and what they may still be. */
  readonly looked: ReadonlyMap<number, Group>;
  /** The raw states that all lead to it. */
  readonly states: bigint;
}

/** One run of recovery and check. */
export interface Run {
  readonly objection: Objection | undefined;
  readonly recovery: Recovery | undefined;
  /** Raw states that it stands for. */
  readonly states: bigint;
  /** The lines that it looked at, and what they may still be; up to the next run. */
  readonly looked: ReadonlyMap<number, Group>;
}

/** Where a leaf is, and the way to it. */
export interface Way {
  readonly frontier: Frontier;
  readonly path: Fork[];
  readonly point: CrashPoint;
  readonly acked: readonly unknown[];
  readonly descent: Descent;
}

/** See the module. */
export class LeafRunner {
  readonly #what: Exploration;
  readonly #ground: Ground;
  readonly #chooser: Chooser;
  readonly #transcripts: Transcripts;
  /** The trace of the recovery from the power cut of each level. */
  readonly #traces: Trace[];
  #spare: Trace;
  #loads = 0;
  #leaves = 0;
  #samples = 0;
  #strayed = false;
  readonly #few: boolean;
  readonly #recollection: Recollection;
  /** Whether what is known of whole runs is walked. */
  readonly #walks: boolean;
  readonly #checks = new Novelty();

  /** `points`: crash points of the workload. */
  constructor(what: Exploration, ground: Ground, points: number) {
    this.#what = what;
    this.#ground = ground;
    this.#few = points <= MOST_FIRST;
    this.#transcripts = what.transcripts ?? new Transcripts();
    this.#chooser = new Chooser(ground.image, what.budget.steps);
    const { media, image } = ground;
    media.recorder.observer = this.#chooser;
    if (media.classes.includes(LineClass.inOrder)) {
      this.#chooser.looks = new Uint32Array(media.classes.length);
    }
    const { recollections } = this.#transcripts;
    const { remembers = "everything" } = what;
    // Who remembers nothing reads in the same way: what is looked at is the same.
    this.#recollection = new Recollection(recollections, media.recorder, image, remembers);
    media.memo = this.#recollection;
    this.#walks = remembers !== "nothing" || what.waits === true;
    this.#traces = Array.from({ length: what.depth }, () => this.#newTrace());
    this.#spare = this.#newTrace();
  }

  #newTrace(): Trace {
    const trace = new Trace();
    if (this.#what.sites !== undefined) trace.captureSites(this.#what.sites);
    return trace;
  }

  /** Loads made so far. */
  get loads(): number {
    return this.#loads;
  }

  /** An instant between two leaves. */
  now(): number {
    return ++this.#chooser.now;
  }

  /** Whether any leaf since then may have looked at the line. */
  hasLooked(line: number, since: number): boolean {
    return (this.#chooser.looks?.[line] ?? since) >= since;
  }

  /** Which way the next runs go where their path ends. */
  set guide(guide: Guide | undefined) {
    this.#chooser.guide = guide;
  }

  /** What the last recovery after a power cut of this frontier did. */
  traceOf({ level }: Frontier): Trace {
    return this.#traces[level] as Trace;
  }

  /** The way to the leaves of a crash point. */
  descentTo(
    frontier: Frontier,
    path: Fork[],
    { space }: CrashPoint,
    acked: readonly unknown[],
  ): Descent {
    const ground = {
      ...this.#ground,
      chooser: this.#chooser,
      transcripts: this.#transcripts,
      alone: this.#alone,
    };
    const trace = this.traceOf(frontier);
    const record = this.#records(frontier);
    const promised = this.#branch(acked);
    return new Descent(ground, { frontier, path, space, acked: promised, record, trace });
  }

  /** What a look at the media depends on beside it: promises, unless they are judged apart. */
  #branch(acked: readonly unknown[]): number {
    return this.#what.program.look === undefined ? acked.length : 0;
  }

  get #alone(): boolean {
    return this.#what.program.standsAlone === true;
  }

  /** Whether recovery is to be cut in its turn. */
  #records({ level }: Frontier): boolean {
    return level + 1 < this.#what.depth && this.#what.program.recover !== undefined;
  }

  /** Runs a leaf, and a sample of them twice. */
  run(way: Way, leaf: number): Run {
    const sampled = this.#isSampled(leaf);
    this.#leaves++;
    return sampled ? this.#runTwice(way) : this.#run(way);
  }

  #runTwice(way: Way): Run {
    this.#samples++;
    const { level } = way.frontier;
    way.descent.leave();
    const first: number[] = [];
    const once = this.#runWhole(way, first);
    const before = this.#traces[level] as Trace;
    this.#traces[level] = this.#spare;
    const second: number[] = [];
    const forks = way.path.length;
    const again = this.#runWhole(way, second);
    this.#spare = this.#traces[level];
    this.#traces[level] = before;
    const difference =
      differenceOfLoads(first, second) ??
      differenceOfStores(before, this.#spare) ??
      (way.path.length === forks
        ? differenceOfWords(once.objection, again.objection)
        : "it forked");
    if (difference !== undefined) throw new Unmeasurable(strayed(difference));
    this.#refuseStrayed();
    return { ...again, recovery: once.recovery };
  }

  #isSampled(leaf: number): boolean {
    const { sample = true, waits = false } = this.#what;
    if (!sample || waits) return false;
    if (leaf === 0 && this.#few) return true;
    const many = this.#samples >= MANY_SAMPLES;
    return this.#leaves % (many ? SAMPLE_LATER : SAMPLE_EVERY) === 0;
  }

  /** Walks a leaf as far as it is known, and runs what is not. */
  #run(way: Way): Run {
    const { descent, acked } = way;
    // Who wants call sites has to be run.
    if (this.#what.sites !== undefined) return this.#runWhole(way, undefined);
    if (!this.#walks) {
      const whole = this.#runWhole(way, undefined);
      this.#refuseStrayed();
      return whole;
    }
    if (this.#checks.areNew() && descent.skipToCheck())
      return this.#runCheck(acked, undefined, false);
    let recovery: Recovery | undefined;
    const walked = this.#walk(descent, () => {
      recovery = this.#recoveryOf(way);
    });
    this.#checks.note(walked !== undefined);
    if (walked !== undefined) {
      return this.#ended(this.#judged(acked, walked), recovery);
    }
    if (this.#what.waits === true || !descent.toRecovered()) {
      // The walk may have met forks of the check, and so the path may go on where recovery ends.
      const whole = this.#runWhole(way, undefined);
      this.#refuseStrayed();
      return { ...whole, recovery: recovery ?? whole.recovery };
    }
    return this.#runCheck(acked, recovery, true);
  }

  /** Runs a check that stands alone, where recovery ended. */
  #runCheck(acked: readonly unknown[], recovery: Recovery | undefined, isKept: boolean): Run {
    this.#ground.image.open();
    const objection = isKept
      ? this.#runForReal(acked, { record: false, checkOnly: true })
      : this.#runUnwritten(acked);
    this.#ground.image.close();
    this.#refuseStrayed();
    return this.#ended(objection, recovery);
  }

  /** Runs recovery and check for real. */
  #runWhole(way: Way, log: number[] | undefined): Run {
    const { frontier, path, point, acked, descent } = way;
    const { recorder } = this.#ground.media;
    const trace = this.#traces[frontier.level] as Trace;
    descent.leave();
    trace.clear();
    recorder.trace = trace;
    this.#ground.image.open();
    this.#chooser.begin(frontier, path, point.space, log);
    let recovery: Recovery | undefined;
    const objection = this.#runForReal(acked, {
      record: this.#records(frontier),
      // What is compared with another run is a run.
      anew: log !== undefined || this.#what.sites !== undefined || !this.#walks,
      recovered: () => {
        recovery = this.#recoveryOf(way);
      },
    });
    this.#ground.image.close();
    return this.#ended(objection, recovery);
  }

  /** What is to be cut, where recovery ended: a path that goes on has been cut before. */
  #recoveryOf({ frontier, path }: Way): Recovery | undefined {
    const { depth, looked, states } = this.#chooser;
    const { stores } = this.traceOf(frontier);
    if (!this.#records(frontier) || path.length !== depth || stores === 0) return undefined;
    return { looked: new Map(looked), states };
  }

  #ended(objection: Objection | undefined, recovery: Recovery | undefined): Run {
    const chooser = this.#chooser;
    chooser.end();
    this.#loads += chooser.loads;
    if (chooser.strayed !== undefined) throw new Unmeasurable(strayed(chooser.strayed));
    const { states, looked } = chooser;
    return { objection, recovery, states, looked };
  }

  /** A real run that found the same bytes as one before, and did something else. */
  #refuseStrayed(): void {
    if (this.#strayed) throw new Unmeasurable(strayed(TWICE));
  }

  #walk(descent: Descent, recovered: () => void): Walked | undefined {
    try {
      return descent.walk(recovered);
    } catch (error) {
      if (error instanceof RunEnded) return undefined;
      throw error;
    }
  }

  #runForReal(
    acked: readonly unknown[],
    how: { record: boolean; recovered?: () => void; checkOnly?: boolean; anew?: boolean },
  ): Objection | undefined {
    const { recorder } = this.#ground.media;
    const { record, recovered = () => {}, checkOnly = false } = how;
    const { counter } = this.#chooser;
    const scribe = new Scribe(this.#ground.media, this.#transcripts, {
      observer: this.#chooser,
      alone: this.#alone,
      image: this.#ground.image,
      ...(checkOnly ? { checkAfter: this.#branch(acked) } : {}),
    });
    recorder.forgetAliases();
    this.#recollection.begin();
    if (this.#what.waits === true) {
      throw new NeedsRun({ media: this.#ground.media, scribe, acked, counter, record });
    }
    let whole = false;
    let known: Ran | undefined;
    try {
      const ran = recoverAndLook(this.#ground.media, {
        program: this.#what.program,
        acked,
        counter,
        record,
        checkOnly,
        recovered: () => {
          recovered();
          scribe.recovered(this.#branch(acked));
          // It has mounts of its own.
          if (this.#alone) this.#recollection.begin();
          known = how.anew === true ? undefined : this.#knownCheck(acked);
          return known;
        },
      });
      if (known !== undefined) return this.#judgedKnown(acked, known, scribe);
      whole = this.#chooser.strayed === undefined && !counter.exhausted;
      if (this.#what.program.isOpen?.() === true) whole = false;
      scribe.end(ran.objection, whole, ran.seen);
      this.#refuseUnobserved();
      if (whole && scribe.strayed) this.#strayed = true;
      return this.#judged(acked, ran);
    } finally {
      if (!whole) scribe.end(undefined, false);
    }
  }

  /** What a check says that stands alone, where recovery was run and the check has been before. */
  #knownCheck(acked: readonly unknown[]): Ran | undefined {
    const { first } = this.#transcripts.checkAfter(this.#branch(acked));
    if (!this.#alone || first === undefined) return undefined;
    const { image, media } = this.#ground;
    const { observer, witness } = media.recorder;
    const mark = this.#chooser.mark();
    media.recorder.observer = this.#chooser;
    media.recorder.witness = undefined;
    image.open();
    const walked = this.#walkCheck(first);
    if (walked === undefined) {
      image.close();
      this.#chooser.rewind(mark);
    } else image.keep();
    media.recorder.observer = observer;
    media.recorder.witness = witness;
    return walked;
  }

  #walkCheck(first: Step): Walked | undefined {
    const { image, media } = this.#ground;
    try {
      return this.#transcripts.walk(media, {
        acked: 0,
        record: false,
        recovered: () => {},
        from: first,
        companion: {
          image,
          pass: (at, length) => this.#chooser.pass(at, length),
          before() {},
          after() {},
        },
      });
    } catch (error) {
      if (error instanceof RunEnded) return undefined;
      throw error;
    }
  }

  #judgedKnown(acked: readonly unknown[], known: Ran, scribe: Scribe): Objection | undefined {
    scribe.end(undefined, false);
    this.#refuseUnobserved();
    if (scribe.strayed) this.#strayed = true;
    return this.#judged(acked, known);
  }

  /** Runs a check that nobody will come by again. */
  #runUnwritten(acked: readonly unknown[]): Objection | undefined {
    const { recorder } = this.#ground.media;
    const { counter } = this.#chooser;
    const { program } = this.#what;
    recorder.forgetAliases();
    this.#recollection.begin();
    const ran = recoverAndLook(this.#ground.media, {
      program,
      acked,
      counter,
      record: false,
      checkOnly: true,
    });
    this.#refuseUnobserved();
    return this.#judged(acked, ran);
  }

  #judged(acked: readonly unknown[], ran: Ran): Objection | undefined {
    return judged(this.#ground.media, { program: this.#what.program, acked }, ran);
  }

  #refuseUnobserved(): void {
    const { recorder } = this.#ground.media;
    const fault = this.#recollection.fault;
    assert(fault === undefined, () => `what was remembered does not hold: ${fault}`);
    const unobserved = recorder.unobserved();
    recorder.forgetAliases();
    if (unobserved === undefined) return;
    throw new Unmeasurable(
      `recovery or check stored to bytes ${unobserved.start}+${unobserved.length} through ` +
        "mapping.bytes, where stores are not observed; use store, copyIn or fill",
    );
  }
}

function strayed(how: string): string {
  return `recovery or check is not deterministic: ${how}`;
}
