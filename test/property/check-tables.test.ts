/** The tables of the check against sets and maps. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  DirectoryTable,
  NumberTable,
  SparseBits,
  SparseCounts,
} from "../../src/fs/ext/check-tables.ts";

const range = fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 120 }));

test("SparseBits is a set, and tells what was added twice", () => {
  fc.assert(
    fc.property(fc.constantFrom(8, 56, 64, 100), fc.array(range), (chunk, ranges) => {
      const bits = new SparseBits(chunk);
      const model = new Set<number>();
      for (const [start, count] of ranges) {
        const twice: number[] = [];
        bits.addRange(start, count, (index) => twice.push(index));
        const expected: number[] = [];
        for (let i = start; i < start + count; i++) {
          if (model.has(i)) expected.push(i);
          model.add(i);
        }
        expect(twice).toEqual(expected);
      }
      for (let i = 0; i < 600; i++) expect(bits.has(i)).toBe(model.has(i));
      expect(bits.isEmpty).toBe(model.size === 0);
      expect(bits.add(599)).toBe(!model.has(599));
    }),
  );
});

test("SparseBits answers its chunks as bitmaps", () => {
  const bits = new SparseBits(16);
  bits.add(17);
  bits.add(31);
  expect(bits.chunkBits(0)).toBeUndefined();
  expect(bits.chunkBits(1)).toEqual(Uint8Array.of(2, 128));
});

test("NumberTable is a map", () => {
  const key = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 52 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.nat())), (entries) => {
      const table = new NumberTable();
      const model = new Map<number, number>();
      for (const [k, value] of entries) {
        expect(table.get(k)).toBe(model.get(k));
        table.set(k, value);
        model.set(k, value);
      }
      expect(new Map(table.entries())).toEqual(model);
    }),
  );
});

test("SparseCounts counts, and stays at its end", () => {
  const counts = new SparseCounts(32);
  for (let i = 0; i < 70_000; i++) counts.increment(40);
  counts.increment(41);
  expect([counts.get(40), counts.get(41), counts.get(1000)]).toEqual([65_535, 1, 0]);
});

test("DirectoryTable finds what was pushed in order", () => {
  const inos = Array.from({ length: 1000 }, (_, i) => 2 + i * 7);
  const table = new DirectoryTable();
  for (const ino of inos) table.push(ino);
  for (const [index, ino] of inos.entries()) {
    expect(table.find(ino)).toBe(index);
    expect(table.find(ino + 1)).toBe(-1);
    table.setParent(index, ino + 3);
    table.setDotdot(index, ino + 4);
  }
  expect(table.size).toBe(1000);
  expect([table.ino(999), table.parent(999), table.dotdot(0)]).toEqual([6995, 6998, 6]);
});
