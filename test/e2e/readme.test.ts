/**
 * README.md shows what is true today.
 */
import { expect, test } from "vitest";
import { shownOutput, tourOutput, withoutTimes } from "../../scripts/readme.ts";

test("the transcript in README is today's output of the tour", () => {
  const shown = withoutTimes(shownOutput());
  expect(shown.length).toBeGreaterThan(1000);
  expect(withoutTimes(tourOutput())).toBe(shown);
});
