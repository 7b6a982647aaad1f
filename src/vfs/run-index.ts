/**
 * The runs of a file that were translated already, so that views of a fragmented file need not ask
 * the filesystem again.
 *
 * @module
 */
import { type FileRun, lastRunAt } from "./file-runs.ts";

/** Runs kept at most: a file in more fragments starts over when it is full. */
const CAPACITY = 1024;

/** Disjoint runs with memory, sorted by offset. */
export class RunIndex {
  readonly #runs: FileRun[] = [];

  /** The run that holds byte `offset` of the file. */
  find(offset: number): FileRun | undefined {
    const run = this.#runs[lastRunAt(this.#runs, offset)];
    return run !== undefined && offset < run.offset + run.length ? run : undefined;
  }

  /** Adds a run that `find` did not answer; overlap with others costs a translation, no more. */
  add(run: FileRun): void {
    if (this.#runs.length >= CAPACITY) this.#runs.length = 0;
    this.#runs.splice(lastRunAt(this.#runs, run.offset) + 1, 0, run);
  }

  clear(): void {
    this.#runs.length = 0;
  }
}
