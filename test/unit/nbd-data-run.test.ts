import { beforeEach, expect, test, vi } from "vitest";
import { DataRun, shareDataRun } from "../../src/node/nbd/data-run.ts";

let clock = 0;
beforeEach(() => {
  clock = 1000;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
});

/** Takes 50 ms to find, so that what is found is worth remembering for a second. */
function slowly(stop: number): () => number {
  return () => {
    clock += 50;
    return stop;
  };
}

const dear = (): number => {
  throw new Error("it looked again");
};

test("threads share what one of them found, for positions inside the run", () => {
  const shared = shareDataRun();
  const [one, other] = [new DataRun(shared), new DataRun(shared)];
  expect(one.stopAfter(100, slowly(5000))).toBe(5000);
  expect(other.stopAfter(100, dear)).toBe(5000);
  expect(other.stopAfter(4999, dear)).toBe(5000);
  expect(other.stopAfter(5000, () => 6000)).toBe(6000);
  expect(one.stopAfter(99, () => 100)).toBe(100);
});

test("a hole ends what was found before it, in every thread, and while one looks", () => {
  const shared = shareDataRun();
  const [one, other] = [new DataRun(shared), new DataRun(shared)];
  one.stopAfter(0, slowly(5000));
  other.forget();
  const found = one.stopAfter(0, () => {
    const stop = slowly(4000)();
    other.forget();
    return stop;
  });
  expect(found).toBe(4000);
  expect(one.stopAfter(0, () => 3000)).toBe(3000);
});

test("what is remembered is looked for again after a multiple of what that costs", () => {
  const run = new DataRun(shareDataRun());
  run.stopAfter(0, slowly(5000));
  clock += 999;
  expect(run.stopAfter(0, dear)).toBe(5000);
  clock += 1;
  expect(run.stopAfter(0, () => 4000)).toBe(4000);
  expect(run.stopAfter(0, () => 3000)).toBe(3000);
});
