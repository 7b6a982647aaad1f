/** What a developer's run leaves out of what takes long. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Part, leftOut } from "../support/part-choice.ts";
import { COSTS } from "../support/test-costs.ts";

const one = (name: string, mode = "run"): Part => ({ type: "test", name, mode });
const suite = (name: string, ...tasks: Part[]): Part => ({
  type: "suite",
  name,
  mode: "run",
  tasks,
});
const names = (parts: readonly Part[]): string[] => parts.map(({ name }) => name);
const many = (count: number): Part[] => Array.from({ length: count }, (_, i) => one(`${i}`));

describe("a budget", () => {
  test("that is enough leaves nothing out", () => {
    expect(leftOut(suite("file", ...many(10)), { each: 100 }, 1000)).toEqual([]);
  });

  test("goes to the cheapest", () => {
    const file = suite("file", one("dear"), one("a"), one("b"), one("c"));
    expect(names(leftOut(file, { each: 100, slow: { dear: 900 } }, 1000))).toEqual(["dear"]);
  });

  test("has the cheapest of each suite run, unless it costs more than the budget", () => {
    const inner = suite("inner", one("dear"), one("dearer"));
    const dearest = suite("dearest", one("dearest"));
    const file = suite("file", one("a"), one("b"), suite("outer", one("c"), inner), dearest);
    const cost = { each: 500, slow: { dear: 1000, dearer: 1001, dearest: 2002 } };
    expect(names(leftOut(file, cost, 1000))).toEqual(["b", "dearer", "dearest"]);
  });

  test("has the cheapest of a file run, unless it costs many budgets", () => {
    const file = suite("file", one("dear"), one("a"));
    const cost = { each: 800, slow: { dear: 801 } };
    expect(names(leftOut(file, cost, 100))).toEqual(["dear"]);
    expect(names(leftOut(file, cost, 99))).toEqual(["dear", "a"]);
  });

  test("is spread over a file of tests that cost the same", () => {
    const out = new Set(names(leftOut(suite("file", ...many(100)), { each: 100 }, 1000)));
    expect(out.size).toBe(90);
    const quarters = [0, 25, 50, 75].map(
      (from) =>
        many(100)
          .slice(from, from + 25)
          .filter(({ name }) => !out.has(name)).length,
    );
    for (const count of quarters) expect(count).toBeGreaterThanOrEqual(2);
  });

  test("is not spent on what is skipped anyway", () => {
    const file = suite("file", one("missing", "skip"), one("a"), one("b"));
    expect(names(leftOut(file, { each: 100 }, 100))).toEqual(["b"]);
  });
});

test("the table speaks of files that are there: npm run costs", () => {
  const gone = Object.keys(COSTS).filter(
    (name) => !existsSync(join(import.meta.dirname, "..", name)),
  );
  expect(gone).toEqual([]);
});
