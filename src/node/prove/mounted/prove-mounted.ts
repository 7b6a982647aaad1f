/**
 * Proofs of commands, in whatever language: a command works on a mounted volume, once, and what its
 * kernel asked is written down; every state that a power cut may leave of that is recovered and
 * shown, mounted again, to a command that checks it.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import type { Torn } from "../../../crash/versions.ts";
import { broken } from "../../../crash/prover.ts";
import { DaxError, isDaxError } from "../../../lib/errno.ts";
import type { FileTree } from "../../../vfs/file-tree.ts";
import { checkMountPoint } from "../../fuse/mount-point.ts";
import { DEFAULT_SIZE, PRESETS, type PresetName } from "../presets.ts";
import { type FaultKind, type FaultPlan, faultName } from "../faults.ts";
import {
  type Recordable,
  type Stage,
  WorkloadFault,
  emptyVolume,
  recordVolume,
} from "../recording.ts";
import { schedulePrefix } from "../schedules.ts";
import { type Underlay, underlayOf } from "../underlay.ts";
import type { DiskSectors, VolumeProof } from "../volume-proof.ts";
import { proveVolume, volumeState } from "../volume-prover.ts";
import type { VolumeSettings } from "../volume-settings.ts";
import type { VolumeVerdict } from "../volume-verdict.ts";
import { CheckPool } from "./check-pool.ts";
import { type LiveCommand, runLive } from "./live-run.ts";
import { type CheckTally, MountedChecks } from "./mounted-checks.ts";
import type { RecordedRun } from "./recorded-run.ts";
import { replaySteps } from "./replayed-run.ts";

/** A command to be proved. */
export interface MountedProof {
  /** An empty directory: there the volume is mounted, for the command as for its checks. */
  readonly directory: string;
  /** The command and its arguments. */
  readonly command: readonly string[];
  /** A line of shell that looks at a state; status 0 says that all is there. */
  readonly check: string;
  /** A line of shell that brings the volume to its first state, all of which is durable. */
  readonly setup?: string | undefined;
  /**
   * A line of shell that does what the program does when it starts again; what it writes is cut in
   * its turn, with `depth` 2. Status 0 says that it could.
   */
  readonly recover?: string | undefined;
  /** The command unless given. */
  readonly name?: string | undefined;
  /** What lies underneath; `ext4-ordered` unless given. */
  readonly model?: PresetName | undefined;
  /** Bytes of the volume, a multiple of 8192; 10 MiB unless given. */
  readonly size?: number | undefined;
  /** What arrives together on its disk, where the model is one; the model's unless given. */
  readonly disk?: DiskSectors | undefined;
  readonly torn?: Torn | undefined;
  /** See `VolumeProof`. */
  readonly commits?: VolumeProof["commits"] | undefined;
  /** Power cuts in a row: 2 cuts the journal's recovery and `recover`. 1 unless given. */
  readonly depth?: number | undefined;
  /**
   * What fails beside the power, one at a time: `write` and `flush`, or `all` for both. The command
   * runs anew for each. Nothing unless given.
   */
  readonly faults?: FaultPlan | undefined;
  /** Times that the check and `recover` may run; 10,000 unless given. */
  readonly budget?: number | undefined;
  /** Seconds that the command may take, and each check; 30 unless given. */
  readonly patience?: number | undefined;
  /** A file to which the command appends promises, one a line. */
  readonly ackFile?: string | undefined;
  /** What a promise on standard output begins with; `ack ` unless given. */
  readonly ackPrefix?: string | undefined;
  /** Checks that run at the same time; as many as there are processors unless given. */
  readonly jobs?: number | undefined;
}

/** How it is proved. */
export interface MountedSettings {
  /** Told after each check how many have run, and how many are known to wait. */
  readonly progress?: (runs: number, waiting: number) => void;
  /** Ends it: the commands are killed and the mounts go. */
  readonly signal?: AbortSignal;
}

/** What came of it. */
export interface MountedVerdict {
  readonly verdict: VolumeVerdict;
  /** The volume as the power cut of the counter-example, or of the state asked for, left it. */
  readonly image: Uint8Array | undefined;
  readonly checks: CheckTally;
}

