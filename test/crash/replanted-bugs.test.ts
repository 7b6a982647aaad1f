/**
 * The corpus: known ways to lose data on persistent memory. Every one must be found, and none may
 * be reported on the twin that is right.
 */
import { describe, expect, test } from "vitest";
import { report } from "../../src/crash/prove.ts";
import { patched } from "../support/patched.ts";
import { replanted } from "../support/replanted.ts";
import { lostBy, survivedBy } from "../support/verdicts.ts";

type Added = readonly ("flush" | "fence" | "persist")[];

/** What the verdict must say is missing; `none` where no flush or fence mends it. */
const corpus: readonly (readonly [name: keyof typeof replanted, missing: Added | "none"])[] = [
  ["missingFlush", ["flush"]],
  ["missingFence", ["fence"]],
  ["wrongRange", ["flush"]],
  ["firstLegOnly", ["flush"]],
  ["commitBeforePayload", "none"],
  ["tornIndex", "none"],
  ["sizeBeforeData", ["persist"]],
  ["checksumLess", "none"],
  ["flushAfterAck", ["persist"]],
  ["flushBeforeStore", ["flush"]],
  ["copyWithoutFence", ["fence"]],
  ["headBeforeNode", ["fence"]],
  ["trustsTheBattery", ["persist"]],
  ["halfABattery", ["persist"]],
  ["trustsVolatile", "none"],
  ["undoDroppedEarly", ["persist"]],
  ["recoveryForgetsFlush", ["flush"]],
  ["recoveryNotIdempotent", "none"],
];

test("the corpus is all there is", () => {
  expect(corpus.map(([name]) => name).toSorted()).toEqual(Object.keys(replanted).toSorted());
});

describe.each(corpus)("%s", (name, missing) => {
  test("[X1] is found, and what is missing is named", () => {
    const proof = replanted[name](true);
    const verdict = lostBy(proof);
    const added = verdict.missing?.map(({ flush, fence }) => {
      if (flush === undefined) return "fence";
      return fence ? "persist" : "flush";
    });
    expect(added ?? "none").toEqual(missing);
    expect(report(verdict).length).toBeGreaterThan(10);
    // The suggestion, made in the program itself, makes it survive.
    if (verdict.missing !== undefined) survivedBy(patched(proof, verdict.missing));
  });

  test("[X1] is not reported of its twin", () => {
    const verdict = survivedBy(replanted[name](false));
    expect(verdict.space).toBe(verdict.depths.reduce((sum, depth) => sum + depth.covered, 0n));
  });
});

test("[X1] two bugs show only when recovery is cut too", () => {
  for (const name of ["recoveryForgetsFlush", "recoveryNotIdempotent"] as const) {
    survivedBy({ ...replanted[name](true), depth: 1 });
    const { counterExample } = lostBy(replanted[name](true));
    expect(counterExample.cuts.map(({ during }) => during)).toEqual(["workload", "recovery"]);
  }
});

test("[4.5] a battery behind half of the memory is not one behind all of it", () => {
  const proof = replanted.halfABattery(true);
  const { domains: _, ...uniform } = proof;
  survivedBy({ ...uniform, domain: "eadr" });
  const [cut] = lostBy(proof).counterExample.cuts;
  expect(cut?.lost.map(({ start }) => start)).toEqual([256]);
});
