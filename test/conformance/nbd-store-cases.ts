/**
 * What every NbdStore does, whatever holds its bytes.
 */
import { describe, expect, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import type { NbdStore, StoreExtent, ZeroFlags } from "../../src/nbd/store.ts";

/** A store of the suite, and how to make it. */
export interface StoreCase {
  readonly name: string;
  /** A writable store of `size` zeros and its end. */
  make(size: number): { store: NbdStore; close(): void };
}

const SIZE = 1 << 20;

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 255);
}

function readOf(store: NbdStore, offset: number, length: number): Uint8Array {
  const target = new Uint8Array(length).fill(0xaa);
  store.read(offset, target);
  return target;
}

const ZEROED = 20_480;

/** Whether zeroing was done: what is asked to be fast may be refused. */
function zeroed(store: NbdStore, offset: number, flags: ZeroFlags): boolean {
  try {
    store.writeZeroes(offset, ZEROED, flags);
    return true;
  } catch (error) {
    if (isDaxError(error, "ENOTSUP")) return false;
    throw error;
  }
}

function total(extents: Iterable<StoreExtent>): number {
  let bytes = 0;
  for (const { length } of extents) bytes += length;
  return bytes;
}

/** The allocation state of each block of `unit` bytes; by the safe answer, data. */
function holes(store: NbdStore, offset: number, length: number, unit: number): boolean[] {
  const states: boolean[] = [];
  let at = 0;
  for (const extent of store.allocation(offset, length)) {
    for (; at < extent.length && states.length * unit < length; at += unit) {
      states.push(extent.hole);
    }
    at -= extent.length;
  }
  return states;
}

/** Runs the suite over one kind of store. */
export function storeSuite(each: StoreCase): void {
  const withStore = (body: (store: NbdStore) => void) => () => {
    const made = each.make(SIZE);
    try {
      body(made.store);
    } finally {
      made.close();
    }
  };

  describe(`NbdStore: ${each.name}`, () => {
    test(
      "what is written is read, at every alignment that it allows",
      withStore((store) => {
        const unit = store.blockSizes.minimum;
        const model = new Uint8Array(SIZE);
        for (const [i, blocks] of [1, 7, 8, 9, 64, 129].entries()) {
          for (const at of [0, unit * 3, 4096 - unit, SIZE - blocks * unit]) {
            const bytes = pattern(blocks * unit, i + at);
            store.write(at, bytes);
            model.set(bytes, at);
          }
        }
        expect(Buffer.compare(readOf(store, 0, SIZE), model)).toBe(0);
        expect(readOf(store, unit, unit)).toEqual(model.subarray(unit, 2 * unit));
      }),
    );

    test(
      "its numbers are those of the specification",
      withStore((store) => {
        const { minimum, preferred } = store.blockSizes;
        for (const size of [minimum, preferred])
          expect(Number.isInteger(Math.log2(size))).toBe(true);
        expect(minimum).toBeLessThanOrEqual(65536);
        expect(preferred).toBeGreaterThanOrEqual(Math.max(512, minimum));
        expect(store.size % minimum).toBe(0);
        expect(store.readOnly).toBe(false);
      }),
    );

    test(
      "zeroes are read after writeZeroes, whatever its flags, and nothing beside it changes",
      withStore((store) => {
        const unit = Math.max(512, store.blockSizes.minimum);
        for (const noHole of [false, true]) {
          for (const fast of [false, true]) {
            store.write(0, new Uint8Array(65536).fill(0x5a));
            const done = zeroed(store, unit, { noHole, fast });
            expect(done || fast).toBe(true);
            const expected = new Uint8Array(65536).fill(0x5a);
            if (done) expected.fill(0, unit, unit + ZEROED);
            expect(Buffer.compare(readOf(store, 0, 65536), expected)).toBe(0);
          }
        }
      }),
    );

    test(
      "without `fast`, writeZeroes always succeeds: large and small",
      withStore((store) => {
        store.write(0, new Uint8Array(SIZE).fill(1));
        store.writeZeroes(0, store.blockSizes.minimum, { noHole: true, fast: false });
        store.writeZeroes(0, SIZE, { noHole: false, fast: false });
        expect(readOf(store, 0, SIZE).every((byte) => byte === 0)).toBe(true);
      }),
    );

    test(
      "trim leaves what is beside it",
      withStore((store) => {
        if (!store.abilities.trim) return;
        const bytes = pattern(65536, 5);
        store.write(0, bytes);
        store.trim(8192, 4096);
        expect(readOf(store, 0, 8192)).toEqual(bytes.subarray(0, 8192));
        expect(readOf(store, 12_288, 4096)).toEqual(bytes.subarray(12_288, 16_384));
      }),
    );

    test(
      "flush, persist and cache succeed where nothing is wrong",
      withStore((store) => {
        store.write(0, pattern(8192, 1));
        store.persist(0, 8192);
        store.persist(4096 - store.blockSizes.minimum, store.blockSizes.minimum);
        store.cache(0, SIZE);
        store.flush();
        expect(readOf(store, 0, 8192)).toEqual(pattern(8192, 1));
      }),
    );

    test(
      "allocation covers the range it is asked for, and calls nothing a hole that has data",
      withStore((store) => {
        store.write(131_072, new Uint8Array(65536).fill(3));
        store.write(524_288, new Uint8Array(4096).fill(3));
        for (const [at, length] of [
          [0, SIZE],
          [4096, 8192],
          [131_072, 4096],
          [SIZE - 4096, 4096],
        ] as const) {
          expect(total(store.allocation(at, length))).toBeGreaterThanOrEqual(length);
        }
        const states = holes(store, 0, SIZE, 4096);
        for (let block = 32; block < 48; block++) expect(states[block]).toBe(false);
        expect(states[128]).toBe(false);
        for (const extent of store.allocation(0, SIZE)) {
          expect(extent.length).toBeGreaterThan(0);
          expect(extent.hole && !extent.zero).toBe(false);
        }
      }),
    );

    test(
      "what was zeroed with NO_HOLE is no hole afterwards",
      withStore((store) => {
        store.write(0, new Uint8Array(131_072).fill(1));
        for (const at of [65_536, 524_288]) {
          store.writeZeroes(at, 65_536, { noHole: true, fast: false });
          expect(holes(store, at, 65_536, 4096)).not.toContain(true);
        }
      }),
    );

    test(
      "direct memory, where there is some, is the store's own",
      withStore((store) => {
        const { direct } = store;
        if (direct === undefined) return;
        const first = direct.addressOf(0, 4096);
        expect(first).toBeGreaterThan(0);
        expect(direct.addressOf(8192, 4096)).toBe(first + 8192);
        expect(Number.isSafeInteger(first)).toBe(true);
        direct.landed(0, 4096);
      }),
    );
  });
}
