/**
 * The runs of a file that were translated already, so that views of a fragmented file need not ask
 * the filesystem again.
 *
 * @module
 */
import type { FileRun } from "./file-runs.ts";

/** Runs kept at most: a file in more fragments starts over when it is full. */
const CAPACITY = 1024;

/** Disjoint runs with memory, sorted by offset. */
export class RunIndex {
  readonly #runs: FileRun[] = [];

  /** The run that holds byte `offset` of the file. */
  find(offset: number): FileRun | undefined {
    const run = this.#runs[this.#before(offset)];
    return run !== undefined && offset < run.offset + run.length ? run : undefined;
  }

  /** Adds a run that `find` did not answer; overlap with others costs a translation, no more. */
  add(run: FileRun): void {
    if (this.#runs.length >= CAPACITY) this.#runs.length = 0;
    this.#runs.splice(this.#before(run.offset) + 1, 0, run);
  }

  clear(): void {
    this.#runs.length = 0;
  }

  /** The index of the last run that starts at or before `offset`, or -1. */
  #before(offset: number): number {
    let low = -1;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle] as FileRun).offset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
