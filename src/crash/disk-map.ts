/**
 * Which parts of a large disk are held in memory, and where: only those that anything is ever
 * written to. What is held lies in one array, in the order of the disk, so that a run of the disk
 * that is held is a run of the array. All else reads as zeros.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";

/** Bytes of a disk that are held together, or not at all. */
export const PIECE_BYTES = 65_536;
/** Bytes that are held at most: what one array takes. */
export const MOST_HELD_BYTES = 0xffff_0000;

/** A run of a disk; `held`: where it lies in the array. */
export interface HeldRun {
  readonly start: number;
  readonly length: number;
  readonly held: number;
}

/** Contiguous bytes; none has length 0. */
export interface HeldBytes {
  readonly start: number;
  readonly length: number;
}

/** See the module. */
export class DiskMap {
  /** Bytes of the disk. */
  readonly size: number;
  /** Bytes of the array. */
  readonly held: number;
  /** All of the disk is held, each byte where it is. */
  readonly isWhole: boolean;
  /** Sorted, and none touches the next. */
  readonly #runs: readonly HeldRun[];

  /** `runs` are sorted and disjoint, and lie close together in the array. */
  constructor(size: number, runs: readonly HeldRun[]) {
    this.size = size;
    this.#runs = runs;
    const last = runs.at(-1);
    this.held = last === undefined ? 0 : last.held + last.length;
    this.isWhole = runs.length === 1 && this.held === size;
  }

  /** All of a disk. */
  static whole(size: number): DiskMap {
    return new DiskMap(size, size === 0 ? [] : [{ start: 0, length: size, held: 0 }]);
  }

  /**
   * The pieces that some ranges touch, in any order; more than one may name a byte.
   * @throws EFBIG where they are more than 4 GiB less 64 KiB
   */
  static of(size: number, ranges: Iterable<HeldBytes>): DiskMap {
    const pieces = new Set<number>();
    for (const { start, length } of ranges) {
      const last = Math.floor((start + length - 1) / PIECE_BYTES);
      for (let piece = Math.floor(start / PIECE_BYTES); piece <= last; piece++) {
        if (pieces.size * PIECE_BYTES >= MOST_HELD_BYTES && !pieces.has(piece)) throw tooMuch();
        pieces.add(piece);
      }
    }
    return new DiskMap(
      size,
      runsOf(
        size,
        [...pieces].toSorted((a, b) => a - b),
      ),
    );
  }

  /** Where a byte of the disk is held; undefined where it is not. */
  heldAt(at: number): number | undefined {
    const run = this.#runs[this.#behind(at)];
    return run === undefined || run.start > at ? undefined : run.held + at - run.start;
  }

  /** Where a byte of the array is on the disk. */
  diskAt(held: number): number {
    let [low, high] = [0, this.#runs.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#runs[middle] as HeldRun).held <= held) low = middle;
      else high = middle - 1;
    }
    const run = this.#runs[low];
    return run === undefined ? held : run.start + held - run.held;
  }

  /** The bytes of the array that hold bytes of `length` at `start`: one run; length 0 for none. */
  heldIn(start: number, length: number): HeldBytes {
    const first = this.#runs[this.#behind(start)];
    if (first === undefined || first.start >= start + length) return { start: 0, length: 0 };
    const from = first.held + Math.max(0, start - first.start);
    const behind = this.#runs[this.#behind(start + length)];
    const inside = behind === undefined ? 0 : Math.max(0, start + length - behind.start);
    const to = behind === undefined ? this.held : behind.held + inside;
    return { start: from, length: to - from };
  }

  /** The longest run around a byte of the disk that is held, or is not. */
  runAt(at: number): { readonly start: number; readonly length: number; readonly held?: number } {
    const index = this.#behind(at);
    const run = this.#runs[index];
    if (run !== undefined && run.start <= at) return run;
    const before = this.#runs[index - 1];
    const start = before === undefined ? 0 : before.start + before.length;
    return { start, length: (run?.start ?? this.size) - start };
  }

  /** The index of the first run that ends behind a byte of the disk. */
  #behind(at: number): number {
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start, length } = this.#runs[middle] as HeldRun;
      if (start + length <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function runsOf(size: number, pieces: readonly number[]): HeldRun[] {
  const runs: { start: number; length: number; held: number }[] = [];
  let held = 0;
  for (const piece of pieces) {
    const start = piece * PIECE_BYTES;
    const length = Math.min(PIECE_BYTES, size - start);
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else runs.push({ start, length, held });
    held += length;
  }
  return runs;
}

function tooMuch(): DaxError {
  const most = MOST_HELD_BYTES / PIECE_BYTES;
  const detail =
    `more than ${most} pieces of ${PIECE_BYTES} bytes of the disk are written to: they are held ` +
    "in memory, 4 GiB at most; replay a part of the log with '--limit'";
  return new DaxError("EFBIG", { syscall: "replay", detail });
}
