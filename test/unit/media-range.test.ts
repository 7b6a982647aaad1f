import { describe, expect, test } from "vitest";
import { DaxDevice } from "../../src/dax/dax-device.ts";
import { MediaRange } from "../../src/dax/media-range.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem, type Pmem } from "../../src/drivers/pmem.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { DomainRange } from "../../src/media/media.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { LineMedia, type LineMediaOptions } from "../support/line-media.ts";

const SIZE = 16 * PAGE_SIZE;

interface Made {
  readonly media: LineMedia;
  readonly pmem: Pmem;
}

function made(options: LineMediaOptions & { readonly nonTemporalFrom?: number } = {}): Made {
  const { nonTemporalFrom = 256, ...rest } = options;
  const media = new LineMedia(SIZE, rest);
  const pmem = createPmem({
    name: "pmem0",
    media,
    start: 0,
    length: SIZE,
    physicalStart: 2 ** 32,
    nonTemporalFrom,
  });
  return { media, pmem };
}

/** Every way of copying in that a driver can be told to use. */
const strategies = [
  { name: "cached and flushed", nonTemporalFrom: Infinity },
  { name: "non-temporal from 256 bytes", nonTemporalFrom: 256 },
  { name: "non-temporal always", nonTemporalFrom: 0 },
  { name: "media without non-temporal stores", nonTemporal: false },
  { name: "media in windows of a page", segmentBytes: PAGE_SIZE },
];

describe("copyFromIter", () => {
  test.each(strategies)(
    "[0.6] [0.21] [0.22] loses nothing, for every alignment and length: $name",
    (strategy) => {
      const { media, pmem } = made(strategy);
      const wrong: string[] = [];
      const lengths = [0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 255, 256, 300, 1000, 4096, 5000];
      for (let alignment = 0; alignment < 64; alignment++) {
        for (const length of lengths) {
          const at = 3 * PAGE_SIZE - 128 + alignment;
          const before = media.contents(at - 64, length + 128);
          const source = noise(alignment * 8192 + length, length);
          expect(pmem.dax.copyFromIter(0, at, [source])).toBe(length);
          pmem.dax.fence();
          before.set(source, 64);
          const after = media.contents(at - 64, length + 128);
          const kept = media.durable.subarray(at, at + length);
          if (!same(after, before)) wrong.push(`bytes differ at ${alignment}+${length}`);
          if (!same(kept, source)) wrong.push(`lost bytes at ${alignment}+${length}`);
        }
      }
      expect(wrong).toEqual([]);
      expect(media.around.length > 0).toBe(
        strategy.nonTemporalFrom !== Infinity && strategy.nonTemporal !== false,
      );
    },
  );

  test.each(strategies)("[0.46] takes any number of sources, empty ones too: $name", (strategy) => {
    const { media, pmem } = made(strategy);
    const prng = new Prng(5);
    for (let round = 0; round < 200; round++) {
      const sources = Array.from({ length: prng.below(6) }, (_, i) =>
        noise(round * 8 + i, prng.pick([0, 0, 1, 5, 63, 64, 65, 200, 300, 1000])),
      );
      const all = Buffer.concat(sources);
      const at = prng.below(SIZE - all.length + 1);
      expect(pmem.dax.copyFromIter(0, at, sources)).toBe(all.length);
      pmem.dax.fence();
      expect(same(media.contents(at, all.length), all)).toBe(true);
      expect(same(media.durable.subarray(at, at + all.length), all)).toBe(true);
    }
  });

  test("[0.46] a source that was taken away meanwhile copies nothing and says so", () => {
    const { pmem } = made();
    const gone = new Uint8Array(100);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(pmem.dax.copyFromIter(0, 0, [noise(1, 10), gone])).toBe(10);
  });

  test("flushes neighbouring ragged sources as one run", () => {
    const { media, pmem } = made({ nonTemporalFrom: Infinity });
    pmem.dax.copyFromIter(0, 10, [noise(1, 10), noise(2, 20), noise(3, 30)]);
    expect(media.flushed).toEqual([{ start: 10, length: 60 }]);
    expect(pmem.dax.counters.flushedLines).toBe(2);
  });

  test("sends whole lines around the cache and only those", () => {
    const { media, pmem } = made();
    pmem.dax.copyFromIter(0, 100, [noise(1, 1000)]);
    expect(media.around).toEqual([{ start: 128, length: 960 }]);
    expect(media.flushed).toEqual([
      { start: 100, length: 28 },
      { start: 1088, length: 12 },
    ]);
    expect(pmem.dax.counters.nonTemporal).toBe(960);
    expect(pmem.dax.counters.copiedIn).toBe(1000);
  });
});

