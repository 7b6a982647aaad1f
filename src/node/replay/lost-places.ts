/**
 * What was lost of a recorded disk in words of the filesystem on it: which bytes of which file,
 * which fields of which inode, which block of the journal.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { openPartitions, readPartitionTable } from "../../block/partition-table.ts";
import type { BlockFailure, LostPlace, LostRequest } from "../../crash/stop-findings.ts";
import type { BlockFrontier } from "../../crash/block-frontier.ts";
import {
  type Assignment,
  inImage,
  parseState,
  putState,
  takeState,
} from "../../crash/block-states.ts";
import { AssertionError } from "../../lib/errno.ts";
import type { ByteRange } from "../../media/media.ts";
import { type Region, regionsOn } from "../prove/regions.ts";

/** Files and blocks that are looked at in search of what lies somewhere. */
const MOST_REGIONS = 1_000_000;
/** Units that are compared byte by byte, and runs that this may make; else all of a unit counts. */
const MOST_COMPARED = 1024;
const MOST_RUNS = 100_000;
/** Places that are told of one request. */
const MOST_PLACES = 64;
/** Fields that are named of one place. */
const MOST_PARTS = 12;
const NOBODYS = "a block that no file has";

/** A run of bytes, and what a region says of it. */
interface Found extends ByteRange {
  readonly head: string;
  /** Of a file's contents: the byte of the file. */
  readonly from?: number;
  readonly parts: readonly string[];
}

/** The same failure; what was lost has its places, where a filesystem is known on the disk. */
export function withPlaces(
  failure: BlockFailure,
  frontier: BlockFrontier,
  disk: BlockDevice,
): BlockFailure {
  const { assignment, inner } = parseState(failure.state);
  const given = inner === undefined ? inImage(frontier, assignment) : undefined;
  const wanted = failure.lost.map(({ ranges }) => changedIn(ranges, frontier, given));
  const finder = new PlaceFinder(wanted.flat());
  // As all of it was written; what nobody has there may be somebody's in what is left.
  finder.look(disk);
  if (given !== undefined && finder.isMissingSome) {
    putState(frontier, given);
    try {
      finder.look(disk);
    } finally {
      takeState(frontier, given);
    }
  }
  if (!finder.knowsAny) return failure;
  const lost = failure.lost.map((request, i): LostRequest => {
    return { ...request, places: finder.placesOf(wanted[i] as ByteRange[]) };
  });
  return { ...failure, lost };
}

/** The bytes of these ranges that differ from what they would be, had everything arrived. */
function changedIn(
  ranges: readonly ByteRange[],
  frontier: BlockFrontier,
  given: Assignment | undefined,
): ByteRange[] {
  if (given === undefined) return [...ranges];
  const { unit: size } = frontier.model;
  const changed: ByteRange[] = [];
  let compared = 0;
  for (const { start, length } of ranges) {
    for (let at = start; at < start + length; at += size) {
      const unit = frontier.inImage(at / size) ?? -1;
      const content = given.get(unit);
      const isPlenty = ++compared > MOST_COMPARED || changed.length > MOST_RUNS;
      if (content === undefined || isPlenty) {
        changed.push({ start: at, length: size });
        continue;
      }
      const { contents } = frontier.versions(unit);
      const [left, newest] = [contents[content], contents.at(-1)];
      for (const run of differences(left as Uint8Array, newest as Uint8Array)) {
        changed.push({ start: at + run.start, length: run.length });
      }
    }
  }
  return changed;
}

/** Runs of bytes that are not the same. */
function* differences(left: Uint8Array, newest: Uint8Array): Generator<ByteRange, void> {
  for (let at = 0; at < newest.length;) {
    const start = at;
    while (at < newest.length && left[at] !== newest[at]) at++;
    if (at > start) yield { start, length: at - start };
    else at++;
  }
}

/** Finds what lies in some ranges of a disk, without a list of all that lies on it. */
class PlaceFinder {
  /** What is not known yet: sorted and disjoint. */
  #left: ByteRange[];
  readonly #found: Found[] = [];

  constructor(wanted: readonly ByteRange[]) {
    this.#left = disjoint(wanted);
  }

  get isMissingSome(): boolean {
    return this.#left.length > 0;
  }

  get knowsAny(): boolean {
    return this.#found.length > 0;
  }

