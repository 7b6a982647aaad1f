/**
 * Which call is missing, and which is not needed. Every answer is verified: the workload runs again
 * with the calls added, or left out, and every state of it is explored.
 *
 * @module
 */
import { dirname } from "node:path/posix";
import type { Exploration } from "../../crash/explorer.ts";
import type { Failure } from "../../crash/failure.ts";
import { sumOf } from "../../crash/tally.ts";
import type { CounterExample } from "../../crash/verdict.ts";
import { type CallNote, type CallPatch, callerPlaceOf, placeOfCall } from "./calls.ts";
import type { VolumeRecording } from "./recording.ts";
import { variantOf } from "./schedule-prover.ts";
import type { VolumeProver } from "./volume-prover.ts";
import type { MissingCall, RedundantCall } from "./volume-verdict.ts";

/** Calls that a remedy may add. */
const MOST_INSERTIONS = 3;
/** Programs that are run and explored before the search gives up. */
const MOST_TRIED = 40;
/** Places whose calls are left out to see whether they are needed, and leaves of all of that. */
const MOST_LEFT_OUT = 40;
const MOST_LEFT_OUT_LEAVES = 100_000;
/** Places where each leaf is a command that runs. */
const FEW_LEFT_OUT = 12;
/** Leaves of one such exploration. */
const MOST_LEAVES = 100_000;

/** A patch, and the first call that it is about. */
interface Candidate {
  readonly patch: CallPatch;
  readonly call: CallNote;
}

const WRITES = /^(?:writeFile|appendFile|copyFile|truncate)$/u;
/** Pieces of what is written: a sync when all of it is written is better. */
const PIECES = /^(?:write|writev|ftruncate|pwrite)$/u;
const NAMES =
  /^(?:rename|link|symlink|unlink|mkdir|rmdir|rm|mkdtemp|writeFile|copyFile|open|creat)$/u;

/** What came of looking for calls that are missing. */
export interface RemedySearch {
  /** Those that mend it. */
  readonly calls: readonly MissingCall[] | undefined;
  /** Programs with more calls that were run. */
  readonly tried: number;
  /** Whether those were all that there are. */
  readonly isWhole: boolean;
}

/** The fewest calls to be added; of as many, those that come first in the program. */
export async function findMissing(
  prover: VolumeProver,
  { calls }: VolumeRecording,
  { event }: { readonly failure: Failure; readonly event: number },
): Promise<RemedySearch> {
  const candidates = candidatesIn(calls.filter(({ from }) => from <= event));
  let tried = 0;
  for (let size = 1; size <= Math.min(MOST_INSERTIONS, candidates.length); size++) {
    for (const set of subsets(candidates, size)) {
      if (tried >= MOST_TRIED) return { calls: undefined, tried, isWhole: false };
      tried++;
      // One after the other: each may be the last.
      // oxlint-disable-next-line no-await-in-loop
      const { survived } = await outcomeOf(
        prover,
        set.map(({ patch }) => patch),
      );
      if (survived) return { calls: set.map(toldOf), tried, isWhole: false };
    }
  }
  return { calls: undefined, tried, isWhole: candidates.length <= MOST_INSERTIONS };
}

/** Calls of one place. */
type Placed = readonly [place: string, calls: readonly CallNote[]];

/**
 * Calls to fsync and fdatasync, and to flush a mapping, that can go, one place at a time; where a
 * function is called from several, and is needed, those of one caller.
 */
export async function findRedundant(
  prover: VolumeProver,
  { calls }: VolumeRecording,
): Promise<{ readonly redundant: readonly RedundantCall[]; readonly notes: readonly string[] }> {
  const redundant: RedundantCall[] = [];
  const left: Placed[] = groupsOf(calls.filter(isSync), placeOfCall);
  const most = prover.runsCommands ? FEW_LEFT_OUT : MOST_LEFT_OUT;
  let leaves = 0;
  let tried = 0;
  while (left.length > 0 && tried < most && leaves < MOST_LEFT_OUT_LEAVES) {
    const [place, group] = left.shift() as Placed;
    const [call] = group;
    tried++;
    // oxlint-disable-next-line no-await-in-loop
    const without = await outcomeOf(prover, [{ when: "instead", place, what: "nothing" }]);
    leaves += without.leaves;
    const isCallers = place !== placeOfCall(call as CallNote);
    if (without.survived) {
      const [caller] = isCallers ? (call?.site?.callers ?? []) : [];
      redundant.push({
        call: call as CallNote,
        times: group.length,
        ...(caller === undefined ? {} : { caller }),
      });
    } else if (!isCallers) {
      const callers = groupsOf(group, callerPlaceOf);
      if (callers.length > 1) left.push(...callers);
    }
  }
  const more = left.length > 1 ? `${left.length} more places of fsync were` : "one more was";
  const why = "not left out to see whether every state survives";
  return { redundant, notes: left.length > 0 ? [`${more} ${why}`] : [] };
}

