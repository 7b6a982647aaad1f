/**
 * The crash suite of the ext driver: a workload runs on it, recorded, power is cut wherever that
 * makes a difference, the next mount recovers, and what it recovered is held against what was
 * promised.
 *
 * What workloads have in common is done once: first states, what is seen after the same calls, the
 * crash points of the same first steps, and whatever recovery does on what it has read before.
 *
 * @module
 */
import { ext, recoverExt } from "../../fs/ext/ext.ts";
import type { ExtFilesystem } from "../../fs/ext/filesystem.ts";
import { isDaxError } from "../../lib/errno.ts";
import { perform } from "../../lib/memo.ts";
import { ModelledMedia, type ModelledOptions } from "../../media/modelled.ts";
import { Grounds } from "../ground.ts";
import type { Trace } from "../../media/trace.ts";
import { FileTree } from "../../vfs/file-tree.ts";
import { type Exploration, type Findings, explore } from "../explorer.ts";
import { DEFAULT_BUDGET } from "../proof.ts";
import type { Program } from "../program.ts";
import { Transcripts } from "../transcript.ts";
import type { AceFilesystem } from "./bounds.ts";
import { AceMachine, type AceModel, steadyEnvironment } from "./machine.ts";
import { type Oracle, type Recovered, exactOracle, orderOracle, prefixOracle } from "./oracles.ts";
import { Performer } from "./perform.ts";
import { type AceLabel, Promises } from "./promises.ts";
import { type Sight, sightOf } from "./sight.ts";
import { type Workload, isPersistence, stepText, workloadText } from "./workload.ts";

/** What is tested, and how far. */
export interface AceSuiteOptions {
  readonly filesystem: AceFilesystem;
  /** `disk` unless given. */
  readonly model?: AceModel;
  /** Power cuts in a row: 2 cuts the recovery too; 1 unless given. */
  readonly depth?: number;
  /** Leaves of a workload; a million unless given. */
  readonly leaves?: number;
}

/** What became of a workload. */
export interface AceVerdict {
  /** `Refused`: the filesystem did not let a call through. */
  readonly kind: "Survived" | "Lost" | "NotMeasured" | "Refused";
  /** What is wrong. */
  readonly said?: string;
  /** Raw states that power cuts may leave, all of them covered unless it is not `Survived`. */
  readonly states: bigint;
  /** Leaves that were looked at for this workload: others had been, for another. */
  readonly leaves: number;
}

interface Recorded {
  readonly initial: Uint8Array;
  readonly trace: Trace;
  readonly promises: Promises;
  /** The event after which each step was over. */
  readonly ends: readonly number[];
}

/** A workload whose trace is kept for the next ones with the same calls. */
interface Known {
  readonly trace: Trace;
  readonly promised: string;
  readonly verdict: AceVerdict;
}

const STEPS = 10_000_000;
/** One object for all explorations, which so have their memory in common. */
const MODELLED: ModelledOptions = {};
/** First states that are kept. */
const MOST_PREPARED = 64;

/** Runs workloads, one after the other. */
export class AceSuite {
  /** @internal */
  readonly machine: AceMachine;
  readonly #options: AceSuiteOptions;
  readonly #prepared = new Map<string, Uint8Array>();
  readonly #grounds = new Grounds();
  #transcripts = new Transcripts();
  #transcribed = "";
  /** What was seen after calls, and prefixes that were explored; of the same first call. */
  #sights = new Map<string, Sight>();
  #prefixes = new Map<string, AceVerdict>();
  #calls = "";
  #known: Known[] = [];

  constructor(options: AceSuiteOptions) {
    this.#options = options;
    this.machine = new AceMachine(options.filesystem, options.model ?? "disk");
  }

