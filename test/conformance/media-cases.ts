/**
 * What every media must do, whatever holds its bytes. A new implementation joins by calling
 * {@link conformsToMedia} from a test file of its own.
 */
import { describe, expect, test } from "vitest";
import { type Memory, copyIn, copyOf, fill, storeAtom } from "../../src/lib/memory.ts";
import { same } from "../support/bytes.ts";
import type { Media } from "../../src/media/media.ts";

/** Makes a fresh, zeroed, writable media of at least `size` bytes; `size` is a page multiple. */
export type MakeMedia = (size: number) => Media;

const SIZE = 64 * 4096;
const refuses = (code: string) => expect.objectContaining({ name: "DaxError", code });

/** Stores `bytes` at `offset`, over as many windows as that takes. */
export function put(media: Media, offset: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const { start, length, memory } = media.window(offset + done);
    const within = offset + done - start;
    const run = Math.min(length - within, bytes.length - done);
    copyIn(memory, within, bytes.subarray(done, done + run));
    done += run;
  }
}

/** A copy of `length` bytes at `offset`, over as many windows as that takes. */
export function take(media: Media, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const window = media.window(offset + done);
    const within = offset + done - window.start;
    const run = Math.min(window.length - within, length - done);
    bytes.set(copyOf(window.memory, within, run), done);
    done += run;
  }
  return bytes;
}

/** Bytes that differ from their neighbours. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 167 + seed * 31 + (i >> 8)) & 255);
}

/** What a load through a view answers after its media was closed. */
function afterlife(memory: Memory): string {
  try {
    return String(memory.getUint8(0));
  } catch (error) {
    return String(error);
  }
}

