/**
 * What a file's pages hold in memory that its blocks do not: for each block one copy of it, and
 * which bytes of that were written.
 *
 * @module
 */

/** What a block of a file is on the media. */
export type Backing = "written" | "unwritten" | "hole";

interface Page {
  /** All of the block, zeros behind the end of the file. */
  readonly bytes: Uint8Array;
  backing: Backing;
  /** The first byte that was written, and the one behind the last. */
  from: number;
  to: number;
}

/** Bytes that belong together. */
export interface WaitingRun {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The pages of one file that wait to be written out. */
export class WaitingPages {
  readonly #blockSize: number;
  readonly #pages = new Map<number, Page>();
  readonly #counts = { written: 0, unwritten: 0, hole: 0 };

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** Blocks. */
  get count(): number {
    return this.#pages.size;
  }

  /** Blocks that nothing was ever written to. */
  get unbacked(): number {
    return this.#counts.unwritten + this.#counts.hole;
  }

  /** Blocks that are still to be allocated: what ext4 has reserved space for. */
  get reserved(): number {
    return this.#counts.hole;
  }

  has(block: number): boolean {
    return this.#pages.has(block);
  }

  /** All of the block that holds a byte of the file, where it waits. */
  at(offset: number): WaitingRun | undefined {
    const block = Math.floor(offset / this.#blockSize);
    const page = this.#pages.get(block);
    return page && { offset: block * this.#blockSize, bytes: page.bytes };
  }

  /** Where, behind `offset` that does not wait, the next byte lies that does; at most `limit`. */
  next(offset: number, limit: number): number {
    for (let block = Math.floor(offset / this.#blockSize) + 1; ; block++) {
      const start = block * this.#blockSize;
      if (start >= limit) return limit;
      if (this.#pages.has(block)) return start;
    }
  }

  /** A block begins to wait, with what it holds now. */
  add(block: number, bytes: Uint8Array, backing: Backing): void {
    this.#pages.set(block, { bytes, backing, from: this.#blockSize, to: 0 });
    this.#counts[backing]++;
  }

  /** Blocks that were still to be allocated are unwritten from now on; returns them, in order. */
  allocated(): number[] {
    const holes = [...this.#pages].filter(([, { backing }]) => backing === "hole");
    for (const [, page] of holes) page.backing = "unwritten";
    this.#counts.unwritten += holes.length;
    this.#counts.hole = 0;
    return holes.map(([block]) => block).toSorted((a, b) => a - b);
  }

  /** Writes to blocks that all wait. */
  write(source: Uint8Array, offset: number): void {
    for (let done = 0; done < source.length;) {
      const block = Math.floor((offset + done) / this.#blockSize);
      const from = offset + done - block * this.#blockSize;
      const to = Math.min(this.#blockSize, from + source.length - done);
      const page = this.#pages.get(block) as Page;
      page.bytes.set(source.subarray(done, done + to - from), from);
      page.from = Math.min(page.from, from);
      page.to = Math.max(page.to, to);
      done += to - from;
    }
  }

  /** What was written, in the order of the file, in runs as long as they are. */
  *runs(): Generator<WaitingRun> {
    const blocks = [...this.#pages.keys()].toSorted((a, b) => a - b);
    for (let first = 0; first < blocks.length;) {
      let last = first;
      while (last + 1 < blocks.length && this.#goesOn(blocks, last)) last++;
      yield this.#join(blocks.slice(first, last + 1));
      first = last + 1;
    }
  }

  /** Takes a block out; its bytes that were written. */
  take(block: number): WaitingRun | undefined {
    const page = this.#pages.get(block);
    if (page === undefined) return undefined;
    this.#pages.delete(block);
    this.#counts[page.backing]--;
    const { bytes, from, to } = page;
    return { offset: block * this.#blockSize + from, bytes: bytes.subarray(from, to) };
  }

  /** As `take`, of all blocks from `first` and before `stop`, in their order. */
  takeWithin(first: number, stop: number): WaitingRun[] {
    const blocks = [...this.#pages.keys()].filter((block) => block >= first && block < stop);
    return blocks.toSorted((a, b) => a - b).flatMap((block) => this.take(block) ?? []);
  }

  /** Forgets what lies behind so many bytes. */
  cut(size: number): void {
    const limit = Math.ceil(size / this.#blockSize);
    for (const block of this.#pages.keys()) if (block >= limit) this.take(block);
  }

  #goesOn(blocks: readonly number[], index: number): boolean {
    const [block, next] = [blocks[index] as number, blocks[index + 1] as number];
    const { to } = this.#pages.get(block) as Page;
    return next === block + 1 && to === this.#blockSize && this.#pages.get(next)?.from === 0;
  }

  #join(blocks: readonly number[]): WaitingRun {
    const pieces = blocks.map((block) => {
      const { bytes, from, to } = this.#pages.get(block) as Page;
      return { offset: block * this.#blockSize + from, bytes: bytes.subarray(from, to) };
    });
    const { offset, bytes: head } = pieces[0] as WaitingRun;
    if (pieces.length === 1) return { offset, bytes: head };
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.bytes.length, 0));
    for (const piece of pieces) bytes.set(piece.bytes, piece.offset - offset);
    return { offset, bytes };
  }
}