  /** Tests one workload. @throws AssertionError for a bug of daxkit's explorer */
  run(workload: Workload): AceVerdict {
    this.#turnTo(workload);
    let recorded: Recorded;
    try {
      recorded = this.#record(workload);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      return { kind: "Refused", said: error.message, states: 0n, leaves: 0 };
    }
    const promised = recorded.promises.text;
    const same = this.#known.find(
      (one) => one.promised === promised && one.trace.firstDifference(recorded.trace) === undefined,
    );
    if (same !== undefined) return { ...same.verdict, leaves: 0 };
    const verdict = this.#explored(workload, recorded);
    this.#known.push({ trace: recorded.trace, promised, verdict });
    return verdict;
  }

  /**
   * What is explored for a workload; for measuring, and to be held against brute force.
   * @internal
   */
  explorationOf(workload: Workload): Exploration {
    const recorded = this.#record(workload);
    const whole = [0, Number.POSITIVE_INFINITY] as const;
    const journalled = this.#options.filesystem === "ext4";
    return this.#exploration(recorded, whole, this.#oracle(), journalled);
  }

  #oracle(): Oracle {
    const { filesystem, model = "disk" } = this.#options;
    return filesystem === "ext4" ? prefixOracle : orderOracle(model === "memory");
  }

  /** Forgets what the next workload has nothing in common with. */
  #turnTo({ setup, steps }: Workload): void {
    const calls = workloadText({ setup, steps: steps.filter((step) => !isPersistence(step)) });
    if (calls !== this.#calls) {
      this.#calls = calls;
      this.#known = [];
    }
    const first = steps.find((step) => !isPersistence(step));
    const transcribed = first === undefined ? "" : stepText(first);
    if (transcribed === this.#transcribed) return;
    this.#transcribed = transcribed;
    this.#transcripts = new Transcripts();
    this.machine.keepOnly(this.#prepared.values());
    this.#sights = new Map();
    this.#prefixes = new Map();
  }

  #first(workload: Workload): Uint8Array {
    const key = workloadText({ setup: workload.setup, steps: [] });
    const known = this.#prepared.get(key);
    if (known !== undefined) return known;
    const made = this.machine.prepared(workload.setup);
    if (this.#prepared.size >= MOST_PREPARED) this.#prepared.clear();
    this.#prepared.set(key, made);
    return made;
  }

  #record(workload: Workload): Recorded {
    const initial = this.#first(workload);
    const media = new ModelledMedia(initial.length);
    media.recorder.image.set(initial);
    let calls = 0;
    const environment = steadyEnvironment(() => calls);
    const device = this.machine.device(media);
    const filesystem = ext.mount(device, { write: true }, environment) as ExtFilesystem;
    const performer = new Performer(new FileTree(filesystem), this.machine.blockSize);
    let key = workloadText({ setup: workload.setup, steps: [] });
    const states = [this.#sight(key, media, filesystem)];
    const ends: number[] = [];
    const note = (label: AceLabel): void => media.ack(label);
    for (const [i, step] of workload.steps.entries()) {
      note({ begun: i });
      if (!isPersistence(step)) calls++;
      performer.run(step);
      if (isPersistence(step)) note({ kept: i });
      else {
        key += `,${stepText(step)}`;
        states.push(this.#sight(key, media, filesystem));
      }
      ends.push(media.trace.count);
    }
    const { trace } = media;
    return { initial, trace, promises: new Promises(workload.steps, states), ends };
  }

  /** What is seen now, which is the same whatever was made durable in between. */
  #sight(key: string, { recorder }: ModelledMedia, filesystem: ExtFilesystem): Sight {
    const known = this.#sights.get(key);
    if (known !== undefined) return known;
    recorder.recording = false;
    const sight = sightOf(filesystem);
    recorder.recording = true;
    this.#sights.set(key, sight);
    return sight;
  }

  /** Explores what no workload with the same first steps has had explored. */
  #explored(workload: Workload, recorded: Recorded): AceVerdict {
    const { steps } = workload;
    const persisted = steps.flatMap((step, i) => (isPersistence(step) ? [i] : []));
    let states = 0n;
    let leaves = 0;
    let from = 0;
    for (const last of persisted.slice(0, -1)) {
      const before = recorded.ends[last] as number;
      const key = workloadText({ setup: workload.setup, steps: steps.slice(0, last + 1) });
      let verdict = this.#prefixes.get(key);
      if (verdict === undefined) {
        verdict = this.#part(recorded, [from, before]);
        this.#prefixes.set(key, verdict);
        leaves += verdict.leaves;
      }
      states += verdict.states;
      if (verdict.kind !== "Survived") return { ...verdict, states, leaves };
      from = before;
    }
    const rest = this.#part(recorded, [from, Number.POSITIVE_INFINITY]);
    states += rest.states;
    leaves += rest.leaves;
    if (rest.kind !== "Survived" || !this.#isOrdered(workload)) return { ...rest, states, leaves };
    const { trace } = recorded;
    const end = this.#verdict(recorded, [trace.count, Number.POSITIVE_INFINITY], exactOracle, true);
    return { ...end, states, leaves: leaves + end.leaves };
  }

  /** Whether blocks are written in their places, and all of them were in the end. */
  #isOrdered({ steps }: Workload): boolean {
    return this.#options.filesystem === "ext2" && steps.at(-1)?.do === "sync";
  }

  #part(recorded: Recorded, span: readonly [number, number]): AceVerdict {
    return this.#verdict(recorded, span, this.#oracle(), this.#options.filesystem === "ext4");
  }

  #verdict(
    recorded: Recorded,
    span: readonly [number, number],
    oracle: Oracle,
    checks: boolean,
  ): AceVerdict {
    const found = explore(this.#exploration(recorded, span, oracle, checks));
    const states = found.tallies.reduce((sum, { space }) => sum + space, 0n);
    const leaves = found.tallies.reduce((sum, tally) => sum + tally.leaves, 0);
    return { ...verdictOf(found), states, leaves };
  }

  #exploration(
    { initial, trace, promises }: Recorded,
    span: readonly [number, number],
    oracle: Oracle,
    checks: boolean,
  ): Exploration {
    const { depth = 1, leaves = DEFAULT_BUDGET.leaves } = this.#options;
    return {
      initial,
      modelled: MODELLED,
      trace,
      program: this.#program(promises, oracle, checks),
      torn: "line",
      depth,
      budget: { leaves, steps: STEPS },
      transcripts: checks ? this.#transcripts : new Transcripts(),
      grounds: this.#grounds,
      span,
      sample: false,
    };
  }

  #program(promises: Promises, oracle: Oracle, checks: boolean): Program {
    const environment = steadyEnvironment(() => 1000);
    const { machine } = this;
    // Most leaves show what another one has shown.
    const judged = new Map<unknown, Map<number, string | true>>();
    const recovers = this.#options.filesystem === "ext4";
    const tolerated = recovers ? TOTALS : UNMENDED;
    return {
      recover: (media) => {
        if (!recovers) return;
        const device = machine.device(media);
        recoverExt(device, { write: true }, environment);
        perform(device.memo, machine, "mount", () => {
          ext.mount(device, { write: true }, environment).unmount();
        });
      },
      look: (media): Recovered => {
        const device = machine.device(media);
        const complaints = checks ? complaintsOf(device, environment, tolerated) : undefined;
        const broken = new Map<string, string>();
        const tolerate = recovers
          ? undefined
          : (path: string, message: string) => void broken.set(path, message);
        const sight = sightOf(ext.mount(device, {}, environment), tolerate);
        return { sight, complaints, broken };
      },
      check: (_media, noted, seen) => {
        const known = judged.get(seen) ?? new Map<number, string | true>();
        judged.set(seen, known);
        const before = known.get(noted.length);
        if (before !== undefined) return before;
        const said = oracle(promises, noted, seen as Recovered) ?? true;
        known.set(noted.length, said);
        return said;
      },
      standsAlone: true,
    };
  }
}