function isSync({ name }: CallNote): boolean {
  return name === "fsync" || name === "fdatasync" || name === "flush";
}

function groupsOf(calls: readonly CallNote[], by: (call: CallNote) => string): Placed[] {
  const places = new Map<string, CallNote[]>();
  for (const call of calls) {
    const place = by(call);
    if (place !== "") places.set(place, [...(places.get(place) ?? []), call]);
  }
  return [...places];
}

/** Whether every state survives with patches, and how many leaves were looked at. */
async function outcomeOf(
  prover: VolumeProver,
  patches: readonly CallPatch[],
): Promise<{ readonly survived: boolean; readonly leaves: number }> {
  try {
    const found = await variantOf(prover, patches, MOST_LEAVES);
    const failed = found.failure !== undefined || found.unmeasurable !== undefined;
    return { survived: !failed && !found.cut, leaves: sumOf(found.tallies).leaves };
  } catch {
    // What is to be synced is not there any more: no remedy.
    return { survived: false, leaves: 0 };
  }
}

/** What a programmer would add, in the order of the program. */
function candidatesIn(calls: readonly CallNote[]): Candidate[] {
  const found = new Map<string, Candidate>();
  const add = (call: CallNote, when: CallPatch["when"], what: CallPatch["what"]): void => {
    const place = placeOfCall(call);
    const key = `${when} ${what} ${place}`;
    if (place === "" || call.path === undefined || found.has(key)) return;
    found.set(key, { patch: { when, place, what }, call });
  };
  for (const call of calls) {
    if (WRITES.test(call.name)) add(call, "after", "file");
    if (call.name === "close" || call.name === "rename") add(call, "before", "file");
    if (NAMES.test(call.name)) add(call, "after", "directory");
  }
  for (const call of calls) if (PIECES.test(call.name)) add(call, "after", "file");
  return [...found.values()];
}

function* subsets<T>(items: readonly T[], size: number, from = 0): Generator<T[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let i = from; i <= items.length - size; i++) {
    for (const rest of subsets(items, size - 1, i + 1)) yield [items[i] as T, ...rest];
  }
}

function toldOf({ patch, call }: Candidate): MissingCall {
  const target = (patch.what === "directory" ? (call.to ?? call.path) : call.path) ?? "/";
  return {
    when: patch.when === "before" ? "before" : "after",
    call,
    what: patch.what === "directory" ? "directory" : "file",
    path: patch.what === "directory" ? dirname(target) : target,
  };
}

/** What is said where recovery or check fail without a power cut, too. */
export const NOTHING_TO_MEND = "nothing: no fsync mends what no power cut broke";

/** What is said where no call mends it, of a state that `counterExample` tells. */
export function noRemedy(
  { modelled }: Exploration,
  { cuts: [first, ...inner] }: CounterExample,
  { tried, isWhole }: RemedySearch,
): string {
  if (modelled.domain === "volatile") return "the memory is volatile, and keeps nothing";
  const none = isWhole
    ? "no fsync mends this"
    : `no fsync was found that mends this, in ${tried} trials of up to ${MOST_INSERTIONS} of them`;
  if (inner.length > 0) {
    return `${none}: power was cut in recovery too; look at what it writes, and in what order`;
  }
  if (first?.acked.length === 0) {
    return (
      `${none}: nothing was promised yet, so what is there is half done, or was never right; ` +
      "write beside what has to stay, sync that, and rename it into place"
    );
  }
  return `${none}: the order of the calls, or what is written, is wrong`;
}
