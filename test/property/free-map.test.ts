/** Free maps and trees of maxima against plain arrays. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FreeMap } from "../../src/lib/free-map.ts";
import { MaxTree } from "../../src/lib/max-tree.ts";

/** Free numbers as an array of booleans. */
class NaiveMap {
  readonly free: boolean[];

  constructor(free: boolean[]) {
    this.free = free;
  }

  runAt(start: number, most: number): number {
    let run = 0;
    while (run < most && this.free[start + run] === true) run++;
    return run;
  }

  find(from: number, length: number, align = 1, shift = 0): number {
    for (let at = from; at + length <= this.free.length; at++) {
      if ((at + shift) % align === 0 && this.runAt(at, length) === length) return at;
    }
    return -1;
  }

  get longest(): number {
    let best = 0;
    for (let at = 0; at < this.free.length; at++) best = Math.max(best, this.runAt(at, Infinity));
    return best;
  }

  usedBits(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.free.length / 8));
    for (const [i, free] of this.free.entries()) {
      if (!free) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7));
    }
    return bytes;
  }
}

/** Runs of random lengths, so that there are long ones, too. */
const bits = fc
  .array(fc.tuple(fc.boolean(), fc.oneof(fc.nat(3), fc.nat(40), fc.nat(600))), { maxLength: 30 })
  .map((runs) => runs.flatMap(([free, count]) => Array.from({ length: count + 1 }, () => free)));

const change = fc.tuple(fc.nat(), fc.nat(700), fc.boolean());

describe("free map", () => {
  test("finds what a walk over all numbers finds, whatever was taken and given back", () => {
    fc.assert(
      fc.property(
        bits,
        fc.array(change, { maxLength: 12 }),
        fc.array(fc.nat()),
        (free, changes, asks) => {
          fc.pre(free.length > 0);
          const naive = new NaiveMap([...free]);
          const map = new FreeMap(free.length, naive.usedBits());
          for (const [at, count, give] of [[0, 0, free[0] === true] as const, ...changes]) {
            const start = at % free.length;
            const length = Math.min(count + 1, free.length - start);
            if (give) map.give(start, length);
            else map.take(start, length);
            naive.free.fill(give, start, start + length);
            expect(map.longest).toBe(naive.longest);
          }
          for (const ask of [0, 1, 31, 32, 255, 256, 257, ...asks]) {
            const from = ask % free.length;
            for (const length of [1, 2, 7, 33, 256, 300]) {
              expect(map.find(from, length)).toBe(naive.find(from, length));
              const aligned = map.findAligned(from, length, 64, 5);
              expect(aligned).toBe(naive.find(from, length, 64, 5));
            }
            expect(map.runAt(from, 500)).toBe(naive.runAt(from, 500));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a search looks at few words, however scattered the free numbers are", () => {
    const used = new Uint8Array(4096).fill(0x55);
    // Two in a row at the very end, and nowhere else.
    used[4095] = 0x3f;
    const map = new FreeMap(32_768, used);
    const before = map.looked;
    for (let from = 0; from < 30_000; from += 100) expect(map.find(from, 2)).toBe(32_766);
    expect(map.looked - before).toBeLessThan(300 * 264);
  });
});

describe("max tree", () => {
  test("answers the next index that is large enough", () => {
    const numbers = fc.array(fc.nat(9), { minLength: 1, maxLength: 70 });
    fc.assert(
      fc.property(numbers, fc.array(fc.tuple(fc.nat(), fc.nat(9))), (values, changes) => {
        const naive = [...values];
        const tree = new MaxTree(values.length);
        for (const [i, value] of values.entries()) tree.set(i, value);
        for (const [at, value] of changes) {
          naive[at % naive.length] = value;
          tree.set(at % naive.length, value);
        }
        expect(tree.max).toBe(Math.max(...naive));
        for (let from = 0; from <= naive.length; from++) {
          for (let value = 1; value < 10; value++) {
            const expected = naive.findIndex((v, i) => i >= from && v >= value);
            expect(tree.nextAtLeast(from, value)).toBe(expected);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
