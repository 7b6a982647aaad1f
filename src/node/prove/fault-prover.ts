/**
 * Programs to which something happens beside the power cut: each fault of the plan in turn, and
 * each state that the power may leave then.
 *
 * @module
 */
import type { Exploration } from "../../crash/explorer.ts";
import type { NotMeasured } from "../../crash/verdict.ts";
import type { CallNote } from "./calls.ts";
import {
  type Fault,
  type FaultCounts,
  type FaultKind,
  type FaultNote,
  type FaultTally,
  faultWords,
  faultsOf,
  requestsIn,
} from "./faults.ts";
import { type VolumeRecording, WorkloadFault } from "./recording.ts";
import { type Explored, explorationIn } from "./schedule-prover.ts";
import type { Schedule } from "./schedules.ts";
import type { VolumeProver } from "./volume-prover.ts";
import type { VolumeVerdict } from "./volume-verdict.ts";

/** Faults that are run unless the budget says otherwise. */
const MOST_FAULTS = 1000;

/** What was found where nothing was lost. */
export interface FaultFindings {
  readonly tallies: readonly FaultTally[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Runs the plan of the prover's proof, up to the first fault with which something is lost; a
 * verdict then, and where not all could be run.
 */
export async function proveFaults(
  prover: VolumeProver,
  base: VolumeRecording,
): Promise<FaultFindings | VolumeVerdict> {
  const { faults: plan, budget } = prover.proof;
  if (plan === undefined) return { tallies: [] };
  const tallies = new Map<FaultKind, Mutable<FaultTally>>();
  let left = budget?.faults ?? MOST_FAULTS;
  for (const schedule of [undefined, ...prover.schedules.filter(failsLater)]) {
    // One after the other: the first that loses something ends it.
    // oxlint-disable-next-line no-await-in-loop
    const counts = await countsOf(prover, schedule);
    for (const request of requestsIn(plan)) {
      const { kind, at } = request;
      if (schedule !== undefined && kind !== "write") continue;
      const faults = faultsOf(request, counts);
      if (faults.length === 0 && typeof at === "number" && schedule === undefined) {
        return prover.notMeasured(
          `it never happens that ${faultWords({ kind, at, during: "workload" })}`,
        );
      }
      const tally = tallies.get(kind) ?? newTally(kind);
      tallies.set(kind, tally);
      tally.planned += faults.length;
      for (const fault of faults) {
        if (left-- <= 0) {
          tally.skipped++;
          continue;
        }
        // oxlint-disable-next-line no-await-in-loop
        const verdict = await proveOne(prover, base, { fault, schedule }, tally);
        if (verdict !== undefined) return verdict;
      }
    }
  }
  return unrun(prover, [...tallies.values()]) ?? { tallies: [...tallies.values()] };
}

/** A fault, and what the filesystem does by itself meanwhile. */
interface Struck {
  readonly fault: Fault;
  readonly schedule: Schedule | undefined;
}

/** Where contents wait in memory a write of them fails in a sync, and they are gone with that. */
function failsLater({ name }: Schedule): boolean {
  return name === "delayed";
}

/** How much there is that might fail; in a schedule, of what the workload does. */
async function countsOf(
  prover: VolumeProver,
  schedule: Schedule | undefined,
): Promise<FaultCounts> {
  let counts = { write: 0, flush: 0, enospc: 0, "short-read": 0 };
  await prover.record({ schedule, onCounts: (found) => (counts = found) });
  if (schedule !== undefined) return { ...counts, shortInRecovery: 0, poison: [] };
  const { sectors = new Set<number>(), shortReads = 0 } = prover.looks ?? {};
  const poison = [...sectors].toSorted((a, b) => a - b);
  return { ...counts, shortInRecovery: shortReads, poison };
}

async function proveOne(
  prover: VolumeProver,
  base: VolumeRecording,
  struck: Struck,
  tally: Mutable<FaultTally>,
): Promise<VolumeVerdict | undefined> {
  const { fault } = struck;
  const one = await withFault(prover, base, struck);
  const { what, note } = one;
  if (note.during === "workload" && one.recording.struckIn === undefined) {
    return prover.notMeasured(
      `the workload is not deterministic: run again, it did not happen that ${faultWords(fault)}`,
    );
  }
  const found = await prover.explored(what);
  tally.run++;
  for (const { space, leaves } of found.tallies) {
    tally.space += space;
    tally.leaves += leaves;
  }
  if (found.unmeasurable !== undefined) return prover.notMeasured(found.unmeasurable);
  if (found.failure !== undefined) return prover.lost(one, found, found.failure);
  if (!found.cut) return undefined;
  const [{ covered, space } = { covered: 0n, space: 0n }] = found.tallies;
  const why = `when ${note.words}: the budget of ${what.budget.leaves} leaves was hit`;
  return { ...prover.notMeasured(why), share: { covered, space } };
}

/** A program that meets a fault. @throws WorkloadFault when it does not end */
export async function withFault(
  prover: VolumeProver,
  base: VolumeRecording,
  { fault, schedule }: Struck,
): Promise<Explored & { readonly note: FaultNote }> {
  const recording = fault.during === "workload" ? await recorded(prover, fault, schedule) : base;
  const note = noteOf(fault, recording);
  const what: Exploration = explorationIn(prover, recording, schedule, {
    faults: [note],
    ...(fault.during === "recovery" ? { fault } : {}),
  });
  return { recording, what, note, ...(schedule === undefined ? {} : { schedule }) };
}

async function recorded(
  prover: VolumeProver,
  fault: Fault,
  schedule: Schedule | undefined,
): Promise<VolumeRecording> {
  try {
    return await prover.record({ fault, schedule });
  } catch (error) {
    if (!(error instanceof WorkloadFault)) throw error;
    const said = `when ${faultWords(fault)}: ${error.message}`;
    throw new WorkloadFault(error.phase, said, error.cause);
  }
}

function noteOf(fault: Fault, { calls, struckIn }: VolumeRecording): FaultNote {
  const words = faultWords(fault);
  if (struckIn === undefined) return { ...fault, words, threw: [] };
  const call = calls[struckIn];
  const threw = calls.filter((each, i) => each.threw !== undefined && i >= struckIn);
  return { ...fault, words, threw, ...(call === undefined ? {} : { call }) };
}

/** What is said instead of a remedy: nothing is missing but heed. */
export function noRemedyFor({ during, threw }: FaultNote, calls: readonly CallNote[]): string {
  if (during === "recovery") return "nothing in the workload: what runs after power is back errs";
  const [first] = threw;
  if (first === undefined) return "no call threw: the program was not told, and has to look";
  const promised = calls.some(({ name, from }) => name === "ack" && from >= first.stop);
  const heed = promised ? ", and the program went on to promise" : "";
  return `heed of the error: ${first.name} threw ${first.threw ?? "an error"}${heed}`;
}

function newTally(kind: FaultKind): Mutable<FaultTally> {
  return { kind, planned: 0, run: 0, skipped: 0, space: 0n, leaves: 0 };
}

/** What was not run is no pass. */
function unrun(prover: VolumeProver, tallies: readonly FaultTally[]): NotMeasured | undefined {
  const left = tallies.filter(({ skipped }) => skipped > 0);
  if (left.length === 0) return undefined;
  const words = left.map(({ kind, skipped, planned }) => `${skipped} of ${planned} ${kind}`);
  return prover.notMeasured(
    `nothing is lost with the faults that were run, but the budget left out ${words.join(", ")}; ` +
      "raise budget.faults",
  );
}
