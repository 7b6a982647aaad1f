/**
 * Media whose flushes are recorded in a log of writes: what dm-log-writes cannot do for stores
 * through a mapping. The bytes are seen when they are flushed, sector by sector; stores that nobody
 * flushes are not in the log, and a line that left the cache by itself is not either.
 *
 * @module
 */
import { copyIn, copyOf } from "../lib/memory.ts";
import type {
  ByteRange,
  CachedRange,
  DomainRange,
  Durability,
  Media,
  Window,
} from "../media/media.ts";
import type { LogWriter } from "./write-log-writer.ts";

/** Bytes that are copied into the log at a time; windows end on whole sectors. */
const PIECE = 1 << 20;

/** See the module: `flush` of a range is a write of its sectors, `fence` a flush of the disk. */
export class RecordedMedia implements Media {
  readonly size: number;
  readonly durability: Durability;
  readonly readOnly: boolean;
  readonly domains: readonly DomainRange[];
  readonly caching: readonly CachedRange[] | undefined;
  readonly #inner: Media;
  readonly #log: LogWriter;
  /** Something was flushed since the last fence. */
  #open = false;

  constructor(inner: Media, log: LogWriter) {
    this.size = inner.size;
    this.durability = inner.durability;
    this.readOnly = inner.readOnly;
    this.domains = inner.domains;
    this.caching = inner.caching;
    this.#inner = inner;
    this.#log = log;
  }

  window(offset: number): Window {
    return this.#inner.window(offset);
  }

  flush(offset: number, length: number): void {
    this.#inner.flush(offset, length);
    this.#record(offset, length);
  }

  fence(): void {
    this.#inner.fence();
    if (this.#open) this.#log.flush();
    this.#open = false;
  }

  copyNonTemporal(offset: number, source: Uint8Array): void {
    const { length } = source;
    if (this.#inner.copyNonTemporal === undefined) {
      for (let done = 0; done < length;) {
        const window = this.#inner.window(offset + done);
        const at = offset + done - window.start;
        const run = Math.min(length - done, window.length - at);
        copyIn(window.memory, at, source.subarray(done, done + run));
        done += run;
      }
      this.#inner.flush(offset, length);
    } else this.#inner.copyNonTemporal(offset, source);
    this.#record(offset, length);
  }

  badRanges(): readonly ByteRange[] {
    return this.#inner.badRanges();
  }

  clearPoison(offset: number, length: number): number {
    return this.#inner.clearPoison(offset, length);
  }

  invalidate(offset: number, length: number): void {
    this.#inner.invalidate?.(offset, length);
  }

  checkFault(): void {
    this.#inner.checkFault?.();
  }

  close(): void {
    this.#inner.close();
  }

  /** The whole sectors around a range as they are now; a ragged end of the media stays out. */
  #record(offset: number, length: number): void {
    if (length === 0) return;
    const { sectorSize } = this.#log;
    const start = offset - (offset % sectorSize);
    const most = this.size - (this.size % sectorSize);
    const stop = Math.min(most, Math.ceil((offset + length) / sectorSize) * sectorSize);
    for (let at = start; at < stop;) {
      const window = this.#inner.window(at);
      const within = at - window.start;
      const run = Math.min(stop - at, window.length - within, PIECE);
      this.#log.write(at, copyOf(window.memory, within, run));
      at += run;
    }
    this.#open = true;
  }
}
