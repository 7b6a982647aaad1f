/**
 * What one cache line may hold after a power cut (crash model, rules 1 to 4).
 *
 * @module
 */
import { ATOM_BYTES, LINE_BYTES } from "../media/trace.ts";
import { combinedContents, combinedSteps } from "./combining.ts";

/**
 * What a bulk copy leaves of itself in one line when it is torn:
 * - `prefix`: its first atoms, in ascending order (the default);
 * - `atoms`: any subset of its atoms;
 * - `line`: all or nothing.
 */
export type Torn = "prefix" | "atoms" | "line";

/** The part of one store that lies in one line. */
export interface Segment {
  readonly event: number;
  /** Bytes from the start of the line. */
  readonly from: number;
  readonly length: number;
  /** Where the bytes begin in the trace's arena. */
  readonly data: number;
  readonly bulk: boolean;
  /** Its line is mapped write-combining. */
  readonly combining: boolean;
}

/** One content of a line that a power cut may leave. */
export interface Version {
  readonly bytes: Uint8Array;
  /** How many raw states of the line have this content. */
  weight: number;
  /** Atoms that were stored and did not arrive, since this level's last durable version. */
  missing: number;
  /** The same, summed over all power cuts so far. */
  total: number;
  /** Which power cut: 0 in the workload, 1 in the recovery from it, and so on. */
  readonly level: number;
  /** The version that the power cut before left; absent when the line was in no doubt then. */
  origin: Version | undefined;
}

/** Atoms that a run of bytes touches. */
export function atomsIn(from: number, length: number): number {
  return Math.floor((from + length + ATOM_BYTES - 1) / ATOM_BYTES) - Math.floor(from / ATOM_BYTES);
}

/** How many versions a segment adds to its line. */
export function stepsOf({ from, length, bulk }: Segment, torn: Torn): number {
  const atoms = atomsIn(from, length);
  if (!bulk || torn === "prefix") return atoms;
  return torn === "atoms" ? 2 ** atoms - 1 : 1;
}

/** How many versions the segments of one line add to it. */
export function stepsOfAll(segments: readonly Segment[], torn: Torn): number {
  if (isCombining(segments)) return combinedSteps(segments);
  let steps = 0;
  for (const segment of segments) steps += stepsOf(segment, torn);
  return steps;
}

/** Whether they wait in a buffer that drains in any order. */
export function isCombining(segments: readonly Segment[]): boolean {
  return segments[0]?.combining === true;
}

/** Writes the segment's bytes into the content of a line. */
export function applySegment(line: Uint8Array, segment: Segment, arena: Uint8Array): void {
  const { from, length, data } = segment;
  for (let i = 0; i < length; i++) line[from + i] = arena[data + i] as number;
}

/** Writes one atom of the segment; `atom` counts from the segment's first. */
function applyAtom(line: Uint8Array, segment: Segment, atom: number, arena: Uint8Array): void {
  const { from, length, data } = segment;
  const first = Math.floor(from / ATOM_BYTES) * ATOM_BYTES + atom * ATOM_BYTES;
  const start = Math.max(first, from);
  const stop = Math.min(first + ATOM_BYTES, from + length);
  for (let at = start; at < stop; at++) line[at] = arena[data + at - from] as number;
}

/** Collects versions; those of equal content become one, whose weight is their sum. */
class VersionSet {
  readonly versions: Version[] = [];
  readonly #byContent = new Map<string, Version>();

  add(version: Version): void {
    const key = String.fromCharCode(...version.bytes);
    const known = this.#byContent.get(key);
    if (known === undefined) {
      this.#byContent.set(key, version);
      this.versions.push(version);
      return;
    }
    known.weight += version.weight;
    // The one that lost least stands for all: equal bytes are not a loss.
    if (version.total < known.total) {
      known.missing = version.missing;
      known.total = version.total;
      known.origin = version.origin;
    }
  }
}

/** The content of a line that nobody doubts. */
export function certain(bytes: Uint8Array, level: number): Version {
  return { bytes, weight: 1, missing: 0, total: 0, level, origin: undefined };
}

/** The versions that a power cut left, as what the program after it starts from. */
export function inherited(versions: readonly Version[], level: number): Version[] {
  return versions.map((origin) => ({
    bytes: origin.bytes,
    weight: origin.weight,
    missing: 0,
    total: origin.total,
    level,
    origin,
  }));
}

/** The same versions after the segments became durable. */
export function settled(
  base: readonly Version[],
  segments: readonly Segment[],
  arena: Uint8Array,
): Version[] {
  const set = new VersionSet();
  for (const version of base) {
    const bytes = version.bytes.slice();
    for (const segment of segments) applySegment(bytes, segment, arena);
    set.add({ ...version, bytes });
  }
  return set.versions;
}

