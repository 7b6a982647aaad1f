import { expect, test } from "vitest";
import { MediaStore } from "../../src/nbd/media-store.ts";
import { SliceStore } from "../../src/nbd/slice-store.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { NbdStore } from "../../src/nbd/store.ts";

function slice(start: number, length: number): { whole: MediaStore; part: SliceStore } {
  const whole = new MediaStore(new RamMedia(65_536));
  return { whole, part: new SliceStore(whole, { start, length }) };
}

function bytes(store: MediaStore | SliceStore, offset: number, length: number): Uint8Array {
  const target = new Uint8Array(length);
  store.read(offset, target);
  return target;
}

test("a part of a store is a store: reads, writes, zeroes and extents are moved", () => {
  const { whole, part } = slice(4096, 8192);
  expect([part.size, part.readOnly]).toEqual([8192, false]);
  part.write(100, Uint8Array.of(1, 2, 3));
  expect(bytes(whole, 4196, 3)).toEqual(Uint8Array.of(1, 2, 3));
  whole.write(4096 + 8190, Uint8Array.of(8, 9));
  expect(bytes(part, 8190, 2)).toEqual(Uint8Array.of(8, 9));
  part.writeZeroes(101, 1, { noHole: false, fast: false });
  expect(bytes(part, 100, 3)).toEqual(Uint8Array.of(1, 0, 3));
  const lengths = [...part.allocation(0, 8192)].map(({ length }) => length);
  expect(lengths.reduce((sum, length) => sum + length, 0)).toBeGreaterThanOrEqual(8192);
  part.persist(0, 8192);
  part.flush();
});

test("only what lies inside", () => {
  for (const [start, length] of [
    [0, 0],
    [-1, 10],
    [65_536, 1],
    [1, 65_536],
  ] as const) {
    expect(() => slice(start, length)).toThrow(/^EINVAL.*give multiples of 1 inside/u);
  }
});

test("abilities that the whole lacks are missing from the part", () => {
  const { part } = slice(0, 512);
  expect([part.direct, part.writeThrough, part.holeAt]).toEqual([undefined, undefined, undefined]);
});

test("abilities that the whole has are moved, too", () => {
  const calls: unknown[] = [];
  const whole: NbdStore = Object.assign(new MediaStore(new RamMedia(65_536)), {
    direct: {
      addressOf: (offset: number) => offset + 1,
      landed: (offset: number, length: number) => calls.push(["landed", offset, length]),
    },
    writeThrough: (offset: number) => calls.push(["through", offset]),
    holeAt: (offset: number) => offset,
  });
  const part = new SliceStore(whole, { start: 4096, length: 8192 });
  expect(part.direct?.addressOf(10, 1)).toBe(4107);
  part.direct?.landed(20, 2);
  part.writeThrough?.(30, Uint8Array.of(1));
  expect(part.holeAt?.(40, 1)).toBe(4136);
  expect(calls).toEqual([
    ["landed", 4116, 2],
    ["through", 4126],
  ]);
});
