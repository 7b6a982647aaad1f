/**
 * Which blocks of a store were written since a mark: the `daxkit:dirty` meta context. The bits lie
 * in a shared buffer, so that every thread that serves the store sets the same ones.
 *
 * A session marks what its client wrote, trimmed and zeroed, after it was done and whether or not
 * it succeeded. After, because whoever sets a new mark and then copies must not miss a write that
 * was under way: it is marked once more then. Writes that come by other ways than NBD are the
 * business of whoever makes them.
 *
 * @module
 */

/** How fine a map is: larger stores have larger blocks. */
export interface DirtyGrain {
  /** Bytes: a power of two. */
  readonly leastBlock: number;
  readonly mostBlocks: number;
}

/** At most 32 MiB of bits. */
const GRAIN: DirtyGrain = { leastBlock: 4096, mostBlocks: 2 ** 28 };

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

  /**
   * @param size of the store in bytes
   * @param buffer that of another thread's map of the same store
   * @param grain bytes of the smallest block, a power of two, and how many blocks there may be
   */
  constructor(size: number, buffer?: SharedArrayBuffer, grain: DirtyGrain = GRAIN) {
    let block = grain.leastBlock;
    while (size / block > grain.mostBlocks) block *= 2;
    this.blockBytes = block;
    const words = Math.ceil(Math.ceil(size / block) / 32);
    this.buffer = buffer ?? new SharedArrayBuffer(words * 4);
    this.#words = new Int32Array(this.buffer);
  }

  /** Notes that a range was written. Costs an atomic operation only for blocks not dirty yet. */
  add(offset: number, length: number): void {
    this.#set(offset, length, true);
  }

  /** Sets a new mark: nothing is dirty afterwards but what is written later. */
  clear(offset = 0, length = this.#words.length * 32 * this.blockBytes): void {
    this.#set(offset, length, false);
  }

  /** The states of a range in order; the lengths add up to `length`. */
  *extents(offset: number, length: number): Generator<DirtyExtent, void> {
    const stop = offset + length;
    for (let at = offset; at < stop;) {
      const block = this.#block(at);
      const dirty = this.#isDirty(block);
      const next = Math.min(stop, this.#runEnd(block, this.#block(stop - 1), dirty));
      yield { length: next - at, dirty };
      at = next;
    }
  }

  /** The byte behind the run of blocks in one state that begins at `block`, or beyond `last`. */
  #runEnd(block: number, last: number, dirty: boolean): number {
    const same = dirty ? -1 : 0;
    let at = block + 1;
    while (at <= last) {
      if ((at & 31) === 0 && Atomics.load(this.#words, at >>> 5) === same) at += 32;
      else if (this.#isDirty(at) === dirty) at++;
      else break;
    }
    return at * this.blockBytes;
  }

  #set(offset: number, length: number, dirty: boolean): void {
    const words = this.#words;
    if (length === 0) return;
    const last = this.#block(offset + length - 1);
    for (let block = this.#block(offset); block <= last;) {
      const from = block & 31;
      const to = Math.min(31, from + (last - block));
      const mask = (-1 >>> (31 - to)) & (-1 << from);
      const now = Atomics.load(words, block >>> 5) & mask;
      if (dirty && now !== mask) Atomics.or(words, block >>> 5, mask);
      else if (!dirty && now !== 0) Atomics.and(words, block >>> 5, ~mask);
      block += to - from + 1;
    }
  }

  #block(offset: number): number {
    return Math.floor(offset / this.blockBytes);
  }

  #isDirty(block: number): boolean {
    return ((Atomics.load(this.#words, block >>> 5) >>> (block & 31)) & 1) === 1;
  }
}
