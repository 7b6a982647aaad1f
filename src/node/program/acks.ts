/**
 * Promises of a program that knows nothing of daxkit: lines on its standard output.
 *
 * @module
 */

/** What a promise's line starts with unless told otherwise. */
export const ACK_PREFIX = "ack ";

/** Bytes of a line that is not finished; longer ones are no promise. */
const MOST_CHARACTERS = 65_536;

/** Finds promises in what is written, however it is cut into pieces. */
export class AckLines {
  readonly #prefix: string;
  readonly #acked: (label: string) => void;
  #rest = "";

  /** A line that is the prefix alone, without its last blanks, promises `""`. */
  constructor(prefix: string, acked: (label: string) => void) {
    this.#prefix = prefix;
    this.#acked = acked;
  }

  /** Some more of the output. */
  feed(data: unknown): void {
    const text = textOf(data);
    if (text === undefined) return;
    const lines = (this.#rest + text).split("\n");
    const rest = lines.pop() ?? "";
    this.#rest = rest.length > MOST_CHARACTERS ? rest.slice(-MOST_CHARACTERS) : rest;
    for (const line of lines) this.#look(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  #look(line: string): void {
    if (line.startsWith(this.#prefix)) this.#acked(line.slice(this.#prefix.length));
    else if (line === this.#prefix.trimEnd()) this.#acked("");
  }
}

function textOf(data: unknown): string | undefined {
  if (typeof data === "string") return data;
  if (!ArrayBuffer.isView(data)) return undefined;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
}
