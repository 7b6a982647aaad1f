/**
 * The page table of a raw mapping: which units of the device it has mapped, and which of them it
 * may store to. A unit is what a fault of the device maps at once.
 *
 * @module
 */
import type { AddressSpace } from "./address-space.ts";
import type { DaxDevice } from "./dax-device.ts";
import { PMD_PAGES, type PageOrder, pagesOf } from "./frames.ts";
import { PAGE_SIZE } from "./operations.ts";
import { runToEnd } from "./steps.ts";

/** Units of one mapping. */
export class RawPages {
  readonly #space: AddressSpace;
  readonly #device: DaxDevice;
  /** Pages in a unit. */
  readonly #pages: number;
  /** Whether each unit that is mapped may be stored to. */
  readonly #writable = new Map<number, boolean>();

  constructor(space: AddressSpace, device: DaxDevice, align: number) {
    this.#space = space;
    this.#device = device;
    this.#pages = align / PAGE_SIZE;
  }

  /** Whether a unit is mapped, and may be stored to if that is asked. */
  has(unit: number, write: boolean): boolean {
    const writable = this.#writable.get(unit);
    return writable === true || (writable === false && !write);
  }

  /** Maps a unit; one that may be stored to is dirty from then on. */
  map(unit: number, write: boolean): void {
    const { entries, counters } = this.#space;
    const order: PageOrder = this.#pages >= PMD_PAGES ? 9 : 0;
    const first = unit * this.#pages;
    for (let page = first; page < first + this.#pages; page += pagesOf(order)) {
      const unmap = (at: number, count: number): void => void this.#space.unmap(at, count);
      const entry = runToEnd(entries.grab(page, order, unmap));
      // Single pages of another mapping of the same bytes: they stand for themselves.
      if (entry === "fallback") this.#mapSingly(page, pagesOf(order), write);
      else this.#put(entry, write);
    }
    if (order === 0) counters.pteFaults++;
    else counters.pmdFaults++;
    this.#writable.set(unit, write || this.#writable.get(unit) === true);
  }

  /** Takes the right to store from units that pages of the device lie in; returns how many. */
  protect(first: number, pages: number): number {
    let lost = 0;
    for (const unit of this.#within(first, pages)) {
      if (this.#writable.get(unit) !== true) continue;
      this.#writable.set(unit, false);
      lost++;
    }
    return lost;
  }

  /** Takes units away that pages of the device lie in; returns how many. */
  unmap(first: number, pages: number): number {
    let lost = 0;
    for (const unit of this.#within(first, pages)) if (this.#writable.delete(unit)) lost++;
    return lost;
  }

  #mapSingly(first: number, pages: number, write: boolean): void {
    for (let page = first; page < first + pages; page++) {
      const entry = runToEnd(this.#space.entries.grab(page, 0, () => {}));
      if (entry !== "fallback") this.#put(entry, write);
    }
  }

  #put(entry: Parameters<AddressSpace["entries"]["put"]>[0], write: boolean): void {
    const { entries } = this.#space;
    const start = entry.index * PAGE_SIZE;
    entries.put(entry, { device: this.#device, start, copy: undefined });
    if (write) entries.markDirty(entry);
    entries.unlock(entry);
  }

  /** Units that pages of the device lie in: few pages are looked up, many are looked for. */
  *#within(first: number, pages: number): Generator<number> {
    const from = Math.floor(first / this.#pages);
    const past = Math.ceil((first + pages) / this.#pages);
    if (past - from <= this.#writable.size) {
      for (let unit = from; unit < past; unit++) yield unit;
      return;
    }
    for (const unit of this.#writable.keys()) if (unit >= from && unit < past) yield unit;
  }
}
