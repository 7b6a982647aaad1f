/**
 * The steps of a transcript: a tree of what happened, with a branch for each value that a load ever
 * found.
 *
 * @module
 */
import type { TraceKind } from "../media/trace.ts";
import type { Objection } from "./program.ts";
import type { Ran } from "./run.ts";

/** What happened at one place of the tree. */
export interface Step {
  /** `load`, a kind of event, the end of recovery, or the end. */
  readonly kind: StepKind;
  readonly at: number;
  readonly length: number;
  /** What was loaded or stored; how many promises there were, at the end of recovery. */
  readonly bytes: Uint8Array;
  /** The same four at a time, where that can be compared: most of a walk is comparing. */
  readonly words: Uint32Array | undefined;
  readonly acked: number;
  readonly objection: Objection | undefined;
  /** What the program's `look` saw. */
  readonly seen: unknown;
  next: Step | undefined;
  /** The same place, where something else was found. */
  other: Step | undefined;
  /** The next of those that have the same hash. */
  alike: Step | undefined;
  /** Of the first step of a place: the others, where they are many. */
  branches: Branches | undefined;
  /** Of the first step of a place: what was found there while the image was in this epoch. */
  steady: { readonly epoch: number; readonly step: Step } | undefined;
}

export const LOAD = 0;
export const RECOVERED = 16;
export const END = 17;
/** A `TraceKind` for what is stored, flushed and fenced. */
export type StepKind = TraceKind | typeof LOAD | typeof RECOVERED | typeof END;

/** Where a tree begins. */
export interface Root {
  first: Step | undefined;
}

/** The steps of one place, to be found by their bytes. */
interface Branches {
  last: Step;
  count: number;
  byHash: Map<number, Step> | undefined;
}

/** Branches of one place that are compared one after the other. */
const MOST_COMPARED = 8;

/** The step of a place after so many promises. */
export function branchAfter(first: Step, acked: number): Step | undefined {
  let step: Step | undefined = first;
  while (step !== undefined && step.acked !== acked) step = step.other;
  return step;
}

/** The step of a place where the image holds these bytes; `words` are the image's. */
export function branchOf(
  first: Step,
  image: Uint8Array,
  words: Uint32Array | undefined,
): Step | undefined {
  const byWords = first.words !== undefined && words !== undefined;
  const at = byWords ? first.at / 4 : first.at;
  const values = byWords ? words : image;
  const byHash = first.branches?.byHash;
  if (byHash === undefined) {
    for (let step: Step | undefined = first; step !== undefined; step = step.other) {
      if (holds(values, at, byWords ? (step.words as Uint32Array) : step.bytes)) return step;
    }
    return undefined;
  }
  const hash = hashOf(values, at, byWords ? first.length / 4 : first.length);
  for (let step = byHash.get(hash); step !== undefined; step = step.alike) {
    if (holds(values, at, byWords ? (step.words as Uint32Array) : step.bytes)) return step;
  }
  return undefined;
}

/** Another step at the same place. */
export function addBranch(first: Step, step: Step): void {
  const branches = (first.branches ??= { last: first, count: 1, byHash: undefined });
  branches.last.other = step;
  branches.last = step;
  branches.count++;
  if (branches.byHash !== undefined) addHash(branches.byHash, step);
  else if (branches.count > MOST_COMPARED) {
    branches.byHash = new Map();
    for (let each: Step | undefined = first; each !== undefined; each = each.other) {
      addHash(branches.byHash, each);
    }
  }
}

function addHash(byHash: Map<number, Step>, step: Step): void {
  const { words, bytes } = step;
  const hash =
    words === undefined ? hashOf(bytes, 0, bytes.length) : hashOf(words, 0, words.length);
  step.alike = byHash.get(hash);
  byHash.set(hash, step);
}

function hashOf(values: Uint8Array | Uint32Array, at: number, length: number): number {
  let hash = length;
  for (let i = at; i < at + length; i++) {
    hash = Math.imul(hash ^ (values[i] as number), 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

/** The bytes four at a time, if they can be compared so with what lies at `at`. */
export function wordsOf(bytes: Uint8Array, at: number): Uint32Array | undefined {
  const { buffer, byteOffset, length } = bytes;
  if ((at | byteOffset | length) % 4 !== 0) return undefined;
  return new Uint32Array(buffer, byteOffset, length / 4);
}

/** Whether `wanted` lies at `at`. */
function holds<T extends Uint8Array | Uint32Array>(bytes: T, at: number, wanted: T): boolean {
  const { length } = wanted;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/** What happened. */
type Told = Pick<Step, "kind" | "at" | "length" | "bytes" | "acked">;

/** An image of which most never changes. */
export interface SteadyImage {
  /** Changes when a line changes that never changed before. */
  readonly epoch: number;
  /** Whether no line of these bytes ever changed. */
  isSteady(at: number, length: number): boolean;
}

/** A step, and how the run ended if it did. */
export function stepOf({ kind, at, length, bytes, acked }: Told, ran: Ran | undefined): Step {
  return {
    kind,
    at,
    length,
    bytes,
    words: wordsOf(bytes, at),
    acked,
    objection: ran?.objection,
    seen: ran?.seen,
    next: undefined,
    other: undefined,
    alike: undefined,
    branches: undefined,
    steady: undefined,
  };
}