const DEFAULT_CHECKS = 10_000;
const DEFAULT_PATIENCE = 30;
/** Longer than any command may take: the commands have clocks of their own. */
const NO_CLOCK = 1_000_000;
/** Bytes of a volume for each inode, as mke2fs reckons. */
const BYTES_PER_INODE = 16_384;
const FEWEST_INODES = 256;
const SHELL = ["/bin/sh", "-c"] as const;

/**
 * Proves a command, or with `state` makes one of its states. Whatever is wrong with the command or
 * its check is a verdict.
 * @throws DaxError for what is wrong with the directory, or where nothing can be mounted; EINVAL
 * for a state that is none; what the signal says
 */
export async function proveMounted(
  what: MountedProof,
  settings: MountedSettings = {},
  state?: string,
): Promise<MountedVerdict> {
  // Wherever it is named from, it is one directory.
  const directory = await checkMountPoint(what.directory, false);
  const run = new MountedRun({ ...what, directory }, settings);
  try {
    return await run.verdict(state);
  } finally {
    await run.close();
  }
}

class MountedRun {
  readonly #what: MountedProof;
  readonly #settings: MountedSettings;
  readonly #proof: VolumeProof;
  readonly #underlay: Underlay;
  #pool: CheckPool | undefined;
  #checks: MountedChecks | undefined;

