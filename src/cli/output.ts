/**
 * Standard output: buffered, synchronous, and at peace with a reader that goes away. Names keep
 * their bytes, whatever they are (see `lib/utf8.ts`).
 *
 * @module
 */
import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { encodeUtf8 } from "../lib/utf8.ts";

/** The reader of our output is gone: nothing is wrong, and nobody wants to hear more. */
export class BrokenPipeError extends Error {
  override readonly name = "BrokenPipeError";
}

/** Takes all of the bytes before it returns. */
export type Sink = (bytes: Uint8Array) => void;

const LIMIT = 64 * 1024;

/** Buffered output to a sink. */
export class Output {
  /** People read it: columns, colours and escaped names instead of what programs need. */
  readonly isTerminal: boolean;
  readonly #sink: Sink;
  readonly #pending = new Uint8Array(LIMIT);
  #length = 0;

  constructor(sink: Sink, isTerminal: boolean) {
    this.#sink = sink;
    this.isTerminal = isTerminal;
  }

  /** Prints text as it is. */
  text(text: string): void {
    // A name may hold bytes that are not UTF-8: they stand as lone surrogates.
    this.bytes(/\p{Surrogate}/u.test(text) ? encodeUtf8(text) : Buffer.from(text, "utf8"));
  }

  /** Prints one line. */
  line(text = ""): void {
    this.text(`${text}\n`);
  }

  /** Prints a value as one line of JSON. */
  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** Prints bytes; the array may be reused as soon as this returns. */
  bytes(bytes: Uint8Array): void {
    if (this.#length + bytes.length > LIMIT) this.flush();
    if (bytes.length >= LIMIT) {
      this.#sink(bytes);
      return;
    }
    this.#pending.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Hands over what is buffered. @throws BrokenPipeError, and what write(2) says */
  flush(): void {
    if (this.#length === 0) return;
    const all = this.#pending.subarray(0, this.#length);
    this.#length = 0;
    this.#sink(all);
  }
}

/** Output to a descriptor of this process. */
export function descriptorOutput(fd: number): Output {
  return new Output((bytes) => writeAll(fd, bytes), isatty(fd));
}

/**
 * Writes every byte, waiting where the descriptor would not (a pipe that another process made
 * non-blocking). @throws BrokenPipeError, and what write(2) says
 */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") throw new BrokenPipeError("the reader of the output is gone");
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** A name or message that cannot move a terminal's cursor: control characters become escapes. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Surrogate}\p{Bidi_Control}]/gu, (character) => {
    const code = character.codePointAt(0) as number;
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}
