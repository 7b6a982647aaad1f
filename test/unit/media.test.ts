import { expect, test } from "vitest";
import { coverWithDomains, rangeAround } from "../../src/media/domains.ts";
import type { DomainRange } from "../../src/media/media.ts";
import { healMedia } from "../../src/media/heal.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { pattern, put, take } from "../conformance/media-cases.ts";

const refuses = (code: string) => expect.objectContaining({ name: "DaxError", code });

test("[2.119] [X8] RAM media beyond 4 GiB is addressed to its last byte", () => {
  const media = new RamMedia(2 ** 33 + 4096, { segmentBytes: 1 << 20 });
  put(media, 2 ** 33, pattern(4096));
  put(media, 0, pattern(4096, 2));
  expect(take(media, 2 ** 33, 4096)).toEqual(pattern(4096));
  expect(take(media, 0, 4096)).toEqual(pattern(4096, 2));
  expect(media.window(2 ** 33 + 4095)).toMatchObject({ start: 2 ** 33, length: 4096 });
  media.close();
});

test("RAM media over bytes aliases them, whatever their length", () => {
  const bytes = new Uint8Array(10_001);
  const media = RamMedia.over(bytes.subarray(1));
  put(media, 9_999, Uint8Array.of(7));
  expect(bytes[10_000]).toBe(7);
  expect(media.size).toBe(10_000);
});

test("sizes and segments that cannot be are refused", () => {
  for (const size of [0, -1, 1.5, 2 ** 53, Number.NaN]) {
    expect(() => new RamMedia(size)).toThrow(refuses("EINVAL"));
  }
  expect(() => new RamMedia(4096, { segmentBytes: 1000 })).toThrow(refuses("EINVAL"));
  expect(() => RamMedia.over(new Uint8Array(0))).toThrow(refuses("EINVAL"));
});

test("domains are sorted and merged, and gaps are refused", () => {
  const domains: DomainRange[] = [
    { start: 8192, length: 4096, domain: "adr" },
    { start: 0, length: 4096, domain: "eadr" },
    { start: 4096, length: 4096, domain: "adr" },
  ];
  const covered = coverWithDomains(12288, domains);
  expect(covered).toEqual([
    { start: 0, length: 4096, domain: "eadr" },
    { start: 4096, length: 8192, domain: "adr" },
  ]);
  expect(rangeAround(covered, 4095).domain).toBe("eadr");
  expect(rangeAround(covered, 4096).domain).toBe("adr");
  expect(rangeAround(covered, 12287).domain).toBe("adr");
  expect(() => coverWithDomains(16384, domains)).toThrow(refuses("EINVAL"));
  expect(() => coverWithDomains(12288, domains.slice(1))).toThrow(refuses("EINVAL"));
  expect(() => coverWithDomains(4096, [])).toThrow(refuses("EINVAL"));
  expect(new RamMedia(12288, { domains }).domains).toEqual(covered);
});

test("poison spreads over whole blocks, and clearing takes only whole blocks asked for", () => {
  const media = new PoisonMedia(new RamMedia(8192));
  media.injectPoison(1000, 100);
  expect(media.badRanges()).toEqual([{ start: 512, length: 1024 }]);
  media.injectPoison(1536, 1);
  media.injectPoison(0, 0);
  expect(media.badRanges()).toEqual([{ start: 512, length: 1536 }]);
  // Only the block at 1024 lies wholly inside.
  expect(healMedia(media, 600, 1400)).toBe(1400 - (1024 - 600) - (2000 - 1536));
  expect(media.badRanges()).toEqual([
    { start: 512, length: 512 },
    { start: 1536, length: 512 },
  ]);
  expect(healMedia(media, 1537, 511)).toBe(0);
  expect(healMedia(media, 0, 8192)).toBe(8192);
  expect(media.badRanges()).toEqual([]);
});

test("poison stops at the end of the media, and its short last block can be cleared", () => {
  const media = new PoisonMedia(new RamMedia(1000));
  media.injectPoison(999, 1);
  expect(media.badRanges()).toEqual([{ start: 512, length: 488 }]);
  expect(healMedia(media, 512, 488)).toBe(488);
  expect(media.badRanges()).toEqual([]);
  expect(() => media.injectPoison(1000, 1)).toThrow(refuses("ERANGE"));
  expect(() => media.injectPoison(-1, 1)).toThrow(refuses("EINVAL"));
});

test("poison over poisoned media lists both, and the list is made once", () => {
  const below = new PoisonMedia(new RamMedia(65536), { granularity: 4096 });
  const media = new PoisonMedia(below);
  below.injectPoison(8192, 1);
  media.injectPoison(12288, 512);
  expect(media.badRanges()).toEqual([{ start: 8192, length: 4608 }]);
  expect(media.badRanges()).toBe(media.badRanges());
  expect(healMedia(media, 8192, 4096)).toBe(4096);
  expect(media.badRanges()).toEqual([{ start: 12288, length: 512 }]);
  expect(() => new PoisonMedia(below, { granularity: 700 })).toThrow(refuses("EINVAL"));
  media.close();
  expect(() => media.injectPoison(0, 1)).toThrow(refuses("ENXIO"));
});

test("[0.44] what was cleared is bad to loads until its cache lines are invalidated", () => {
  const below = new PoisonMedia(new RamMedia(8192));
  const media = new PoisonMedia(below);
  media.injectPoison(0, 4096);
  below.injectPoison(1024, 512);
  // The media is good again, and says so; the lines that a processor holds of it are not.
  expect(media.clearPoison(512, 1024)).toBe(1024);
  expect(media.badRanges()).toEqual([{ start: 0, length: 4096 }]);
  expect(below.badRanges()).toEqual([{ start: 1024, length: 512 }]);
  // Whole lines, and no byte more.
  media.invalidate(600, 1);
  expect(media.badRanges()).toEqual([
    { start: 0, length: 576 },
    { start: 640, length: 3456 },
  ]);
  media.invalidate(0, 8192);
  expect(below.badRanges()).toEqual([]);
  expect(media.badRanges()).toEqual([
    { start: 0, length: 512 },
    { start: 1536, length: 2560 },
  ]);
  // What was never cleared is no matter of caches; memory that fails again is bad again.
  media.injectPoison(512, 1);
  media.invalidate(512, 512);
  expect(media.badRanges()[0]).toEqual({ start: 0, length: 1024 });
  expect(() => media.invalidate(8192, 1)).toThrow(refuses("ERANGE"));
  media.close();
  expect(() => media.invalidate(0, 1)).toThrow(refuses("ENXIO"));
});
