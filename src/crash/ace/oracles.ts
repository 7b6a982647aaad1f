/**
 * Whether what was recovered keeps what was promised.
 *
 * @module
 */
import { type BytesFloor, type Floor, type Promises, withInode } from "./promises.ts";
import type { Seen, Sight } from "./sight.ts";
import { parentOf } from "./workload.ts";

/** What free blocks are full of: bytes that no file may ever show. */
export const STALE = 0xee;

/** What was seen after recovery. */
export interface Recovered {
  readonly sight: Sight;
  /** What the check of the filesystem found; undefined: it was not asked. */
  readonly complaints: readonly string[] | undefined;
  /** What could not be read, by path. */
  readonly broken: ReadonlyMap<string, string>;
}

/** What is wrong; undefined: nothing. */
export type Oracle = (
  promises: Promises,
  noted: readonly unknown[],
  found: Recovered,
) => string | undefined;

/**
 * With a journal: the check finds nothing, and names, sizes and attributes are those after the
 * first so many calls, all of those that were made durable among them. Bytes that are written over
 * in their place are no part of that: each is what some call since its last promise made of it.
 */
export const prefixOracle: Oracle = (promises, noted, { sight, complaints = [] }) => {
  if (complaints.length > 0) return complaints.join("; ");
  const { floor, begun } = promises.at(noted);
  let why: string | undefined;
  for (let state = begun; state >= floor.state; state--) {
    const wanted = promises.states[state] as Sight;
    if (wanted.names !== sight.names) continue;
    const wrong = wrongBytes(promises, { floor, begun, state }, sight);
    if (wrong === undefined) return undefined;
    why ??= wrong;
  }
  return why ?? noPrefix(promises, floor, begun, sight);
};

/** The same of what power leaves in the end: nothing that was synced is missing. */
function noPrefix(promises: Promises, floor: Floor, begun: number, sight: Sight): string {
  const earlier = promises.states.findLastIndex(({ names }) => names === sight.names);
  if (earlier >= 0 && earlier < floor.state) {
    return `it is as after ${earlier} calls, and ${floor.state} were made durable`;
  }
  const wanted = promises.states[floor.state] as Sight;
  const calls = `it is as after no number of calls, ${floor.state} to ${begun}`;
  return `${calls}: ${differing(sight, wanted)}`;
}

/** The first path at which two trees differ. */
function differing(found: Sight, wanted: Sight): string {
  for (const path of new Set([...wanted.entries.keys(), ...found.entries.keys()])) {
    const [is, was] = [found, wanted].map(({ entries }) => entries.get(path)?.attributes);
    if (is !== was) return `${path} is ${is ?? "absent"}, and was ${was ?? "absent"}`;
  }
  return "nothing else";
}

interface Range {
  readonly floor: Floor;
  readonly begun: number;
  /** The one that the names are those of. */
  readonly state: number;
}

function wrongBytes(promises: Promises, range: Range, sight: Sight): string | undefined {
  for (const [path, seen] of sight.entries) {
    const wrong = wrongBytesOf(promises, range, seen);
    if (wrong !== undefined) return `${path}: ${wrong}`;
  }
  return undefined;
}

function wrongBytesOf(
  { states }: Promises,
  { floor, begun, state }: Range,
  { ino, bytes }: Seen,
): string | undefined {
  if (bytes === undefined) return undefined;
  const contents = states.map((sight) => withInode(sight, ino)?.bytes);
  const promised = floor.bytes.filter((one) => one.ino === ino);
  const since = Math.max(floor.all, floorOf(promised, 0, bytes.length));
  for (let at = begun; at >= Math.min(since, state); at--) {
    if (isEqual(contents[at], bytes)) return undefined;
  }
  const at = bytes.findIndex((byte, i) => {
    const from = Math.max(floor.all, floorOf(promised, i, i + 1));
    const old = contents
      .slice(from, begun + 1)
      .filter((one) => one !== undefined && i < one.length);
    if (old.length === 0) return byte !== contents[state]?.[i];
    return old.every((one) => one?.[i] !== byte);
  });
  if (at < 0) return undefined;
  if (bytes[at] === STALE) return `byte ${at} is what somebody else left in a free block`;
  return `byte ${at} is ${bytes[at]}, which no call since its last promise has written`;
}

