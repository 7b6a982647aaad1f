/**
 * Which pages of a mapped file are gone: what the SIGBUS handler met, turned from addresses into
 * offsets, kept until the pages are repaired.
 *
 * @module
 */
import { type Range, RangeSet } from "../lib/range-set.ts";
import { deliverFaults, type FaultSink } from "./sigbus.unsafe.ts";

/** What the handler logged; kept apart, since the table of the handler keeps it alive. */
class FaultLog implements FaultSink {
  pending = false;
  overflow = false;
  addresses: number[] = [];
  faulted(address: number): void {
    this.pending = true;
    this.addresses.push(address);
  }
  overflowed(): void {
    this.pending = true;
    this.overflow = true;
  }
}

/** See the module. */
export class BadPages {
  readonly #log = new FaultLog();
  readonly #bad = new RangeSet();
  readonly #pageSize: number;
  #list: readonly Range[] = [];

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** Who is to hear of faults. Does not keep the list alive, nor what owns it. */
  get sink(): FaultSink {
    return this.#log;
  }

  /** Whether pages failed: lately, or before and not repaired since. */
  get failing(): boolean {
    deliverFaults();
    return this.#log.pending || this.#bad.count !== 0;
  }

  /** Runs of the file, sorted and disjoint; a new array after a change. */
  get list(): readonly Range[] {
    return this.#list;
  }

  /** The first run that shares a byte with the range. */
  first(offset: number, length: number): Range | undefined {
    for (const run of this.#bad.intersect(offset, length)) return run;
    return undefined;
  }

  /** How many bytes of the range are gone. */
  overlap(offset: number, length: number): number {
    return this.#bad.overlap(offset, length);
  }

  /** The runs inside a range, to be repaired one by one. */
  inside(offset: number, length: number): Range[] {
    return Array.from(this.#bad.intersect(offset, length));
  }

  /**
   * Takes up what was logged, and returns the first page of it, if any.
   * @param locate tells the offset at an address, undefined for none
   * @param intact tells how many bytes from the start are known to be there
   */
  take(
    size: number,
    locate: (address: number) => number | undefined,
    intact: () => number,
  ): number | undefined {
    if (!this.#log.pending) return undefined;
    const { addresses, overflow } = this.#log;
    this.#log.pending = false;
    this.#log.overflow = false;
    this.#log.addresses = [];
    let first: number | undefined;
    for (const address of addresses) {
      const offset = locate(address);
      if (offset === undefined || offset >= size) continue;
      const start = offset - (offset % this.#pageSize);
      this.#bad.add(start, Math.min(this.#pageSize, size - start));
      first = Math.min(first ?? start, start);
    }
    if (overflow) {
      // A log that ran over does not tell which: every page is in doubt that may have failed.
      first = Math.min(size, Math.ceil(intact() / this.#pageSize) * this.#pageSize);
      this.#bad.add(first, size - first);
    }
    this.#list = [...this.#bad];
    return first;
  }

  /** The range is good again. */
  repaired(offset: number, length: number): void {
    this.#bad.remove(offset, length);
    this.#list = [...this.#bad];
  }
}
