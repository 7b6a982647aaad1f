/**
 * The prover: records a workload, explores what a power cut may leave of it, and turns what was
 * found into a verdict.
 *
 * @module
 */
import { CallSites } from "../lib/call-site.ts";
import { mapMedia } from "../media/mapping.ts";
import { LineClass, ModelledMedia } from "../media/modelled.ts";
import { type Trace, TraceKind } from "../media/trace.ts";
import type { Budget, Exploration, Findings } from "./explorer.ts";
import { tellCuts } from "./notes.ts";
import type { Failure } from "./failure.ts";
import { countCrashPoints } from "./frontier.ts";
import type { Objection, Program } from "./program.ts";
import {
  DEFAULT_BUDGET,
  DEFAULT_DEPTH,
  type Proof,
  type ProveSettings,
  modelledOf,
} from "./proof.ts";
import { type Recording, type Workload, record } from "./record.ts";
import { idleFences, redundantFences, redundantFlushes } from "./redundant.ts";
import { type Remedy, findRemedy } from "./remedy.ts";
import { type Replay, mustReplay, replay } from "./replay.ts";
import { StepCounter, recoverAndCheck } from "./run.ts";
import { search } from "./search.ts";
import { simplify } from "./simplify.ts";
import { stateId, stateOf } from "./state-id.ts";
import { newTally, sumOf } from "./tally.ts";
import type { HarnessBroken, Lost, Measure, NotMeasured, Survived, Verdict } from "./verdict.ts";

/** A proof as the explorer takes it; for measuring. @throws RecordingFault */
export function explorationOf<Label, Recovered>(proof: Proof<Label, Recovered>): Exploration {
  const prover = new Prover(proof);
  return prover.explorationOf(prover.record());
}

/** One state of a proof, made again. */
export interface MemoryState {
  /** The media as the power cut left it. */
  readonly image: Uint8Array;
  /** What recovery or check said of it; undefined: they are content. */
  readonly said: string | undefined;
  /** What a report tells of it, as if it were the only state; undefined: they are content. */
  readonly lost: Lost | undefined;
}

/** Proves one proof that has the shape of one. */
export class Prover {
  readonly #proof: Proof;
  readonly #settings: ProveSettings;
  readonly #budget: Budget;
  readonly #work: Workload;
  readonly #program: Program;
  readonly #notes: string[] = [];
  /** What a check stored first. */
  #wrote: string | undefined;

  constructor(proof: Proof, settings: ProveSettings = {}) {
    this.#proof = proof;
    this.#settings = settings;
    this.#budget = { ...DEFAULT_BUDGET, ...proof.budget };
    const { size } = proof;
    const work = {
      size,
      modelled: modelledOf(proof),
      workload: (media: ModelledMedia, ack: (label: unknown) => void) =>
        proof.workload({ mapping: mapMedia(media), ack }),
    };
    this.#work =
      proof.setup === undefined
        ? work
        : { ...work, setup: (media) => proof.setup?.({ mapping: mapMedia(media) }) };
    this.#program = programOf(proof, (words) => (this.#wrote ??= words));
  }

  record(): Recording {
    return record(this.#work, this.#budget.steps);
  }

  explorationOf({ initial, trace }: Recording): Exploration {
    const { torn = "prefix", depth = DEFAULT_DEPTH } = this.#proof;
    return {
      initial,
      modelled: this.#work.modelled,
      trace,
      program: this.#program,
      torn,
      depth,
      budget: this.#budget,
      ...this.#settings,
    };
  }

