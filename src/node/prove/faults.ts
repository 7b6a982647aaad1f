/**
 * Faults that a proof adds to the power cut: what is planned, what a state's name says of them, and
 * how they are told. One fault and one power cut at a time.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { CallNote } from "./calls.ts";

/**
 * What may fail beside the power:
 * - `write`: a write that the filesystem makes on its device is EIO, and nothing of it arrives;
 * - `flush`: a flush of the device is EIO; what was written before it may be lost whatever later
 *   flushes say, unless it is written again (on memory a later fence makes it durable);
 * - `enospc`: a call of the workload that may need room is ENOSPC, and changes nothing;
 * - `short-read`: a `read` or `readv` of the workload, or of `recover`, gives half of what is
 *   there;
 * - `poison`: a sector that is read when power is back is EIO, until it is written.
 */
export type FaultKind = "write" | "flush" | "enospc" | "short-read" | "poison";

/** Every kind, in the order in which they are run. */
export const FAULT_KINDS: readonly FaultKind[] = [
  "enospc",
  "write",
  "flush",
  "short-read",
  "poison",
];

/** Faults of one kind. */
export interface FaultRequest {
  readonly kind: FaultKind;
  /** Which of them, from 1; for poison the number of a sector of 512 bytes; each unless given. */
  readonly at?: number | "each";
}

/** What a proof asks for. */
export type FaultPlan = "all" | readonly (FaultKind | FaultRequest)[];

/** One fault. */
export interface Fault {
  readonly kind: FaultKind;
  /** The how many-th of its kind, from 1; for poison the first of the sectors that are lost. */
  readonly at: number;
  /** When it comes. */
  readonly during: "workload" | "recovery";
}

/** What a check is told of a fault. */
export interface FaultNote extends Fault {
  /** `the 3rd flush failed with EIO`. */
  readonly words: string;
  /** The call in which it came, for faults of the workload. */
  readonly call?: CallNote;
  /** Calls of the workload that threw from then on, each with the code of its error. */
  readonly threw: readonly CallNote[];
}

/** Faults of one kind and what became of them. */
export interface FaultTally {
  readonly kind: FaultKind;
  /** How many there are. */
  readonly planned: number;
  readonly run: number;
  /** What was left out because the budget had an end. */
  readonly skipped: number;
  /** Raw states with one of these faults. */
  readonly space: bigint;
  readonly leaves: number;
}

/** How many faults of each kind a program may meet. */
export interface FaultCounts {
  readonly write: number;
  readonly flush: number;
  readonly enospc: number;
  /** Of the workload. */
  readonly "short-read": number;
  /** Of `recover`, in the run that made most of them. */
  readonly shortInRecovery: number;
  /** First sectors of what is read when power is back, ascending. */
  readonly poison: readonly number[];
}

/** What is wrong with what a proof asks for; undefined: nothing. */
export function whatIsWrongWithFaults(plan: unknown): string | undefined {
  if (plan === undefined || plan === "all") return undefined;
  const kinds = FAULT_KINDS.join(", ");
  if (!Array.isArray(plan)) return `faults: give "all", or a list of ${kinds}`;
  for (const each of plan as unknown[]) {
    const given = typeof each === "string" ? { kind: each } : each;
    const { kind, at = "each" } = (given ?? {}) as {
      readonly kind?: unknown;
      readonly at?: unknown;
    };
    if (!FAULT_KINDS.includes(kind as FaultKind)) {
      return `faults: ${JSON.stringify(kind)} is no fault; there is ${kinds}`;
    }
    const least = kind === "poison" ? 0 : 1;
    if (at !== "each" && !(Number.isSafeInteger(at) && Number(at) >= least)) {
      return `faults: at is ${JSON.stringify(at)}; give "each", or a number from ${least} on`;
    }
  }
  return undefined;
}

/** The requests of a plan. */
export function requestsIn(plan: FaultPlan): readonly FaultRequest[] {
  const all = plan === "all" ? FAULT_KINDS : plan;
  return all.map((each) => (typeof each === "string" ? { kind: each } : each));
}

/** Every fault that a request means, in order. */
export function faultsOf({ kind, at = "each" }: FaultRequest, counts: FaultCounts): Fault[] {
  if (kind === "poison") {
    const during = "recovery";
    if (at !== "each") return [{ kind, at, during }];
    return counts.poison.map((sector) => ({ kind, at: sector, during }));
  }
  const made = upTo(counts[kind]).map((n): Fault => ({ kind, at: n, during: "workload" }));
  if (kind === "short-read") {
    for (const n of upTo(counts.shortInRecovery)) made.push({ kind, at: n, during: "recovery" });
  }
  return at === "each" ? made : made.filter((fault) => fault.at === at);
}

function upTo(most: number): number[] {
  return Array.from({ length: most }, (_, i) => i + 1);
}

/** What stands before the name of a state: `flush3~`. */
export function faultName({ kind, at, during }: Fault): string {
  const late = kind === "short-read" && during === "recovery";
  return `${late ? "recovery-" : ""}${kind}${at}~`;
}

const NAME = /^(?:(recovery-)?(write|flush|enospc|short-read|poison)(\d{1,15})~)?([^~]*)$/u;

/** A state's name and the fault in it. @throws EINVAL */
export function parseState(id: string): { readonly fault: Fault | undefined; readonly id: string } {
  const match = NAME.exec(id);
  if (match === null) {
    const detail = `no state of this proof is called ${JSON.stringify(id)}; a report names one`;
    throw new DaxError("EINVAL", { syscall: "prove", detail });
  }
  const [, late, kind, at, rest = ""] = match;
  if (kind === undefined) return { fault: undefined, id: rest };
  const during = late !== undefined || kind === "poison" ? "recovery" : "workload";
  return { fault: { kind: kind as FaultKind, at: Number(at), during }, id: rest };
}

/** `the 3rd flush of the device failed with EIO`. */
export function faultWords({ kind, at, during }: Fault): string {
  const nth = `the ${ordinal(at)}`;
  if (kind === "poison") return `sector ${at} could not be read when power was back`;
  if (kind === "enospc") return `${nth} call that needs room failed with ENOSPC`;
  if (kind === "short-read") {
    const whose = during === "recovery" ? "recover" : "the workload";
    return `${nth} read of ${whose} gave half of what is there`;
  }
  return `${nth} ${kind} of the device failed with EIO`;
}

/** The same, with what lies in the sector that cannot be read. */
export function withPlace(note: FaultNote, placeAt: (at: number) => string): FaultNote {
  if (note.kind !== "poison") return note;
  const words = `sector ${note.at} (${placeAt(note.at * 512)})`;
  return { ...note, words: `${words} could not be read when power was back` };
}

/** `1st`, `22nd`, `113th`. */
export function ordinal(n: number): string {
  const teens = n % 100 > 10 && n % 100 < 14;
  const ending = teens ? undefined : ["st", "nd", "rd"][(n % 10) - 1];
  return `${n}${ending ?? "th"}`;
}
