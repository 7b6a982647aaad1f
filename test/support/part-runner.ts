/**
 * A developer's run takes a part of what is slow: of each file as many tests as fit into a budget
 * of processor time, by the table of what they cost. CI runs them all, and so does
 * `DAXKIT_MATRIX=whole`, or naming a file.
 */
import { basename } from "node:path";
import { type RunnerTask, type RunnerTestFile, TestRunner } from "vitest";
import { leftOut } from "./part-choice.ts";
import { WHOLE } from "./slices.ts";
import { COSTS, costName } from "./test-costs.ts";

/** Of each file, in ms. */
const BUDGET = 300;
/** Files whose tests go on from what the one before has done. */
const CHAINED = new Set(["facade-watching.test.ts"]);

/** Skips a test, and says how it is run. */
function leave(task: RunnerTask, name: string): void {
  const result = { state: "skip", note: `takes long: npm test -- test/${name}` } as const;
  task.mode = "skip";
  task.result = result;
  task.meta.takesLong = true;
}

export default class PartRunner extends TestRunner {
  onCollected(files: RunnerTestFile[]): void {
    if (WHOLE) return;
    for (const file of files) {
      const name = costName(file.filepath);
      const cost = COSTS[name];
      if (cost === undefined || CHAINED.has(basename(name))) continue;
      for (const test of leftOut(file, cost, BUDGET)) leave(test as RunnerTask, name);
    }
  }
}

declare module "vitest" {
  interface TaskMeta {
    /** A developer's run has no time for it. */
    takesLong?: true;
  }
}
