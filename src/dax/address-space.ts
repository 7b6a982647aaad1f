/**
 * Address spaces: one for each file that somebody maps, shared by all trees and mounts over its
 * filesystem, and one for each device that is mapped raw. It knows the entries (which pages are
 * mapped, which of them are dirty) and the areas (who maps them), and it is the one engine that
 * takes rights to pages away: freeze and suspend write-protect through it, truncation and punching
 * unmap through it, teardown revokes through it, and fsync writes back through it.
 *
 * What may be stored to is dirty: a page gets writable only by a fault that marks its entry, and
 * loses that before the mark goes. So `writeProtect` and `writeBack` cost what is dirty.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import type { DaxDevice } from "./dax-device.ts";
import type { FaultedFile } from "./fault-backing.ts";
import { type FaultCounters, newFaultCounters } from "./fault-counters.ts";
import { pagesOf } from "./frames.ts";
import { MappingEntries } from "./mapping-entries.ts";
import { PAGE_SIZE } from "./operations.ts";
import { PagePins } from "./page-pins.ts";
import { SharedLock, type Steps, runToEnd } from "./steps.ts";
import { persistRange, writeBackRange } from "./writeback.ts";

/** What no file says of its mapping. */
const NO_GENERATION = -1;
/** As many pages as any file may have. */
export const ALL_PAGES = Math.floor(Number.MAX_SAFE_INTEGER / PAGE_SIZE);

/** Who maps a part of a file (Linux: a VMA). Pages are counted from the start of the file. */
export interface Area {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  /** Whether memory was handed out that may be stored to, and that nobody can take back. */
  readonly pinsBlocks: boolean;
  /** For EBUSY messages: `mapping of /a/b`. */
  describe(): string;
  /** Pages of the range may not be stored to without a new fault; returns how many lost that. */
  writeProtect(first: number, pages: number): number;
  /**
   * Pages of the range are not there without a new fault; returns how many went. `copies`: those
   * that a private mapping has made its own, too.
   */
  unmap(first: number, pages: number, copies: boolean): number;
  /** Makes durable what may have been stored without a fault: by memory that was handed out. */
  writeBack(first: number, pages: number): void;
  /** Takes back memory that was handed out to be stored to. Absent: none can be taken back. */
  takeBack?(): void;
  /**
   * Ends it against its owner's will: every later access throws ENXIO with the reason.
   * @throws EBUSY when memory was handed out that cannot be taken back
   */
  detach(reason: string): void;
}

/**
 * What becomes of mapped pages when nothing may change: `write-protect` leaves them to be read, and
 * the first store to one afterwards is a fault; after `unmap` the first load is one, too.
 */
export type StandStill = "write-protect" | "unmap";

/** The first page that bytes touch, and how many. */
export function pagesAround(start: number, length: number): [first: number, pages: number] {
  const first = Math.floor(start / PAGE_SIZE);
  return [first, Math.ceil((start + length) / PAGE_SIZE) - first];
}

/** What an address space belongs to. */
export interface AddressSpaceOptions {
  /** The device, for traces and messages: `pmem0`. */
  readonly owner: string;
  /** The number of the file; 0 for a device that is mapped raw. */
  readonly ino: number;
  /** Whether pins may last: not of files, whose blocks may have to move. */
  readonly longTermPins?: boolean;
}

/** All mappings of one file. */
export class AddressSpace {
  readonly owner: string;
  readonly ino: number;
  readonly entries = new MappingEntries();
  readonly counters: FaultCounters = newFaultCounters();
  readonly pins: PagePins;
  /** Shared by faults, taken by who moves blocks (Linux: `invalidate_lock`). */
  readonly layout = new SharedLock();
  readonly #areas = new Set<Area>();
  readonly #unfenced = new Set<DaxDevice>();
  readonly #whenIdle: () => void;
  /** What the file said of its mapping when pages were mapped last. */
  #generation: number | undefined;

  /** `whenIdle` is called when the last area has gone. */
  constructor(options: AddressSpaceOptions, whenIdle: () => void = () => {}) {
    this.owner = options.owner;
    this.ino = options.ino;
    this.pins = new PagePins(options.longTermPins ?? false);
    this.#whenIdle = whenIdle;
  }

  /** Who maps it. */
  get areas(): ReadonlySet<Area> {
    return this.#areas;
  }

  /** Entries that may have been stored to since they were written back. */
  get dirty(): number {
    return this.entries.dirty;
  }

  /** Counts an area in. */
  attach(area: Area): void {
    this.#areas.add(area);
  }

