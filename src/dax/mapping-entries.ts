/**
 * The mapping entries of a file: which of its pages are mapped by anybody, to what, and which of
 * them may hold stores that are in no durable place. One entry stands for a page or for 512 of
 * them, and is locked while a fault or a write-back is busy with it (Linux: `fs/dax.c`, the values
 * of `i_pages`). Huge pages of zeros behind each other are kept as a run: a hole of a terabyte that
 * is there to be read is one, until somebody looks at an entry of it.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import { RadixTree } from "../lib/radix-tree.ts";
import { RangeSet } from "../lib/range-set.ts";
import {
  type PageFrame,
  PMD_ORDER,
  PMD_PAGES,
  type PageOrder,
  alignedTo,
  isSameFrame,
  pagesOf,
} from "./frames.ts";
import { type Steps, type Waiter, WaitQueue } from "./steps.ts";

/** May have been stored to since it was last written back. */
const DIRTY = 0;
/** To be written back by the running write-back: it does not chase what is dirtied behind it. */
const TOWRITE = 1;

/** `zero`: a hole that is mapped to be read; `empty`: locked by a fault that is not done. */
export type EntryKind = "mapped" | "zero" | "empty";

/** One entry; it is changed only by who has locked it. */
export interface MappingEntry {
  /** Its first page in the file: a multiple of 512 for a PMD. */
  readonly index: number;
  readonly order: PageOrder;
  kind: EntryKind;
  /** What it leads to; `mapped` ones only. */
  frame: PageFrame | undefined;
  locked: boolean;
}

/** What a fault was answered: the entry, locked, or that a PMD has to be done page by page. */
export type Grabbed = MappingEntry | "fallback";

/** Who maps a range has to let go of a huge page of zeros. */
export type UnmapRange = (first: number, pages: number) => void;

/** The entries of one file. */
export class MappingEntries {
  readonly #tree = new RadixTree<MappingEntry>();
  /** PMDs among them: without any, who looks for a page looks once. */
  #huge = 0;
  /** Huge pages of zeros that nobody has looked at, by number; none of them is in the tree. */
  readonly #zeros = new RangeSet([], Number.POSITIVE_INFINITY);
  #pages = 0;
  #dirty = 0;
  /** By first page; a queue stays where the entry it was for gives way to another. */
  readonly #sleepers = new Map<number, WaitQueue>();

  /** Pages that entries stand for (Linux: `nrpages`). */
  get pages(): number {
    return this.#pages;
  }

  /** Entries that are dirty, of whatever size. */
  get dirty(): number {
    return this.#dirty;
  }

