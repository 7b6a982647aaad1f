/** How failures of legs are told above: once, with their places. */
import { expect, test } from "vitest";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { mapperOver } from "../support/mapped.ts";

/** Two disks of so many bytes, and a mapper over both. */
function pairOf(length: number) {
  const disk = (name: string, physicalStart: number) =>
    createPmem({ name, media: new RamMedia(length), start: 0, length, physicalStart });
  const [p, q] = [disk("p", 2 ** 32), disk("q", 2 ** 33)];
  return { p: p.dax, q: q.dax, ...mapperOver({ p: p.disk, q: q.disk }) };
}

test("[X7] a failure below reaches the holder above, at its own offsets", () => {
  const { p, q, mapper } = pairOf(1 << 18);
  mapper.create("low", "0 128 striped 2 16 p 0 q 0");
  const high = mapper.create("high", "0 64 linear /dev/mapper/low 32");
  const heard: unknown[] = [];
  high.dax!.device.claim({ name: "fs", notifyFailure: (...what) => heard.push(what) });
  // Chunks of two pages: pages 2 and 3 of p are 4 and 5 of low, 0 and 1 of high.
  p.notifyFailure(2 * PAGE_SIZE, PAGE_SIZE);
  q.notifyFailure(0, 4 * PAGE_SIZE);
  // Page 1 of p is below the device, 2 and 3 are its first, and 4 lies behind a chunk of q.
  p.notifyFailure(PAGE_SIZE, 4 * PAGE_SIZE);
  const runs = [
    { start: 0, length: 2 * PAGE_SIZE },
    { start: 4 * PAGE_SIZE, length: PAGE_SIZE },
  ];
  expect(heard).toEqual([
    [0, PAGE_SIZE, "poison", undefined],
    [2 * PAGE_SIZE, 2 * PAGE_SIZE, "poison", undefined],
    [0, 5 * PAGE_SIZE, "poison", runs],
  ]);
  heard.length = 0;
  p.kill();
  expect(heard).toEqual([[0, 8 * PAGE_SIZE, "pre-remove", undefined]]);
});

test("[X7] many bad chunks are told at once, each with its place, or all with one", () => {
  const size = 1 << 28;
  const { q, mapper } = pairOf(size);
  const device = mapper.create("x", `0 ${size / 256} striped 2 8 p 0 q 0`);
  const heard: unknown[] = [];
  device.dax!.device.claim({ name: "fs", notifyFailure: (...what) => heard.push(what) });
  q.notifyFailure(0, 1 << 20);
  const runs = Array.from({ length: 256 }, (_, row) => ({
    start: (2 * row + 1) * PAGE_SIZE,
    length: PAGE_SIZE,
  }));
  expect(heard).toEqual([[PAGE_SIZE, 511 * PAGE_SIZE, "poison", runs]]);
  heard.length = 0;
  q.notifyFailure(0, size);
  expect(heard).toEqual([[PAGE_SIZE, 2 * size - PAGE_SIZE, "poison", undefined]]);
});