  constructor(what: MountedProof, settings: MountedSettings) {
    this.#what = what;
    this.#settings = settings;
    this.#proof = proofOf(what);
    this.#underlay = underlayOf(this.#proof);
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  async verdict(state: string | undefined): Promise<MountedVerdict> {
    let settings: VolumeSettings;
    try {
      settings = await this.#record();
    } catch (error) {
      if (!(error instanceof WorkloadFault)) throw error;
      // What somebody asked to end, and what is wrong with the mount, are no faults of the command.
      if (isDaxError(error.cause) || this.#settings.signal?.aborted === true) throw error.cause;
      return this.#told(broken(this.#name, error.phase, error.message));
    }
    const proof = this.#proof;
    if (state !== undefined) {
      const { image, said } = await volumeState(proof, state, settings);
      const why = `only state ${state} was made: ${said ?? "recovery and check are content"}`;
      return this.#told({ kind: "NotMeasured", name: this.#name, why }, image);
    }
    const verdict = this.#honest(await proveVolume(proof, settings));
    if (verdict.kind !== "Lost") return this.#told(verdict);
    return this.#told(verdict, (await volumeState(proof, verdict.state, settings)).image);
  }

  get #name(): string {
    return this.#proof.name ?? "";
  }

  #told(verdict: VolumeVerdict, image?: Uint8Array): MountedVerdict {
    const none = { runs: 0, bad: 0, cut: false, over: false };
    return { verdict, image, checks: this.#checks?.tally ?? none };
  }

  /** Runs the command for real; what it did can be done again from then on. */
  async #record(): Promise<VolumeSettings> {
    const run: { setup: RecordedRun["setup"]; steps: RecordedRun["steps"] } = {
      setup: [],
      steps: [],
    };
    const { setup, command } = this.#what;
    const empty = this.#underlay.linesOf(emptyVolume(this.#proof));
    const live = await recordVolume({
      proof: this.#proof,
      underlay: this.#underlay,
      empty,
      prepare: async (tree) => {
        ownRoot(tree);
        if (setup === undefined) return;
        run.setup = await runLive(tree, this.#live("setup", [...SHELL, setup]));
      },
      act: async ({ tree, ack }) => {
        run.steps = await runLive(tree, { ...this.#live("workload", command), onAck: ack });
      },
    });
    const checks = this.#checksOn(live.initial);
    const prepare = (tree: FileTree): void => {
      ownRoot(tree);
      replaySteps(tree, run.setup);
    };
    return {
      prepare,
      act: (stage) => replaySteps(stage.tree, run.steps, stage),
      actWith: this.#actWith({ proof: this.#proof, underlay: this.#underlay, empty, prepare }),
      underlay: this.#underlay,
      programOf: () => checks.program,
      settle: checks.settle,
      onSearch: checks.search,
    };
  }

  /** Runs the command for real with a fault, once for each, and for each schedule. */
  #actWith(what: Recordable): NonNullable<VolumeSettings["actWith"]> {
    const known = new Map<string, RecordedRun["steps"]>();
    return async (fault, schedule) => {
      const name = `${schedulePrefix(schedule)}${faultName(fault)}`;
      const act = async ({ tree, ack }: Stage): Promise<void> => {
        const live = { ...this.#live("workload", this.#what.command), onAck: ack, mayFail: true };
        known.set(name, await runLive(tree, live));
      };
      if (!known.has(name)) await recordVolume({ ...what, fault, schedule, act });
      return (stage) => replaySteps(stage.tree, known.get(name) ?? [], stage);
    };
  }

  #live(phase: LiveCommand["phase"], words: readonly string[]): LiveCommand {
    const { directory, patience = DEFAULT_PATIENCE, ackFile, ackPrefix } = this.#what;
    const { signal } = this.#settings;
    return { phase, words, directory, patience, ackFile, ackPrefix, signal };
  }

  #checksOn(lines: Uint8Array): MountedChecks {
    const { directory, check, patience = DEFAULT_PATIENCE, budget = DEFAULT_CHECKS } = this.#what;
    const { jobs = availableParallelism(), recover } = this.#what;
    const commands = { check, recover: recover ?? "true" };
    const base = this.#underlay.imageOf(lines);
    const { signal, progress } = this.#settings;
    const pool = (): CheckPool =>
      (this.#pool ??= new CheckPool({ base, directory, commands, patience }, jobs, signal));
    const checks = new MountedChecks({
      proof: this.#proof,
      underlay: this.#underlay,
      recovers: recover !== undefined,
      base: lines,
      pool,
      most: budget,
      onRun: progress,
    });
    this.#checks = checks;
    return checks;
  }

  /** Says less of a verdict where not every state was checked. */
  #honest(verdict: VolumeVerdict): VolumeVerdict {
    const { runs, cut, over } = (this.#checks as MountedChecks).tally;
    if (!cut && over && verdict.kind === "Lost" && verdict.missingCalls === undefined) {
      return { ...verdict, noRemedy: `none was found within ${runs} checks` };
    }
    if (!cut || (verdict.kind !== "Survived" && verdict.kind !== "Lost")) return verdict;
    if (verdict.kind === "Lost") {
      const noRemedy = "not looked for: not every state was checked";
      return { ...verdict, complete: false, missingCalls: undefined, noRemedy };
    }
    const why = `the budget of ${runs} checks was hit, and none of them had an objection`;
    return { kind: "NotMeasured", name: this.#name, why };
  }
}

function proofOf(what: MountedProof): VolumeProof {
  const { command, name = command.join(" "), model = "ext4-ordered", size = DEFAULT_SIZE } = what;
  const { torn, depth = 1, commits, disk } = what;
  const inodes = Math.max(FEWEST_INODES, Math.floor(size / BYTES_PER_INODE));
  return {
    name,
    model,
    machine: { ...disk, size },
    make: { ...PRESETS[model].make, inodes },
    ...(commits === undefined ? {} : { commits }),
    depth,
    ...(what.faults === undefined ? {} : { faults: planForCommands(what.faults) }),
    patience: NO_CLOCK,
    ...(torn === undefined ? {} : { torn }),
    // What they are is in the settings.
    workload: () => undefined,
    check: () => undefined,
  };
}

const FAULTS: readonly FaultKind[] = ["write", "flush"];

/** @throws EINVAL for faults that commands do not meet */
function planForCommands(plan: FaultPlan): FaultPlan {
  if (plan === "all") return FAULTS;
  const kinds = plan.map((each) => (typeof each === "string" ? each : each.kind));
  const odd = kinds.find((kind) => !FAULTS.includes(kind));
  if (odd === undefined) return plan;
  const detail = `faults: commands on a mount meet ${FAULTS.join(", ")}; ${odd} is not one of them`;
  throw new DaxError("EINVAL", { detail });
}

/** Who runs the proof may write in it. */
function ownRoot(tree: FileTree): void {
  const [uid = 0, gid = 0] = [process.geteuid?.(), process.getegid?.()];
  if (uid !== 0) tree.chown("/", uid, gid);
}
