/**
 * Proofs: cut the power of a program at every instant that matters, and say exactly whether all it
 * promised is still there (crash model, memory side).
 *
 * ```ts
 * import { defineProof } from "daxkit/prove";
 *
 * export default defineProof({
 *   name: "a counter",
 *   size: 4096,
 *   workload({ mapping, ack }) {
 *     for (let n = 1; n <= 3; n++) {
 *       mapping.setU64(0, n);
 *       mapping.persist(0, 8);
 *       ack(n);
 *     }
 *   },
 *   check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length),
 * });
 * ```
 *
 * @module
 */
import { CallSites } from "../lib/call-site.ts";
import { isDaxError } from "../lib/errno.ts";
import { type Mapping, mapMedia } from "../media/mapping.ts";
import type { DomainRange, PersistenceDomain } from "../media/media.ts";
import { type CachedRange, ModelledMedia, type ModelledOptions } from "../media/modelled.ts";
import type { Trace } from "../media/trace.ts";
import { type Budget, type Exploration, type Findings, explore } from "./explorer.ts";
import { tellCuts } from "./notes.ts";
import { HarnessFault, type Program, wordsOf } from "./program.ts";
import { type Recording, RecordingFault, type Workload, record } from "./record.ts";
import { redundantFlushes } from "./redundant.ts";
import { findRemedy } from "./remedy.ts";
import { mustReplay, replay } from "./replay.ts";
import { simplify } from "./simplify.ts";
import { sumOf } from "./tally.ts";
import type { HarnessBroken, Lost, Measure, NotMeasured, Survived, Verdict } from "./verdict.ts";
import type { Torn } from "./versions.ts";

export { Mapping, mapMedia } from "../media/mapping.ts";
export type { Budget } from "./explorer.ts";
export { type ReportOptions, type Style, report } from "./report.ts";
export { toJson } from "./verdict-json.ts";
export type { Tally } from "./tally.ts";
export type { Torn } from "./versions.ts";
export type * from "./verdict.ts";

/** What a workload is given. Annotate it as `Work<string>` to give promises a type. */
export interface Work<Label = unknown> {
  readonly mapping: Mapping;
  /** Promises something to somebody: from here on it must survive. */
  readonly ack: (label: Label) => void;
}

/** What a check is given. */
export interface Aftermath<Label = unknown, Recovered = unknown> {
  readonly mapping: Mapping;
  /** What was promised before the power went, in order. */
  readonly acked: readonly Label[];
  /** What `recover` returned. */
  readonly recovered: Recovered;
}

/**
 * A program to be proved. All of it is synchronous and deterministic: it keeps its state in the
 * mapping or in variables of its own, and asks no clock.
 */
export interface Proof<Label = unknown, Recovered = unknown> {
  readonly name: string;
  /** Bytes of the mapping, a multiple of 64. */
  readonly size: number;
  /** What survives a power cut: `adr` (the default), `eadr` or `volatile`; or `domains`. */
  readonly domain?: PersistenceDomain;
  /** A domain for each range; disjoint, covering all bytes, on 64-byte borders. */
  readonly domains?: readonly DomainRange[];
  /** Ranges that are not mapped write-back. */
  readonly caching?: readonly CachedRange[];
  /** What a power cut leaves of a bulk copy inside a line; `prefix` unless told otherwise. */
  readonly torn?: Torn;
  /** Brings the media to its first state, before power can go. */
  setup?(work: { readonly mapping: Mapping }): void;
  /** The program. */
  workload(work: Work<Label>): void;
  /** Runs when power is back; its stores are cut in their turn. */
  recover?(found: { readonly mapping: Mapping }): Recovered;
  /**
   * Says whether what `recover` left keeps the promises: by throwing, by returning `false`, or by
   * returning what is wrong. Promises only ever grow, so what it accepts for some of them it must
   * accept for fewer.
   */
  check(aftermath: Aftermath<Label, Recovered>): boolean | string | void;
  /** Power cuts in a row; 2 (the default) cuts the workload, and each recovery from that. */
  readonly depth?: number;
  /** Where exploration ends; a million leaves, ten million steps a run. */
  readonly budget?: Partial<Budget>;
}

/** How a proof is run; nothing of it changes the verdict. */
export interface ProveSettings {
  /** Told now and then how many of the workload's crash points are done. */
  readonly progress?: (done: number, total: number) => void;
}

const DEFAULT_BUDGET: Budget = { leaves: 1_000_000, steps: 10_000_000 };
const DEFAULT_DEPTH = 2;
const MOST_DEPTH = 8;

/** Checks the types of a proof, and returns it. */
export function defineProof<Label, Recovered>(
  proof: Proof<Label, Recovered>,
): Proof<Label, Recovered> {
  return proof;
}

/**
 * Proves a program, or shows the smallest state in which it lost something. Never throws: whatever
 * goes wrong is a verdict. The same proof gives the same verdict.
 */
export function prove<Label, Recovered>(
  proof: Proof<Label, Recovered>,
  settings: ProveSettings = {},
): Verdict {
  const { name } = proof;
  const wrong = whatIsWrongWith(proof);
  if (wrong !== undefined) return broken(name, "proof", wrong);
  try {
    return new Prover(proof, settings).verdict();
  } catch (error) {
    if (error instanceof RecordingFault) {
      return broken(name, error.phase, error.message, error.cause);
    }
    if (error instanceof HarnessFault) return broken(name, "check", error.message, error);
    throw error;
  }
}

