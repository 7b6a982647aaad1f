/**
 * A set of numbers kept as sorted, disjoint, merged runs: bad blocks, dirty pages, claimed memory.
 *
 * @module
 */
import { DaxError, assert } from "./errno.ts";

/** The run `[start, start + length)`. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/** How many runs a set holds unless told otherwise: about 16 MiB of them. */
const DEFAULT_LIMIT = 1 << 20;

/**
 * Unsigned safe integers as runs. Neighbours merge, so the runs never touch. Every method takes
 * O(log n) to find its place; `add` and `remove` also move what stands behind it.
 */
export class RangeSet implements Iterable<Range> {
  /** The most runs the set may hold. */
  readonly limit: number;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #total = 0;

  constructor(ranges: Iterable<Range> = [], limit: number = DEFAULT_LIMIT) {
    this.limit = limit;
    for (const { start, length } of ranges) this.add(start, length);
  }

  /** Runs in the set. */
  get count(): number {
    return this.#starts.length;
  }

  /** Members of the set: the sum of the runs' lengths. */
  get total(): number {
    return this.#total;
  }

  /**
   * Adds `[start, start + length)` and returns how many of these were not in the set before.
   * @throws ENOMEM when that would make more than `limit` runs; the set is unchanged then
   */
  add(start: number, length: number): number {
    assertRange(start, length);
    if (length === 0) return 0;
    // Runs that touch the new one are swallowed too: a neighbour merges.
    const first = this.#firstEnding(start - 1);
    const past = this.#firstStarting(start + length + 1);
    const swallowed = past - first;
    if (swallowed === 1) return this.#widen(first, start, start + length);
    if (swallowed === 0) {
      this.#assertRoom();
      return this.#insert(first, start, start + length);
    }
    let from = start;
    let to = start + length;
    let had = 0;
    for (let i = first; i < past; i++) had += this.#ends[i]! - this.#starts[i]!;
    from = Math.min(from, this.#starts[first]!);
    to = Math.max(to, this.#ends[past - 1]!);
    this.#starts.splice(first, swallowed, from);
    this.#ends.splice(first, swallowed, to);
    const added = to - from - had;
    this.#total += added;
    return added;
  }

  /**
   * Removes `[start, start + length)` and returns how many of these were in the set.
   * @throws ENOMEM when a split would make more than `limit` runs; the set is unchanged then
   */
  remove(start: number, length: number): number {
    assertRange(start, length);
    const end = start + length;
    const first = this.#firstEnding(start);
    const past = this.#firstStarting(end);
    if (length === 0 || first >= past) return 0;
    const head = this.#starts[first]!;
    const tail = this.#ends[past - 1]!;
    if (past === first + 1 && (head >= start || tail <= end))
      return this.#narrow(first, start, end);
    const starts: number[] = [];
    const ends: number[] = [];
    if (head < start) {
      starts.push(head);
      ends.push(start);
    }
    if (tail > end) {
      starts.push(end);
      ends.push(tail);
    }
    if (starts.length > past - first) this.#assertRoom();
    let had = 0;
    for (let i = first; i < past; i++) had += this.#ends[i]! - this.#starts[i]!;
    for (const [i, from] of starts.entries()) had -= ends[i]! - from;
    this.#starts.splice(first, past - first, ...starts);
    this.#ends.splice(first, past - first, ...ends);
    this.#total -= had;
    return had;
  }

  /** Whether `value` is in the set. */
  has(value: number): boolean {
    return this.overlaps(value, 1);
  }

  /** Whether any of `[start, start + length)` is in the set. */
  overlaps(start: number, length: number): boolean {
    const first = this.#firstEnding(start);
    return length > 0 && first < this.count && this.#starts[first]! < start + length;
  }

  /** Whether all of `[start, start + length)` is in the set; nothing always is. */
  covers(start: number, length: number): boolean {
    const first = this.#firstEnding(start);
    if (length === 0) return true;
    if (first >= this.count) return false;
    return this.#starts[first]! <= start && this.#ends[first]! >= start + length;
  }

  /** How many of `[start, start + length)` are in the set. */
  overlap(start: number, length: number): number {
    let sum = 0;
    for (const run of this.intersect(start, length)) sum += run.length;
    return sum;
  }

  /** The parts of the runs that lie inside `[start, start + length)`, ascending. */
  *intersect(start: number, length: number): IterableIterator<Range> {
    assertRange(start, length);
    const end = start + length;
    for (let i = this.#firstEnding(start); i < this.count && this.#starts[i]! < end; i++) {
      const from = Math.max(this.#starts[i]!, start);
      const to = Math.min(this.#ends[i]!, end);
      if (to > from) yield { start: from, length: to - from };
    }
  }

  /** The parts of `[start, start + length)` that are not in the set, ascending. */
  *gaps(start: number, length: number): IterableIterator<Range> {
    let at = start;
    for (const run of this.intersect(start, length)) {
      if (run.start > at) yield { start: at, length: run.start - at };
      at = run.start + run.length;
    }
    if (at < start + length) yield { start: at, length: start + length - at };
  }

  /** Empties the set. */
  clear(): void {
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.#total = 0;
  }

  /** The runs, ascending. The set must not change meanwhile. */
  *[Symbol.iterator](): IterableIterator<Range> {
    for (const [i, start] of this.#starts.entries()) {
      yield { start, length: this.#ends[i]! - start };
    }
  }

  /** A run of its own in front of the one at `index`; returns how long it is. */
  #insert(index: number, from: number, to: number): number {
    if (index === this.count) {
      this.#starts.push(from);
      this.#ends.push(to);
    } else {
      this.#starts.splice(index, 0, from);
      this.#ends.splice(index, 0, to);
    }
    this.#total += to - from;
    return to - from;
  }

  /** Makes one run reach from `from` to `to`, where it touches that; returns what is new. */
  #widen(index: number, from: number, to: number): number {
    const [head, tail] = [this.#starts[index]!, this.#ends[index]!];
    const added = Math.max(0, head - from) + Math.max(0, to - tail);
    if (from < head) this.#starts[index] = from;
    if (to > tail) this.#ends[index] = to;
    this.#total += added;
    return added;
  }

  /** Takes `from` to below `to` off an end of one run, or all of it; returns what is gone. */
  #narrow(index: number, from: number, to: number): number {
    const [head, tail] = [this.#starts[index]!, this.#ends[index]!];
    const gone = Math.min(tail, to) - Math.max(head, from);
    this.#total -= gone;
    if (gone === tail - head) this.#delete(index);
    else if (head >= from) this.#starts[index] = to;
    else this.#ends[index] = from;
    return gone;
  }

  #delete(index: number): void {
    if (index === this.count - 1) {
      this.#starts.pop();
      this.#ends.pop();
      return;
    }
    this.#starts.splice(index, 1);
    this.#ends.splice(index, 1);
  }

  /** Index of the first run that ends after `value`. */
  #firstEnding(value: number): number {
    return firstAbove(this.#ends, value);
  }

  /** Index of the first run that starts at or after `value`. */
  #firstStarting(value: number): number {
    return firstAbove(this.#starts, value - 1);
  }

  #assertRoom(): void {
    if (this.count < this.limit) return;
    throw new DaxError("ENOMEM", {
      detail: `a range set of at most ${this.limit} runs is full; merge or raise its limit`,
    });
  }
}

/**
 * The first of `sorted` runs (ascending, disjoint) that shares something with
 * `[start, start + length)`; undefined when none does.
 */
export function firstOverlap<T extends Range>(
  sorted: readonly T[],
  start: number,
  length: number,
): T | undefined {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = sorted[middle]!;
    if (run.start + run.length > start) high = middle;
    else low = middle + 1;
  }
  const found = sorted[low];
  return found !== undefined && length > 0 && found.start < start + length ? found : undefined;
}

/** Index of the first element above `value`, in an ascending list. */
function firstAbove(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function assertRange(start: number, length: number): void {
  assert(
    start >= 0 && length >= 0 && Number.isSafeInteger(start) && Number.isSafeInteger(length),
    () => `a run of ${length} from ${start} is not made of unsigned safe integers`,
  );
  assert(Number.isSafeInteger(start + length), () => `the run ${start}+${length} ends beyond 2^53`);
}
