/**
 * The prover of programs on a filesystem.
 *
 * @module
 */
import type { Exploration, Findings } from "../../crash/explorer.ts";
import type { Cut, Failure } from "../../crash/failure.ts";
import { HarnessFault, type Objection, objectionIn, wordsOf } from "../../crash/program.ts";
import { DEFAULT_BUDGET } from "../../crash/proof.ts";
import { broken } from "../../crash/prover.ts";
import { type Replay, mustReplay } from "../../crash/replay.ts";
import { StepCounter } from "../../crash/run.ts";
import { StateSearch } from "../../crash/search.ts";
import { simplify } from "../../crash/simplify.ts";
import { stateId, stateOf } from "../../crash/state-id.ts";
import { newTally, sumOf } from "../../crash/tally.ts";
import { Transcripts } from "../../crash/transcript.ts";
import type { HarnessBroken, Measure, NotMeasured } from "../../crash/verdict.ts";
import { DaxError } from "../../lib/errno.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import { NOTHING_TO_MEND, findMissing, findRedundant, noRemedy } from "./call-remedy.ts";
import { type FaultFindings, noRemedyFor, proveFaults, withFault } from "./fault-prover.ts";
import { type FaultNote, faultName, faultWords, parseState, withPlace } from "./faults.ts";
import { brokenBy, nameOf } from "./broken-by.ts";
import { idleCalls } from "./idle-calls.ts";
import { placeAt } from "./places.ts";
import { PRESETS } from "./presets.ts";
import {
  type Recordable,
  type VolumeRecording,
  differenceOf,
  emptyVolume,
  recordVolume,
} from "./recording.ts";
import { type Misfortune, RecoveryLooks } from "./recovery-faults.ts";
import {
  type Explored,
  type ScheduleFindings,
  proveSchedules,
  withSchedule,
} from "./schedule-prover.ts";
import { type Schedule, scheduleIn, schedulePrefix } from "./schedules.ts";
import { cutEvent, tellState } from "./telling.ts";
import { PathHistory } from "./timeline.ts";
import { type Underlay, assumptionsOf, underlayOf } from "./underlay.ts";
import { CallTimeout, type Watch, runWatched } from "../watched-run.ts";
import { DEFAULT_PATIENCE, WaitLimit, inTime, isPromise, settled, tooLong } from "./waiting.ts";
import { type VolumeSettings, rememberingAsked } from "./volume-settings.ts";
import { type VolumeProgram, programOf } from "./volume-program.ts";
import { type VolumeProof, whatIsWrongWith } from "./volume-proof.ts";
import type { VolumeLost, VolumeMeasure, VolumeSurvived, VolumeVerdict } from "./volume-verdict.ts";

const STORED_NOTHING =
  "the workload stored nothing on the volume: only what goes through its fs, or a mapping, is seen";

/** Proves one program. Whatever is wrong with it, or with its proof, is a verdict. */
export async function proveVolume(
  proof: VolumeProof,
  settings: VolumeSettings = {},
): Promise<VolumeVerdict> {
  const wrong = whatIsWrongWith(proof);
  const name = nameOf(proof);
  if (wrong !== undefined) return broken(name, "proof", wrong);
  try {
    return await new VolumeProver(proof, settings).verdict();
  } catch (error) {
    return brokenBy(proof, error);
  }
}

/** One state of a proof, made again. */
export interface VolumeState {
  /** The volume as the power cut left it. */
  readonly image: Uint8Array;
  /** What recovery or check said of it; undefined: they are content. */
  readonly said: string | undefined;
  /** What a report tells of it, as if it were the only state; undefined: they are content. */
  readonly lost: VolumeLost | undefined;
}

/**
 * Makes the state with this name again, as a report names it.
 * @throws EINVAL for a name that is none; WorkloadFault, HarnessFault when the proof does not work
 */
export function volumeState(
  proof: VolumeProof,
  id: string,
  settings: VolumeSettings = {},
): Promise<VolumeState> {
  return new VolumeProver(proof, settings).state(id);
}

/** Proves a program that has the shape of one. */
export class VolumeProver {
  readonly proof: VolumeProof;
  readonly underlay: Underlay;
  /** What recoveries and checks looked at, where faults are asked for. */
  readonly looks: RecoveryLooks | undefined;
  readonly #empty: Uint8Array;
  readonly #limit: WaitLimit;
  readonly #settings: VolumeSettings;
  readonly #transcripts = new Transcripts();
  readonly #notes: string[] = [];
  #program: VolumeProgram | undefined;
  #watch: Watch | undefined;
  /** Whether recovery or check have to be waited for. */
  #waits = false;

