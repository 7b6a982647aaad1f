/**
 * Allocation of what knows no holes: which blocks hold nothing but zeros, found by looking.
 *
 * @module
 */
import type { StoreExtent } from "./store.ts";

/** Zeros are looked for in pieces of so many bytes, at multiples of it. */
export const LOOK_BYTES = 4096;
/** Bytes that one question is worth looking at; the answer ends there. */
const MOST_LOOKED_AT = 32 * 1024 * 1024;

/**
 * The extents of a range, as `NbdStore.allocation` gives them: a piece each, none of them a hole.
 * @param isZero whether a piece, inside one block of {@link LOOK_BYTES}, reads as zeros
 */
export function* zeroExtents(
  offset: number,
  length: number,
  isZero: (at: number, run: number) => boolean,
): Generator<StoreExtent, void> {
  const stop = offset + Math.min(length, MOST_LOOKED_AT);
  for (let at = offset; at < stop;) {
    const run = Math.min(LOOK_BYTES - (at % LOOK_BYTES), stop - at);
    yield { length: run, hole: false, zero: isZero(at, run) };
    at += run;
  }
}

/** A place to copy a piece to, and to look at it there. */
export class ZeroLook {
  readonly #words = new Int32Array(LOOK_BYTES / 4);
  readonly #bytes = new Uint8Array(this.#words.buffer);

  /** Whether `run` bytes, which `copy` puts into what it is given, are all zero. */
  isZero(run: number, copy: (target: Uint8Array) => void): boolean {
    this.#bytes.fill(0, run);
    copy(this.#bytes.subarray(0, run));
    for (const word of this.#words) if (word !== 0) return false;
    return true;
  }
}
