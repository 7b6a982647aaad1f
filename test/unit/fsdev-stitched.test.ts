/** Ranges of a real file, mapped behind each other. */
import { expect, test } from "vitest";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { copyIn, copyOf } from "../../src/lib/memory.ts";
import { healMedia } from "../../src/media/heal.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { fsdevOf } from "../support/dax-regions.ts";
import { places, scratch } from "../support/scratch.ts";

const unable = libc() === undefined;
const why = unable ? " (needs the koffi package)" : "";
const LAYOUT = [
  [0, 9, 4],
  [4, 0, 2],
  [6, 3, 5],
] as const;
const BYTES = 11 * PAGE_SIZE;

test.skipIf(unable)(
  `[3.9] [3.10] one run of memory over all ranges, beside the plain one${why}`,
  () => {
    const file = openFileMedia(scratch(Object.values(places)[0]), { create: 13 * PAGE_SIZE });
    const media = new PoisonMedia(file);
    const { device, dax } = fsdevOf(LAYOUT, { media, addressing: "stitched" });
    const bytes = noise(1, BYTES);
    expect(dax.directAccess(0, 11).pages).toBe(11);
    expect(dax.directAccess(3, 8)).toMatchObject({ pages: 8, start: 3 * PAGE_SIZE });
    const { memory, start } = dax.directAccess(0, 11);
    copyIn(memory, start, bytes);
    dax.flush(0, 0, BYTES);
    dax.fence();
    // The same bytes where the ranges lie, which is what plain addressing shows.
    const order = [9, 10, 11, 12, 0, 1, 3, 4, 5, 6, 7];
    for (const [page, place] of order.entries()) {
      const window = media.window(place * PAGE_SIZE);
      const seen = copyOf(window.memory, place * PAGE_SIZE - window.start, PAGE_SIZE);
      expect(same(seen, bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE))).toBe(true);
    }
    // Poison ends a run before its range, and is met there.
    media.injectPoison(4 * PAGE_SIZE, 1);
    expect(dax.directAccess(0, 11).pages).toBe(6);
    expect(codeOf(() => dax.directAccess(6, 5))).toBe("EHWPOISON");
    healMedia(media, 4 * PAGE_SIZE, PAGE_SIZE);
    const whole = dax.stitch([{ pgoff: 2, pages: 9 }]);
    expect(same(whole?.bytes ?? bytes, bytes.subarray(2 * PAGE_SIZE))).toBe(true);
    whole?.release();
    device.unbind();
    expect(() => memory.getUint8(0)).toThrow("detached");
    device.bind("fsdev_dax");
    expect(device.dax?.directAccess(0, 11).pages).toBe(4);
    device.unbind();
    media.close();
  },
);
