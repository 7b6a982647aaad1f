/**
 * Where the data of a sparse member belong: GNU's old maps in the header, and those of pax, 0.0,
 * 0.1 (in records) and 1.0 (before the data).
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import { BLOCK } from "./tar-format.ts";
import { numberField, sizeOf, tarDamage } from "./tar-headers.ts";
import type { TarRecords } from "./tar-records.ts";

/** Pieces of one file that are kept in memory; every other page of 8 GiB. */
const MOST_PIECES = 2 ** 20;
const PAIR = 24;
const NEWLINE = 0x0a;

/** Pieces in the order of the file, checked as they come. */
export class SparseMap {
  readonly pieces: Range[] = [];
  /** Bytes of the file, holes included. */
  readonly size: number;
  readonly #at: number;
  #stored = 0;

  constructor(size: number, at: number) {
    this.size = size;
    this.#at = at;
  }

  /** Takes a piece; empty ones only say where the file ends. @throws EUCLEAN, E2BIG */
  add(start: number, length: number): void {
    const last = this.pieces.at(-1);
    const from = last === undefined ? 0 : last.start + last.length;
    if (start < from || length < 0 || start + length > this.size) {
      const where = `bytes ${start} to ${start + length} of ${this.size}`;
      throw tarDamage(this.#at, `a sparse file has a piece at ${where}, behind byte ${from}`);
    }
    if (length === 0) return;
    if (this.pieces.length === MOST_PIECES) {
      const detail = `at byte ${this.#at}: a sparse file has more than ${MOST_PIECES} pieces`;
      throw new DaxError("E2BIG", { syscall: "tar", detail });
    }
    this.pieces.push({ start, length });
    this.#stored += length;
  }

  /** The pieces, which hold all that is stored. @throws EUCLEAN */
  checked(stored: number): readonly Range[] {
    if (this.#stored === stored) return this.pieces;
    const what = `the pieces of a sparse file hold ${this.#stored} bytes, the archive ${stored}`;
    throw tarDamage(this.#at, what);
  }
}

/** Pieces of a file that are stored one behind the other, to be read at any place. */
export class StoredPieces {
  readonly #pieces: readonly Range[];
  /** Where each piece is stored; made at the first read, since many are never read. */
  #places: Float64Array | undefined;

  constructor(pieces: readonly Range[]) {
    this.#pieces = pieces;
  }

  /** Fills `target` from byte `offset` of the file; `read` reads what is stored. Holes stay. */
  read(offset: number, target: Uint8Array, read: (at: number, into: Uint8Array) => void): void {
    this.#places ??= placesOf(this.#pieces);
    const limit = offset + target.length;
    for (let i = this.#firstBehind(offset); i < this.#pieces.length; i++) {
      const { start, length } = this.#pieces[i] as Range;
      if (start >= limit) return;
      const from = Math.max(start, offset);
      const until = Math.min(start + length, limit);
      const place = (this.#places[i] as number) + from - start;
      read(place, target.subarray(from - offset, until - offset));
    }
  }

  /** The first piece that ends behind `offset`. */
  #firstBehind(offset: number): number {
    let [low, high] = [0, this.#pieces.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start, length } = this.#pieces[middle] as Range;
      if (start + length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function placesOf(pieces: readonly Range[]): Float64Array {
  const places = new Float64Array(pieces.length);
  let at = 0;
  for (const [i, { length }] of pieces.entries()) {
    places[i] = at;
    at += length;
  }
  return places;
}

/** Takes the pairs of a header (4) or of a block that follows it (21); whether one more follows. */
export function addOldPairs(
  map: SparseMap,
  block: Uint8Array,
  at: number,
  first: boolean,
): boolean {
  const [start, count] = first ? [386, 4] : [0, 21];
  for (let i = 0; i < count; i++) {
    const place = start + i * PAIR;
    if (block[place] === 0) break;
    const offset = numberField(block.subarray(place, place + 12), at, "offset");
    const length = numberField(block.subarray(place + 12, place + PAIR), at, "numbytes");
    map.add(offset, sizeOf(length, at, "numbytes"));
  }
  return block[start + count * PAIR] !== 0;
}

/** Bytes of the file that GNU's header is about. */
export function oldRealSize(block: Uint8Array, at: number): number {
  return sizeOf(numberField(block.subarray(483, 495), at, "realsize"), at, "realsize");
}

/** The map that records hold, or undefined for a file without. @throws EUCLEAN, E2BIG */
export function recordedMap(records: TarRecords): SparseMap | undefined {
  const size = records.size("GNU.sparse.size");
  if (size === undefined) return undefined;
  const { at } = records;
  const listed = records.text("GNU.sparse.map");
  const numbers = listed === undefined ? records.sparsePairs : listed.split(",").map(Number);
  if (numbers.length % 2 !== 0 || numbers.some((value) => !Number.isSafeInteger(value))) {
    throw tarDamage(at, "the map of a sparse file is no list of pairs of numbers");
  }
  const map = new SparseMap(size, at);
  for (let i = 0; i < numbers.length; i += 2) {
    map.add(numbers[i] as number, numbers[i + 1] as number);
  }
  return map;
}

/** Reads the map of format 1.0: lines of numbers, the first their count, in whole blocks. */
export class LeadingMap {
  readonly #map: SparseMap;
  readonly #at: number;
  #digits = "";
  #wanted = -1;
  #start = -1;
  /** Bytes of the archive that it took. */
  bytes = 0;

  constructor(size: number, at: number) {
    this.#map = new SparseMap(size, at);
    this.#at = at;
  }

  /** Takes a block; the map when it is whole. @throws EUCLEAN, E2BIG */
  take(block: Uint8Array): SparseMap | undefined {
    this.bytes += BLOCK;
    for (let i = 0; i < BLOCK; i++) {
      const byte = block[i] as number;
      if (byte === NEWLINE) {
        this.#number(Number(this.#digits === "" ? Number.NaN : this.#digits));
        this.#digits = "";
        if (this.#wanted === 0) return this.#map;
      } else if (byte >= 0x30 && byte <= 0x39 && this.#digits.length < 16) {
        this.#digits += String.fromCharCode(byte);
      } else this.#damaged();
    }
    return undefined;
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value)) this.#damaged();
    if (this.#wanted === -1) {
      if (value > MOST_PIECES + 1) this.#damaged();
      this.#wanted = value;
    } else if (this.#start === -1) this.#start = value;
    else {
      this.#map.add(this.#start, value);
      this.#start = -1;
      this.#wanted--;
    }
  }

  #damaged(): never {
    throw tarDamage(this.#at, "the map before a sparse file's data is no list of numbers");
  }
}
