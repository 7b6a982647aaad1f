/**
 * The bytes of a file, naively: pieces of a KiB by their number, what is absent reads as zeros.
 */

const PIECE = 1024;

/** A file of any size, of which little is written. */
export class SparseBytes {
  size = 0;
  readonly #pieces = new Map<number, Uint8Array>();

  /** Stores bytes; the file grows as far as they reach. */
  write(source: Uint8Array, offset: number): void {
    for (let done = 0; done < source.length;) {
      const at = offset + done;
      const n = Math.floor(at / PIECE);
      const within = at % PIECE;
      const run = Math.min(PIECE - within, source.length - done);
      const piece = this.#pieces.get(n) ?? new Uint8Array(PIECE);
      piece.set(source.subarray(done, done + run), within);
      this.#pieces.set(n, piece);
      done += run;
    }
    this.size = Math.max(this.size, source.length > 0 ? offset + source.length : 0);
  }

  /** Cuts it, or lets it grow by zeros. */
  truncate(size: number): void {
    for (const [n, piece] of this.#pieces) {
      const keep = size - n * PIECE;
      if (keep <= 0) this.#pieces.delete(n);
      else if (keep < PIECE) piece.fill(0, keep);
    }
    this.size = size;
  }

  /** Zeroes bytes that the file has. */
  zero(offset: number, length: number): void {
    for (const [n, piece] of this.#pieces) {
      const from = Math.max(0, offset - n * PIECE);
      const to = Math.min(PIECE, offset + length - n * PIECE);
      if (from < to) piece.fill(0, from, to);
    }
  }

  /** Up to `length` bytes, fewer at the end of the file. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    for (let done = 0; done < bytes.length;) {
      const at = offset + done;
      const within = at % PIECE;
      const run = Math.min(PIECE - within, bytes.length - done);
      const piece = this.#pieces.get(Math.floor(at / PIECE));
      if (piece !== undefined) bytes.set(piece.subarray(within, within + run), done);
      done += run;
    }
    return bytes;
  }

  /** Where something was written: offsets and lengths that cover it, in order. */
  *written(): Generator<readonly [offset: number, length: number]> {
    for (const n of [...this.#pieces.keys()].toSorted((a, b) => a - b)) {
      const length = Math.min(PIECE, this.size - n * PIECE);
      if (length > 0) yield [n * PIECE, length];
    }
  }

  /** A copy that goes its own way. */
  clone(): SparseBytes {
    const copy = new SparseBytes();
    copy.size = this.size;
    for (const [n, piece] of this.#pieces) copy.#pieces.set(n, piece.slice());
    return copy;
  }
}
