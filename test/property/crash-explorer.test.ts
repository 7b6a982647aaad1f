import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Torn } from "../../src/crash/versions.ts";
import { explore } from "../../src/crash/explorer.ts";
import { countCrashPoints } from "../../src/crash/frontier.ts";
import type { Program } from "../../src/crash/program.ts";
import { replay } from "../../src/crash/replay.ts";
import { simplify } from "../../src/crash/simplify.ts";
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
import { instants, naiveSmallest, naiveSpace, naiveTallies } from "../support/naive-crash.ts";

const BUDGET = { leaves: 1_000_000, steps: 10_000 };
const MOST_STATES = 3000n;
/** `DAXKIT_LONG=1` has ten times as many cases. */
const TIMES = process.env["DAXKIT_LONG"] === undefined ? 1 : 10;
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
    fc.assert(property, { numRuns: 400 * TIMES, seed: 7 });
    // A property that never meets what it speaks of proves nothing.
    expect(deep).toBeGreaterThan(30);
    expect(failed).toBeGreaterThan(30);
  });

  test("agree on the smallest counter-example, which fails again when it is made for real", () => {
    let failed = 0;
    let tornToo = 0;
    const property = fc.property(scenario, programArbitrary, (what, random) => {
      const { trace, initial } = record(what);
      const { options } = what;
      const found = instants(trace, initial, options, what.torn);
      fc.pre(naiveSpace(found) <= MOST_STATES);
      const program = programOf(random);
      const exploration = {
        initial,
        modelled: options,
        trace,
        program,
        torn: what.torn,
        depth: 1,
        budget: BUDGET,
      };
      const { failure } = explore(exploration);
      const smallest = naiveSmallest(found, trace.labels, options, program);
      expect(failure?.lostLines).toBe(smallest?.lines);
      expect(failure?.cuts[0]?.point).toBe(smallest?.point);
      if (failure === undefined) return;
      failed++;
      expect(replay(exploration, failure.cuts)?.objection?.said).toBe(failure.objection.said);
      const plain = simplify(exploration, failure);
      expect(plain.lostLines).toBe(failure.lostLines);
      expect(replay(exploration, plain.cuts)?.objection?.said).toBe(plain.objection.said);
      if (plain !== failure) tornToo++;
    });
    fc.assert(property, { numRuns: 1000 * TIMES, seed: 11 });
    expect(failed).toBeGreaterThan(30);
    expect(tornToo).toBeGreaterThan(0);
  });

  test("agree on recoveries that fail only when they are cut themselves", () => {
    let deep = 0;
    const property = fc.property(scenario, programArbitrary, (what, random) => {
      const { trace, initial } = record(what);
      const { options, torn: how } = what;
      fc.pre(naiveSpace(instants(trace, initial, options, how)) <= 60n);
      const program = failsWhenInterrupted(programOf(random));
      const exploration = {
        initial,
        modelled: options,
        trace,
        program,
        torn: how,
        depth: 2,
        budget: BUDGET,
      };
      const { failure, tallies } = explore(exploration);
      const naive = naiveTallies(trace, initial, options, how, program, 2);
      expect(tallies.map(({ space, failing }) => [space, failing])).toEqual(
        naive.map(({ space, failing }) => [space, failing]),
      );
      if (failure === undefined) return;
      deep++;
      expect(failure.cuts.length).toBe(2);
      expect(replay(exploration, failure.cuts)?.objection?.said).toBe(failure.objection.said);
    });
    fc.assert(property, { numRuns: 200 * TIMES, seed: 13 });
    expect(deep).toBeGreaterThan(10);
  });
});

/** Recovery marks that it is at work; only after it was interrupted may check object. */
function failsWhenInterrupted(program: Program): Program {
  const MARK = SIZE - 1;
  return {
    recover(media) {
      const { memory } = media.window(0);
      const interrupted = memory.getUint8(MARK) === 9;
      memory.setUint8(MARK, 9);
      media.flush(MARK, 1);
      media.fence();
      const seen = program.recover?.(media) as number;
      memory.setUint8(MARK, 8);
      media.flush(MARK, 1);
      media.fence();
      return interrupted ? seen : undefined;
    },
    check(media, acked, recovered) {
      return recovered === undefined || program.check(media, acked, recovered);
    },
  };
}
