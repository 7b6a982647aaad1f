/**
 * Wear: memory that counts, line by line, how often the media below the CPU's caches is written.
 *
 * A store reaches a cache; the media is written when the line is written back, or at once by a
 * non-temporal copy. So a line that was stored to a thousand times between two flushes is written
 * once, and one that was flushed each time a thousand times. What a CPU writes back by itself, to
 * make room, comes on top: nobody can foresee it.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import { checkBounds, checkOpen, checkSize } from "./bounds.ts";
import { uniformDomain } from "./domains.ts";
import type {
  ByteRange,
  CachedRange,
  Caching,
  DomainRange,
  Durability,
  Media,
  Window,
} from "./media.ts";
import { Recorder } from "./recorder.ts";
import { LINE_BYTES, Trace, TraceKind } from "./trace.ts";

const NONE: readonly ByteRange[] = [];
const WAYS: readonly Caching[] = ["write-back", "write-through", "write-combining", "uncached"];
const CLEAN = 0;
const DIRTY = 1;

/** What a range of media went through. */
export interface WearOfRange extends ByteRange {
  /** Lines of 64 bytes that were written, each time counted. */
  readonly lineWrites: number;
  /** Bytes that were written: `lineWrites` times 64. */
  readonly bytesWritten: number;
  /** How often the line was written that was written most often. */
  readonly worst: number;
  /** Lines that were stored to since they were written the last time. */
  readonly waiting: number;
}

/** How memory is counted. */
export interface WearOptions {
  /**
   * How the memory is mapped; `write-back` unless given. By `write-through` and `uncached` every
   * store reaches the media at once; by `write-combining` a line does at the next fence, however
   * often it was stored to.
   */
  readonly caching?: Caching;
}

/** Memory of this process that counts what reaches it. Below 4 GiB. */
export class WearMedia implements Media {
  readonly size: number;
  readonly durability: Durability = "modelled";
  readonly readOnly = false;
  readonly domains: readonly DomainRange[];
  readonly caching: readonly CachedRange[];
  readonly #recorder: Recorder;
  readonly #window: Window;
  readonly #writes: Uint32Array;
  readonly #state: Uint8Array;
  readonly #way: Caching;
  /** Lines in buffers of the CPU that combine stores, until a fence. */
  readonly #combined: number[] = [];
  #open = true;

  /** @throws EINVAL for a size that is no whole number of lines, or a word that is none */
  constructor(size: number, { caching = "write-back" }: WearOptions = {}) {
    checkSize("wear", size);
    if (size % LINE_BYTES !== 0) {
      throw new DaxError("EINVAL", { syscall: "wear", detail: `${size} bytes are no whole lines` });
    }
    if (!WAYS.includes(caching)) {
      const detail = `caching is one of ${WAYS.join(", ")}; given was ${givenText(caching)}`;
      throw new DaxError("EINVAL", { syscall: "wear", detail });
    }
    this.size = size;
    this.#way = caching;
    this.caching = caching === "write-back" ? [] : [{ start: 0, length: size, caching }];
    this.domains = uniformDomain(size, "adr");
    this.#writes = new Uint32Array(size / LINE_BYTES);
    this.#state = new Uint8Array(size / LINE_BYTES);
    this.#recorder = new Recorder(size, new Trace());
    this.#recorder.recording = false;
    this.#recorder.witness = { stored: (kind, at, length) => this.#stored(kind, at, length) };
    this.#window = { start: 0, length: size, memory: this.#recorder };
  }

  window(offset: number): Window {
    this.#check("window", offset, 1);
    return this.#window;
  }

  flush(offset: number, length: number): void {
    this.#check("flush", offset, length);
    if (this.#way === "write-combining") return;
    this.#eachLine(offset, length, (line) => {
      if (this.#state[line] === DIRTY) this.#write(line);
    });
  }

  fence(): void {
    checkOpen(this.#open, "fence");
    for (const line of this.#combined) this.#write(line);
    this.#combined.length = 0;
  }

  copyNonTemporal(offset: number, source: Uint8Array): void {
    this.#check("copy", offset, source.length);
    this.#recorder.copyIn(offset, source, true);
  }

  badRanges(): readonly ByteRange[] {
    checkOpen(this.#open, "badRanges");
    return NONE;
  }

  clearPoison(offset: number, length: number): number {
    this.#check("clearPoison", offset, length);
    return length;
  }

  close(): void {
    this.#open = false;
  }

  /** What `length` bytes from `start` went through. @throws EINVAL, ERANGE */
  wear(start = 0, length: number = this.size - start): WearOfRange {
    checkBounds("wear", this.size, start, length);
    let [lineWrites, worst, waiting] = [0, 0, 0];
    this.#eachLine(start, length, (line) => {
      const writes = this.#writes[line] as number;
      lineWrites += writes;
      if (writes > worst) worst = writes;
      waiting += this.#state[line] as number;
    });
    return { start, length, lineWrites, bytesWritten: lineWrites * LINE_BYTES, worst, waiting };
  }

  /** Starts to count anew; what waits goes on waiting. */
  reset(): void {
    this.#writes.fill(0);
  }

  #stored(kind: TraceKind, at: number, length: number): void {
    const combines = this.#way === "write-combining";
    const through = this.#way === "write-through" || this.#way === "uncached";
    const around = through || (!combines && kind === TraceKind.copyNonTemporal);
    this.#eachLine(at, length, (line) => {
      if (around) {
        this.#write(line);
        return;
      }
      if (combines && this.#state[line] === CLEAN) this.#combined.push(line);
      this.#state[line] = DIRTY;
    });
  }

  #write(line: number): void {
    this.#writes[line] = (this.#writes[line] as number) + 1;
    this.#state[line] = CLEAN;
  }

  #eachLine(at: number, length: number, visit: (line: number) => void): void {
    if (length === 0) return;
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    for (let line = Math.floor(at / LINE_BYTES); line <= last; line++) visit(line);
  }

  #check(syscall: string, offset: number, length: number): void {
    checkOpen(this.#open, syscall);
    checkBounds(syscall, this.size, offset, length);
  }
}