  look(disk: BlockDevice): void {
    let looked = 0;
    for (const region of regionsOfDisk(disk)) {
      this.#take(region);
      if (this.#left.length === 0 || ++looked > MOST_REGIONS) return;
    }
  }

  /** Neighbours of one head are one place, with all its parts. */
  placesOf(ranges: readonly ByteRange[]): LostPlace[] {
    const places: Gathered[] = [];
    for (const found of this.#inside(disjoint(ranges))) {
      const last = places.at(-1);
      if (last !== undefined && joins(last, found)) gather(last, found);
      else if (places.length === MOST_PLACES) break;
      else places.push({ ...found, parts: new Set(found.parts) });
    }
    return places.map((place) => {
      return { start: place.start, length: place.length, words: wordsOf(place) };
    });
  }

  #inside(ranges: readonly ByteRange[]): Found[] {
    const inside = (at: number): boolean => {
      const range = ranges[firstBehind(ranges, at)];
      return range !== undefined && range.start <= at;
    };
    const nobodys = this.#left.map((range) => ({ ...range, head: NOBODYS, parts: [] }));
    return [...this.#found, ...nobodys]
      .filter(({ start }) => inside(start))
      .toSorted((a, b) => a.start - b.start);
  }

  #take(region: Region): void {
    const { start, length, head } = region;
    const stop = start + length;
    let at = firstBehind(this.#left, start);
    while (at < this.#left.length) {
      const range = this.#left[at] as ByteRange;
      if (range.start >= stop) return;
      const from = Math.max(range.start, start);
      const to = Math.min(range.start + range.length, stop);
      const parts = region.part(from - start, to - from);
      const of = region.from === undefined ? {} : { from: region.from + from - start };
      this.#found.push({ start: from, length: to - from, head, parts, ...of });
      const rest = [
        { start: range.start, length: from - range.start },
        { start: to, length: range.start + range.length - to },
      ].filter((piece) => piece.length > 0);
      this.#left.splice(at, 1, ...rest);
      at += rest.length;
    }
  }
}

/** What becomes one line. */
interface Gathered {
  start: number;
  length: number;
  readonly head: string;
  from?: number;
  readonly parts: Set<string>;
}

/** A file may lie on the disk in another order than it has. */
function joins(place: Gathered, { head, start, from }: Found): boolean {
  if (place.head !== head) return false;
  return from === undefined || from - (place.from ?? 0) === start - place.start;
}

function gather(place: Gathered, { start, length, parts }: Found): void {
  place.length = start + length - place.start;
  for (const part of parts) place.parts.add(part);
}

function wordsOf({ head, from, length, parts }: Gathered): string {
  if (from !== undefined) {
    return `${head}: ${length === 1 ? `byte ${from}` : `bytes ${from} to ${from + length - 1}`}`;
  }
  const shown = [...parts].slice(0, MOST_PARTS);
  if (shown.length === 0) return head;
  return `${head}: ${shown.join(", ")}${parts.size > shown.length ? ", …" : ""}`;
}

/** The index of the first range that ends behind a byte. */
function firstBehind(ranges: readonly ByteRange[], at: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { start, length } = ranges[middle] as ByteRange;
    if (start + length <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sorted, and without what is there twice. */
function disjoint(ranges: readonly ByteRange[]): ByteRange[] {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  const result: ByteRange[] = [];
  let reached = 0;
  for (const { start, length } of sorted) {
    const from = Math.max(start, reached);
    if (start + length <= from) continue;
    result.push({ start: from, length: start + length - from });
    reached = start + length;
  }
  return result;
}

/** Of the whole disk, or of each of its partitions. */
function* regionsOfDisk(disk: BlockDevice): Generator<Region, void> {
  yield* regionsOn(disk);
  for (const [index, partition] of partitionsOf(disk)) {
    const shift = partition.start * 512;
    for (const region of regionsOn(partition)) {
      const head = `partition ${index}: ${region.head}`;
      yield { ...region, start: region.start + shift, head };
    }
  }
}

function partitionsOf(disk: BlockDevice): ReturnType<typeof openPartitions>["partitions"] {
  try {
    const table = readPartitionTable(disk);
    if (table !== undefined) return openPartitions(disk, table).partitions;
  } catch (error) {
    if (error instanceof AssertionError) throw error;
  }
  return new Map();
}
