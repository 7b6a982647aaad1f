/**
 * Pages about examples say what was found when these were run last, and that is what is expected
 * of them; others than we saw each loss.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import {
  COMMITS,
  PAGE,
  casesOf,
  resultsOf,
  shownIn,
  tablesOf,
} from "../../scripts/programs-page.ts";

const root = resolve(import.meta.dirname, "../..");
const readText = (path: string): string => readFileSync(join(root, path), "utf8");

test("docs/prove-programs.md: npm run programs -- --write", () => {
  const page = readText(PAGE);
  for (const [name, table] of Object.entries(tablesOf(resultsOf()))) {
    expect([name, shownIn(page, name)]).toEqual([name, table]);
  }
});

test("programs end as expected, and a kernel and e2fsck saw each loss", () => {
  const results = resultsOf();
  expect(Object.keys(results)).toEqual(casesOf().map(({ name }) => name));
  for (const { name, expected } of casesOf()) {
    for (const commits of COMMITS) {
      const found = results[name]?.[commits];
      const judges = expected === "Lost" ? ["kernel", "e2fsck"] : undefined;
      const seen = [name, commits, found?.kind, found?.judges];
      expect(seen).toEqual([name, commits, expected, judges]);
    }
  }
});

interface Row {
  readonly name: string;
  readonly script: string;
  readonly args?: readonly string[];
  readonly kind: "Lost" | "Survived";
  readonly why: string;
}

test("examples/packages/README.md: npm run packages -- --write", () => {
  const rows = JSON.parse(readText("examples/packages/table.json")) as readonly Row[];
  const lines = readText("examples/packages/README.md").split("\n");
  const shown = lines
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").slice(1, -1));
  const cells = shown.map((row) => row.map((cell) => cell.trim()).slice(0, 4));
  expect(cells).toEqual(
    rows.map(({ name, script, args = [], kind, why }) => [
      `\`${name}\``,
      `\`${[script, ...args].join(" ")}\``,
      kind === "Lost" ? "loses" : "survives",
      why,
    ]),
  );
});
