/**
 * What one line of a write-combining range may hold: its stores wait in a buffer that may drain in
 * any order, so until a fence each atom has arrived, or not, without regard to the others. Of one
 * atom a newer value never gives way to an older one.
 *
 * @module
 */
import { ATOM_BYTES, LINE_BYTES } from "../media/trace.ts";
import { Unmeasurable } from "./unmeasurable.ts";
import type { Segment } from "./versions.ts";

/** Contents of one line that are counted out; a program with more makes too few fences. */
const MOST_CONTENTS = 2 ** 16;

/** The stores to one atom, as numbers of segments, and what the atom holds after each. */
interface AtomHistory {
  readonly at: number;
  readonly segments: readonly number[];
  /** One more than `segments`: the first is what was durable. */
  readonly contents: readonly Uint8Array[];
}

/**
 * How many contents the segments add to a line.
 * @throws Unmeasurable when they are more than can be counted out
 */
export function combinedSteps(segments: readonly Segment[]): number {
  const touched = new Uint32Array(LINE_BYTES / ATOM_BYTES);
  for (const { from, length } of segments) {
    for (let atom = firstAtom(from); atom < pastAtom(from, length); atom++) touched[atom]!++;
  }
  const count = touched.reduce((product, stores) => product * (stores + 1), 1);
  if (count <= MOST_CONTENTS) return count - 1;
  throw new Unmeasurable(
    `a line that is mapped write-combining may hold one of ${count} contents between two fences; ` +
      `${MOST_CONTENTS} are the most that are counted out: fence more often`,
  );
}

/** Every content of the line, equal ones included, and how many atoms did not arrive. */
export function* combinedContents(
  base: Uint8Array,
  segments: readonly Segment[],
  arena: Uint8Array,
): Generator<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly missing: number }, void> {
  const atoms = historiesOf(base, segments, arena);
  const arrived = atoms.map(() => 0);
  let missing = atoms.reduce((sum, atom) => sum + atom.segments.length, 0);
  const bytes = Uint8Array.from(base);
  for (;;) {
    yield { bytes: bytes.slice(), missing };
    // Counts up, the first atom fastest.
    let place = 0;
    for (; place < atoms.length; place++) {
      const { at, segments: stores, contents } = atoms[place] as AtomHistory;
      const count = arrived[place] as number;
      const isLast = count === stores.length;
      arrived[place] = isLast ? 0 : count + 1;
      missing += isLast ? count : -1;
      bytes.set(contents[arrived[place] as number] as Uint8Array, at);
      if (!isLast) break;
    }
    if (place === atoms.length) return;
  }
}

/** What became of each segment, by what the line holds: as much as possible has arrived. */
export function combinedFates(
  base: Uint8Array,
  segments: readonly Segment[],
  arena: Uint8Array,
  held: Uint8Array,
): ("arrived" | "torn" | "lost")[] {
  const some = segments.map(() => false);
  const all = segments.map(() => true);
  for (const { at, segments: stores, contents } of historiesOf(base, segments, arena)) {
    const now = held.subarray(at, at + ATOM_BYTES);
    const arrived = contents.findLastIndex((bytes) => bytes.every((byte, i) => byte === now[i]));
    for (const [i, segment] of stores.entries()) {
      if (i < arrived) some[segment] = true;
      else all[segment] = false;
    }
  }
  return segments.map((_, i) => {
    if (all[i] === true) return "arrived";
    return some[i] === true ? "torn" : "lost";
  });
}

function historiesOf(
  base: Uint8Array,
  segments: readonly Segment[],
  arena: Uint8Array,
): AtomHistory[] {
  const atoms: AtomHistory[] = [];
  for (let at = 0; at < LINE_BYTES; at += ATOM_BYTES) {
    const stores: number[] = [];
    const contents = [base.slice(at, at + ATOM_BYTES)];
    for (const [i, { from, length, data }] of segments.entries()) {
      const start = Math.max(from, at);
      const stop = Math.min(from + length, at + ATOM_BYTES);
      if (stop <= start) continue;
      const next = (contents.at(-1) as Uint8Array).slice();
      next.set(arena.subarray(data + start - from, data + stop - from), start - at);
      stores.push(i);
      contents.push(next);
    }
    if (stores.length > 0) atoms.push({ at, segments: stores, contents });
  }
  return atoms;
}

function firstAtom(from: number): number {
  return Math.floor(from / ATOM_BYTES);
}

function pastAtom(from: number, length: number): number {
  return Math.ceil((from + length) / ATOM_BYTES);
}