  /** Makes a state by its name. @throws EINVAL, RecordingFault, HarnessFault */
  state(id: string): MemoryState {
    const sites = new CallSites();
    const recording = record(this.#work, this.#budget.steps, { sites });
    const what = this.explorationOf(recording);
    const { told, cuts } = stateOf(what, id, sites);
    const image = told.cuts.at(-1)?.left ?? new Uint8Array(0);
    const { objection } = told;
    if (objection === undefined) return { image, said: undefined, lost: undefined };
    const tally = { ...newTally(), space: 1n, covered: 1n, failing: 1n, leaves: 1, crashPoints: 1 };
    const failure = { cuts, objection, lostLines: 0 };
    const lost: Lost = {
      kind: "Lost",
      ...this.#measure(what, { tallies: [tally] }),
      failing: 1n,
      complete: false,
      counterExample: { ...objection, cuts: tellCuts(what, failure, told) },
      state: id,
      missing: undefined,
      noRemedy: "not looked for: only this state was made",
    };
    return { image, said: objection.said, lost };
  }

  verdict(): Verdict {
    const recording = this.record();
    const unfit = this.#unfit(recording);
    if (unfit !== undefined) return unfit;
    const what = this.explorationOf(recording);
    const found = search(what);
    if (this.#wrote !== undefined) {
      const said = `it writes (${this.#wrote}); a check only looks: put what repairs into recover`;
      return broken(this.#proof.name, "check", said);
    }
    if (found.unmeasurable !== undefined) return this.#notMeasured(found.unmeasurable);
    if (found.failure !== undefined) return this.#lost(what, found, found.failure);
    if (found.loads === 0) {
      return this.#notMeasured("neither recover nor check loaded anything: they looked at nothing");
    }
    const [{ covered, space } = { covered: 0n, space: 0n }] = found.tallies;
    if (found.cut) {
      const why = `the budget of ${this.#budget.leaves} leaves was hit`;
      return { ...this.#notMeasured(why), share: { covered, space } };
    }
    return this.#survived(what, found);
  }

  /** Reasons not to explore at all. */
  #unfit({ trace, unobserved, aliased }: Recording): NotMeasured | undefined {
    if (unobserved !== undefined) {
      return this.#notMeasured(
        `bytes ${unobserved.start}+${unobserved.length} changed through mapping.bytes, where ` +
          "stores are not observed; use store, copyIn or fill",
      );
    }
    if (trace.stores === 0) return this.#notMeasured("the workload stored nothing");
    if (aliased) {
      this.#notes.push("mapping.bytes was handed out; nothing was seen to change through it");
    }
    if (trace.labels.length === 0) {
      this.#notes.push(
        "the workload acknowledged nothing: no promise was tested, only what check says of states",
      );
    }
    return undefined;
  }

  #survived(what: Exploration, found: Findings): Verdict {
    const suspicious = found.flushes.some(({ clean, needless }) => clean + needless > 0);
    const flushes = new Set(suspicious ? found.flushes.map(({ event }) => event) : []);
    const { classes } = new ModelledMedia(what.initial.length, what.modelled);
    const idle = idleFences(what.trace, found.flushes, classes);
    const wanted = (event: number): boolean =>
      flushes.has(event) || (idle.size > 0 && isFence(what.trace, event));
    const again = this.#again(what.trace, new CallSites(), wanted);
    if (again instanceof Difference) return this.#notMeasured(again.message);
    if (what.trace.labels.length > 0 && acceptsNothing(what)) {
      return this.#notMeasured(
        "the check is content with the media as it was before the workload as well, whatever was " +
          "promised: it cannot fail",
      );
    }
    const survived: Survived = {
      kind: "Survived",
      ...this.#measure(what, found),
      redundantFlushes: redundantFlushes(again, found.flushes),
      redundantFences: redundantFences(again, idle),
    };
    return survived;
  }

  #lost(what: Exploration, found: Findings, failure: Failure): Verdict {
    const sites = new CallSites();
    const again = this.#again(what.trace, sites, () => true);
    if (again instanceof Difference) return this.#notMeasured(again.message);
    const shown = { ...what, trace: again };
    const told = replay(shown, failure.cuts, sites);
    if (told?.objection?.said !== failure.objection.said) {
      return this.#notMeasured(
        "recovery or check is not deterministic: a failing state did not fail again the same way " +
          `("${failure.objection.said}" first, "${told?.objection?.said ?? "content"}" then)`,
      );
    }
    const intact = wholeState(what)?.objection;
    const fault = programmingError(intact);
    if (fault !== undefined) return broken(this.#proof.name, fault.phase, fault.said, fault.error);
    // Flushes only remove states, and the one where everything arrived is never removed.
    const remedy: Remedy =
      intact === undefined
        ? findRemedy(shown, failure, sites)
        : {
            missing: undefined,
            why: "nothing: no flush or fence can mend what no power cut broke",
          };
    const plain = simplify(shown, failure);
    const plainly = mustReplay(shown, plain.cuts, sites);
    const lost: Lost = {
      kind: "Lost",
      ...this.#measure(what, found),
      failing: sumOf(found.tallies).failing,
      complete: !found.cut,
      counterExample: { ...plain.objection, cuts: tellCuts(shown, plain, plainly) },
      state: stateId(shown, plain.cuts),
      ...(intact === undefined ? {} : { intact }),
      missing: remedy.missing,
      noRemedy: remedy.missing === undefined ? remedy.why : undefined,
    };
    return lost;
  }

  /** The workload's trace once more, with call sites; the runs must not differ. */
  #again(trace: Trace, sites: CallSites, wanted: (event: number) => boolean): Trace | Difference {
    const again = record(this.#work, this.#budget.steps, { sites, wanted }).trace;
    const event = trace.firstDifference(again);
    if (event === undefined) return again;
    return new Difference(
      `the workload is not deterministic: run again, it differs from event ${event} on; ` +
        "make its state inside workload(), and ask for neither time nor chance",
    );
  }

  #measure(what: Exploration, found: Pick<Findings, "tallies">): Measure {
    const total = sumOf(found.tallies);
    return {
      name: this.#proof.name,
      torn: what.torn,
      space: total.space,
      leaves: total.leaves,
      crashPoints: total.crashPoints,
      depths: found.tallies,
      events: what.trace.count,
      acks: what.trace.labels.length,
      notes: this.#notes,
    };
  }

  #notMeasured(why: string): NotMeasured {
    return { kind: "NotMeasured", name: this.#proof.name, why };
  }
}