/**
 * What is right where no journal is recovered: totals in the superblock are stored at the end of a
 * mount, and what was unlinked while somebody had it is deleted at the next one.
 */
const UNMENDED: ReadonlySet<string> = new Set(["ext.super.free", "ext.orphan.pending"]);
const TOTALS: ReadonlySet<string> = new Set(["ext.super.free"]);

function complaintsOf(
  device: Parameters<typeof ext.mount>[0],
  environment: ReturnType<typeof steadyEnvironment>,
  tolerated: ReadonlySet<string>,
): string[] {
  return [...(ext.check?.(device, environment) ?? [])]
    .filter(({ severity, code }) => severity !== "note" && !tolerated.has(code))
    .map(({ code, where, text }) => `${code} ${where}: ${text}`);
}

function verdictOf(found: Findings): Pick<AceVerdict, "kind" | "said"> {
  if (found.unmeasurable !== undefined) return { kind: "NotMeasured", said: found.unmeasurable };
  if (found.failure !== undefined) return { kind: "Lost", said: found.failure.objection.said };
  if (found.cut) return { kind: "NotMeasured", said: "the budget of leaves was hit" };
  return { kind: "Survived" };
}

/** Tests one workload by itself. */
export function runAce(workload: Workload, options: AceSuiteOptions): AceVerdict {
  return new AceSuite(options).run(workload);
}
