import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { StitchPiece } from "../../src/media/media.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import type { FileMedia } from "../../src/node/media-file.ts";
import { pattern, put, take } from "../conformance/media-cases.ts";
import { same } from "../support/bytes.ts";
import { places, scratch } from "../support/scratch.ts";

const PAGE = 4096;
const refuses = (code: string, detail = "") =>
  expect.objectContaining({ name: "DaxError", code, message: expect.stringContaining(detail) });
const unable = libc() === undefined;
const why = unable ? " (needs the koffi package)" : "";

function stitched(media: FileMedia, pieces: readonly StitchPiece[], writable = false) {
  const joined = media.stitch?.(pieces, writable);
  if (joined === undefined) throw new Error("this media cannot join them");
  return joined;
}

const page = (number: number, pages = 1) => ({ start: number * PAGE, length: pages * PAGE });

/** Mappings of a file that this process has. */
function mappings(path: string): number {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => line.endsWith(path)).length;
}

for (const [place, folder] of Object.entries(places)) {
  test.skipIf(unable)(`${place}: pieces in any order are one run of bytes${why}`, () => {
    const media = openFileMedia(scratch(folder), { create: 64 * PAGE });
    put(media, 0, pattern(64 * PAGE));
    const order = Array.from({ length: 32 }, (_, i) => (i * 13 + 5) % 64);
    const pieces = order.map((number) => page(number));
    const joined = stitched(media, [...pieces, { start: 0, length: 100 }], true);
    const { bytes } = joined;
    const want = Buffer.concat([
      ...pieces.map(({ start, length }) => take(media, start, length)),
      take(media, 0, 100),
    ]);
    expect(same(bytes, want)).toBe(true);
    // A store across a border lands in both pieces, and one in the media is seen here.
    bytes.set([1, 2, 3, 4], PAGE - 2);
    expect([...take(media, order[0]! * PAGE + PAGE - 2, 2)]).toEqual([1, 2]);
    expect([...take(media, order[1]! * PAGE, 2)]).toEqual([3, 4]);
    put(media, order[2]! * PAGE, Uint8Array.of(99));
    expect(bytes[2 * PAGE]).toBe(99);
    media.flush(0, media.size);
    media.fence();
    joined.release();
    joined.release();
    expect(bytes.length).toBe(0);
    media.close();
  });
}

test.skipIf(unable)(
  `holes read as zeros, and stores into a view to look at stay there${why}`,
  () => {
    const path = scratch();
    const media = openFileMedia(path, { create: 4 * PAGE });
    put(media, 0, new Uint8Array(4 * PAGE).fill(8));
    const hole = { hole: true, length: 2 * PAGE } as const;
    const { bytes } = stitched(media, [page(3), hole, page(1), { hole: true, length: 10 }]);
    expect(bytes.length).toBe(4 * PAGE + 10);
    const runs = [0, PAGE, 3 * PAGE, 4 * PAGE].map((at) => bytes[at]);
    expect(runs).toEqual([8, 0, 8, 0]);
    bytes.fill(1);
    expect(same(take(media, 0, 4 * PAGE), new Uint8Array(4 * PAGE).fill(8))).toBe(true);
    media.close();
    expect(bytes.length).toBe(0);
    expect(readFileSync(path).every((byte) => byte === 8)).toBe(true);
  },
);

test.skipIf(unable)(`pieces that continue each other cost one mapping${why}`, () => {
  const path = scratch();
  const media = openFileMedia(path, { create: 64 * PAGE });
  const before = mappings(path);
  const joined = stitched(
    media,
    Array.from({ length: 64 }, (_, i) => page(i)),
  );
  expect(mappings(path)).toBe(before + 1);
  const apart = stitched(media, [page(0), page(2), page(3), page(1)]);
  expect(mappings(path)).toBe(before + 4);
  apart.release();
  joined.release();
  expect(mappings(path)).toBe(before);
  media.close();
  expect(mappings(path)).toBe(0);
});

test.skipIf(unable)(`what cannot be joined is undefined or refused by name${why}`, () => {
  const path = scratch();
  const media = openFileMedia(path, { create: 8 * PAGE });
  const hole = { hole: true, length: PAGE } as const;
  expect(media.stitch?.([{ start: 512, length: PAGE }], false)).toBeUndefined();
  expect(media.stitch?.([{ start: 0, length: 512 }, page(1)], false)).toBeUndefined();
  const call =
    (pieces: readonly StitchPiece[], writable = false) =>
    () =>
      media.stitch?.(pieces, writable);
  expect(call([])).toThrow(refuses("EINVAL", "no pieces"));
  expect(call([{ start: 0, length: 0 }])).toThrow(refuses("EINVAL", "empty"));
  expect(call([page(0), hole], true)).toThrow(refuses("EINVAL", "allocate"));
  expect(call([page(8)])).toThrow(refuses("ERANGE"));
  expect(call([{ start: -PAGE, length: PAGE }])).toThrow(refuses("EINVAL"));
  expect(call([{ hole: true, length: -1 }])).toThrow(refuses("EINVAL"));
  expect(call([{ hole: true, length: 2 ** 52 }])).toThrow(
    expect.objectContaining({
      code: expect.stringMatching(/^(EFBIG|ENOMEM)$/u) as unknown,
    }),
  );
  media.close();
  const reader = openFileMedia(path, { readOnly: true });
  expect(() => reader.stitch?.([page(0)], true)).toThrow(refuses("EROFS"));
  expect(stitched(reader, [page(1), page(0)]).bytes.length).toBe(2 * PAGE);
  reader.close();
});

test.skipIf(unable)(
  `more pieces than a process has mappings are ENOMEM, and leave nothing${why}`,
  () => {
    const path = scratch();
    const limit = Number(readFileSync("/proc/sys/vm/max_map_count", "utf8"));
    const pieces = Math.min(limit, 70_000) + 1000;
    const media = openFileMedia(path, { create: pieces * 2 * PAGE });
    const scattered = Array.from({ length: pieces }, (_, i) => page(2 * i));
    const before = mappings(path);
    expect(() => media.stitch?.(scattered, false)).toThrow(refuses("ENOMEM", "max_map_count"));
    expect(mappings(path)).toBe(before);
    // There is room again.
    stitched(media, scattered.slice(0, 1000)).release();
    expect(mappings(path)).toBe(before);
    media.close();
  },
);