  constructor(proof: VolumeProof, settings: VolumeSettings = {}) {
    this.proof = proof;
    this.#settings = settings;
    this.underlay = settings.underlay ?? underlayOf(proof);
    this.looks = proof.faults === undefined ? undefined : new RecoveryLooks(this.underlay);
    this.#limit = new WaitLimit(proof.patience);
    this.#empty = this.underlay.linesOf(emptyVolume(proof));
  }

  /** What the filesystem may do by itself, beside what it is asked to. */
  get schedules(): readonly Schedule[] {
    const { model = "ext4-dax", commits = "any" } = this.proof;
    if (commits === "asked") return [];
    const { wantsSteps = false } = this.proof.check;
    return PRESETS[model].schedules
      .slice(1)
      .filter((one) => !(wantsSteps && one.name === "flusher"));
  }

  /** Whether checks are commands, of which each takes its time. */
  get runsCommands(): boolean {
    return this.#settings.settle !== undefined;
  }

  /** @throws WorkloadFault */
  async record(how: Partial<Recordable> = {}): Promise<VolumeRecording> {
    const { proof, underlay } = this;
    const { actWith, prepare } = this.#settings;
    const act = (how.fault && (await actWith?.(how.fault, how.schedule))) ?? this.#settings.act;
    return recordVolume({ ...how, proof, underlay, empty: this.#empty, act, prepare });
  }

  /** What is explored of a program as it is; or, with something that fails, of that alone. */
  explorationOf(recording: VolumeRecording, misfortune?: Misfortune): Exploration {
    const { model = "ext4-dax", torn = "line", budget } = this.proof;
    const { depth = PRESETS[model].depth } = this.proof;
    const { remembers = rememberingAsked() } = this.#settings;
    const make = this.#settings.programOf ?? programOf;
    const made = (how: Misfortune) =>
      this.#watched(make(this.proof, this.underlay, recording.history, how));
    // What a check is told of history is that of the program as it is, patched or not.
    this.#program ??= made({ faults: [], looks: this.looks });
    return {
      initial: recording.initial,
      modelled: this.underlay.modelled,
      trace: recording.trace,
      program: misfortune === undefined ? this.#program : made(misfortune),
      torn,
      depth: misfortune === undefined ? depth : 1,
      budget: { ...DEFAULT_BUDGET, ...budget },
      transcripts: misfortune === undefined ? this.#transcripts : new Transcripts(),
      ...(remembers === undefined ? {} : { remembers }),
      waits: this.#waits,
      ...(this.#settings.progress === undefined ? {} : { progress: this.#settings.progress }),
    };
  }

  /** Makes a state by its name. @throws EINVAL, WorkloadFault, HarnessFault */
  async state(named: string): Promise<VolumeState> {
    const { schedule, rest } = scheduleIn(named, this.schedules);
    const { fault, id } = parseState(rest);
    const recording = await this.record();
    await this.#asked(recording);
    const one =
      fault === undefined
        ? await withSchedule(this, recording, schedule)
        : await withFault(this, recording, { fault, schedule });
    if (fault?.during === "workload" && one.recording.struckIn === undefined) {
      const detail = `it never happens that ${faultWords(fault)}`;
      throw new DaxError("EINVAL", { syscall: "prove", detail });
    }
    const { told, cuts } = await this.settled(one.what, () => stateOf(one.what, id));
    const { objection } = told;
    const image = this.underlay.imageOf(told.cuts.at(-1)?.left ?? new Uint8Array(0));
    if (objection === undefined) return { image, said: undefined, lost: undefined };
    const tally = { ...newTally(), space: 1n, covered: 1n, failing: 1n, leaves: 1, crashPoints: 1 };
    const lost: VolumeLost = {
      kind: "Lost",
      ...this.#measure(one.what, { tallies: [tally] }),
      failing: 1n,
      complete: false,
      missing: undefined,
      noRemedy: "not looked for: only this state was made",
      missingCalls: undefined,
      state: named,
      ...(await this.#told(one, cuts, told, objection)),
    };
    return { image, said: objection.said, lost };
  }

  /** A failing state in words. */
  async #told(
    { recording, what, note, schedule }: Explored,
    cuts: readonly Cut[],
    told: Replay,
    objection: Objection,
  ): Promise<ReturnType<typeof tellState> & Pick<VolumeLost, "fault" | "schedule">> {
    const { proof, underlay } = this;
    const looked = new PathHistory();
    const fault = note?.during === "workload" ? note : undefined;
    // Looking at contents that wait for their blocks would give them some.
    const again = await this.record({ paths: looked, fault, schedule: fault && schedule });
    const isSame =
      schedule === undefined
        ? recording.trace.firstDifference(again.trace) === undefined
        : recording.calls.length === again.calls.length;
    const paths = isSame ? looked : undefined;
    const failing = { proof, underlay, what, recording, paths, cuts, told, objection };
    const words = {
      ...(await this.settled(what, () => tellState(failing))),
      ...(schedule === undefined ? {} : { schedule }),
    };
    if (note === undefined) return words;
    const sights = [told.cuts[0]?.left ?? recording.initial, recording.final];
    return { ...words, fault: withPlace(note, (at) => placeAt(underlay, sights, at)) };
  }

  async verdict(): Promise<VolumeVerdict> {
    const recording = await this.record();
    if (recording.idle) return this.notMeasured(STORED_NOTHING);
    const strayed = differenceOf(recording, await this.record());
    if (strayed !== undefined) return this.notMeasured(strayed);
    const content = await this.#asked(recording);
    const what = this.explorationOf(recording);
    const found = await this.explored(what);
    const wrote = this.#program?.wrote();
    if (wrote !== undefined) {
      const said = `it writes (${wrote}); a check only looks: put what repairs into recover`;
      return broken(nameOf(this.proof), "check", said);
    }
    if (found.unmeasurable !== undefined) return this.notMeasured(found.unmeasurable);
    if (found.failure !== undefined) return this.lost({ recording, what }, found, found.failure);
    const unproved = this.#unproved(what, found, content);
    if (unproved !== undefined && !found.cut) return unproved;
    const schedules = await proveSchedules(this, unproved);
    if ("kind" in schedules) return schedules;
    const faults = await proveFaults(this, recording);
    if ("kind" in faults) return faults;
    return this.#survived(recording, what, found, { ...schedules, ...faults });
  }

  /** Why nothing failed, and that means nothing. */
  #unproved(what: Exploration, found: Findings, content: boolean): NotMeasured | undefined {
    if (found.cut) {
      const [{ covered, space } = { covered: 0n, space: 0n }] = found.tallies;
      const why = `the budget of ${what.budget.leaves} leaves was hit`;
      return { ...this.notMeasured(why), share: { covered, space } };
    }
    if (content) {
      const promised = what.trace.labels.length > 0;
      return this.notMeasured(
        "the check is content with an empty volume as well, " +
          (promised ? "whatever was promised: it cannot fail" : "and nothing was acknowledged"),
      );
    }
    if (what.trace.labels.length === 0) {
      this.#notes.push(
        "the workload acknowledged nothing: no promise was tested, only what check says of states",
      );
    }
    return undefined;
  }

  /** Whether the check passes nothing, and the first state. Shows whether it has to wait, too. */
  #asked(recording: VolumeRecording): Promise<boolean> {
    const what = this.explorationOf(recording);
    const images = [this.underlay.bare?.() ?? this.#empty, recording.initial] as const;
    const fails = async (image: Uint8Array) => (await this.#objectionTo(image, what)) !== undefined;
    const ask = async () => !(await fails(images[0])) && !(await fails(images[1]));
    return this.#settings.settle?.(ask) ?? ask();
  }

  /** What is said of all that the program made, though no power was cut. */
  #intact({ recording, what, note, schedule }: Explored): Promise<Objection | undefined> {
    // With a fault, or in a schedule of its own, it lost what was there without.
    if (note !== undefined || schedule !== undefined) return Promise.resolve(undefined);
    const ask = () => this.#objectionTo(recording.whole(), what);
    return this.#settings.settle?.(ask) ?? ask();
  }

  async #objectionTo(
    image: Uint8Array,
    { modelled, trace, program, budget }: Exploration,
  ): Promise<Objection | undefined> {
    const media = new ModelledMedia(image.length, modelled);
    media.recorder.image.set(image);
    media.recorder.observer = new StepCounter(budget.steps);
    media.recorder.recording = false;
    const { patience } = this.proof;
    const { labels: acked } = trace;
    try {
      const recovering = this.#around(() => program.recover?.(media));
      this.#waits = isPromise(recovering);
      const recovered: unknown = await inTime(() => recovering, "recover", patience);
      const checking = this.#around(() => program.check(media, acked, recovered));
      this.#waits ||= isPromise(checking);
      return objectionIn(await inTime(() => checking, "check", patience));
    } catch (error) {
      if (error instanceof HarnessFault) throw error;
      return { phase: "check", how: "threw", said: wordsOf(error), error };
    }
  }

