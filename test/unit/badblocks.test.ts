import { describe, expect, test } from "vitest";
import { BadBlocks } from "../../src/block/badblocks.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf } from "../support/bytes.ts";

describe("the table of bad blocks", () => {
  test("merges what touches, and splits where it is cleared", () => {
    const table = new BadBlocks();
    table.add(10, 5);
    table.add(15, 5);
    table.add(12, 1);
    expect(String(table)).toBe("10 10\n");
    table.clear(13, 2);
    expect(String(table)).toBe("10 3\n15 5\n");
    expect(table.total).toBe(8);
    table.clear(0, 100);
    expect(String(table)).toBe("");
  });

  test("answers the first bad run of a range, cut to it", () => {
    const table = new BadBlocks();
    table.add(10, 5);
    table.add(100, 1);
    expect(table.first(0, 10)).toBe(undefined);
    expect(table.first(0, 11)).toEqual({ start: 10, length: 1 });
    expect(table.first(12, 1000)).toEqual({ start: 12, length: 3 });
    expect(table.first(15, 1000)).toEqual({ start: 100, length: 1 });
  });

  test("shows at most 512 sectors in a record, and holds at most 512 records", () => {
    const table = new BadBlocks();
    table.add(0, 1025);
    expect(String(table)).toBe("0 512\n512 512\n1024 1\n");
    for (let i = 0; i < 509; i++) table.add(2000 + 2 * i, 1);
    expect(table.records).toBe(512);
    const before = String(table);
    expect(codeOf(() => table.add(10_000, 1))).toBe("ENOSPC");
    expect(String(table)).toBe(before);
    table.add(1025, 1);
    expect(table.records).toBe(512);
  });

  test("reads what is written to sysfs", () => {
    const table = new BadBlocks();
    table.parse("7");
    table.parse("100 3\n");
    expect(String(table)).toBe("7 1\n100 3\n");
  });

  test.each(["", " ", "x", "-1", "1 0", "1 2 3", "1.5", "0x10", "9999999999999999 1", "1\n2\n"])(
    'refuses "%s"',
    (text) => {
      const table = new BadBlocks();
      expect(codeOf(() => table.parse(text))).toBe("EINVAL");
      expect(table.total).toBe(0);
    },
  );

  test("agrees with a set of sectors", () => {
    const prng = new Prng(3);
    const table = new BadBlocks();
    const model = new Set<number>();
    for (let round = 0; round < 2000; round++) {
      const start = prng.below(200);
      const length = 1 + prng.below(20);
      const sectors = Array.from({ length }, (_, i) => start + i);
      if (prng.below(2) === 0) {
        table.add(start, length);
        for (const sector of sectors) model.add(sector);
      } else {
        table.clear(start, length);
        for (const sector of sectors) model.delete(sector);
      }
      const first = table.first(start, length)?.start;
      expect(first).toBe(sectors.find((sector) => model.has(sector)));
      expect(table.total).toBe(model.size);
    }
  });
});