  /** The entry that holds a page; undefined when there is none. */
  find(index: number): MappingEntry | undefined {
    const found = this.#known(index);
    if (found !== undefined || this.#zeros.count === 0) return found;
    const number = Math.floor(index / PMD_PAGES);
    return this.#zeros.has(number) ? this.#single(number) : undefined;
  }

  /** The first entry that reaches to or past `index`; dirty ones only if asked. */
  next(index: number, which: "all" | "dirty" | "towrite" = "all"): MappingEntry | undefined {
    if (which === "all") return this.find(index) ?? this.#after(index);
    const tag = which === "dirty" ? DIRTY : TOWRITE;
    const holding = this.#known(index);
    if (holding !== undefined && this.#tree.hasTag(holding.index, tag)) return holding;
    const found = this.#tree.next(index, tag);
    return found < 0 ? undefined : this.#tree.get(found);
  }

  /** Whether the page lies in a huge page of zeros. */
  isHugeZero(index: number): boolean {
    if (this.#huge === 0 && this.#zeros.count === 0) return false;
    const found = this.#known(index);
    if (found !== undefined) return found.order === PMD_ORDER && found.kind === "zero";
    return this.#zeros.has(Math.floor(index / PMD_PAGES));
  }

  /**
   * How many pages from a border of 2 MiB on, at most `pages`, nobody has an entry for, but for
   * runs of zeros; whole 2 MiB.
   */
  freeFrom(index: number, pages: number): number {
    const first = this.#tree.next(index);
    const stop = first < 0 ? index + pages : Math.min(index + pages, first);
    return Math.max(0, alignedTo(PMD_ORDER, stop) - index);
  }

  /** Huge pages of zeros for all 2 MiB of a range that is free. */
  addZeros(first: number, pages: number): void {
    const added = this.#zeros.add(first / PMD_PAGES, pages / PMD_PAGES);
    this.#pages += added * PMD_PAGES;
  }

  /** Forgets runs of zeros of a range, which nobody maps; a huge page in part of it goes whole. */
  dropZeros(first: number, pages: number): void {
    if (this.#zeros.count === 0 || pages <= 0) return;
    const from = Math.floor(first / PMD_PAGES);
    const past = Math.ceil((first + pages) / PMD_PAGES);
    this.#pages -= this.#zeros.remove(from, past - from) * PMD_PAGES;
  }

  /**
   * Locks the entry that holds a page, waiting for whoever has it, or makes one. A PMD of zeros
   * that is in the way of a single page is unmapped and taken apart; one of memory is the answer.
   */
  *grab(index: number, order: PageOrder, unmap: UnmapRange): Steps<Grabbed> {
    for (;;) {
      const entry = this.#inTheWay(index, order);
      if (entry === undefined) return this.#add(alignedTo(order, index), order);
      if (entry.locked) {
        yield this.#sleep(entry);
        continue;
      }
      if (order > entry.order) {
        // Who was woken for this page and does not take it has to wake the next.
        this.#sleepers.get(entry.index)?.wakeOne();
        return "fallback";
      }
      if (order < entry.order && entry.kind !== "mapped") {
        entry.locked = true;
        if (entry.kind === "zero") {
          unmap(entry.index, pagesOf(entry.order));
          yield;
        }
        this.delete(entry);
        continue;
      }
      entry.locked = true;
      return entry;
    }
  }

  /** Locks an entry that is there; false when it is gone after a wait. */
  *lock(entry: MappingEntry): Steps<boolean> {
    while (entry.locked) {
      yield this.#sleep(entry);
      if (this.#tree.get(entry.index) !== entry) return false;
    }
    entry.locked = true;
    return true;
  }

  /** Locks the entry that holds a page, if there is one of that order. */
  *seize(index: number, order: PageOrder): Steps<MappingEntry | undefined> {
    for (;;) {
      const entry = this.find(index);
      if (entry === undefined) return undefined;
      if (entry.order !== order) {
        this.#sleepers.get(entry.index)?.wakeOne();
        return undefined;
      }
      if (!entry.locked) {
        entry.locked = true;
        return entry;
      }
      yield this.#sleep(entry);
    }
  }

  /** Lets an entry go, and wakes one who waits. An empty one goes for good. */
  unlock(entry: MappingEntry): void {
    assert(entry.locked, () => `page ${entry.index} is not locked`);
    entry.locked = false;
    if (entry.kind === "empty") {
      this.delete(entry);
      return;
    }
    this.#sleepers.get(entry.index)?.wakeOne();
  }

  /** What a fault has found becomes the entry's, unless that leads there already. */
  put(entry: MappingEntry, frame: PageFrame | undefined): void {
    assert(entry.locked, () => `page ${entry.index} is not locked`);
    const kind = frame === undefined ? "zero" : "mapped";
    if (entry.kind === kind && isSameFrame(entry.frame, frame)) return;
    entry.kind = kind;
    entry.frame = frame;
  }

  /** Marks an entry as one that may be stored to from now on. */
  markDirty(entry: MappingEntry): void {
    if (this.isDirty(entry)) return;
    this.#tree.setTag(entry.index, DIRTY);
    this.#dirty++;
  }

  /** Whether it may have been stored to. */
  isDirty(entry: MappingEntry): boolean {
    return this.#tree.hasTag(entry.index, DIRTY);
  }

  /** It has been written back. */
  markClean(entry: MappingEntry): void {
    if (!this.isDirty(entry)) return;
    this.#tree.clearTag(entry.index, DIRTY);
    this.#dirty--;
  }

  /** Marks what is dirty now for the write-back that begins. */
  tagForWriteBack(first: number, stop: number): void {
    let entry = this.next(first, "dirty");
    while (entry !== undefined && entry.index < stop) {
      this.#tree.setTag(entry.index, TOWRITE);
      entry = this.next(entry.index + pagesOf(entry.order), "dirty");
    }
  }

  /** Whether the running write-back has still to do with it. */
  isToWrite(entry: MappingEntry): boolean {
    return this.#tree.get(entry.index) === entry && this.#tree.hasTag(entry.index, TOWRITE);
  }

  /** Takes the mark of a write-back off. */
  clearToWrite(entry: MappingEntry): void {
    this.#tree.clearTag(entry.index, TOWRITE);
  }

  /** Forgets an entry with its marks, and wakes everybody who waits for it. */
  delete(entry: MappingEntry): void {
    if (this.#tree.get(entry.index) !== entry) return;
    if (this.isDirty(entry)) this.#dirty--;
    this.#tree.delete(entry.index);
    this.#pages -= pagesOf(entry.order);
    if (entry.order === PMD_ORDER) this.#huge--;
    this.#sleepers.get(entry.index)?.wakeAll();
    this.#sleepers.delete(entry.index);
  }

  /** What holds the page; for a PMD, anything within its range. */
  #inTheWay(index: number, order: PageOrder): MappingEntry | undefined {
    const found = this.find(index);
    if (found !== undefined || order === 0) return found;
    const first = alignedTo(order, index);
    const next = this.next(first);
    return next !== undefined && next.index < first + pagesOf(order) ? next : undefined;
  }

  /** The entry of its own that holds a page. */
  #known(index: number): MappingEntry | undefined {
    const found = this.#tree.get(index);
    if (found !== undefined || this.#huge === 0) return found;
    const huge = this.#tree.get(alignedTo(PMD_ORDER, index));
    return huge?.order === PMD_ORDER ? huge : undefined;
  }

  /** The first entry behind a page that none holds. */
  #after(index: number): MappingEntry | undefined {
    const found = this.#tree.next(index);
    if (this.#zeros.count > 0) {
      const from = Math.floor(index / PMD_PAGES);
      const past = Math.floor((found < 0 ? Number.MAX_SAFE_INTEGER : found) / PMD_PAGES);
      for (const { start } of this.#zeros.intersect(from, past - from)) return this.#single(start);
    }
    return found < 0 ? undefined : this.#tree.get(found);
  }

  /** Takes a huge page of zeros out of its run: an entry that can be locked. */
  #single(number: number): MappingEntry {
    this.#zeros.remove(number, 1);
    const index = number * PMD_PAGES;
    const entry: MappingEntry = {
      index,
      order: PMD_ORDER,
      kind: "zero",
      frame: undefined,
      locked: false,
    };
    this.#tree.set(index, entry);
    this.#huge++;
    return entry;
  }

  #sleep({ index }: MappingEntry): Waiter {
    const queue = this.#sleepers.get(index) ?? new WaitQueue();
    this.#sleepers.set(index, queue);
    return queue.wait();
  }

  #add(index: number, order: PageOrder): MappingEntry {
    const entry: MappingEntry = { index, order, kind: "empty", frame: undefined, locked: true };
    this.#tree.set(index, entry);
    this.#pages += pagesOf(order);
    if (order === PMD_ORDER) this.#huge++;
    return entry;
  }
}