  /** Runs what calls recover and check, whose loops are ended. @throws HarnessFault */
  #around<T>(body: () => T): T {
    const { patience = DEFAULT_PATIENCE } = this.proof;
    // The explorer calls nothing that has to be waited for: that is watched where it is called.
    if (this.#waits) return body();
    try {
      return runWatched(patience, (watch) => {
        this.#watch = watch;
        try {
          return body();
        } finally {
          this.#watch = undefined;
        }
      });
    } catch (error) {
      if (!(error instanceof CallTimeout)) throw error;
      throw tooLong(error.what === "recover" ? "recover" : "check", patience);
    }
  }

  /** Steps are counted, but a loop that neither loads nor stores makes none. */
  #watched(program: VolumeProgram): VolumeProgram {
    const call = <T>(what: string, body: () => T): T =>
      this.#watch === undefined ? body() : this.#watch.call(what, body);
    return {
      ...program,
      recover: (media) => call("recover", () => program.recover?.(media)),
      check: (media, acked, recovered) =>
        call("check", () => program.check(media, acked, recovered)),
    };
  }

  /** Searches, as long as there is time. @throws Strayed, Unended, HarnessFault */
  explored(what: Exploration): Promise<Findings> {
    const search = new StateSearch(what, this.proof.seed);
    return this.settled(what, () => search.findings(), this.#limit);
  }

  /** Runs what calls recover and check of one exploration. @throws Strayed, HarnessFault */
  settled<T>({ program }: Exploration, body: () => T, limit?: WaitLimit): Promise<T> {
    const { settle } = this.#settings;
    if (settle !== undefined) return settle(body);
    const { patience } = this.proof;
    return settled(program as VolumeProgram, () => this.#around(body), patience, limit);
  }

  async #survived(
    recording: VolumeRecording,
    what: Exploration,
    found: Findings,
    { tallies, schedules }: FaultFindings & ScheduleFindings,
  ): Promise<VolumeSurvived> {
    this.#settings.onSearch?.();
    const { redundant: redundantCalls, notes } = await findRedundant(this, recording);
    this.#notes.push(...notes);
    return {
      kind: "Survived",
      ...this.#measure(what, found),
      redundantFlushes: [],
      redundantFences: [],
      redundantCalls,
      idleCalls: idleCalls(recording, found.flushes),
      schedules,
      faults: tallies,
    };
  }

  /** The verdict on a program that fails in some state, as it is or with a fault. */
  async lost(
    one: Explored,
    found: Findings,
    failure: Failure,
  ): Promise<VolumeLost | HarnessBroken | NotMeasured> {
    const { recording, what, note, schedule } = one;
    const plain = await this.settled(what, () => simplify(what, failure));
    const told = await this.settled(what, () => mustReplay(what, plain.cuts));
    const { objection } = told;
    if (objection === undefined) {
      return this.notMeasured(
        "recovery or check is not deterministic: a failing state did not fail again " +
          `("${failure.objection.said}" first)`,
      );
    }
    const state = await this.settled(what, () => stateId(what, plain.cuts));
    this.#settings.onSearch?.();
    const words = await this.#told(one, plain.cuts, told, objection);
    const event = cutEvent(told);
    const intact = await this.#intact(one);
    const search =
      note === undefined && intact === undefined
        ? await findMissing(this, recording, { failure: plain, event })
        : undefined;
    const missingCalls = search?.calls;
    const why = (): string => {
      if (intact !== undefined) return NOTHING_TO_MEND;
      if (search !== undefined) return noRemedy(what, words.counterExample, search);
      return noRemedyFor(note as FaultNote, words.calls);
    };
    if (note === undefined && this.proof.faults !== undefined) {
      this.#notes.push("it loses without a fault, so no fault was tried");
    }
    return {
      kind: "Lost",
      ...this.#measure(what, found),
      failing: sumOf(found.tallies).failing,
      complete: !found.cut,
      missing: undefined,
      noRemedy: missingCalls === undefined ? why() : "see missingCalls",
      missingCalls,
      ...(intact === undefined ? {} : { intact }),
      state: `${schedulePrefix(schedule)}${note === undefined ? "" : faultName(note)}${state}`,
      ...words,
    };
  }

  #measure(what: Exploration, found: Pick<Findings, "tallies">): Measure & VolumeMeasure {
    const total = sumOf(found.tallies);
    const { model = "ext4-dax" } = this.proof;
    return {
      name: nameOf(this.proof),
      model,
      assumes: assumptionsOf(this.proof),
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

  /** The verdict that nothing can be said. */
  notMeasured(why: string): NotMeasured {
    return { kind: "NotMeasured", name: nameOf(this.proof), why };
  }
}
