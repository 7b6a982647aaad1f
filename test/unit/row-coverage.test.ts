import { expect, test } from "vitest";
import { cover, parseRows, testsOf } from "../../scripts/row-coverage.ts";

const rows = parseRows(
  [
    "| row  | what |",
    "| ---- | ---- |",
    "| 2.94 | never merged        |",
    "| 2.95 | not hibernated |",
    "| X1   | Background: a model |",
  ].join("\n"),
);

test("rows are read from the table, padded or not", () => {
  expect(rows).toEqual([
    { row: "2.94", text: "never merged", background: false },
    { row: "2.95", text: "not hibernated", background: false },
    { row: "X1", text: "Background: a model", background: true },
  ]);
});

test("numbers are found in every form of a title, and in blocks around it", () => {
  const source = `
    test("[2.94] plain", () => {});
    it.each([["a", f(1)], ["(", 2]])("[2.94] [X1] each %s", () => {});
    test.skipIf(missing("x"))(\`[2.95] \${name} template\`, () => {});
    describe("[X1] block", () => { test("inner", () => {}); });
    test("long " + "[2.95]", () => {});
    test("array[2.94] in words", () => {});
    expect("[9.9]").toBe(text("[9.9]"));
    // test("[2.95] in a comment")
  `;
  const found = testsOf("a.test.ts", source);
  expect(found.map(({ line, title, rows: numbers }) => [line, title, numbers])).toEqual([
    [2, "[2.94] plain", ["2.94"]],
    [3, "[2.94] [X1] each %s", ["2.94", "X1"]],
    [4, "[2.95] … template", ["2.95"]],
    [5, "[X1] block > inner", ["X1"]],
    [6, "long [2.95]", ["2.95"]],
    [7, "array[2.94] in words", ["2.94"]],
  ]);
});

test("a number without a row is told", () => {
  const tests = testsOf("a.test.ts", `test("[2.94]", f); test("[7.7] typo", f);`);
  const { rows: covered, unknown } = cover(rows, tests);
  expect(covered.map(({ row, tests: by }) => [row, by.length])).toEqual([
    ["2.94", 1],
    ["2.95", 0],
    ["X1", 0],
  ]);
  expect(unknown.map(({ title }) => title)).toEqual(["[7.7] typo"]);
});
