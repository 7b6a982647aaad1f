/**
 * WRITE: payload on its way from the wire into the store. It may come in parts of any length, and
 * where the store has direct memory the transport may put it there itself.
 *
 * @module
 */
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { NbdExport } from "./export.ts";
import type { Landing } from "./session-contract.ts";

/** Stores that want whole blocks get requests of at most so many bytes, as a kernel splits them. */
const ASSEMBLED_BYTES = 256 * 1024;

/** The write of one session that is under way. */
export class Writes {
  readonly #target: NbdExport;
  readonly #whole: boolean;
  readonly #landing: { offset: number; length: number } = { offset: 0, length: 0 };
  #lands = false;
  #fua = false;
  #assembled = new Uint8Array(0);
  /** Bytes of the next request that are here. */
  #filled = 0;
  /** What went wrong first; the rest of the payload is passed over. */
  error: DaxError | undefined;

  constructor(target: NbdExport) {
    this.#target = target;
    this.#whole = target.store.blockSizes.minimum > 1;
  }

  /** Set while the transport may put payload into the store. */
  get landing(): Landing | undefined {
    return this.#lands && this.error === undefined ? this.#landing : undefined;
  }

  start(offset: number, length: number, fua: boolean): void {
    const { direct } = this.#target.store;
    this.error = undefined;
    this.#landing.offset = offset;
    this.#landing.length = length;
    this.#filled = 0;
    this.#fua = fua;
    this.#lands = direct !== undefined && !this.#whole && direct.addressOf(offset, length) !== 0;
  }

  /** Takes bytes `[start, start + length)` of what was received. */
  take(bytes: Uint8Array, start: number, length: number): void {
    if (this.error !== undefined) return;
    if (this.#whole) this.#assemble(bytes, start, length);
    else {
      if (!this.#put(bytes, start, length)) this.#write(bytes.subarray(start, start + length));
      this.#pass(length);
    }
  }

  /** The transport put `length` bytes there. */
  landed(length: number): void {
    const { store, dirty } = this.#target;
    const { offset } = this.#landing;
    try {
      store.direct?.landed(offset, length);
    } catch (error) {
      this.#fail(error);
    }
    dirty?.add(offset, length);
    this.#pass(length);
  }

  /** The rest comes through {@link take}. */
  refuseLanding(): void {
    this.#lands = false;
  }

  #pass(length: number): void {
    this.#landing.offset += length;
    this.#landing.length -= length;
    if (this.#landing.length === 0) this.#lands = false;
  }

  /** As {@link #write}, without a view; false where the store does not do that. */
  #put(bytes: Uint8Array, start: number, length: number): boolean {
    const { store, dirty } = this.#target;
    const { offset } = this.#landing;
    if (store.direct?.put === undefined || (this.#fua && store.writeThrough !== undefined)) {
      return false;
    }
    try {
      if (!store.direct.put(offset, bytes, start, length)) return false;
    } catch (error) {
      this.#fail(error);
    }
    dirty?.add(offset, length);
    return true;
  }

  /** Marks after the store: whoever clears marks and then reads misses nothing that way. */
  #write(source: Uint8Array): void {
    const { offset } = this.#landing;
    try {
      const { store } = this.#target;
      if (this.#fua && store.writeThrough !== undefined) store.writeThrough(offset, source);
      else store.write(offset, source);
    } catch (error) {
      this.#fail(error);
    }
    // Part of a write that failed may be there.
    this.#target.dirty?.add(offset, source.length);
  }

  /** Requests are cut on the same borders however the payload comes. */
  #assemble(bytes: Uint8Array, start: number, length: number): void {
    for (let done = 0; done < length && this.error === undefined;) {
      const size = Math.min(this.#landing.length, ASSEMBLED_BYTES);
      const run = Math.min(size - this.#filled, length - done);
      let part = bytes.subarray(start + done, start + done + run);
      done += run;
      if (run < size) {
        this.#hold(size).set(part, this.#filled);
        this.#filled += run;
        if (this.#filled < size) return;
        part = this.#assembled.subarray(0, size);
        this.#filled = 0;
      }
      this.#write(part);
      this.#pass(size);
    }
  }

  #hold(size: number): Uint8Array {
    if (this.#assembled.length < size) this.#assembled = new Uint8Array(size);
    return this.#assembled;
  }

  #fail(error: unknown): void {
    if (!isDaxError(error)) throw error;
    this.error ??= error;
    this.#lands = false;
  }
}
