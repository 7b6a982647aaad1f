/**
 * A slice of `npm run fuzz`: damaged images, journals, partition tables, memory options and machine
 * files end in an answer or a typed error, in bounded time and memory, and nothing is written.
 */
import { describe, expect, test } from "vitest";
import type { FuzzTarget } from "../support/fuzz.ts";
import { FuzzFailure, fuzz } from "../support/fuzz.ts";
import { FUZZ_TARGETS, shares } from "../support/fuzz-targets.ts";

const SEED = 20_150;
/** All targets together; about 20 s on a quiet core, and a quarter of that where people wait. */
const CASES = process.env["CI"] === undefined ? 1000 : 6000;

const counts = shares(FUZZ_TARGETS, CASES);

describe.each(FUZZ_TARGETS.map((target, i) => [target.name, target, counts[i]] as const))(
  "%s",
  (_, target, cases = 0) => {
    test(`${cases} cases of seed ${SEED}`, async () => {
      const { outcomes, errors } = await fuzz(target, { seed: SEED, cases });
      // Damage must get past the first check, and must not always be harmless either.
      expect(outcomes.size).toBeGreaterThan(1);
      expect([...outcomes.keys(), ...errors.keys()]).toEqual(
        expect.arrayContaining([...target.reaches]),
      );
    }, 120_000);
  },
);

/** A target that counts its cases. */
function toy(run: (k: number) => string): FuzzTarget {
  let k = 0;
  return { name: "toy", weight: 1, reaches: [], open: () => ({ run: () => run(k++) }) };
}

async function failureOf(target: FuzzTarget, limits = {}): Promise<string> {
  return fuzz(target, { seed: 7, cases: 10, limits }).then(
    () => "none",
    (error: unknown) => (error instanceof FuzzFailure ? error.message : String(error)),
  );
}

/** The first number of each case, of a run of five and of its last two alone. */
async function firstNumbers(): Promise<number[]> {
  const numbers: number[] = [];
  const open: FuzzTarget["open"] = () => ({ run: (prng) => String(numbers.push(prng.u32())) });
  const target: FuzzTarget = { name: "toy", weight: 1, reaches: [], open };
  await fuzz(target, { seed: 1, cases: 5 });
  await fuzz(target, { seed: 1, first: 3, cases: 2 });
  return numbers;
}

describe("the engine", () => {
  test("names the command that shows a bad case again", async () => {
    const bad = toy((k) => {
      if (k === 3) throw new TypeError("not a function");
      return "fine";
    });
    const message = await failureOf(bad);
    expect(message).toMatch(/case 3 ended in TypeError: not a function/u);
    expect(message).toContain("again: npm run fuzz -- toy --seed 7 --case 3");
  });

  test("sees a case that takes long, and one that takes much memory", async () => {
    const slow = toy(() => {
      const before = process.cpuUsage();
      while (process.cpuUsage(before).user < 20_000);
      return "slow";
    });
    expect(await failureOf(slow, { time: 10 })).toMatch(/case 0 takes \d+ ms of 10/u);
    const kept: Uint8Array[] = [];
    const greedy = toy(() => {
      kept.push(new Uint8Array(2 << 20));
      return "greedy";
    });
    expect(await failureOf(greedy, { memory: 1 << 20 })).toMatch(/case 0 takes \d+ bytes/u);
    kept.length = 0;
    expect(await failureOf(greedy, { leak: 1 << 20 })).toMatch(/left behind after case 9/u);
  });

  test("gives the same cases for the same seed", async () => {
    const [first, second] = [await firstNumbers(), await firstNumbers()];
    expect(first).toEqual(second);
    expect(first.slice(3, 5)).toEqual(first.slice(5));
    expect(new Set(first).size).toBe(5);
  });

  test("shares cases by weight, and gives out all of them", () => {
    expect(shares(FUZZ_TARGETS, 100_000).reduce((sum, n) => sum + n, 0)).toBe(100_000);
    expect(shares([toy(() => ""), { ...toy(() => ""), weight: 3 }], 10)).toEqual([3, 7]);
  });
});
