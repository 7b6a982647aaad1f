/**
 * What is free in a fixed range, as bits under a tree of runs: where the next run of a length is,
 * and how long the longest one is, without walking over all bits however scattered they are.
 *
 * @module
 */
import { assert } from "./errno.ts";

/** Bits under one leaf of the tree: eight words. */
const LEAF = 256;
const WORDS = LEAF / 32;

/** A set of numbers from 0 to below `length`; those in it are free. */
export class FreeMap {
  /** Bits. */
  readonly length: number;
  /** Words that were looked at since it was made; what tests of the effort count. */
  looked = 0;
  readonly #words: Uint32Array;
  readonly #leaves: number;
  /** Of each node of the tree: free bits at its start, at its end, and in its longest run. */
  readonly #prefix: Uint32Array;
  readonly #suffix: Uint32Array;
  readonly #longest: Uint32Array;
  #carry = 0;

  /** `used` has a bit for each number, lowest first, that is 1 where it is not free. */
  constructor(length: number, used: Uint8Array) {
    assert(used.length * 8 >= length, () => `${used.length} bytes for ${length} bits`);
    this.length = length;
    let leaves = 1;
    while (leaves * LEAF < length) leaves *= 2;
    this.#leaves = leaves;
    this.#words = wordsOf(leaves * WORDS, length, used);
    this.#prefix = new Uint32Array(2 * leaves);
    this.#suffix = new Uint32Array(2 * leaves);
    this.#longest = new Uint32Array(2 * leaves);
    for (let leaf = 0; leaf < leaves; leaf++) this.#measure(leaf);
    for (let node = leaves - 1, size = LEAF * 2; node > 0; node--) {
      this.#join(node, size);
      if ((node & (node - 1)) === 0) size *= 2;
    }
  }

  /** The length of the longest run. */
  get longest(): number {
    return this.#longest[1] as number;
  }

  /** How many from `start` on are free, `most` at most. */
  runAt(start: number, most: number): number {
    const stop = Math.min(this.length, start + most);
    return start < stop ? this.#nextUsed(start, stop) - start : 0;
  }

  /** The first number from `from` on at which `length` (at least 1) are free; -1 for none. */
  find(from: number, length: number): number {
    if (this.longest < length || from >= this.length) return -1;
    this.#carry = 0;
    return this.#descend(1, 0, this.#leaves * LEAF, from, length);
  }

  /** As `find`, where the start plus `shift` has to be a multiple of `align`. */
  findAligned(from: number, length: number, align: number, shift: number): number {
    for (let at = from; ;) {
      const found = this.find(at, length);
      if (found < 0) return -1;
      const aligned = Math.ceil((found + shift) / align) * align - shift;
      const run = this.runAt(found, aligned - found + length);
      if (found + run >= aligned + length) return aligned;
      at = found + run;
    }
  }

  /** Takes `length` from `start` out: they are no longer free. */
  take(start: number, length: number): void {
    this.#change(start, length, false);
  }

  /** Gives `length` from `start` back. */
  give(start: number, length: number): void {
    this.#change(start, length, true);
  }