/** The latest state that is promised of all bytes of a range. */
function floorOf(promised: readonly BytesFloor[], from: number, to: number): number {
  let latest = 0;
  for (const one of promised)
    if (one.from <= from && one.to >= to) latest = Math.max(latest, one.state);
  return latest;
}

function isEqual(a: Uint8Array | undefined, b: Uint8Array): boolean {
  if (a === undefined || a.length !== b.length) return false;
  if (a === b) return true;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Without a journal a power cut leaves some blocks old and some new, for e2fsck to put in order.
 * What holds all the same: no file ever shows what lay in a free block; and what no call has
 * changed since it was made durable is there. Where blocks may be torn (`torn`), what shares a
 * block of a directory with a change may be unreadable until it is mended.
 */
export function orderOracle(torn: boolean): Oracle {
  return (promises, noted, { sight }) => {
    for (const [path, { bytes }] of sight.entries) {
      const at = bytes?.indexOf(STALE) ?? -1;
      if (at >= 0) return `${path}: byte ${at} is what somebody else left in a free block`;
    }
    const { floor, begun } = promises.at(noted);
    const first = promises.states[begun] as Sight;
    for (const [path, now] of first.entries) {
      const from = durableSince(floor, now.ino);
      if (!isSettled(promises, path, floor, begun, torn)) continue;
      const wrong = wrongSettled(
        promises,
        { floor, begun, state: begun },
        { path, from, now, sight },
      );
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

function durableSince({ all, inodes }: Floor, ino: number): number {
  return Math.max(all, inodes.get(ino) ?? 0);
}

/** Whether a path has led to the same inode since every part of it was made durable. */
function isSettled(
  promises: Promises,
  path: string,
  floor: Floor,
  to: number,
  torn: boolean,
): boolean {
  const { states } = promises;
  const now = states[to]?.entries.get(path)?.ino;
  if (now === undefined) return false;
  const from = durableSince(floor, now);
  for (let at = from; at <= to; at++) {
    if (states[at]?.entries.get(path)?.ino !== now) return false;
  }
  if (path === "/") return true;
  const parent = parentOf(path);
  if (torn && isChanged(states, parent, from, to)) return false;
  return isSettled(promises, parent, floor, to, torn);
}

function isChanged(states: readonly Sight[], path: string, from: number, to: number): boolean {
  const of = (at: number): string | undefined => {
    const ino = states[at]?.entries.get(path)?.ino;
    return ino === undefined ? undefined : states[at]?.inodes.get(ino);
  };
  for (let at = from; at < to; at++) if (of(at) !== of(to)) return true;
  return false;
}

function wrongSettled(
  promises: Promises,
  range: Range,
  { path, from, now, sight }: { path: string; from: number; now: Seen; sight: Sight },
): string | undefined {
  const seen = sight.entries.get(path);
  if (seen?.ino !== now.ino) {
    return `${path} was durable, and is ${seen === undefined ? "lost" : `inode ${seen.ino}`}`;
  }
  for (let at = from; at < range.begun; at++) {
    if (promises.states[at]?.entries.get(path)?.attributes !== now.attributes) return undefined;
  }
  if (seen.attributes !== now.attributes) {
    return `${path} is ${seen.attributes}, and was ${now.attributes}`;
  }
  const wrong = wrongBytesOf(promises, range, seen);
  return wrong === undefined ? undefined : `${path}: ${wrong}`;
}

/** Everything is there, as after all calls: what holds when all of it was made durable. */
export const exactOracle: Oracle = (promises, _noted, { sight, complaints = [], broken }) => {
  const [text] = [...complaints, ...broken.values()];
  if (text !== undefined) return text;
  const wanted = promises.states.at(-1) as Sight;
  if (wanted.names !== sight.names) return `synced, and ${differing(sight, wanted)}`;
  for (const [path, { bytes }] of wanted.entries) {
    const found = sight.entries.get(path)?.bytes;
    if (bytes !== undefined && !isEqual(found, bytes))
      return `synced, and ${path} holds other bytes`;
  }
  return undefined;
};
