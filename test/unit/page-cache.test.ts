/**
 * The page cache over a device: what it copies, what it saves, and whom it fools.
 */
import { describe, expect, test } from "vitest";
import { PageCache } from "../../src/block/page-cache.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { WearMedia } from "../../src/media/wear-media.ts";
import { noise } from "../support/bytes.ts";
import { refusal } from "../support/refusal.ts";

const PAGE = 4096;

function cacheOver(pages: number) {
  const media = new WearMedia(pages * PAGE);
  const { disk, dax } = createPmem({
    name: "pmem0",
    media,
    start: 0,
    length: media.size,
    physicalStart: 2 ** 32,
  });
  return { media, disk, dax, cache: new PageCache(disk) };
}

/** The worst line and those that wait: after each of three rounds of ten stores, and at the end. */
function wornByRounds(caching: "uncached" | "write-combining"): number[][] {
  const media = new WearMedia(PAGE, { caching });
  const { memory } = media.window(0);
  const wear = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) memory.setUint8(i, i);
    media.flush(0, 64);
    wear.push(media.wear());
    media.fence();
  }
  return [...wear, media.wear()].map(({ worst, waiting }) => [worst, waiting]);
}

describe("a page cache", () => {
  test("[2.7] copies each byte twice, and a page that it has once", () => {
    const { disk, cache } = cacheOver(8);
    disk.write(0, noise(1, 2 * PAGE));
    const target = new Uint8Array(2 * PAGE);
    cache.read(0, target);
    expect(target).toEqual(noise(1, 2 * PAGE));
    expect(cache.counters).toMatchObject({ filled: 2 * PAGE, copiedOut: 2 * PAGE });
    cache.read(0, target);
    expect(cache.counters).toMatchObject({ filled: 2 * PAGE, copiedOut: 4 * PAGE });
    expect(cache.cached).toBe(2);
  });

  test("[2.7] shadows the device until it is told to look again", () => {
    const { disk, cache } = cacheOver(8);
    const target = new Uint8Array(512);
    cache.read(0, target);
    disk.write(0, noise(2, 512));
    cache.read(0, target);
    expect(target).toEqual(new Uint8Array(512));
    cache.invalidate(0, PAGE);
    cache.read(0, target);
    expect(target).toEqual(noise(2, 512));
  });

  test("discards what was asked, and keeps what is dirty beside it", () => {
    class TrimmedDisk extends RamDisk {
      override discard(sector = 0, sectors = 0): void {
        this.writeZeroes(sector, sectors);
      }
    }
    const cache = new PageCache(new TrimmedDisk({ name: "ram0", bytes: new Uint8Array(PAGE) }));
    cache.write(0, noise(5, PAGE));
    cache.discard(2, 1);
    const target = new Uint8Array(PAGE);
    cache.read(0, target);
    expect(target).toEqual(noise(5, PAGE).fill(0, 1024, 1536));
  });

  test("writes back what is dirty before it forgets it", () => {
    const { disk, cache } = cacheOver(8);
    cache.write(3, noise(3, 512));
    expect(cache.dirty).toBe(1);
    cache.invalidate(0, 8 * PAGE);
    expect([cache.cached, cache.dirty]).toEqual([0, 0]);
    const target = new Uint8Array(512);
    disk.read(3, target);
    expect(target).toEqual(noise(3, 512));
  });

  test("[2.37] a page that is written a thousand times wears its media once", () => {
    const { media, dax, cache } = cacheOver(8);
    for (let i = 0; i < 1000; i++) cache.write(0, noise(i, 512));
    cache.flush();
    expect(media.wear(0, PAGE)).toMatchObject({ lineWrites: 64, worst: 1, waiting: 0 });
    for (let i = 0; i < 1000; i++) {
      dax.copyFromIter(1, 0, [noise(i, 512)]);
      dax.fence();
    }
    expect(media.wear(PAGE, PAGE)).toMatchObject({ lineWrites: 8000, worst: 1000 });
  });

  test("a page that is lent is the page that others read", () => {
    const { disk, cache } = cacheOver(8);
    cache.lend(2, true).fill(7, 0, 512);
    const target = new Uint8Array(512);
    cache.read(16, target);
    expect(target).toEqual(new Uint8Array(512).fill(7));
    cache.flush();
    disk.read(16, target);
    expect(target[0]).toBe(7);
  });

  test("an error below changes nothing, and what could not be written stays dirty", () => {
    const { dax, cache } = cacheOver(8);
    cache.write(0, noise(1, 512));
    dax.kill();
    expect(refusal(() => cache.flush()).code).toBe("ENXIO");
    expect(cache.dirty).toBe(1);
    expect(refusal(() => cache.read(40, new Uint8Array(512))).code).toBe("ENXIO");
    expect(cache.cached).toBe(1);
  });
});

describe("wear", () => {
  test("[2.51] [2.37] is of lines that were written back, not of stores", () => {
    const media = new WearMedia(4 * PAGE);
    const { memory } = media.window(0);
    for (let i = 0; i < 100; i++) memory.setUint8(i % 64, i);
    expect(media.wear()).toMatchObject({ lineWrites: 0, waiting: 1 });
    media.flush(0, 64);
    media.flush(0, PAGE);
    expect(media.wear(0, 64)).toEqual({
      start: 0,
      length: 64,
      lineWrites: 1,
      bytesWritten: 64,
      worst: 1,
      waiting: 0,
    });
    media.copyNonTemporal(64, new Uint8Array(65));
    expect(media.wear()).toMatchObject({ lineWrites: 3, worst: 1 });
    media.reset();
    expect(media.wear()).toMatchObject({ lineWrites: 0, worst: 0 });
  });

  test("[2.50] is of every store where memory is written through", () => {
    const media = new WearMedia(PAGE, { caching: "write-through" });
    const { memory } = media.window(0);
    for (let i = 0; i < 100; i++) memory.setUint8(i % 64, i);
    media.flush(0, 64);
    expect(media.wear()).toMatchObject({ lineWrites: 100, worst: 100, waiting: 0 });
  });

  test("[2.50] is of every store to uncached memory, of every fence where stores combine", () => {
    const [stored, fenced] = [wornByRounds("uncached"), wornByRounds("write-combining")];
    expect(stored).toEqual([10, 20, 30, 30].map((worst) => [worst, 0]));
    expect(fenced).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 0],
    ]);
    const caching = "cached" as "uncached";
    expect(() => new WearMedia(PAGE, { caching })).toThrow("caching is one of write-back,");
  });

  test("refuses ranges that leave it, and everything once it is closed", () => {
    const media = new WearMedia(PAGE);
    expect(refusal(() => media.wear(64, PAGE)).code).toBe("ERANGE");
    expect(refusal(() => new WearMedia(100)).code).toBe("EINVAL");
    media.close();
    for (const use of [
      () => media.window(0),
      () => media.flush(0, 1),
      () => media.fence(),
      () => media.copyNonTemporal(0, new Uint8Array(1)),
      () => media.badRanges(),
      () => media.clearPoison(0, 1),
    ]) {
      expect(refusal(use).code).toBe("ENXIO");
    }
  });
});
