/**
 * Proofs: cut the power of a program at every instant that matters, and say exactly whether all it
 * promised is still there. Programs on raw memory map it (`size`, see `defineProof`); programs on a
 * filesystem are given `node:fs` over a volume.
 *
 * ```ts
 * import { expectAtomic, prove } from "daxkit/prove";
 *
 * const verdict = await prove({
 *   workload({ fs, ack }) {
 *     fs.writeFileSync("/new", "text");
 *     fs.renameSync("/new", "/file");
 *     ack("saved");
 *   },
 *   check: expectAtomic("/file", undefined, "text"),
 * });
 * console.log(verdict.kind); // "Lost": an fsync is missing
 * ```
 *
 * @module
 */
import { type Proof, type ProveSettings, prove as proveMemory } from "../crash/prove.ts";
import type { Verdict } from "../crash/verdict.ts";
import type {
  MountedProof,
  MountedSettings,
  MountedVerdict,
} from "./prove/mounted/prove-mounted.ts";
import type { ProgramProof } from "./program/prove-program.ts";
import type { VolumeState } from "./prove/volume-prover.ts";
import type { VolumeProof } from "./prove/volume-proof.ts";
import type { VolumeVerdict } from "./prove/volume-verdict.ts";

export * from "../crash/prove.ts";
export * from "../crash/ace/index.ts";
export { type AceFigures, type AceJob, type AceLoss, runAceJob } from "./prove/ace-threads.ts";
export { assertSurvivesPowerLoss, powerLossMatchers } from "./prove/matchers.ts";
export type { MatcherResult, PowerLossAssertions, PowerLossOptions } from "./prove/matchers.ts";
export { expectAtomic, expectDurable, expectPrefix } from "./prove/oracles.ts";
export { PRESETS } from "./prove/presets.ts";
export type { Preset, PresetName } from "./prove/presets.ts";
export { toJunit } from "./prove/junit.ts";
export type { JunitCase } from "./prove/junit.ts";
export { volumeReport } from "./prove/volume-report.ts";
export type { CallNote } from "./prove/calls.ts";
export type { FaultKind, FaultNote, FaultPlan, FaultRequest, FaultTally } from "./prove/faults.ts";
export type { CallEntry, CallFate, PathNote } from "./prove/timeline.ts";
export type { History, Sight } from "./prove/history.ts";
export type { Schedule, ScheduleName, ScheduleTally } from "./prove/schedules.ts";
export type {
  CheckResult,
  DiskSectors,
  VolumeAftermath,
  VolumeBudget,
  VolumeCheck,
  VolumeMachine,
  VolumeProof,
  VolumeWork,
} from "./prove/volume-proof.ts";
export type { CheckTally } from "./prove/mounted/mounted-checks.ts";
export type {
  MountedProof,
  MountedSettings,
  MountedVerdict,
} from "./prove/mounted/prove-mounted.ts";
export type { ProgramProof, ProgramTerms } from "./program/prove-program.ts";
export type { VolumeState } from "./prove/volume-prover.ts";
export type {
  IdleCall,
  MissingCall,
  Place,
  RedundantCall,
  VolumeLost,
  VolumeMeasure,
  VolumeSurvived,
  VolumeVerdict,
} from "./prove/volume-verdict.ts";

/**
 * Proves a program on raw memory, or shows the smallest state in which it lost something. Whatever
 * goes wrong in the program or in its proof is a verdict. The same proof gives the same verdict.
 * @throws AssertionError for a bug of daxkit only
 */
export function prove<Label, Recovered>(
  proof: Proof<Label, Recovered>,
  settings?: ProveSettings,
): Verdict;
/**
 * Proves a program on a filesystem: the workload runs, recorded, and the check on every state that
 * a power cut may leave, after the journal was recovered.
 * @throws AssertionError for a bug of daxkit only
 */
export function prove<Label, Recovered>(
  proof: VolumeProof<Label, Recovered>,
): Promise<VolumeVerdict>;
export function prove(
  proof: Proof | VolumeProof,
  settings: ProveSettings = {},
): Verdict | Promise<VolumeVerdict> {
  if (isOnMemory(proof)) return proveMemory(proof, settings);
  return proveOnVolume(proof);
}

/** Whether a proof is about raw memory: those say how much of it they want. */
function isOnMemory(proof: Proof | VolumeProof): proof is Proof {
  return typeof proof !== "object" || proof === null || "size" in proof;
}

async function proveOnVolume(proof: VolumeProof): Promise<VolumeVerdict> {
  const { proveVolume } = await import("./prove/volume-prover.ts");
  return proveVolume(proof);
}

/**
 * Proves a command in any language on a mounted volume, or makes one of its states: see
 * docs/prove-programs.md.
 * @throws DaxError for what is wrong with the directory, or where nothing can be mounted; EINVAL
 * for a state that is none; what the signal says
 */
export async function proveMounted(
  proof: MountedProof,
  settings: MountedSettings = {},
  state?: string,
): Promise<MountedVerdict> {
  const mounted = await import("./prove/mounted/prove-mounted.ts");
  return mounted.proveMounted(proof, settings, state);
}

/**
 * Proves a Node program that nobody changed, or with `state` makes one of its states: see
 * docs/prove-scripts.md. One at a time: meanwhile `node:fs` of this process shows each state at the
 * program's directory, to the check and to everybody else.
 * @throws EINVAL for a directory that cannot be the volume, a state that is none of this program,
 * and faults that it cannot meet; EBUSY while another one is proved
 */
export async function proveProgram(proof: ProgramProof): Promise<VolumeVerdict> {
  const program = await import("./program/prove-program.ts");
  return program.proveProgram(proof);
}

/**
 * Makes one state of a proof again, by the name that a report gives it (`state`): the volume as the
 * power cut left it, to be saved and looked at with any tool, and what is said of it.
 * @throws EINVAL for a name that is none of this proof
 */
export async function stateOf(proof: VolumeProof, state: string): Promise<VolumeState> {
  const { volumeState } = await import("./prove/volume-prover.ts");
  return volumeState(proof, state);
}
