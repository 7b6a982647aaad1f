/**
 * A developer's run takes a part of the tests that start programs or walk many states: of each file
 * of the kinds below every other test, the first among them. CI runs them all, and so does
 * `DAXKIT_MATRIX=whole`, or naming a file.
 */
import { basename, relative, sep } from "node:path";
import { type RunnerTask, type RunnerTestFile, type RunnerTestSuite, TestRunner } from "vitest";
import { WHOLE } from "./slices.ts";

const HEAVY = new Set(["e2e", "judges", "crash", "fuzz"]);
/** Files whose tests go on from what the one before has done. */
const CHAINED = new Set(["facade-watching.test.ts"]);

function isHeavy({ filepath }: RunnerTestFile): boolean {
  const [kind = ""] = relative(import.meta.dirname, filepath)
    .split(sep)
    .slice(1);
  return HEAVY.has(kind) && !CHAINED.has(basename(filepath));
}

/** Drops every other test of a suite and of those in it; `seen` counts through the whole file. */
function thin(suite: RunnerTestSuite, seen: { count: number }): void {
  const kept: RunnerTask[] = [];
  for (const task of suite.tasks) {
    if (task.type === "suite") {
      thin(task, seen);
      if (task.tasks.length > 0) kept.push(task);
    } else if (seen.count++ % 2 === 0) kept.push(task);
  }
  suite.tasks = kept;
}

export default class PartRunner extends TestRunner {
  onCollected(files: RunnerTestFile[]): void {
    if (WHOLE) return;
    for (const file of files) if (isHeavy(file)) thin(file, { count: 0 });
  }
}
