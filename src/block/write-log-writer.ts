/**
 * Writing a log of writes (dm-log-writes) that the kernel's and everybody's replay tools read.
 *
 * Entries stand in the order in which requests completed: what lies before an entry in the log had
 * been told to the client before it. The kernel's target differs in one thing: it holds an ordinary
 * write back until a flush covers it, so that its FUA writes overtake others in the log.
 *
 * @module
 */
import {
  LOG_DISCARD_FLAG,
  LOG_FLUSH_FLAG,
  LOG_FUA_FLAG,
  LOG_MARK_FLAG,
  LogWriteEntry,
  LogWriteSuper,
  WRITE_LOG_END,
  WRITE_LOG_MAGIC,
  WRITE_LOG_VERSION,
} from "../format/log-writes.ts";
import { DaxError } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import { encodeUtf8 } from "../lib/utf8.ts";

/** Where a log is written to. */
export interface LogSink {
  /** Writes all of `bytes` at byte `offset`, which is never beyond what was written before. */
  write(offset: number, bytes: Uint8Array): void;
}

/** How a log is written. */
export interface LogWriterOptions {
  /** Bytes in a sector: 512 (the default) or 4096, as the recorded disk's logical blocks. */
  readonly sectorSize?: number;
}

/** The largest entry: readers take the memory for one at once. */
const MOST_DATA = 1 << 20;
const HEADER = sizeof(LogWriteEntry);

/**
 * A log that grows. The superblock counts an entry as soon as one that orders something is there: a
 * flush, a FUA write, a mark. Whoever is killed between two of these loses what no flush covered.
 *
 * Once a write to the sink has failed the log has ended: each method throws that error again, so
 * that no request goes unrecorded in silence.
 */
export class LogWriter {
  readonly sectorSize: number;
  readonly #sink: LogSink;
  readonly #header: Uint8Array;
  readonly #view: DataView;
  #zeros = new Uint8Array(0);
  #at: number;
  #entries = 0;
  #failure: unknown;
  #failed = false;
  #finished = false;

  /** @throws EINVAL for another size of sectors, and what the sink throws */
  constructor(sink: LogSink, { sectorSize = 512 }: LogWriterOptions = {}) {
    if (sectorSize !== 512 && sectorSize !== 4096) {
      throw refused(`sectors of ${sectorSize} bytes; logs here have 512 or 4096`);
    }
    this.sectorSize = sectorSize;
    this.#sink = sink;
    this.#header = new Uint8Array(sectorSize);
    this.#view = new DataView(this.#header.buffer);
    this.#at = sectorSize;
    this.#settle();
  }

  /** Entries so far. */
  get entries(): number {
    return this.#entries;
  }

  /** Bytes of the log so far. */
  get size(): number {
    return this.#at;
  }

  /** Bytes were written at byte `start` of the disk. @throws EINVAL for what is no whole sectors */
  write(start: number, data: Uint8Array, options: { readonly fua?: boolean } = {}): void {
    this.#check(start, data.length);
    const flags = options.fua === true ? LOG_FUA_FLAG : 0;
    for (let done = 0; done < data.length; done += MOST_DATA) {
      const part = data.subarray(done, done + MOST_DATA);
      this.#append(flags, start + done, part.length, part);
    }
    if (flags !== 0) this.#settle();
  }

  /** As {@link write}, of zeros. */
  writeZeroes(start: number, length: number): void {
    this.#check(start, length);
    for (let done = 0; done < length; done += MOST_DATA) {
      const run = Math.min(MOST_DATA, length - done);
      if (this.#zeros.length < run) this.#zeros = new Uint8Array(run);
      this.#append(0, start + done, run, this.#zeros.subarray(0, run));
    }
  }

  /** The range was discarded. */
  discard(start: number, length: number): void {
    this.#check(start, length);
    if (length > 0) this.#append(LOG_DISCARD_FLAG, start, length, undefined);
  }

  /** The disk's cache was flushed: all that was written before is durable. */
  flush(): void {
    this.#append(LOG_FLUSH_FLAG, 0, 0, undefined);
    this.#settle();
  }

  /**
   * Notes a text, by which replay finds this place again; returns the number of the entry.
   * @throws EINVAL for a text that has no room in a sector, or with a zero byte in it
   */
  mark(text: string): number {
    const bytes = encodeUtf8(text);
    const room = this.sectorSize - HEADER - 1;
    if (bytes.length > room || bytes.includes(0)) {
      throw refused(`a mark of ${bytes.length} bytes; ${room} at most, and none of them zero`);
    }
    this.#append(LOG_MARK_FLAG, 0, 0, undefined, bytes);
    this.#settle();
    return this.#entries - 1;
  }

  /** Ends the log, as the kernel does. Idempotent; later calls of other methods are refused. */
  finish(): void {
    if (this.#finished || this.#failed) return;
    this.mark(WRITE_LOG_END);
    this.#finished = true;
  }

  #check(start: number, length: number): void {
    const { sectorSize } = this;
    if (start % sectorSize === 0 && length % sectorSize === 0 && start >= 0) return;
    throw refused(`bytes ${start}+${length} are no whole sectors of ${sectorSize}`);
  }

  #append(
    flags: number,
    start: number,
    length: number,
    data: Uint8Array | undefined,
    text?: Uint8Array,
  ): void {
    this.#header.fill(0);
    LogWriteEntry.sector.set(this.#view, 0, start / this.sectorSize);
    LogWriteEntry.nrSectors.set(this.#view, 0, length / this.sectorSize);
    LogWriteEntry.flags.set(this.#view, 0, flags);
    LogWriteEntry.dataLen.set(this.#view, 0, text?.length ?? 0);
    if (text !== undefined) this.#header.set(text, HEADER);
    this.#put(this.#at, this.#header);
    if (data !== undefined) this.#put(this.#at + this.sectorSize, data);
    this.#at += this.sectorSize + (data?.length ?? 0);
    this.#entries++;
  }

  /** The superblock counts what is there: only after it, so that it never tells of too much. */
  #settle(): void {
    this.#header.fill(0);
    LogWriteSuper.magic.set(this.#view, 0, WRITE_LOG_MAGIC);
    LogWriteSuper.version.set(this.#view, 0, WRITE_LOG_VERSION);
    LogWriteSuper.nrEntries.set(this.#view, 0, this.#entries);
    LogWriteSuper.sectorsize.set(this.#view, 0, this.sectorSize);
    this.#put(0, this.#header);
  }

  #put(offset: number, bytes: Uint8Array): void {
    if (this.#failed) throw this.#failure;
    if (this.#finished) throw refused("the log has ended");
    try {
      this.#sink.write(offset, bytes);
    } catch (error) {
      this.#failed = true;
      this.#failure = error;
      throw error;
    }
  }
}

function refused(detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "record", detail });
}
