/**
 * Lines that programs append to a file, read while they do.
 *
 * A file, and no pipe: what a write has returned from is there for whoever looks next, nobody has
 * to wait, and whoever writes much is not held up.
 *
 * @module
 */
import { fstatSync, readSync } from "node:fs";

const PIECE = 65_536;
/** Characters of a line that has no end yet; more of it is dropped. */
const LONGEST = 65_536;

/** See the module. */
export class LineTail {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(PIECE);
  readonly #decoder = new TextDecoder();
  #at: number;
  #rest = "";

  /** What is in the file already is passed over. */
  constructor(fd: number) {
    this.#fd = fd;
    this.#at = fstatSync(fd).size;
  }

  /** Lines that were ended since the last time. */
  take(): string[] {
    const lines: string[] = [];
    for (;;) {
      const length = readSync(this.#fd, this.#buffer, 0, PIECE, this.#at);
      if (length === 0) return lines;
      this.#at += length;
      const text = this.#decoder.decode(this.#buffer.subarray(0, length), { stream: true });
      const parts = (this.#rest + text).split("\n");
      this.#rest = (parts.pop() ?? "").slice(0, LONGEST);
      lines.push(...parts);
    }
  }

  /** The same when nobody writes any more: the last line may have no end. */
  finish(): string[] {
    const lines = this.take();
    if (this.#rest !== "") lines.push(this.#rest);
    this.#rest = "";
    return lines;
  }
}
