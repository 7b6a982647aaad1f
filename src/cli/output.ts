/**
 * Standard output: buffered, synchronous, and at peace with a reader that goes away. Names keep
 * their bytes, whatever they are (see `lib/utf8.ts`).
 *
 * @module
 */
import { isatty } from "node:tty";
import { encodeUtf8 } from "../lib/utf8.ts";
import { PieceBuffer, type Sink, writeAll as writeEverything } from "../node/sink.ts";

/** The reader of our output is gone: nothing is wrong, and nobody wants to hear more. */
export class BrokenPipeError extends Error {
  override readonly name = "BrokenPipeError";
}

const LIMIT = 64 * 1024;

/** Buffered output to a sink. */
export class Output {
  /** People read it: columns, colours and escaped names instead of what programs need. */
  readonly isTerminal: boolean;
  readonly #buffer: PieceBuffer;

  constructor(sink: Sink, isTerminal: boolean) {
    this.#buffer = new PieceBuffer(sink, LIMIT);
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
    this.#buffer.write(bytes);
  }

  /** Hands over what is buffered. @throws BrokenPipeError, and what write(2) says */
  flush(): void {
    this.#buffer.flush();
  }
}

/** Output to a descriptor of this process. */
export function descriptorOutput(fd: number): Output {
  return new Output((bytes) => writeAll(fd, bytes), isatty(fd));
}

/** Writes every byte, waiting where it must. @throws BrokenPipeError, and what write(2) says */
export function writeAll(fd: number, bytes: Uint8Array): void {
  try {
    writeEverything(fd, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
    throw new BrokenPipeError("the reader of the output is gone");
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