function isFence(trace: Trace, event: number): boolean {
  return event < trace.count && trace.kindOf(event) === TraceKind.fence;
}

class Difference extends Error {}

/**
 * A call of something that is no function, although the workload ended and every store arrived: the
 * proof does not work. In any other state it may be what half-written bytes did to the program.
 */
function programmingError(objection: Objection | undefined): Objection | undefined {
  const { error } = objection ?? {};
  const name = error instanceof Error ? error.name : "";
  if (objection === undefined || !["TypeError", "ReferenceError"].includes(name)) return undefined;
  const said = `it throws although every store has arrived: ${objection.said}`;
  return { ...objection, said };
}

/** Power goes when the workload is done and everything has arrived. */
function wholeState(what: Exploration): Replay | undefined {
  const { classes } = new ModelledMedia(what.initial.length, what.modelled);
  if (classes.includes(LineClass.volatile)) return undefined;
  const end = countCrashPoints(what.trace, classes) - 1;
  return replay(what, [{ point: end, old: new Map() }]);
}

/** Whether the check accepts the media as it was before the workload, whatever was promised. */
function acceptsNothing({ initial, modelled, trace, program, budget }: Exploration): boolean {
  const media = new ModelledMedia(initial.length, modelled);
  media.recorder.image.set(initial);
  const counter = new StepCounter(budget.steps);
  media.recorder.observer = counter;
  const { labels: acked } = trace;
  return recoverAndCheck(media, { program, acked, counter, record: false }) === undefined;
}

/** The verdict on a proof that does not work. */
export function broken(
  name: string,
  phase: HarnessBroken["phase"],
  said: string,
  error?: unknown,
): HarnessBroken {
  return { kind: "HarnessBroken", name, phase, said, ...(error === undefined ? {} : { error }) };
}

/** `onWrite` is told where a check stored. */
function programOf(proof: Proof, onWrite: (words: string) => void): Program {
  const program: Program = {
    check: (media, acked, recovered) => {
      const { recorder } = media;
      const { stores } = recorder;
      try {
        return proof.check({ mapping: mapMedia(media), acked, recovered });
      } finally {
        // Its stores would be undone, and it is what is under proof that has to repair.
        if (recorder.stores !== stores) {
          const { start, length } = recorder.lastStore;
          onWrite(`${length} byte${length === 1 ? "" : "s"} at ${start}`);
        }
      }
    },
  };
  if (proof.recover === undefined) return program;
  return { ...program, recover: (media) => proof.recover?.({ mapping: mapMedia(media) }) };
}