  /**
   * Counts an area out, which has unmapped its pages. With the last one everything is written back:
   * nobody would find it later. @throws EIO; the area has gone all the same
   */
  leave(area: Area): void {
    if (!this.#areas.delete(area) || this.#areas.size > 0) return;
    try {
      this.writeBack();
    } finally {
      this.#whenIdle();
    }
  }

  /**
   * Takes from every area the right to store to pages of the range; the next store is a fault. What
   * is dirty stays so. Returns how many pages lost it, huge ones counted once.
   */
  writeProtect(first = 0, pages = ALL_PAGES): number {
    const stop = first + pages;
    let count = 0;
    let entry = this.entries.next(first, "dirty");
    while (entry !== undefined && entry.index < stop) {
      count += this.protect(entry.index, pagesOf(entry.order));
      entry = this.entries.next(entry.index + pagesOf(entry.order), "dirty");
    }
    return count;
  }

  /** As `writeProtect`, of pages that are known to be one dirty entry. */
  protect(first: number, pages: number): number {
    let count = 0;
    for (const area of this.#areas) count += area.writeProtect(first, pages);
    this.counters.writeProtected += count;
    return count;
  }

  /**
   * Takes pages of the range from every area; the next access is a fault. Entries stay, with their
   * marks. Returns how many pages went, huge ones counted once.
   */
  unmap(first = 0, pages = ALL_PAGES, copies = false): number {
    let count = 0;
    for (const area of this.#areas) count += area.unmap(first, pages, copies);
    this.counters.unmapped += count;
    return count;
  }

  /**
   * Makes durable what was stored to pages of the range, through faults or behind them.
   * @throws EIO, ENXIO; what could not be written back stays dirty
   */
  writeBack(first = 0, pages = ALL_PAGES): void {
    this.writeBackEntries(first, pages);
    for (const area of this.#areas) area.writeBack(first, pages);
  }

  /** As `writeBack`, without what was stored to memory that was handed out. */
  writeBackEntries(first = 0, pages = ALL_PAGES): void {
    runToEnd(this.writingBack(first, pages));
  }

  /** The steps of `writeBackEntries`. */
  *writingBack(first = 0, pages = ALL_PAGES): Steps<void> {
    yield* writeBackRange(this, first, pages, this.#unfenced);
    this.#fence();
  }

  /**
   * Makes durable what was stored through faults to bytes of the file, and no more than that: pages
   * of which they are a part stay writable. Enough where what leads to them is durable (MAP_SYNC).
   * @throws EIO, ENXIO
   */
  persist(offset: number, length: number): void {
    runToEnd(persistRange(this, offset, length, this.#unfenced));
    this.#fence();
  }

  #fence(): void {
    for (const device of this.#unfenced) {
      device.fence();
      this.#unfenced.delete(device);
    }
  }

  /**
   * Nothing of the file changes by a store from here on without a new fault, and what was stored is
   * durable: what its filesystem or its device does to stand still. What it costs follows from what
   * is dirty, but for `unmap`. @throws EIO, ENXIO as `writeBack`
   */
  standStill(how: StandStill): void {
    this.writeBack();
    for (const area of this.#areas) area.takeBack?.();
    if (how === "unmap") this.unmap();
  }

  /**
   * Whoever changed the file may not have gone through here: a write that got blocks, a commit of
   * what had waited. Where the file says that its bytes may lie elsewhere, their pages are mapped
   * anew; what is dirty stays so.
   */
  follow(file: FaultedFile): void {
    const { mapGeneration } = file;
    if (mapGeneration === this.#generation) return;
    const changes = this.#changes(file);
    this.#generation = mapGeneration;
    if (changes === undefined) this.unmap();
    else for (const { start, length } of changes) this.unmap(...pagesAround(start, length));
  }

  /** The mapping of the file has changed, and all pages that this is about are unmapped. */
  settle(file: FaultedFile): void {
    // What has changed until now is not asked for again.
    this.#changes(file);
    this.#generation = file.mapGeneration;
  }

  /** Which bytes lie elsewhere than was known; undefined: any may. */
  #changes(file: FaultedFile): Iterable<Range> | undefined {
    return file.mapChangesSince?.(this.#generation ?? NO_GENERATION);
  }

  /**
   * Forgets what is known of pages of the range, since the file has them no more: areas lose them,
   * entries go with their marks. Of a huge page that lies in the range in part, the rest is written
   * back before.
   */
  *removing(first: number, pages: number, copies = false): Steps<void> {
    this.unmap(first, pages, copies);
    const { entries } = this;
    entries.dropZeros(first, pages);
    const stop = first + pages;
    for (let at = first; ;) {
      const entry = entries.next(at);
      if (entry === undefined || entry.index >= stop) return;
      at = entry.index + pagesOf(entry.order);
      if (entry.index < first || at > stop) yield* this.writingBack(entry.index, at - entry.index);
      if (!(yield* entries.lock(entry))) continue;
      this.unmap(entry.index, at - entry.index, false);
      yield;
      entries.delete(entry);
    }
  }

  /** All steps of `removing`. */
  remove(first = 0, pages = ALL_PAGES, copies = false): void {
    runToEnd(this.removing(first, pages, copies));
  }

  /**
   * Ends every area: each later access is ENXIO with the reason.
   * @throws EBUSY when memory of one cannot be taken back; the others have ended all the same
   */
  revoke(reason: string): void {
    let refusal: unknown;
    for (const area of this.#areas) {
      try {
        area.detach(reason);
      } catch (error) {
        if (!isDaxError(error)) throw error;
        refusal ??= error;
      }
    }
    if (refusal !== undefined) throw refusal;
  }

  /** Who maps bytes of the range. */
  areasOver(offset: number, length: number): Area[] {
    return [...this.#areas].filter((area) => {
      return area.offset < offset + length && area.offset + area.length > offset;
    });
  }

  /** Who keeps bytes of the file where they are; undefined when nobody does. */
  holderOf(offset: number, length = Number.POSITIVE_INFINITY): string | undefined {
    const area = this.areasOver(offset, length).find(({ pinsBlocks }) => pinsBlocks);
    if (area !== undefined) {
      return `bytes ${area.offset}+${area.length} are mapped to be written (${area.describe()})`;
    }
    const first = Math.floor(offset / PAGE_SIZE);
    return this.pins.holderOf(first, Math.ceil((offset + length) / PAGE_SIZE) - first);
  }

  /**
   * Blocks of the file are about to go, or to move, which Linux would wait for.
   * @throws EBUSY when bytes from `offset` on lie in memory that was handed out, or are pinned
   */
  assertLoose(offset: number, length = Number.POSITIVE_INFINITY): void {
    const holder = this.holderOf(offset, length);
    if (holder === undefined) return;
    throw new DaxError("EBUSY", {
      detail:
        `${holder}, and what was handed out cannot be taken back; ` +
        "unmap that first, or map it revocable",
    });
  }
}
