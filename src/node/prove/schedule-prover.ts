/**
 * Programs whose filesystem does what nobody asked for: each schedule of the model in turn, and
 * each state that the power may leave then.
 *
 * @module
 */
import type { Exploration, Findings } from "../../crash/explorer.ts";
import { DEFAULT_BUDGET } from "../../crash/proof.ts";
import { sumOf } from "../../crash/tally.ts";
import type { NotMeasured } from "../../crash/verdict.ts";
import type { CallPatch } from "./calls.ts";
import type { FaultNote } from "./faults.ts";
import type { Misfortune } from "./recovery-faults.ts";
import type { VolumeRecording } from "./recording.ts";
import type { Schedule, ScheduleTally } from "./schedules.ts";
import type { VolumeProver } from "./volume-prover.ts";
import type { VolumeVerdict } from "./volume-verdict.ts";

/** One program that is explored: as it is, or with a fault. */
export interface Explored {
  readonly recording: VolumeRecording;
  readonly what: Exploration;
  /** What the filesystem does by itself in it. */
  readonly schedule?: Schedule;
  /** What fails in it. */
  readonly note?: FaultNote;
}

/** What was found where nothing was lost. */
export interface ScheduleFindings {
  readonly schedules: readonly ScheduleTally[];
}

/** Once a budget was hit nothing is proved any more: what is lost soon is still looked for. */
const SHARE_OF_REST = 20;

/**
 * Runs every schedule, up to the first in which something is lost; a verdict then. `unproved`: what
 * is known to be the verdict unless one loses something.
 */
export async function proveSchedules(
  prover: VolumeProver,
  unproved?: NotMeasured,
): Promise<ScheduleFindings | VolumeVerdict> {
  const schedules: ScheduleTally[] = [];
  let open = unproved;
  for (const schedule of prover.schedules) {
    // One after the other: the first that loses something ends it.
    // oxlint-disable-next-line no-await-in-loop
    const recording = await prover.record({ schedule });
    const whole = explorationIn(prover, recording, schedule);
    const what = open === undefined ? whole : shortened(whole);
    // oxlint-disable-next-line no-await-in-loop
    const found = await prover.explored(what);
    if (found.unmeasurable !== undefined) return open ?? prover.notMeasured(found.unmeasurable);
    if (found.failure !== undefined) {
      return prover.lost({ recording, what, schedule }, found, found.failure);
    }
    const { space, covered, leaves, crashPoints } = sumOf(found.tallies);
    const { name, words } = schedule;
    if (found.cut) {
      const why = `when ${words}: the budget of ${what.budget.leaves} leaves was hit`;
      open ??= { ...prover.notMeasured(why), share: { covered, space } };
    }
    schedules.push({ name, words, space, leaves, crashPoints });
  }
  return open ?? { schedules };
}

function shortened(what: Exploration): Exploration {
  const leaves = Math.ceil(what.budget.leaves / SHARE_OF_REST);
  return { ...what, budget: { ...what.budget, leaves } };
}

/** What is explored of a recording in a schedule; `undefined`: of the program as it is. */
export function explorationIn(
  prover: VolumeProver,
  recording: VolumeRecording,
  schedule: Schedule | undefined,
  misfortune?: Misfortune,
): Exploration {
  const what = prover.explorationOf(recording, misfortune);
  // A schedule has many times the crash points; recovery is cut in the program as it is.
  const once = schedule !== undefined && prover.proof.depth === undefined;
  return once ? { ...what, depth: 1 } : what;
}

/** The program as it is, `base`, or in a schedule. */
export async function withSchedule(
  prover: VolumeProver,
  base: VolumeRecording,
  schedule: Schedule | undefined,
): Promise<Explored> {
  const recording = schedule === undefined ? base : await prover.record({ schedule });
  const what = explorationIn(prover, recording, schedule);
  return { recording, what, ...(schedule === undefined ? {} : { schedule }) };
}

/**
 * What becomes of the program with patches: up to the first state that fails.
 * @throws Error where the program does not come by, WorkloadFault
 */
export async function variantOf(
  prover: VolumeProver,
  patches: readonly CallPatch[],
  leaves: number,
): Promise<Findings> {
  const budget = { ...DEFAULT_BUDGET, leaves };
  let found: Findings | undefined;
  for (const schedule of [undefined, ...prover.schedules]) {
    // oxlint-disable-next-line no-await-in-loop -- the first that fails ends it
    const recording = await prover.record({ patches, schedule });
    if (recording.patched === 0) throw new Error("no call is where one was to be patched");
    const what = { ...explorationIn(prover, recording, schedule), budget, stopAtFirst: true };
    // oxlint-disable-next-line no-await-in-loop
    found = await prover.explored(what);
    if (found.failure !== undefined || found.cut || found.unmeasurable !== undefined) break;
  }
  return found as Findings;
}
