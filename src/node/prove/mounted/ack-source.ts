/**
 * Where a command says what it promises: lines of its standard output that begin with `ack `, and
 * lines of a file.
 *
 * @module
 */
import { LineTail } from "./line-tail.ts";

/** What a promise begins with on standard output. */
export const ACK_PREFIX = "ack ";

/** See the module. */
export class AckSource {
  readonly #output: LineTail;
  readonly #file: LineTail;
  readonly #prefix: string;

  /** Both are open for reading. */
  constructor(output: number, file: number, prefix = ACK_PREFIX) {
    this.#output = new LineTail(output);
    this.#file = new LineTail(file);
    this.#prefix = prefix;
  }

  /** What was promised since the last time. */
  take(): string[] {
    return this.#labels(this.#output.take(), this.#file.take());
  }

  /** The same when the command has ended. */
  finish(): string[] {
    return this.#labels(this.#output.finish(), this.#file.finish());
  }

  #labels(output: readonly string[], file: readonly string[]): string[] {
    if (output.length === 0 && file.length === 0) return [];
    const isAck = (line: string): boolean =>
      line.startsWith(this.#prefix) || line === this.#prefix.trimEnd();
    const bare = (line: string): string => line.slice(this.#prefix.length).trim();
    return [
      ...output.filter(isAck).map(bare),
      ...file
        .filter((line) => line.trim() !== "")
        .map((line) => (isAck(line) ? bare(line) : line.trim())),
    ];
  }
}
