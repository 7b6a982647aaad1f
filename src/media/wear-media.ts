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
import { checkBounds, checkOpen, checkSize } from "./bounds.ts";
import { uniformDomain } from "./domains.ts";
import type { ByteRange, DomainRange, Durability, Media, Window } from "./media.ts";
import { Recorder } from "./recorder.ts";
import { LINE_BYTES, Trace, TraceKind } from "./trace.ts";

const NONE: readonly ByteRange[] = [];
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
  /** `write-through`: every store reaches the media at once; `write-back` unless given. */
  readonly caching?: "write-back" | "write-through";
}

/** Memory of this process that counts what reaches it. Below 4 GiB. */
export class WearMedia implements Media {
  readonly size: number;
  readonly durability: Durability = "modelled";
  readonly readOnly = false;
  readonly domains: readonly DomainRange[];
  readonly #recorder: Recorder;
  readonly #window: Window;
  readonly #writes: Uint32Array;
  readonly #state: Uint8Array;
  readonly #through: boolean;
  #open = true;

  /** @throws EINVAL for a size that is no whole number of lines */
  constructor(size: number, { caching = "write-back" }: WearOptions = {}) {
    checkSize("wear", size);
    if (size % LINE_BYTES !== 0) {
      throw new DaxError("EINVAL", { syscall: "wear", detail: `${size} bytes are no whole lines` });
    }
    this.size = size;
    this.#through = caching === "write-through";
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
    this.#eachLine(offset, length, (line) => {
      if (this.#state[line] === DIRTY) this.#write(line);
    });
  }

  fence(): void {
    checkOpen(this.#open, "fence");
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
    const around = this.#through || kind === TraceKind.copyNonTemporal;
    this.#eachLine(at, length, (line) => {
      if (around) this.#write(line);
      else this.#state[line] = DIRTY;
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
