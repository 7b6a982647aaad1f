/**
 * An exhibit: one argument of those who made dax, acted out, and settled by what is counted on the
 * way.
 *
 * @module
 */

/** Something that was counted, beside what settles the argument. */
export interface Figure {
  /** What was counted, and where: `pmem0: cache lines flushed`. */
  readonly what: string;
  readonly counted: number | string;
  /** What has to be counted. */
  readonly expected: number | string;
}

/** A number that differs from run to run and proves nothing. */
export interface Measured {
  readonly what: string;
  readonly milliseconds: number;
}

/** One argument. */
export interface Exhibit {
  readonly name: string;
  /** What was argued about, as a question. */
  readonly question: string;
  /** What was said on both sides, a sentence each. */
  readonly argued: readonly string[];
  /** How it is settled here. */
  readonly settled: string;
  /** Acts it out. */
  run(): Acted;
}

/** What came of acting it out. */
export interface Acted {
  /** What happened, line by line, when it is more than figures. */
  readonly scene?: readonly string[];
  readonly figures: readonly Figure[];
  readonly measured?: readonly Measured[];
}

/** Whether every figure is what it has to be. */
export function isSettled({ figures }: Acted): boolean {
  return figures.every(({ counted, expected }) => counted === expected);
}
