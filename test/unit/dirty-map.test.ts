import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";

const BLOCK = 4096;

/** The naive way: a set of blocks. */
class Blocks {
  readonly dirty = new Set<number>();

  set(offset: number, length: number, dirty: boolean): void {
    for (let at = offset; at < offset + length; at++) {
      const block = Math.floor(at / BLOCK);
      if (dirty) this.dirty.add(block);
      else this.dirty.delete(block);
    }
  }

  extents(offset: number, length: number): { length: number; dirty: boolean }[] {
    const found: { length: number; dirty: boolean }[] = [];
    for (let at = offset; at < offset + length;) {
      const next = Math.min(offset + length, (Math.floor(at / BLOCK) + 1) * BLOCK);
      const dirty = this.dirty.has(Math.floor(at / BLOCK));
      const last = found.at(-1);
      if (last?.dirty === dirty) last.length += next - at;
      else found.push({ length: next - at, dirty });
      at = next;
    }
    return found;
  }
}

describe("a dirty map", () => {
  test("marks whole blocks, and forgets them at a new mark", () => {
    const map = new DirtyMap(10 * BLOCK);
    map.add(BLOCK - 1, 2);
    map.add(5 * BLOCK, 0);
    expect([...map.extents(0, 10 * BLOCK)]).toEqual([
      { length: 2 * BLOCK, dirty: true },
      { length: 8 * BLOCK, dirty: false },
    ]);
    expect([...map.extents(100, 50)]).toEqual([{ length: 50, dirty: true }]);
    map.clear();
    expect([...map.extents(0, 10 * BLOCK)]).toEqual([{ length: 10 * BLOCK, dirty: false }]);
  });

  test("is seen by every thread that has its buffer", () => {
    const map = new DirtyMap(1 << 20);
    const other = new DirtyMap(1 << 20, map.buffer);
    other.add(0, 1);
    expect([...map.extents(0, BLOCK)]).toEqual([{ length: BLOCK, dirty: true }]);
  });

  test("of a store that ends inside a block tells its last bytes", () => {
    const map = new DirtyMap(BLOCK + 10);
    map.add(BLOCK + 9, 1);
    expect([...map.extents(0, BLOCK + 10)]).toEqual([
      { length: BLOCK, dirty: false },
      { length: 10, dirty: true },
    ]);
  });

  test("of a large store has larger blocks, and answers at once", () => {
    const map = new DirtyMap(2 ** 44);
    expect(map.blockBytes).toBe(2 ** 16);
    map.add(2 ** 43, 1);
    expect([...map.extents(0, 2 ** 44)]).toEqual([
      { length: 2 ** 43, dirty: false },
      { length: 2 ** 16, dirty: true },
      { length: 2 ** 43 - 2 ** 16, dirty: false },
    ]);
  });

  test("says what a set of blocks says, whatever is marked, cleared and asked", () => {
    const prng = new Prng(5);
    for (let round = 0; round < 60; round++) {
      const size = 1 + prng.below(200 * BLOCK);
      const map = new DirtyMap(size);
      const blocks = new Blocks();
      for (let step = 0; step < 12; step++) {
        const offset = prng.below(size);
        const length = 1 + prng.below(Math.min(size - offset, prng.pick([1, 9000, size])));
        const dirty = prng.below(3) > 0;
        blocks.set(offset, length, dirty);
        if (dirty) map.add(offset, length);
        else map.clear(offset, length);
        const from = prng.below(size);
        const run = 1 + prng.below(size - from);
        expect([...map.extents(from, run)]).toEqual(blocks.extents(from, run));
      }
    }
  });
});
