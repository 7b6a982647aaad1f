import fc from "fast-check";
import { expect, test } from "vitest";
import { RangeSet } from "../../src/lib/range-set.ts";

const SPACE = 96;
const range = fc.record({
  start: fc.integer({ min: 0, max: SPACE - 1 }),
  length: fc.integer({ min: 0, max: 24 }),
});
const step = fc.record({ what: fc.constantFrom("add", "remove"), range });

/** Members of the model inside `[start, start + length)`. */
function inside(model: ReadonlySet<number>, start: number, length: number): number[] {
  return Array.from({ length }, (_, i) => start + i).filter((value) => model.has(value));
}

function members(ranges: Iterable<{ start: number; length: number }>): number[] {
  return [...ranges].flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i));
}

test("a range set does what a set of numbers does", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), range, (steps, asked) => {
      const set = new RangeSet();
      const model = new Set<number>();
      for (const { what, range: run } of steps) {
        const { start, length } = run;
        const had = inside(model, start, length).length;
        const changed = what === "add" ? set.add(start, length) : set.remove(start, length);
        expect(changed).toBe(what === "add" ? length - had : had);
        for (let i = start; i < start + length; i++) {
          if (what === "add") model.add(i);
          else model.delete(i);
        }
      }
      expect(members(set)).toEqual([...model].toSorted((a, b) => a - b));
      expect(set.total).toBe(model.size);
      const runs = [...set];
      expect(set.count).toBe(runs.length);
      const apart = runs.every((run, i) => {
        const before = i === 0 ? -1 : runs[i - 1]!.start + runs[i - 1]!.length;
        return run.length > 0 && run.start > before;
      });
      expect(apart).toBe(true);
      const { start, length } = asked;
      const found = inside(model, start, length);
      expect(members(set.intersect(start, length))).toEqual(found);
      expect(set.overlap(start, length)).toBe(found.length);
      expect(set.overlaps(start, length)).toBe(found.length > 0);
      expect(set.covers(start, length)).toBe(found.length === length);
      expect(set.has(start)).toBe(model.has(start));
      const gaps = members(set.gaps(start, length));
      expect([...found, ...gaps].toSorted((a, b) => a - b)).toEqual(
        Array.from({ length }, (_, i) => start + i),
      );
    }),
  );
});
