import { expect, test } from "vitest";
import { PageWriter } from "../../src/node/page-writer.ts";

const PAGE = 4096;

function recording(join: boolean): { writer: PageWriter; writes: [number, number][] } {
  const writes: [number, number][] = [];
  const writer = new PageWriter(PAGE, join, (at, length) => writes.push([at, length]));
  return { writer, writes };
}

test("a range is rounded out to pages, and pages are written once", () => {
  const { writer, writes } = recording(false);
  writer.add(4095, 2);
  writer.add(5000, 1);
  writer.add(8191, 1);
  writer.add(40_000, 0);
  expect(writer.waiting).toBe(true);
  writer.write();
  writer.write();
  expect(writes).toEqual([[0, 2 * PAGE]]);
  expect(writer.waiting).toBe(false);
  writer.add(8191, 1);
  writer.write();
  expect(writes).toEqual([
    [0, 2 * PAGE],
    [PAGE, PAGE],
  ]);
});

test("near runs are joined, and many far ones become one call", () => {
  const { writer, writes } = recording(true);
  writer.add(0, 1);
  writer.add(100_000, 1);
  writer.add(10_000_000, 1);
  writer.write();
  expect(writes).toEqual([
    [0, 25 * PAGE],
    [2441 * PAGE, PAGE],
  ]);
  writes.length = 0;
  for (let i = 0; i < 9; i++) writer.add(i * 10_000_000, 1);
  writer.write();
  expect(writes).toEqual([[0, (Math.floor(80_000_000 / PAGE) + 1) * PAGE]]);
});

test("without joining, nothing that was not asked for is written", () => {
  const { writer, writes } = recording(false);
  for (let i = 0; i < 20; i++) writer.add(i * 2 * PAGE, 1);
  writer.write();
  expect(writes).toEqual(Array.from({ length: 20 }, (_, i) => [i * 2 * PAGE, PAGE]));
});

test("a write that fails is remembered and tried again", () => {
  let fail = true;
  const writes: number[] = [];
  const writer = new PageWriter(PAGE, false, (at) => {
    if (fail && at > 0) throw new Error("no");
    writes.push(at);
  });
  writer.add(0, 1);
  writer.add(10 * PAGE, 1);
  expect(() => writer.write()).toThrow("no");
  expect(writer.waiting).toBe(true);
  fail = false;
  writer.write();
  expect(writes).toEqual([0, 10 * PAGE]);
});
