/** What FUA and flush promise, through every device that can stand above persistent memory. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { Partition } from "../../src/block/partition.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem, type Pmem } from "../../src/drivers/pmem.ts";
import { Prng } from "../../src/lib/prng.ts";
import { noise, same } from "../support/bytes.ts";
import { stackedDax } from "../support/dax-fakes.ts";
import { LineMedia } from "../support/line-media.ts";

const PAGES = 16;
const SIZE = PAGES * PAGE_SIZE;

/** How a device is made of pmem, and at which byte of it the device starts. */
interface Above {
  readonly make: (pmem: Pmem) => BlockDevice;
  readonly first: number;
}

const above: Readonly<Record<string, Above>> = {
  "pmem itself": { make: ({ disk }) => disk, first: 0 },
  "a partition": {
    make: ({ disk }) => new Partition(disk, { name: "pmem0p1", start: 8, sectors: 64 }),
    first: PAGE_SIZE,
  },
  "a partition off page borders": {
    make: ({ disk }) => new Partition(disk, { name: "pmem0p1", start: 9, sectors: 64 }),
    first: 9 * 512,
  },
  "failure injection that injects nothing": {
    make: ({ disk }) => new FaultyDevice(disk),
    first: 0,
  },
  "a disk over the dax device": { make: ({ dax }) => new DaxDisk(dax), first: 0 },
  "a disk over a stacked dax device": {
    make: ({ dax }) => new DaxDisk(stackedDax(dax, 2, 12, new Prng(1))),
    first: 2 * PAGE_SIZE,
  },
};

describe.each(Object.entries(above))("%s", (_, { make, first }) => {
  function made(): { media: LineMedia; device: BlockDevice; kept: (at: number) => Uint8Array } {
    const media = new LineMedia(SIZE);
    const pmem = createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 });
    const kept = (at: number): Uint8Array => media.durable.subarray(first + at, first + at + 1024);
    return { media, device: make(pmem), kept };
  }

  test("a FUA write is durable when it returns", () => {
    const { device, kept } = made();
    device.write(3, noise(1, 1024), { fua: true });
    expect(same(kept(1536), noise(1, 1024))).toBe(true);
  });

  test("other writes are durable after a flush, and need not be before", () => {
    const { media, device, kept } = made();
    device.write(3, noise(1, 1024));
    device.write(10, noise(2, 1024), { fua: false });
    device.writeBytes(13 * 512 + 7, noise(3, 1024));
    expect(media.fences).toBe(0);
    device.flush();
    expect(same(kept(1536), noise(1, 1024))).toBe(true);
    expect(same(kept(5120), noise(2, 1024))).toBe(true);
    expect(same(kept(13 * 512 + 7), noise(3, 1024))).toBe(true);
    device.writeZeroes(3, 2);
    device.flush();
    expect(same(kept(1536), new Uint8Array(1024))).toBe(true);
  });
});
