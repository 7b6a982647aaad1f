/**
 * Editing an e820 map before it is sanitised: add, retype and remove ranges. Pieces that an edit
 * splits off go to the end, so the result is unsorted, and an edit of a full map loses pieces.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import { E820_MAX_ENTRIES, type E820Entry, endOf } from "./e820.ts";

const HIGHEST = (1n << 64n) - 1n;

/** What an edit did. */
export interface Edited {
  readonly entries: E820Entry[];
  /** Bytes whose type changed, or that were removed or added. */
  readonly bytes: bigint;
  /** What found no room: the kernel logs such an entry and forgets it. */
  readonly lost: readonly E820Entry[];
}

/** A map being edited, with the kernel's limit on its length. */
class Draft {
  readonly entries: E820Entry[];
  readonly lost: E820Entry[] = [];
  bytes = 0n;
  readonly #capacity: number;

  constructor(entries: readonly E820Entry[], capacity: number) {
    this.entries = [...entries];
    this.#capacity = capacity;
  }

  append(start: bigint, length: bigint, type: number): void {
    const entry = { start, length: BigInt.asUintN(64, length), type };
    if (this.entries.length < this.#capacity) this.entries.push(entry);
    else this.lost.push(entry);
  }
}

/** Appends `[start, start + length)` as `type`. */
export function addRange(
  entries: readonly E820Entry[],
  range: E820Entry,
  capacity: number = E820_MAX_ENTRIES,
): Edited {
  const draft = new Draft(entries, capacity);
  draft.append(range.start, range.length, range.type);
  if (draft.lost.length === 0) draft.bytes = range.length;
  return draft;
}

/** Turns what is of type `from` inside `[start, start + length)` into type `to`. */
export function retypeRange(
  entries: readonly E820Entry[],
  start: bigint,
  length: bigint,
  from: number,
  to: number,
  capacity: number = E820_MAX_ENTRIES,
): Edited {
  assert(from !== to, () => `retypeRange: ${from} to itself`);
  return carve(entries, start, length, from, to, capacity);
}

/** Removes what is of type `only` (of any type, if left out) inside `[start, start + length)`. */
export function removeRange(
  entries: readonly E820Entry[],
  start: bigint,
  length: bigint,
  only?: number,
  capacity: number = E820_MAX_ENTRIES,
): Edited {
  return carve(entries, start, length, only, undefined, capacity);
}

/** Cuts the range out of every entry of type `from`; the cut becomes type `to`, or nothing. */
function carve(
  entries: readonly E820Entry[],
  start: bigint,
  length: bigint,
  from: number | undefined,
  to: number | undefined,
  capacity: number,
): Edited {
  const past = start + length > HIGHEST ? HIGHEST : start + length;
  const draft = new Draft(entries, capacity);
  // Pieces appended on the way are visited too: a tail of the old type lies outside the range.
  for (let i = 0; i < draft.entries.length; i++) {
    const entry = draft.entries[i] as E820Entry;
    if (from !== undefined && entry.type !== from) continue;
    draft.entries[i] = carveEntry(draft, entry, start, past, to);
  }
  return draft;
}

/** What remains of `entry` in its own place. */
function carveEntry(
  draft: Draft,
  entry: E820Entry,
  start: bigint,
  past: bigint,
  to: number | undefined,
): E820Entry {
  const entryPast = endOf(entry);
  if (entry.start >= start && entryPast <= past) {
    draft.bytes += entry.length;
    return to === undefined ? { start: 0n, length: 0n, type: 0 } : { ...entry, type: to };
  }
  if (entry.start < start && entryPast > past) {
    if (to !== undefined) draft.append(start, past - start, to);
    draft.append(past, entryPast - past, entry.type);
    draft.bytes += past - start;
    return { ...entry, length: start - entry.start };
  }
  const cutStart = entry.start > start ? entry.start : start;
  const cutPast = entryPast < past ? entryPast : past;
  if (cutStart >= cutPast) return entry;
  const cut = cutPast - cutStart;
  if (to !== undefined) draft.append(cutStart, cut, to);
  draft.bytes += cut;
  const left = BigInt.asUintN(64, entry.length - cut);
  return { ...entry, start: entry.start < cutStart ? entry.start : cutPast, length: left };
}
