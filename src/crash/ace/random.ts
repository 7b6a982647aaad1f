/**
 * Workloads by chance, from a seed: samples of what the generator would make, and longer ones.
 *
 * @module
 */
import { Prng } from "../../lib/prng.ts";
import { type AceOptions, waysOf } from "./generator.ts";
import { operationsOf } from "./bounds.ts";
import type { Operation, Workload } from "./workload.ts";

/** What is drawn. */
export interface RandomOptions extends Omit<AceOptions, "length"> {
  /** Calls of a workload, at most. */
  readonly length: number;
  /** Calls of a workload, at least; as many as `length` unless given. */
  readonly least?: number;
}

/** Draws that are made for one workload before it is said that there is none. */
const MOST_DRAWS = 1000;

/**
 * The workload of a seed: calls within the bounds, each as likely as the others, and one of the
 * ways in which they may be made durable. The same seed gives the same workload.
 */
export function randomWorkload(seed: number, options: RandomOptions): Workload {
  const prng = new Prng(seed);
  const { filesystem, length, least = length } = options;
  const operations: readonly Operation[] = options.operations ?? operationsOf(filesystem);
  for (let draw = 0; draw < MOST_DRAWS; draw++) {
    const count = least + prng.below(length - least + 1);
    const calls = Array.from({ length: count }, () => prng.pick(operations));
    const drafted = waysOf(calls, options);
    if (drafted !== undefined) {
      return { setup: drafted.setup, steps: drafted.choose((many) => prng.below(many)) };
    }
  }
  throw new Error(`none of ${MOST_DRAWS} sequences of these operations can be made`);
}
