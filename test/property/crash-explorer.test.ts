import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Torn } from "../../src/crash/versions.ts";
import { explore } from "../../src/crash/explorer.ts";
import { countCrashPoints } from "../../src/crash/frontier.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import {
  SIZE,
  type Step,
  optionsArbitrary,
  perform,
  programArbitrary,
  programOf,
  stepArbitrary,
} from "../support/crash-programs.ts";
import { instants, naiveSpace, naiveTallies } from "../support/naive-crash.ts";

const BUDGET = { leaves: 1_000_000, steps: 10_000 };
const MOST_STATES = 3000n;
const torn = fc.constantFrom<Torn>("prefix", "atoms", "line");

interface Scenario {
  readonly steps: readonly Step[];
  readonly options: ModelledOptions;
  readonly torn: Torn;
  readonly fillWith: number;
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  steps: fc.array(stepArbitrary, { maxLength: 14 }),
  options: optionsArbitrary,
  torn,
  fillWith: fc.integer({ min: 0, max: 1 }),
});

function record({ steps, options, fillWith }: Scenario) {
  const media = new ModelledMedia(SIZE, options);
  const initial = new Uint8Array(SIZE).fill(fillWith);
  media.recorder.image.set(initial);
  for (const step of steps) perform(media, step);
  return { trace: media.trace, initial, classes: media.classes };
}

describe("the explorer and brute force", () => {
  test("agree on every count, for every domain, torn mode, recovery and check", () => {
    let deep = 0;
    let failed = 0;
    const property = fc.property(scenario, programArbitrary, (what, random) => {
      const { trace, initial, classes } = record(what);
      const { options } = what;
      fc.pre(naiveSpace(instants(trace, initial, options, what.torn)) <= MOST_STATES);
      const program = programOf(random);
      const found = explore({
        initial,
        modelled: options,
        trace,
        program,
        torn: what.torn,
        depth: 2,
        budget: BUDGET,
      });
      const naive = naiveTallies(trace, initial, options, what.torn, program, 2);
      const counted = found.tallies.map(({ crashPoints, space, covered, failing }) => {
        expect(covered).toBe(space);
        return { crashPoints, space, failing };
      });
      expect(found.unmeasurable).toBe(undefined);
      expect(found.cut).toBe(false);
      expect(counted[0]).toEqual(naive[0]);
      // Recoveries that run alike are cut once for all of them: the counts of states are exact,
      // those of crash points are not states.
      expect(counted[1]?.space).toBe(naive[1]?.space);
      expect(counted[1]?.failing).toBe(naive[1]?.failing);
      expect(countCrashPoints(trace, classes)).toBe(naive[0]?.crashPoints);
      const anyFails = naive.some(({ failing }) => failing > 0n);
      expect(found.failure !== undefined).toBe(anyFails);
      if ((naive[1]?.space ?? 0n) > 0n) deep++;
      if (anyFails) failed++;
    });
    fc.assert(property, { numRuns: 300, seed: 7 });
    // A property that never meets what it speaks of proves nothing.
    expect(deep).toBeGreaterThan(30);
    expect(failed).toBeGreaterThan(30);
  });
});
