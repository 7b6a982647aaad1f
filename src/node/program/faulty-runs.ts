/**
 * Programs that meet a fault: each one is run anew with it, since what a program does then nobody
 * knows before.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { Fault, FaultKind, FaultPlan } from "../prove/faults.ts";
import { FAULT_KINDS, faultName, faultWords } from "../prove/faults.ts";
import { WorkloadFault } from "../prove/recording.ts";
import { type Schedule, schedulePrefix } from "../prove/schedules.ts";
import type { VolumeSettings } from "../prove/volume-settings.ts";
import type { Entry } from "./record.ts";
import { actOf } from "./replay-record.ts";
import type { ProgramRun } from "./run-program.ts";

/** Reads that change nothing are in no record. */
const UNRECORDED: FaultKind = "short-read";

/** The plan as far as programs can be run with it. @throws EINVAL for what they cannot */
export function planForPrograms(plan: FaultPlan | undefined): FaultPlan | undefined {
  if (plan === undefined) return undefined;
  const known = FAULT_KINDS.filter((kind) => kind !== UNRECORDED);
  if (plan === "all") return known;
  const kinds = plan.map((each) => (typeof each === "string" ? each : each.kind));
  if (!kinds.includes(UNRECORDED)) return plan;
  const detail = `faults: ${UNRECORDED} is for proofs in files; programs meet ${known.join(", ")}`;
  throw new DaxError("EINVAL", { detail });
}

/** Runs a program that meets a fault, while the filesystem does what a schedule says. */
export type RunWith = (fault: Fault, schedule: Schedule | undefined) => Promise<ProgramRun>;

/** See the module. */
export class FaultyRuns {
  readonly #run: RunWith;
  readonly #known = new Map<string, readonly Entry[]>();

  constructor(run: RunWith) {
    this.#run = run;
  }

  /** A run that was kept. */
  keep(name: string, entries: readonly Entry[]): void {
    this.#known.set(name, entries);
  }

  /** What the program did, if it was run with what begins the name of a state. */
  entriesOf(state: string): readonly Entry[] | undefined {
    const [name] = /^[^~]*~/u.exec(state) ?? [];
    return name === undefined ? undefined : this.#known.get(name);
  }

  /** What it does when it meets a fault. @throws WorkloadFault where it does not end */
  readonly actWith: NonNullable<VolumeSettings["actWith"]> = async (fault, schedule) => {
    const name = `${schedulePrefix(schedule)}${faultName(fault)}`;
    const known = this.#known.get(name);
    if (known !== undefined) return actOf(known);
    const { entries, failure, late } = await this.#run(fault, schedule);
    // Who ends with an error because of it has ended; what was promised before counts.
    if (late) {
      throw new WorkloadFault("workload", `when ${faultWords(fault)}: ${failure ?? "it goes on"}`);
    }
    this.#known.set(name, entries);
    return actOf(entries);
  };
}
