/** docs/prove-files.md has the shapes that the types have: node scripts/run.mjs prove-shapes. */
import { expect, test } from "vitest";
import { shapes, shownShapes } from "../../scripts/prove-shapes.ts";

/** Columns are as wide as a formatter makes them. */
const plain = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replaceAll(/-{3,}/gu, "---").replaceAll(/\s+/gu, " ").trim())
    .filter((line) => line !== "");

test("docs/prove-files.md shows today's types", () => {
  expect(plain(shownShapes())).toEqual(plain(shapes()));
});
