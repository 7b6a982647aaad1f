/**
 * Leaves by what they are: a crash point, and the way at each fork that a run met. So a leaf that
 * two searches come to is counted once.
 *
 * @module
 */
import type { Fork } from "./chooser.ts";

/** Leaves of crash points of the workload, and the raw states that each stands for. */
export class LeafSet {
  readonly #ways = new Map<number, Map<string, bigint>>();
  /** Crash points that are counted as one before them is. */
  readonly #alike = new Set<number>();
  #size = 0;
  #states = 0n;

  get size(): number {
    return this.#size;
  }

  /** Raw states of all of them. */
  get states(): bigint {
    return this.#states;
  }

  /** Leaves of one crash point. */
  sizeAt(point: number): number {
    return this.#ways.get(point)?.size ?? 0;
  }

  /** Raw states of those of one crash point. */
  statesAt(point: number): bigint {
    let sum = 0n;
    for (const states of this.#ways.get(point)?.values() ?? []) sum += states;
    return sum;
  }

  /** All leaves of the crash point are counted, with those of one before it. */
  skip(point: number): void {
    this.#alike.add(point);
  }

  has(point: number, path: readonly Fork[]): boolean {
    if (this.#alike.has(point)) return true;
    return this.#ways.get(point)?.has(wayOf(path)) === true;
  }

  /** False: it was there. */
  add(point: number, path: readonly Fork[], states: bigint): boolean {
    let ways = this.#ways.get(point);
    if (ways === undefined) this.#ways.set(point, (ways = new Map<string, bigint>()));
    const way = wayOf(path);
    if (ways.has(way)) return false;
    ways.set(way, states);
    this.#size++;
    this.#states += states;
    return true;
  }
}

function wayOf(path: readonly Fork[]): string {
  return path.map(({ chosen }) => chosen).join(",");
}