/** A proof as the explorer takes it; for measuring. @throws RecordingFault */
export function explorationOf<Label, Recovered>(proof: Proof<Label, Recovered>): Exploration {
  const prover = new Prover(proof);
  return prover.explorationOf(prover.record());
}

class Prover {
  readonly #proof: Proof;
  readonly #settings: ProveSettings;
  readonly #budget: Budget;
  readonly #work: Workload;
  readonly #program: Program;
  readonly #notes: string[] = [];

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
    this.#program = programOf(proof);
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

  verdict(): Verdict {
    const recording = this.record();
    const unfit = this.#unfit(recording);
    if (unfit !== undefined) return unfit;
    const what = this.explorationOf(recording);
    const found = explore(what);
    if (found.unmeasurable !== undefined) return this.#notMeasured(found.unmeasurable);
    if (found.failure !== undefined) return this.#lost(what, found);
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
    const again = this.#again(what.trace, new CallSites(), (event) => flushes.has(event));
    if (again instanceof Difference) return this.#notMeasured(again.message);
    const survived: Survived = {
      kind: "Survived",
      ...this.#measure(what, found),
      redundantFlushes: redundantFlushes(again, found.flushes),
    };
    return survived;
  }

  #lost(what: Exploration, found: Findings): Verdict {
    const { failure } = found;
    if (failure === undefined) throw new HarnessFault("nothing failed");
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
    const fault = this.#programmingError(told.objection.error, failure.lostLines);
    if (fault !== undefined) return broken(this.#proof.name, told.objection.phase, fault);
    const remedy = findRemedy(shown, failure, sites);
    const plain = simplify(shown, failure);
    const plainly = mustReplay(shown, plain.cuts, sites);
    const lost: Lost = {
      kind: "Lost",
      ...this.#measure(what, found),
      failing: sumOf(found.tallies).failing,
      complete: !found.cut,
      counterExample: { ...plain.objection, cuts: tellCuts(shown, plain, plainly) },
      missing: remedy.missing,
      noRemedy: remedy.missing === undefined ? remedy.why : undefined,
    };
    return lost;
  }

  /**
   * A call of something that is no function, although no store was lost: the proof does not work.
   * With stores lost it may be what corrupt bytes did to the program.
   */
  #programmingError(error: unknown, lostLines: number): string | undefined {
    if (lostLines > 0) return undefined;
    const name = error instanceof Error ? error.name : "";
    if (name !== "TypeError" && name !== "ReferenceError") return undefined;
    return `it threw although every store had arrived: ${wordsOf(error)}`;
  }

  /** The workload's trace once more, with call sites; the runs must not differ. */
  #again(trace: Trace, sites: CallSites, wanted: (event: number) => boolean): Trace | Difference {
    const again = record(this.#work, this.#budget.steps, { sites, wanted }).trace;
    const event = trace.firstDifference(again);
    if (event === undefined) return again;
    return new Difference(
      `the workload is not deterministic: run again, it differs from event ${event} on; ` +
        "make its state inside workload(), and ask no clock",
    );
  }

  #measure(what: Exploration, found: Findings): Measure {
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

class Difference extends Error {}

function broken(
  name: string,
  phase: HarnessBroken["phase"],
  said: string,
  error?: unknown,
): HarnessBroken {
  return { kind: "HarnessBroken", name, phase, said, ...(error === undefined ? {} : { error }) };
}

function modelledOf({ domain, domains, caching }: Proof): ModelledOptions {
  return {
    ...(domain === undefined ? {} : { domain }),
    ...(domains === undefined ? {} : { domains }),
    ...(caching === undefined ? {} : { caching }),
  };
}

function programOf(proof: Proof): Program {
  const program: Program = {
    check: (media, acked, recovered) => proof.check({ mapping: mapMedia(media), acked, recovered }),
  };
  if (proof.recover === undefined) return program;
  return { ...program, recover: (media) => proof.recover?.({ mapping: mapMedia(media) }) };
}

/** What a proof cannot be, whoever wrote it: it may come from a file. */
function whatIsWrongWith(proof: Proof): string | undefined {
  if (typeof proof.name !== "string" || proof.name === "") return "name: give it a name";
  for (const part of ["workload", "check"] as const) {
    if (typeof proof[part] !== "function") return `${part}: give a function`;
  }
  for (const part of ["setup", "recover"] as const) {
    if (proof[part] !== undefined && typeof proof[part] !== "function") {
      return `${part}: give a function, or leave it out`;
    }
  }
  const { torn = "prefix", depth = DEFAULT_DEPTH, budget = {} } = proof;
  if (!["prefix", "atoms", "line"].includes(torn)) return `torn: "${torn}" is no way to tear`;
  if (!Number.isInteger(depth) || depth < 1 || depth > MOST_DEPTH) {
    return `depth: ${depth}; give 1 to ${MOST_DEPTH} power cuts in a row`;
  }
  for (const [key, value] of Object.entries(budget)) {
    if (!Number.isSafeInteger(value) || value < 1) return `budget.${key}: ${value}; give 1 or more`;
  }
  try {
    // eslint-disable-next-line no-new -- only to hear what it refuses
    new ModelledMedia(proof.size, modelledOf(proof));
  } catch (error) {
    if (isDaxError(error)) return error.message;
    return `size, domain, domains or caching: ${wordsOf(error)}`;
  }
  return undefined;
}
