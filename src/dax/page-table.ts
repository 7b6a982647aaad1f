/**
 * The page table of one mapping: to which memory its pages lead, and which of them may be stored
 * to. Huge pages stand for 512, aligned to 2 MiB of the file. What a private mapping has copied is
 * kept beside, since it outlives what the file's own pages go through.
 *
 * @module
 */
import { RangeSet } from "../lib/range-set.ts";
import { PAGE_SIZE } from "./operations.ts";
import { PMD_PAGES, type PageFrame, type PageOrder, ZERO_FRAME } from "./frames.ts";

/** Bits of a word. */
const WORD = 32;

/** 512 pages: one huge page, or some single ones. */
interface Window {
  huge: PageFrame | undefined;
  hugeIsWritable: boolean;
  readonly frames: (PageFrame | undefined)[];
  /** A bit for each page that may be stored to. */
  readonly writable: Int32Array;
  count: number;
}

/** Where a page leads; filled in by {@link PageTable.resolve}. */
export interface Translation {
  /** The page; -1 while it is none. */
  index: number;
  frame: PageFrame | undefined;
  /** Bytes of the frame's device at which the page starts. */
  start: number;
  writable: boolean;
}

/** Pages that are mapped. */
export class PageTable {
  readonly #windows = new Map<number, Window>();
  /** Huge pages of zeros by number; none of them has a window. */
  readonly #zeros = new RangeSet([], Number.POSITIVE_INFINITY);
  readonly #copies = new Map<number, PageFrame>();
  #changes = 0;
  /** The window that was looked up last. */
  #number = -1;
  #window: Window | undefined;

  /** Another number whenever a page has lost something: what was resolved before may be wrong. */
  get changes(): number {
    return this.#changes;
  }

  /** Looks a page up. False when it is not mapped; then `into` is as it was. */
  resolve(index: number, into: Translation): boolean {
    const copy = this.#copies.size === 0 ? undefined : this.#copies.get(index);
    if (copy !== undefined) return fillIn(into, index, copy, 0, true);
    const number = Math.floor(index / PMD_PAGES);
    const window = number === this.#number ? this.#window : this.#look(number);
    if (window === undefined) {
      return this.#isZeros(number) && fillIn(into, index, ZERO_FRAME, 0, false);
    }
    const slot = index - number * PMD_PAGES;
    const { huge } = window;
    if (huge !== undefined) {
      const start = huge.start + slot * PAGE_SIZE;
      return fillIn(into, index, huge, start, window.hugeIsWritable);
    }
    const frame = window.frames[slot];
    if (frame === undefined) return false;
    return fillIn(into, index, frame, frame.start, isSet(window.writable, slot));
  }

