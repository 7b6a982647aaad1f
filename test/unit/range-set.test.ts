import { expect, test } from "vitest";
import { AssertionError } from "../../src/lib/errno.ts";
import { RangeSet, firstOverlap } from "../../src/lib/range-set.ts";

test("neighbours merge, and a removal in the middle splits", () => {
  const set = new RangeSet();
  expect(set.add(10, 10)).toBe(10);
  expect(set.add(20, 5)).toBe(5);
  expect(set.add(0, 5)).toBe(5);
  expect([...set]).toEqual([
    { start: 0, length: 5 },
    { start: 10, length: 15 },
  ]);
  expect(set.remove(12, 3)).toBe(3);
  expect([...set]).toEqual([
    { start: 0, length: 5 },
    { start: 10, length: 2 },
    { start: 15, length: 10 },
  ]);
  expect(set.total).toBe(17);
});

test("a full set refuses one run more and stays as it was", () => {
  const set = new RangeSet([{ start: 0, length: 10 }], 1);
  expect(() => set.add(20, 1)).toThrow(expect.objectContaining({ code: "ENOMEM" }));
  expect(() => set.remove(4, 1)).toThrow(expect.objectContaining({ code: "ENOMEM" }));
  expect([...set]).toEqual([{ start: 0, length: 10 }]);
  expect(set.add(10, 5)).toBe(5);
  expect(set.remove(0, 5)).toBe(5);
  expect([...set]).toEqual([{ start: 5, length: 10 }]);
});

test("numbers that are no offsets are a bug of the caller", () => {
  const set = new RangeSet();
  for (const [start, length] of [
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [Number.MAX_SAFE_INTEGER, 1],
    [Number.NaN, 1],
  ] as const) {
    expect(() => set.add(start, length)).toThrow(AssertionError);
  }
});

test("[X8] runs beyond 2^32 keep every bit", () => {
  const set = new RangeSet([{ start: 2 ** 52, length: 2 ** 40 + 1 }]);
  expect(set.has(2 ** 52 + 2 ** 40)).toBe(true);
  expect(set.has(2 ** 52 + 2 ** 40 + 1)).toBe(false);
  expect(set.remove(2 ** 52 + 1, 2 ** 40 - 1)).toBe(2 ** 40 - 1);
  expect([...set]).toEqual([
    { start: 2 ** 52, length: 1 },
    { start: 2 ** 52 + 2 ** 40, length: 1 },
  ]);
});

test("firstOverlap finds the first run that shares a byte", () => {
  const runs = [
    { start: 10, length: 5 },
    { start: 20, length: 5 },
  ];
  expect(firstOverlap(runs, 0, 10)).toBeUndefined();
  expect(firstOverlap(runs, 0, 11)).toBe(runs[0]);
  expect(firstOverlap(runs, 15, 5)).toBeUndefined();
  expect(firstOverlap(runs, 14, 100)).toBe(runs[0]);
  expect(firstOverlap(runs, 15, 100)).toBe(runs[1]);
  expect(firstOverlap(runs, 24, 1)).toBe(runs[1]);
  expect(firstOverlap(runs, 25, 1)).toBeUndefined();
  expect(firstOverlap(runs, 22, 0)).toBeUndefined();
});
