/**
 * Counts of states.
 *
 * @module
 */

/** What was counted, for one depth. */
export interface Tally {
  crashPoints: number;
  /** Raw states, of all crash points. */
  space: bigint;
  /** Raw states that were checked; all of them unless the budget was hit. */
  covered: bigint;
  /** Raw states in which recovery or check failed. */
  failing: bigint;
  /** Runs of recovery and check. */
  leaves: number;
}

/** Nothing counted yet. */
export function newTally(): Tally {
  return { crashPoints: 0, space: 0n, covered: 0n, failing: 0n, leaves: 0 };
}

/** Adds what was counted elsewhere. */
export function addTally(tally: Tally, more: Readonly<Tally>): void {
  tally.crashPoints += more.crashPoints;
  tally.space += more.space;
  tally.covered += more.covered;
  tally.failing += more.failing;
  tally.leaves += more.leaves;
}

/** What was counted since; no leaves, because what is counted again is not run again. */
export function countedSince(now: Readonly<Tally>, before: Readonly<Tally>): Tally {
  return {
    crashPoints: now.crashPoints - before.crashPoints,
    space: now.space - before.space,
    covered: now.covered - before.covered,
    failing: now.failing - before.failing,
    leaves: 0,
  };
}

/** The sum of several counts. */
export function sumOf(tallies: readonly Readonly<Tally>[]): Tally {
  const sum = newTally();
  for (const tally of tallies) addTally(sum, tally);
  return sum;
}