describe("write-back", () => {
  test("[0.7] [0.25] [0.49] [4.4] counts nothing while the write cache is off", () => {
    const { media, pmem } = made();
    const use = (): void => {
      pmem.dax.copyFromIter(0, 5, [noise(1, 3000)]);
      pmem.dax.zero(1, 100, 5000);
      pmem.dax.flush(0, 0, SIZE);
      pmem.disk.write(8, noise(2, 1024), { fua: true });
      pmem.disk.writeZeroes(3, 4);
      pmem.disk.flush();
      pmem.dax.recoveryWrite(2, 0, noise(3, PAGE_SIZE));
    };
    pmem.dax.writeCache = false;
    use();
    const { flushes, flushedLines, nonTemporal, fences } = pmem.dax.counters;
    expect([flushes, flushedLines, nonTemporal, fences]).toEqual([0, 0, 0, 0]);
    expect([media.flushed.length, media.around.length, media.fences]).toEqual([0, 0, 0]);
    pmem.dax.writeCache = true;
    use();
    expect(pmem.dax.counters.flushes).toBeGreaterThan(0);
    expect(media.flushed.length).toBe(pmem.dax.counters.flushes);
    expect(pmem.dax.counters.fences).toBe(media.fences);
  });

  test.each(["eadr", "volatile"] as const)(
    "[0.17] [0.18] [0.19] a %s range starts with the write cache off and is never flushed",
    (domain) => {
      const { media, pmem } = made({ domains: [{ start: 0, length: SIZE, domain }] });
      expect(pmem.dax.writeCache).toBe(false);
      // Not even by somebody who switches it on: there is nothing that a flush could do.
      pmem.dax.writeCache = true;
      pmem.dax.copyFromIter(0, 0, [noise(1, 5000)]);
      pmem.dax.flush(0, 0, 100);
      pmem.dax.zero(0, 0, 100);
      expect([media.flushed.length, media.around.length]).toEqual([0, 0]);
      expect([pmem.dax.counters.flushes, pmem.dax.counters.flushedLines]).toEqual([0, 0]);
    },
  );

  test("[4.5] a mixed device is flushed where it is adr and nowhere else", () => {
    const half = SIZE / 2;
    const domains: DomainRange[] = [
      { start: 0, length: half, domain: "eadr" },
      { start: half, length: 2 * PAGE_SIZE, domain: "adr" },
      { start: half + 2 * PAGE_SIZE, length: PAGE_SIZE, domain: "volatile" },
      { start: half + 3 * PAGE_SIZE, length: half - 3 * PAGE_SIZE, domain: "adr" },
    ];
    const { media, pmem } = made({ domains });
    expect(pmem.dax.writeCache).toBe(true);
    pmem.dax.flush(0, 0, SIZE);
    expect(media.flushed).toEqual([
      { start: half, length: 2 * PAGE_SIZE },
      { start: half + 3 * PAGE_SIZE, length: half - 3 * PAGE_SIZE },
    ]);
    media.flushed.length = 0;
    pmem.dax.flush(0, 100, 200);
    expect(media.flushed).toEqual([]);
    pmem.dax.flush(0, half + 70, 1);
    expect(media.flushed).toEqual([{ start: half + 70, length: 1 }]);
    // Inside its adr part a copy may go around the cache, elsewhere it has no reason to.
    pmem.dax.copyFromIter(0, 0, [noise(1, 1024)]);
    expect(media.around).toEqual([]);
    pmem.dax.copyFromIter(0, half, [noise(1, 1024)]);
    expect(media.around).toEqual([{ start: half, length: 1024 }]);
    // A copy across seams loses nothing of its adr part, and stays in the cache.
    const source = noise(9, 3 * PAGE_SIZE);
    pmem.dax.copyFromIter(0, half - PAGE_SIZE + 5, [source]);
    pmem.dax.fence();
    const kept = media.durable.subarray(half, half + 2 * PAGE_SIZE);
    expect(same(kept, source.subarray(PAGE_SIZE - 5, 3 * PAGE_SIZE - 5))).toBe(true);
    pmem.dax.copyFromIter(1, half, [source]);
    expect(media.around.length).toBe(1);
  });

  test("[4.9] one line costs one line, whatever the size of the device", () => {
    const { media, pmem } = made();
    pmem.dax.flush(15, 4000, 1);
    expect(media.flushed).toEqual([{ start: 15 * PAGE_SIZE + 4000, length: 1 }]);
    expect(pmem.dax.counters.flushedLines).toBe(1);
    pmem.dax.flush(0, 63, 2);
    expect(pmem.dax.counters.flushedLines).toBe(3);
    pmem.dax.flush(0, 64, 64);
    expect(pmem.dax.counters.flushedLines).toBe(4);
    pmem.dax.flush(0, 1, 0);
    expect(pmem.dax.counters.flushes).toBe(3);
  });

  test("[0.43] zeroing is durable after the fence, for any length", () => {
    const { media, pmem } = made();
    const prng = new Prng(4);
    for (let round = 0; round < 100; round++) {
      pmem.dax.copyFromIter(0, 0, [new Uint8Array(SIZE).fill(0xff)]);
      pmem.dax.fence();
      const at = prng.below(SIZE);
      const length = prng.below(Math.min(3 * PAGE_SIZE, SIZE - at) + 1);
      pmem.dax.zero(0, at, length);
      pmem.dax.fence();
      const want = new Uint8Array(SIZE).fill(0xff).fill(0, at, at + length);
      expect(same(media.durable, want)).toBe(true);
    }
  });
});

