/**
 * Remembers which pages were flushed, and writes them at the fence in as few calls as makes sense.
 *
 * @module
 */
import { type Range, RangeSet } from "../lib/range-set.ts";

/** Runs closer than this are written in one call: a call costs a commit of the file system. */
const JOIN_BYTES = 262_144;
/** More runs than this become one call over all of them; the pages between may be written too. */
const MOST_CALLS = 8;
/** More runs than this are not remembered singly: they are written at once. */
const MOST_RUNS = 65_536;

/** See the module. */
export class PageWriter {
  readonly #pageSize: number;
  readonly #write: (at: number, length: number) => void;
  readonly #join: boolean;
  /** In pages. */
  readonly #runs = new RangeSet([], MOST_RUNS);
  /** The last page added: flushes tend to come in rows. */
  #lastPage = -1;

  /**
   * @param write makes whole pages durable; the last one may reach beyond the media
   * @param join whether pages between those asked for may be written as well
   */
  constructor(pageSize: number, join: boolean, write: (at: number, length: number) => void) {
    this.#pageSize = pageSize;
    this.#join = join;
    this.#write = write;
  }

  /** Whether anything was added since the last write. */
  get waiting(): boolean {
    return this.#runs.count !== 0;
  }

  /** Bytes `[offset, offset + length)` are to be written. */
  add(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / this.#pageSize);
    const last = Math.floor((offset + length - 1) / this.#pageSize);
    if (first === this.#lastPage && last === first) return;
    if (this.#runs.count === MOST_RUNS) this.write();
    this.#runs.add(first, last - first + 1);
    this.#lastPage = last;
  }

  /** Writes all that was added. Runs that were not written when a write fails stay remembered. */
  write(): void {
    this.#lastPage = -1;
    for (const { start, length } of this.#join ? this.#joined() : [...this.#runs]) {
      this.#write(start * this.#pageSize, length * this.#pageSize);
      this.#runs.remove(start, length);
    }
  }

  #joined(): readonly Range[] {
    const gap = JOIN_BYTES / this.#pageSize;
    const joined: Range[] = [];
    for (const run of this.#runs) {
      const last = joined.at(-1);
      if (last !== undefined && run.start - last.start - last.length < gap) {
        joined[joined.length - 1] = span(last, run);
      } else joined.push(run);
    }
    return joined.length <= MOST_CALLS ? joined : [span(joined[0]!, joined.at(-1)!)];
  }
}

function span(first: Range, last: Range): Range {
  return { start: first.start, length: last.start + last.length - first.start };
}