  /**
   * How many pages from a mapped one on, at most `pages`, lie behind each other in memory, and may
   * be stored to if that is asked. Fewer is a legal answer.
   */
  runFrom(index: number, pages: number, write: boolean): number {
    const number = Math.floor(index / PMD_PAGES);
    const window = this.#windows.get(number);
    if (window === undefined || this.#copies.size > 0) return 1;
    const slot = index - number * PMD_PAGES;
    const most = Math.min(pages, PMD_PAGES - slot);
    if (window.huge !== undefined) return most;
    const first = window.frames[slot];
    if (first?.device === undefined) return 1;
    let run = 1;
    for (; run < most; run++) {
      const next = window.frames[slot + run];
      if (next?.device !== first.device || next.start !== first.start + run * PAGE_SIZE) break;
      if (write && !isSet(window.writable, slot + run)) break;
    }
    return run;
  }

  /** Whether a huge page is mapped there. */
  isHuge(index: number): boolean {
    const number = Math.floor(index / PMD_PAGES);
    return this.#windows.get(number)?.huge !== undefined || this.#isZeros(number);
  }

  /** How many pages from `index` on lie in a run of zeros; 0 when it does not. */
  zerosFrom(index: number): number {
    const number = Math.floor(index / PMD_PAGES);
    if (!this.#isZeros(number)) return 0;
    const past = Number.MAX_SAFE_INTEGER / PMD_PAGES;
    const [run] = this.#zeros.intersect(number, Math.floor(past) - number);
    return run === undefined ? 0 : (run.start + run.length) * PMD_PAGES - index;
  }

  /** Whether single pages are mapped within the 2 MiB that hold a page: no huge one fits there. */
  hasSingle(index: number): boolean {
    return (this.#windows.get(Math.floor(index / PMD_PAGES))?.count ?? 0) > 0;
  }

  /** Maps a page, in place of what was mapped there. A huge page begins at a multiple of 512. */
  map(index: number, order: PageOrder, frame: PageFrame, writable: boolean): void {
    const number = Math.floor(index / PMD_PAGES);
    let window = this.#windows.get(number);
    if (window === undefined || order !== 0) {
      if (this.#zeros.count > 0) this.#zeros.remove(number, 1);
      window = { huge: undefined, hugeIsWritable: false, frames: [], writable: NO_BITS, count: 0 };
      if (order === 0) window = { ...window, writable: new Int32Array(PMD_PAGES / WORD) };
      this.#windows.set(number, window);
      this.#number = -1;
    }
    this.#changes++;
    if (order !== 0) {
      window.huge = frame;
      window.hugeIsWritable = writable;
      return;
    }
    const slot = index % PMD_PAGES;
    if (window.frames[slot] === undefined) window.count++;
    window.frames[slot] = frame;
    setBit(window.writable, slot, writable);
  }

  /** Maps huge pages of zeros to a range of whole 2 MiB in which nothing else is mapped. */
  mapZeros(first: number, pages: number): void {
    this.#zeros.add(first / PMD_PAGES, pages / PMD_PAGES);
    this.#changes++;
  }

  /** A private mapping has made a page its own. */
  mapCopy(index: number, frame: PageFrame): void {
    this.#changes++;
    this.#copies.set(index, frame);
  }

  /** Takes the right to store; returns how many pages lost it, huge ones counted once. */
  protect(first: number, pages: number): number {
    let lost = 0;
    for (const [number, window] of this.#within(first, pages)) {
      if (window.huge !== undefined) {
        if (window.hugeIsWritable) lost++;
        window.hugeIsWritable = false;
        continue;
      }
      for (const slot of slotsOf(number, first, pages)) {
        if (!isSet(window.writable, slot)) continue;
        setBit(window.writable, slot, false);
        lost++;
      }
    }
    if (lost > 0) this.#changes++;
    return lost;
  }

  /** Unmaps; returns how many pages went. A huge page of which a part is asked for goes whole. */
  unmap(first: number, pages: number, copies: boolean): number {
    let gone = copies ? this.#unmapCopies(first, pages) : 0;
    gone += this.#unmapZeros(first, pages);
    for (const [number, window] of this.#within(first, pages)) {
      if (window.huge !== undefined) {
        gone++;
        this.#windows.delete(number);
        continue;
      }
      for (const slot of slotsOf(number, first, pages)) {
        if (window.frames[slot] === undefined) continue;
        window.frames[slot] = undefined;
        setBit(window.writable, slot, false);
        window.count--;
        gone++;
      }
      if (window.count === 0) this.#windows.delete(number);
    }
    if (gone > 0) this.#changes++;
    this.#number = -1;
    return gone;
  }

  #look(number: number): Window | undefined {
    this.#window = this.#windows.get(number);
    this.#number = this.#window === undefined ? -1 : number;
    return this.#window;
  }

  #isZeros(number: number): boolean {
    return this.#zeros.count > 0 && this.#zeros.has(number);
  }

  #unmapZeros(first: number, pages: number): number {
    if (this.#zeros.count === 0 || pages <= 0) return 0;
    const from = Math.floor(first / PMD_PAGES);
    return this.#zeros.remove(from, Math.ceil((first + pages) / PMD_PAGES) - from);
  }

  #unmapCopies(first: number, pages: number): number {
    let gone = 0;
    for (const index of this.#copies.keys()) {
      if (index < first || index >= first + pages) continue;
      this.#copies.delete(index);
      gone++;
    }
    return gone;
  }

  /** The windows that a range touches, however large it is. */
  *#within(first: number, pages: number): Generator<[number, Window]> {
    const from = Math.floor(first / PMD_PAGES);
    const last = Math.floor((first + pages - 1) / PMD_PAGES);
    if (pages <= 0) return;
    if (last - from < this.#windows.size) {
      for (let number = from; number <= last; number++) {
        const window = this.#windows.get(number);
        if (window !== undefined) yield [number, window];
      }
      return;
    }
    for (const pair of this.#windows) if (pair[0] >= from && pair[0] <= last) yield pair;
  }
}

const NO_BITS = new Int32Array(0);

function isSet(bits: Int32Array, slot: number): boolean {
  return ((bits[slot >> 5] as number) & (1 << (slot & 31))) !== 0;
}

function setBit(bits: Int32Array, slot: number, on: boolean): void {
  const word = slot >> 5;
  const bit = 1 << (slot & 31);
  bits[word] = on ? (bits[word] as number) | bit : (bits[word] as number) & ~bit;
}

/** The slots of a window that lie in a range. */
function* slotsOf(number: number, first: number, pages: number): Generator<number> {
  const base = number * PMD_PAGES;
  const stop = Math.min(PMD_PAGES, first + pages - base);
  for (let slot = Math.max(0, first - base); slot < stop; slot++) yield slot;
}

function fillIn(
  into: Translation,
  index: number,
  frame: PageFrame,
  start: number,
  writable: boolean,
): true {
  into.index = index;
  into.frame = frame;
  into.start = start;
  into.writable = writable;
  return true;
}
