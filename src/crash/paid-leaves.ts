/**
 * Leaves that a budget has paid for before an exploration, which it may come to or not.
 *
 * @module
 */
import type { Fork } from "./chooser.ts";
import type { LeafSet } from "./leaf-set.ts";
import type { Tally } from "./tally.ts";

/** See the module. */
export class PaidLeaves {
  readonly #all: LeafSet | undefined;
  /** Leaves not come to: all, and those of crash points still ahead. */
  #left: number;
  #ahead: number;
  #states: bigint;

  constructor(all: LeafSet | undefined) {
    this.#all = all;
    this.#left = all?.size ?? 0;
    this.#ahead = this.#left;
    this.#states = all?.states ?? 0n;
  }

  /** Not come to. */
  get left(): number {
    return this.#left;
  }

  /** Not come to, at this crash point and those before it. */
  get here(): number {
    return this.#left - this.#ahead;
  }

  /** The exploration comes to a crash point of the workload. */
  begin(point: number): void {
    this.#ahead -= this.#all?.sizeAt(point) ?? 0;
  }

  /** The crash point is counted as one before it is: its leaves are, too. */
  skip(point: number): void {
    const size = this.#all?.sizeAt(point) ?? 0;
    if (size === 0) return;
    this.#left -= size;
    this.#ahead -= size;
    this.#states -= this.#all?.statesAt(point) ?? 0n;
  }

  /** It came to a leaf; whether that is paid for. */
  meet(point: number, path: readonly Fork[], states: bigint): boolean {
    if (this.#all?.has(point, path) !== true) return false;
    this.#left--;
    this.#states -= states;
    return true;
  }

  /** Those that it did not come to count as well: they were run. */
  settle(tally: Tally): void {
    tally.leaves += this.#left;
    tally.covered += this.#states;
  }
}
