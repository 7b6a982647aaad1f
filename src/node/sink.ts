/**
 * Output as it comes: small pieces are collected, and a pipe that is full is waited for.
 *
 * @module
 */
import { writeSync } from "node:fs";

/** Takes all of the bytes before it returns. */
export type Sink = (bytes: Uint8Array) => void;

/** Milliseconds between two tries of a full pipe. */
const PATIENCE = 2;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Collects small pieces for a sink. */
export class PieceBuffer {
  readonly #sink: Sink;
  readonly #pending: Uint8Array;
  #length = 0;

  /** Collects up to `limit` bytes. */
  constructor(sink: Sink, limit: number) {
    this.#sink = sink;
    this.#pending = new Uint8Array(limit);
  }

  /** Takes bytes; the array may be reused as soon as this returns. @throws what the sink throws */
  write(bytes: Uint8Array): void {
    const limit = this.#pending.length;
    if (this.#length + bytes.length > limit) this.flush();
    if (bytes.length >= limit) {
      this.#sink(bytes);
      return;
    }
    this.#pending.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Hands over what is collected. @throws what the sink throws; it is not handed over again */
  flush(): void {
    if (this.#length === 0) return;
    const all = this.#pending.subarray(0, this.#length);
    this.#length = 0;
    this.#sink(all);
  }
}

/** Writes every byte to a descriptor. @throws what write(2) says, but for EAGAIN */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      // Another process made the pipe non-blocking; there is nothing else to do meanwhile.
      Atomics.wait(sleeper, 0, 0, PATIENCE);
    }
  }
}
