/**
 * How a proof looks for what fails. First a limited exploration: of most programs that is all there
 * is to explore. Where it is not, the scout looks at a few states of every crash point; and only if
 * that finds nothing, everything is explored, as far as the budget goes. Nothing but exploring
 * everything says that a program survives.
 *
 * Once something fails, it goes on only for so many leaves: they may show a smaller failure, and
 * where they are all there are, what fails is counted exactly.
 *
 * @module
 */
import { type Exploration, type Findings, explore } from "./explorer.ts";
import { FailureRanking } from "./failure.ts";
import { LeafSet } from "./leaf-set.ts";
import { type Scouted, scout } from "./scout.ts";
import { addTally, newTally, sumOf } from "./tally.ts";

/** Leaves before the scout goes, and leaves after the first that fails. */
export const FIRST_LEAVES = 4096;
/** Leaves before the scout goes, where any failure will do. */
const FEW_LEAVES = 512;
/** Leaves that the scout may come to. */
const MOST_SCOUTED = 1024;

/** The first, limited exploration. */
interface FirstLook {
  readonly found: Findings;
  readonly leaves: LeafSet;
  readonly ranking: FailureRanking;
}

/** A search that may be begun again, where a program waits: what it has come to is kept. */
export class StateSearch {
  readonly #what: Exploration;
  readonly #seed: number;
  /** Whether what a run said may be known only later. */
  readonly #isOpen: boolean;
  #first: FirstLook | undefined;
  #scouted: Scouted | undefined;

  /** `seed`: of what the scout does by chance. */
  constructor(what: Exploration, seed = 0) {
    this.#what = what;
    this.#seed = seed;
    this.#isOpen = what.program.isOpen !== undefined;
  }

  /** Searches. @throws NeedsRun, HarnessFault as {@link explore} does */
  findings(): Findings {
    if (this.#isOpen) {
      this.#first = undefined;
      this.#scouted = undefined;
    }
    const { stopAtFirst = false } = this.#what;
    const first = (this.#first ??= this.#lookFirst());
    const { found } = first;
    if (!found.cut || found.unmeasurable !== undefined) return found;
    if (stopAtFirst && found.failure !== undefined) return found;
    const scouted = (this.#scouted ??= this.#scout(first));
    const { unmeasurable, ranking, leaves } = scouted;
    if (unmeasurable !== undefined) return { ...found, unmeasurable };
    if (ranking.best !== undefined) return together(found, scouted);
    return explore({ ...this.#what, scouted: leaves, afterFailure: FIRST_LEAVES });
  }

  #lookFirst(): FirstLook {
    const { budget, stopAtFirst = false } = this.#what;
    const first = stopAtFirst ? FEW_LEAVES : FIRST_LEAVES;
    const most = Math.min(first, Math.ceil(budget.leaves / 2));
    const leaves = new LeafSet();
    const ranking = new FailureRanking();
    const limited = { ...budget, leaves: most };
    const found = explore({ ...this.#what, budget: limited, leaves, ranking });
    return { found, leaves, ranking };
  }

  #scout({ leaves: known, ranking, found }: FirstLook): Scouted {
    const { leaves } = sumOf(found.tallies);
    const most = Math.max(0, Math.min(MOST_SCOUTED, this.#what.budget.leaves - leaves));
    return scout(this.#what, { known, ranking, most, seed: this.#seed });
  }
}

/** Searches for a program that waits for nothing. */
export function search(what: Exploration, seed = 0): Findings {
  return new StateSearch(what, seed).findings();
}

/** What both came to. */
function together(found: Findings, { ranking, tally, loads }: Scouted): Findings {
  const [first, ...inner] = found.tallies;
  const sum = { ...(first ?? newTally()) };
  addTally(sum, tally);
  const tallies = [sum, ...inner];
  return { ...found, tallies, failure: ranking.best, loads: found.loads + loads };
}
