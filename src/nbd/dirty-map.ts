/**
 * Which blocks of a store were written since a mark: the `daxkit:dirty` meta context. The bits lie
 * in a shared buffer, so that every thread that serves the store sets the same ones.
 *
 * @module
 */

/** At most this many bits, 32 MiB of them; larger stores have larger blocks. */
const MOST_BITS = 2 ** 28;
const LEAST_BLOCK = 4096;

/** A run of blocks in one state, in bytes. */
export interface DirtyExtent {
  readonly length: number;
  readonly dirty: boolean;
}

/** One bit a block, in words of 32. */
export class DirtyMap {
  /** Bytes a bit stands for: a power of two. */
  readonly blockBytes: number;
  /** Hand it to another thread, and give it to `new DirtyMap` there. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #size: number;

  /** @param size of the store in bytes */
  constructor(size: number, buffer?: SharedArrayBuffer) {
    let block = LEAST_BLOCK;
    while (size / block > MOST_BITS) block *= 2;
    this.blockBytes = block;
    this.#size = size;
    const words = Math.ceil(Math.ceil(size / block) / 32);
    this.buffer = buffer ?? new SharedArrayBuffer(words * 4);
    this.#words = new Int32Array(this.buffer);
  }

  /** Notes that a range was written. Costs an atomic operation only for blocks not dirty yet. */
  add(offset: number, length: number): void {
    const last = this.#block(offset + length - 1);
    for (let block = this.#block(offset); block <= last;) {
      const word = block >>> 5;
      const from = block & 31;
      const to = Math.min(31, from + (last - block));
      const bits = (-1 >>> (31 - to)) & (-1 << from);
      if ((Atomics.load(this.#words, word) & bits) !== bits) Atomics.or(this.#words, word, bits);
      block += to - from + 1;
    }
  }

  /** Sets a new mark: nothing is dirty afterwards but what is written later. */
  clear(): void {
    for (let word = 0; word < this.#words.length; word++) {
      if (this.#words[word] !== 0) Atomics.store(this.#words, word, 0);
    }
  }

  /** The states of a range in order; the lengths add up to `length`. */
  *extents(offset: number, length: number): Generator<DirtyExtent, void> {
    const stop = offset + length;
    for (let at = offset; at < stop;) {
      const dirty = this.#isDirty(this.#block(at));
      let block = this.#block(at) + 1;
      while (block * this.blockBytes < stop && this.#isDirty(block) === dirty) block++;
      const next = Math.min(stop, block * this.blockBytes, this.#size);
      yield { length: next - at, dirty };
      at = next;
    }
  }

  #block(offset: number): number {
    return Math.floor(offset / this.blockBytes);
  }

  #isDirty(block: number): boolean {
    return ((Atomics.load(this.#words, block >>> 5) >>> (block & 31)) & 1) === 1;
  }
}