/** Every content that `base` and any arrival of the segments can give. */
export function versionsOf(
  base: readonly Version[],
  segments: readonly Segment[],
  arena: Uint8Array,
  torn: Torn,
): Version[] {
  const set = new VersionSet();
  for (const start of base) {
    if (isCombining(segments)) {
      for (const { bytes, missing } of combinedContents(start.bytes, segments, arena)) {
        set.add({ ...start, bytes, missing, total: start.total + missing });
      }
      continue;
    }
    const line = start.bytes.slice();
    let missing = 0;
    for (const segment of segments) missing += atomsIn(segment.from, segment.length);
    const leave = (bytes: Uint8Array, lost: number) =>
      set.add({ ...start, bytes, missing: lost, total: start.total + lost });
    leave(line.slice(), missing);
    for (const segment of segments) {
      const atoms = atomsIn(segment.from, segment.length);
      if (segment.bulk && torn === "atoms") leaveSubsets(line, segment, arena, missing, leave);
      if (segment.bulk && torn !== "prefix") {
        applySegment(line, segment, arena);
        missing -= atoms;
        leave(line.slice(), missing);
        continue;
      }
      for (let atom = 0; atom < atoms; atom++) {
        applyAtom(line, segment, atom, arena);
        leave(line.slice(), --missing);
      }
    }
  }
  return set.versions;
}

/** Every subset of the segment's atoms but none and all. */
function leaveSubsets(
  line: Uint8Array,
  segment: Segment,
  arena: Uint8Array,
  missing: number,
  leave: (bytes: Uint8Array, lost: number) => void,
): void {
  const atoms = atomsIn(segment.from, segment.length);
  for (let subset = 1; subset < 2 ** atoms - 1; subset++) {
    const bytes = line.slice();
    let arrived = 0;
    for (let atom = 0; atom < atoms; atom++) {
      if (((subset >>> atom) & 1) === 0) continue;
      applyAtom(bytes, segment, atom, arena);
      arrived++;
    }
    leave(bytes, missing - arrived);
  }
}

/** A set of bytes of one line: bit `i` of the pair is byte `i`. */
export interface ByteMask {
  readonly lo: number;
  readonly hi: number;
}

/** The low word of the mask of bytes `[from, to)` of a line. */
export function maskLo(from: number, to: number): number {
  return bits(from, Math.min(to, 32));
}

/** The high word of the mask of bytes `[from, to)` of a line. */
export function maskHi(from: number, to: number): number {
  return bits(Math.max(from - 32, 0), to - 32);
}

function bits(from: number, to: number): number {
  if (to <= from) return 0;
  const ones = to - from === 32 ? -1 : (1 << (to - from)) - 1;
  return ones << from;
}

/** Whether byte `i` is in the mask. */
export function hasByte({ lo, hi }: ByteMask, i: number): boolean {
  return ((i < 32 ? lo >>> i : hi >>> (i - 32)) & 1) !== 0;
}

/** The bytes at which the versions are not all equal. */
export function differing(versions: readonly Version[]): ByteMask {
  let lo = 0;
  let hi = 0;
  const first = versions[0]?.bytes;
  if (first === undefined) return { lo, hi };
  for (let v = 1; v < versions.length; v++) {
    const { bytes } = versions[v] as Version;
    for (let i = 0; i < LINE_BYTES; i++) {
      if (bytes[i] === first[i]) continue;
      if (i < 32) lo |= 1 << i;
      else hi |= 1 << (i - 32);
    }
  }
  return { lo, hi };
}

/** Versions that agree on the bytes that were looked at. */
export interface Group {
  readonly versions: readonly Version[];
  /** Raw states of the line in this group. */
  readonly weight: number;
  /** The bytes that are still undecided inside the group. */
  readonly open: ByteMask;
}

/** Everything in one group. */
export function groupOf(versions: readonly Version[]): Group {
  let weight = 0;
  for (const version of versions) weight += version.weight;
  return { versions, weight, open: differing(versions) };
}

/** Splits versions by the bytes in `mask`; the group that lost least comes first. */
export function splitBy(versions: readonly Version[], mask: ByteMask): Group[] {
  const groups = new Map<string, Version[]>();
  for (const version of versions) {
    let key = "";
    for (let i = 0; i < LINE_BYTES; i++) {
      if (hasByte(mask, i)) key += String.fromCharCode(version.bytes[i] as number);
    }
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [version]);
    else group.push(version);
  }
  return [...groups.values()]
    .map((members) => members.toSorted((a, b) => a.total - b.total))
    .toSorted((a, b) => (a[0] as Version).total - (b[0] as Version).total)
    .map(groupOf);
}
