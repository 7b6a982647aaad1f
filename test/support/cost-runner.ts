/**
 * Measures what tests cost, for `part-choice.ts`: processor time of this process and of the
 * programs that it started, which another load on the machine does not change. One file at a time.
 * With `CI=true` it measures what CI runs, of which only the whole of a file is noted.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type RunnerTask, type RunnerTestFile, type RunnerTestSuite, TestRunner } from "vitest";
import { WHOLE } from "./slices.ts";
import { COSTS, COSTS_PATH, type WholeCost, costName } from "./test-costs.ts";

/** Files that cost less are not in the table, nor are titles that cost less. In ms. */
const LEAST_FILE = 400;
const LEAST_TITLE = 400;
/** What `/proc` counts in. */
const TICK = 10;

/** Ms of processor time so far. */
function spent(): number {
  const { user, system } = process.cpuUsage();
  const [, fields = ""] = readFileSync("/proc/self/stat", "utf8").split(") ");
  const [childUser, childSystem] = fields.split(" ").slice(13, 15).map(Number);
  return (user + system) / 1000 + ((childUser ?? 0) + (childSystem ?? 0)) * TICK;
}

const rounded = (cost: number): number => Math.round(cost / TICK) * TICK;

interface Measured {
  readonly title: string;
  readonly cost: number;
}

/** What the table says of a file: titles stand in it that cost twice as much as most. */
function entryOf(all: number, tests: readonly Measured[]): WholeCost {
  const sorted = tests.map(({ cost }) => cost).toSorted((a, b) => a - b);
  const least = Math.max(LEAST_TITLE, 2 * (sorted[sorted.length >> 1] ?? 0));
  const slow: Record<string, number> = {};
  for (const { title, cost } of tests) {
    if (cost >= least) slow[title] = Math.max(slow[title] ?? 0, rounded(cost));
  }
  const others = tests.filter(({ title }) => !Object.hasOwn(slow, title));
  const each = others.reduce((sum, { cost }) => sum + cost, 0) / Math.max(1, others.length);
  const most = Object.keys(slow).length > 0 ? { slow } : {};
  return { all: rounded(all), each: Math.round(each), ...most };
}

export default class CostRunner extends TestRunner {
  readonly #begun = new Map<RunnerTask, number>();
  readonly #tests: Measured[] = [];

  onCollected([file]: RunnerTestFile[]): void {
    if (file !== undefined) this.#begun.set(file, spent());
  }

  override onBeforeRunTask(test: RunnerTask): Promise<void> {
    this.#begun.set(test, spent());
    return super.onBeforeRunTask(test);
  }

  override onAfterRunTask(test: RunnerTask): void {
    super.onAfterRunTask(test);
    const cost = spent() - (this.#begun.get(test) ?? 0);
    if (test.result?.state === "pass") this.#tests.push({ title: test.name, cost });
  }

  override async onAfterRunSuite(suite: RunnerTestSuite): Promise<void> {
    await super.onAfterRunSuite(suite);
    if ("filepath" in suite) this.#note(suite as RunnerTestFile);
  }

  #note(file: RunnerTestFile): void {
    const name = costName(file.filepath);
    const all = spent() - (this.#begun.get(file) ?? 0);
    const { ci, ...old } = COSTS[name] ?? { all: 0, each: 0 };
    const inCi = ci === undefined ? {} : { ci };
    const entry = WHOLE ? { ...old, ci: rounded(all) } : { ...entryOf(all, this.#tests), ...inCi };
    const table: Record<string, WholeCost> = { ...COSTS, [name]: entry };
    const kept = Object.entries(table).filter(
      ([, one]) => Math.max(one.all, one.ci ?? 0) >= LEAST_FILE,
    );
    const sorted = kept.toSorted(([a], [b]) => (a < b ? -1 : 1));
    writeFileSync(COSTS_PATH, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`);
  }
}
