/** Files that grow beside each other stay in few pieces. */
import { describe, expect, test } from "vitest";
import { Bitmap } from "../../src/lib/bitmap.ts";
import { Prng } from "../../src/lib/prng.ts";
import { BigDisk } from "../support/big-disk.ts";
import { codeOf } from "../support/bytes.ts";
import { FREE, give, take } from "../support/ext-allocations.ts";
import { openForWriting, type Writing } from "../support/ext-writing.ts";

/** Extents of files to each of which `pieces` are appended, one file after the other. */
const grow = (writing: Writing, files: number, pieces: number, piece: () => number) => {
  const runs = Array.from({ length: files }, () => [] as { start: number; count: number }[]);
  for (let i = 0; i < pieces; i++) {
    for (const file of runs) {
      for (let left = piece(); left > 0;) {
        const last = file.at(-1);
        const goal = last === undefined ? 5000 : last.start + last.count;
        const run = take(writing, { goal, count: left });
        left -= run.count;
        if (last !== undefined && run.start === goal) last.count += run.count;
        else file.push({ ...run });
      }
    }
  }
  return runs;
};

describe("files that grow in turns", () => {
  test("are in few pieces", () => {
    const writing = openForWriting(new BigDisk({ groups: 4 }));
    for (const file of grow(writing, 10, 1024, () => 1)) expect(file.length).toBeLessThan(12);
  });

  test("go on in what was kept for them when they grow by much at once", () => {
    const writing = openForWriting(new BigDisk({ groups: 4 }));
    let goal = 5000;
    for (const [count, align] of [
      [1, 1],
      [1, 1],
      [1, 1],
      [2000, 1],
      [3, 1],
      [5, 1],
      [700, 1],
    ]) {
      expect(take(writing, { goal, count: count as number, align: align as number })).toEqual({
        start: goal,
        count,
      });
      goal += count as number;
    }
  });

  test("nothing is given out twice, and all of a disk can be used", () => {
    const writing = openForWriting(new BigDisk({ groups: 2 }));
    const dice = new Prng(5);
    const runs = grow(writing, 30, 200, () => 1 + dice.below(9)).flat();
    const { allocator } = writing.editor;
    for (const { start, count } of runs.splice(0, 40)) give(writing, start, count);
    writing.journal.commit();
    const free = allocator.freeBlocks;
    for (let taken = 0; taken < free;) {
      const run = take(writing, { goal: dice.below(65_536), count: 1 + dice.below(50) });
      runs.push(run);
      taken += run.count;
    }
    expect(codeOf(() => take(writing, { goal: 0, count: 1 }))).toBe("ENOSPC");
    const owned = new Bitmap(65_536);
    for (const { start, count } of runs) {
      expect(owned.count(start, count)).toBe(0);
      owned.fill(start, count, true);
    }
    expect(owned.count()).toBe(2 * FREE);
  });

  test("small files that are written once lie next to each other", () => {
    const writing = openForWriting(new BigDisk({ groups: 2 }));
    const starts = Array.from({ length: 200 }, () => take(writing, { goal: 4000, count: 2 }).start);
    expect(starts).toEqual(Array.from({ length: 200 }, (_, i) => 4000 + 2 * i));
  });
});