test("[0.24] without a copy and a flush of its own a driver still copies", () => {
  const media = new RamMedia(SIZE);
  const range = new MediaRange({ media, start: 0, length: SIZE });
  const device = new DaxDevice({
    name: "axonram0",
    pages: 16,
    operations: {
      directAccess: (pgoff, pages) => range.span(pgoff, pages, 0),
      zeroPageRange: (pgoff, pages) => range.zero(pgoff * PAGE_SIZE, pages * PAGE_SIZE),
    },
    writeCache: true,
    synchronous: true,
  });
  expect(device.copyFromIter(1, 9, [noise(1, 9000)])).toBe(9000);
  const back = new Uint8Array(9000);
  range.read(PAGE_SIZE + 9, back);
  expect(same(back, noise(1, 9000))).toBe(true);
  device.flush(0, 0, 100);
  expect(device.counters.flushes).toBe(0);
  expect(device.recoveryWrite(0, 0, noise(1, PAGE_SIZE))).toBe(0);
});

test("a range must be made of whole pages of its media, and know the domain of every byte", () => {
  const media = new RamMedia(SIZE);
  const make = (start: number, length: number) => () => new MediaRange({ media, start, length });
  expect(codeOf(make(100, PAGE_SIZE))).toBe("EINVAL");
  expect(codeOf(make(PAGE_SIZE, SIZE))).toBe("EINVAL");
  expect(codeOf(make(0, 0))).toBe("EINVAL");
  expect(codeOf(make(-PAGE_SIZE, PAGE_SIZE))).toBe("EINVAL");
  expect(codeOf(make(Number.NaN, PAGE_SIZE))).toBe("EINVAL");
  const domains: DomainRange[] = [{ start: 0, length: PAGE_SIZE, domain: "adr" }];
  const gap = (): unknown => new MediaRange({ media, start: 0, length: SIZE, domains });
  expect(codeOf(gap)).toBe("EINVAL");
});
