/**
 * Stories that are cut wherever that makes a difference, for the score of our own persistence
 * points (`npm run persistence-coverage`): each of them says what is wrong, when something is.
 */
import type { Findings } from "../../../src/crash/explorer.ts";

/** A workload, every state that a power cut may leave of it, and what has to hold of each. */
export interface Story {
  /** Unique among all. */
  readonly name: string;
  /** What is wrong; undefined: nothing. `patience` 1 looks longer. */
  readonly run: (patience: 0 | 1) => string | undefined | Promise<string | undefined>;
}

/** What an exploration has to object. */
export function objectionOf({ failure, unmeasurable }: Findings): string | undefined {
  return failure?.objection.said ?? unmeasurable;
}
