import fc from "fast-check";
import { expect, test } from "vitest";
import { Bitmap } from "../../src/lib/bitmap.ts";

const LENGTH = 77;
const bit = fc.nat({ max: LENGTH - 1 });
const step = fc.record({ bit, operation: fc.constantFrom("set", "clear", "get") });

test("a bitmap is an array of booleans", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), bit, bit, (steps, from, length) => {
      const bitmap = new Bitmap(LENGTH);
      const model = Array.from({ length: LENGTH }, () => false);
      for (const { bit: at, operation } of steps) {
        const was = model[at];
        const answer = { get: was, set: was === false, clear: was === true };
        expect(bitmap[operation](at)).toBe(answer[operation]);
        if (operation !== "get") model[at] = operation === "set";
      }
      expect(bitmap.nextSet(from)).toBe(model.indexOf(true, from));
      expect(bitmap.nextClear(from)).toBe(model.indexOf(false, from));
      const run = Math.min(length, LENGTH - from);
      expect(bitmap.count(from, run)).toBe(model.slice(from, from + run).filter(Boolean).length);
      expect(bitmap.count()).toBe(model.filter(Boolean).length);
    }),
  );
});

test("bits lie as on the media, and the bytes may be shared", () => {
  const bytes = Uint8Array.of(0b1000_0001, 0b10);
  const bitmap = new Bitmap(12, bytes);
  expect([0, 7, 9].map((at) => bitmap.get(at))).toEqual([true, true, true]);
  expect(bitmap.count()).toBe(3);
  bitmap.set(2);
  expect(bytes[0]).toBe(0b1000_0101);
});

test("bits behind the last are neither set nor clear", () => {
  const full = new Bitmap(3, Uint8Array.of(0xff));
  expect([full.nextClear(), full.nextSet(3), full.count()]).toEqual([-1, -1, 3]);
  const empty = new Bitmap(3, Uint8Array.of(0xf8));
  expect([empty.nextSet(), empty.nextClear(3), empty.count()]).toEqual([-1, -1, 0]);
  expect(() => full.get(3)).toThrow("bit 3 of 3");
  expect(() => full.get(-1)).toThrow("bit -1 of 3");
  expect(() => new Bitmap(9, new Uint8Array(1))).toThrow("1 bytes for 9 bits");
});