/** Registers the suite for one implementation. */
export function conformsToMedia(name: string, make: MakeMedia): void {
  const withMedia = (body: (media: Media) => void) => () => {
    const media = make(SIZE);
    try {
      body(media);
    } finally {
      media.close();
    }
  };

  describe(`${name} is a media`, () => {
    test(
      "windows cover it without gap or overlap, and are the same object at every offset",
      withMedia((media) => {
        expect(media.size).toBeGreaterThanOrEqual(SIZE);
        for (let at = 0; at < media.size;) {
          const window = media.window(at);
          expect(window.start).toBe(at);
          expect(window.length).toBeGreaterThan(0);
          expect(window.memory.byteLength).toBe(window.length);
          const last = at + window.length - 1;
          expect(media.window(last)).toBe(window);
          expect(media.window(at + Math.floor(window.length / 2))).toBe(window);
          at += window.length;
          expect(at).toBeLessThanOrEqual(media.size);
        }
      }),
    );

    test(
      "it starts as zeros, and what is stored is loaded",
      withMedia((media) => {
        expect(take(media, 0, SIZE).every((byte) => byte === 0)).toBe(true);
        put(media, 4090, pattern(9000));
        expect(take(media, 4090, 9000)).toEqual(pattern(9000));
        const { memory } = media.window(0);
        memory.setUint32(128, 0x11223344, true);
        expect(memory.getUint16(128, true)).toBe(0x3344);
        storeAtom(memory, 136, 0x8877665544332211n);
        expect(memory.getBigUint64(136, true)).toBe(0x8877665544332211n);
        fill(memory, 130, 3, 0xee);
        expect([...copyOf(memory, 129, 5)]).toEqual([0x33, 0xee, 0xee, 0xee, 0]);
      }),
    );

    test(
      "flush and fence take any range inside, and leave the bytes alone",
      withMedia((media) => {
        put(media, 0, pattern(SIZE));
        for (const [offset, length] of [
          [0, 0],
          [0, 1],
          [63, 2],
          [100, 4096],
          [SIZE - 1, 1],
          [media.size, 0],
          [0, SIZE],
        ] as const) {
          media.flush(offset, length);
        }
        media.fence();
        media.fence();
        expect(same(take(media, 0, SIZE), pattern(SIZE))).toBe(true);
      }),
    );

    test(
      "[2.105] the last byte is inside, one past is not, and nothing overflows",
      withMedia((media) => {
        const { size } = media;
        const calls = [
          (offset: number, length: number) => media.flush(offset, length),
          (offset: number, length: number) => void media.clearPoison(offset, length),
        ];
        for (const call of calls) {
          call(size - 1, 1);
          expect(() => call(size, 1)).toThrow(refuses("ERANGE"));
          expect(() => call(size - 1, 2)).toThrow(refuses("ERANGE"));
          expect(() => call(Number.MAX_SAFE_INTEGER, 1)).toThrow(refuses("ERANGE"));
          expect(() => call(1, Number.MAX_SAFE_INTEGER)).toThrow(refuses("ERANGE"));
          expect(() => call(2 ** 53, 0)).toThrow(refuses("EINVAL"));
          expect(() => call(-1, 1)).toThrow(refuses("EINVAL"));
          expect(() => call(0, -1)).toThrow(refuses("EINVAL"));
          expect(() => call(0.5, 1)).toThrow(refuses("EINVAL"));
          expect(() => call(0, Number.NaN)).toThrow(refuses("EINVAL"));
        }
        expect(media.window(size - 1).length).toBeGreaterThan(0);
        expect(() => media.window(size)).toThrow(refuses("ERANGE"));
        expect(() => media.window(-1)).toThrow(refuses("EINVAL"));
        expect(() => media.window(1.5)).toThrow(refuses("EINVAL"));
      }),
    );

    test(
      "[0.6] [0.21] a non-temporal copy stores what a copy does, whatever the alignment",
      withMedia((media) => {
        if (media.copyNonTemporal === undefined) return;
        for (const [head, length] of [
          [0, 64],
          [0, 0],
          [1, 1],
          [63, 2],
          [17, 4096],
          [60, 200],
          [4095, 8193],
        ] as const) {
          put(media, 0, new Uint8Array(SIZE).fill(0xa5));
          media.copyNonTemporal(head, pattern(length));
          media.fence();
          const want = new Uint8Array(SIZE).fill(0xa5);
          want.set(pattern(length), head);
          expect(same(take(media, 0, SIZE), want)).toBe(true);
        }
        const one = new Uint8Array(1);
        expect(() => media.copyNonTemporal?.(media.size, one)).toThrow(refuses("ERANGE"));
        expect(() => media.copyNonTemporal?.(-1, one)).toThrow(refuses("EINVAL"));
      }),
    );

    test(
      "domains are sorted, disjoint and cover it",
      withMedia((media) => {
        let at = 0;
        for (const { start, length, domain } of media.domains) {
          expect(start).toBe(at);
          expect(length).toBeGreaterThan(0);
          expect(["adr", "eadr", "volatile"]).toContain(domain);
          at += length;
        }
        expect(at).toBe(media.size);
      }),
    );

    test(
      "fresh media has no bad ranges, and all of what is cleared is good",
      withMedia((media) => {
        expect(media.badRanges()).toEqual([]);
        expect(media.clearPoison(512, 4096)).toBe(4096);
        expect(media.clearPoison(0, 0)).toBe(0);
      }),
    );

    test("after close every call is ENXIO, and closing again is nothing", () => {
      const media = make(SIZE);
      const { memory } = media.window(0);
      media.close();
      media.close();
      expect(() => media.window(0)).toThrow(refuses("ENXIO"));
      expect(() => media.flush(0, 1)).toThrow(refuses("ENXIO"));
      expect(() => media.fence()).toThrow(refuses("ENXIO"));
      expect(() => media.badRanges()).toThrow(refuses("ENXIO"));
      expect(() => media.clearPoison(0, 1)).toThrow(refuses("ENXIO"));
      const optional = [
        media.copyNonTemporal === undefined
          ? undefined
          : () => media.copyNonTemporal?.(0, new Uint8Array(1)),
        media.stitch === undefined
          ? undefined
          : () => media.stitch?.([{ start: 0, length: 4096 }], false),
        media.checkFault === undefined ? undefined : () => media.checkFault?.(),
      ].filter((call) => call !== undefined);
      for (const call of optional) expect(call).toThrow(refuses("ENXIO"));
      // A view kept too long answers or throws; it never reaches memory that is gone.
      expect(afterlife(memory)).toMatch(/^0$|detached|ENXIO/u);
    });
  });
}
