/**
 * Which tests of a file a developer's run leaves out: each file has a budget of processor time. The
 * cheapest test of each suite is run unless it takes more than the budget, that of the file unless
 * it takes many times as much, and what is left goes to the cheapest of the others, those of one
 * price spread over the file.
 */

/** A test, or a suite of them, as the runner holds it. */
export interface Part {
  readonly type: "test" | "suite";
  readonly name: string;
  readonly mode: string;
  readonly tasks?: readonly Part[];
}

/** Processor time in ms, programs that are started included. */
export interface FileCost {
  /** A test that is not among the slow ones. */
  readonly each: number;
  /** By title. */
  readonly slow?: Readonly<Record<string, number>>;
}

/** A test, its price, and a place in an order that is spread over the file. */
interface Priced {
  readonly test: Part;
  readonly cost: number;
  readonly turn: number;
}

/** The cheapest test of a file may cost so many budgets. */
const OF_FILE = 8;
const GOLDEN = 0.618_033_988_749_894_9;

/** The tests of each suite that would be run, nested suites apart. */
function* groups(suite: Part): Generator<readonly Part[]> {
  const tasks = suite.tasks ?? [];
  yield tasks.filter(({ type, mode }) => type === "test" && mode === "run");
  for (const task of tasks) if (task.type === "suite") yield* groups(task);
}

function byPrice(a: Priced, b: Priced): number {
  return a.cost - b.cost || a.turn - b.turn;
}

/** The tests of a file that are not run within `budget` ms. */
export function leftOut(file: Part, { each, slow = {} }: FileCost, budget: number): Part[] {
  let count = 0;
  const priced = [...groups(file)].map((tests) =>
    tests.map((test): Priced => {
      const cost = Object.hasOwn(slow, test.name) ? (slow[test.name] as number) : each;
      return { test, cost, turn: (count++ * GOLDEN) % 1 };
    }),
  );
  const kept = new Set<Part>();
  let spent = 0;
  const keep = ({ test, cost }: Priced): void => {
    kept.add(test);
    spent += cost;
  };
  const cheapest = priced.flatMap((group) => group.toSorted(byPrice).slice(0, 1));
  cheapest
    .toSorted(byPrice)
    .filter(({ cost }, i) => cost <= (i === 0 ? OF_FILE : 1) * budget)
    .forEach(keep);
  const others = priced.flat().filter(({ test }) => !kept.has(test));
  for (const one of others.toSorted(byPrice)) if (spent + one.cost <= budget) keep(one);
  return others.map(({ test }) => test).filter((test) => !kept.has(test));
}