  #change(start: number, length: number, free: boolean): void {
    assert(start >= 0 && length > 0 && start + length <= this.length, "outside the free map");
    const stop = start + length;
    for (let bit = start; bit < stop;) {
      const count = Math.min(32 - (bit & 31), stop - bit);
      const mask = (count === 32 ? 0xffff_ffff : ((1 << count) - 1) << (bit & 31)) >>> 0;
      const word = this.#words[bit >>> 5] as number;
      this.#words[bit >>> 5] = free ? word | mask : word & ~mask;
      bit += count;
    }
    let first = Math.floor(start / LEAF);
    let last = Math.floor((stop - 1) / LEAF);
    for (let leaf = first; leaf <= last; leaf++) this.#measure(leaf);
    first += this.#leaves;
    last += this.#leaves;
    for (let size = LEAF * 2; first > 1; size *= 2) {
      first >>>= 1;
      last >>>= 1;
      for (let node = first; node <= last; node++) this.#join(node, size);
    }
  }

  /** A node of `size` bits from those of its halves. */
  #join(node: number, size: number): void {
    const [prefix, suffix, longest] = [this.#prefix, this.#suffix, this.#longest];
    const [left, right, half] = [node * 2, node * 2 + 1, size / 2];
    const [pl, pr] = [prefix[left] as number, prefix[right] as number];
    const [sl, sr] = [suffix[left] as number, suffix[right] as number];
    prefix[node] = pl === half ? half + pr : pl;
    suffix[node] = sr === half ? half + sl : sr;
    const within = Math.max(longest[left] as number, longest[right] as number);
    longest[node] = Math.max(within, sl + pr);
  }

  #measure(leaf: number): void {
    const first = leaf * WORDS;
    let [prefix, run, longest, whole] = [0, 0, 0, true];
    for (let index = first; index < first + WORDS; index++) {
      const word = this.#words[index] as number;
      if (word === 0xffff_ffff) {
        run += 32;
        continue;
      }
      // Free bits at the word's low end go on with the run, those at its high end begin the next.
      const low = Math.clz32(~word & (word + 1)) ^ 31;
      run += low;
      if (whole) prefix = run;
      whole = false;
      longest = Math.max(longest, run, longestRun(word));
      run = Math.clz32(~word);
    }
    this.looked += WORDS;
    const node = this.#leaves + leaf;
    this.#prefix[node] = whole ? run : prefix;
    this.#suffix[node] = run;
    this.#longest[node] = Math.max(longest, run);
  }

  /** Searches below a node; `#carry` is how many are free right before it, from `from` on. */
  #descend(node: number, start: number, size: number, from: number, length: number): number {
    const stop = start + size;
    if (stop <= from) return -1;
    const prefix = this.#prefix[node] as number;
    if (start >= from && this.#carry + prefix >= length) return start - this.#carry;
    if ((this.#longest[node] as number) < length) {
      const whole = start >= from && prefix === size;
      const suffix = Math.min(this.#suffix[node] as number, stop - from);
      this.#carry = whole ? this.#carry + size : suffix;
      return -1;
    }
    if (node >= this.#leaves) return this.#scan(start, from, length);
    const left = this.#descend(node * 2, start, size / 2, from, length);
    if (left >= 0) return left;
    return this.#descend(node * 2 + 1, start + size / 2, size / 2, from, length);
  }

  #scan(start: number, from: number, length: number): number {
    const stop = start + LEAF;
    for (let at = Math.max(start, from); at < stop;) {
      const first = this.#nextFree(at, stop);
      if (first === stop) break;
      at = this.#nextUsed(first, stop);
      const begin = first === start ? start - this.#carry : first;
      if (at - begin >= length) return begin;
      if (at < stop) continue;
      this.#carry = stop - begin;
      return -1;
    }
    this.#carry = 0;
    return -1;
  }

  #nextFree(from: number, stop: number): number {
    for (let at = from; at < stop;) {
      this.looked++;
      const rest = (this.#words[at >>> 5] as number) >>> (at & 31);
      if (rest !== 0) return Math.min(stop, at + 31 - Math.clz32(rest & -rest));
      at = (at | 31) + 1;
    }
    return stop;
  }

  #nextUsed(from: number, stop: number): number {
    for (let at = from; at < stop;) {
      this.looked++;
      const rest = ~(this.#words[at >>> 5] as number) >>> (at & 31);
      if (rest !== 0) return Math.min(stop, at + 31 - Math.clz32(rest & -rest));
      at = (at | 31) + 1;
    }
    return stop;
  }
}

/** The length of the longest run of ones in a word. */
function longestRun(word: number): number {
  let run = 0;
  for (let rest = word; rest !== 0; rest &= rest << 1) run++;
  return run;
}

/** Words in which free bits are 1, and those behind the end are 0. */
function wordsOf(count: number, length: number, used: Uint8Array): Uint32Array {
  const words = new Uint32Array(count);
  const bytes = Math.ceil(length / 8);
  for (let byte = 0; byte < bytes; byte++) {
    const left = length - byte * 8;
    const mask = left >= 8 ? 0xff : (1 << left) - 1;
    const free = ~(used[byte] as number) & mask;
    words[byte >>> 2] = (words[byte >>> 2] as number) | (free << ((byte & 3) * 8));
  }
  return words;
}
