/**
 * Contents of files that we write and cut at random, beside a naive model, and what e2fsck says
 * afterwards.
 */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { DataStream } from "../support/data-stream.ts";
import { complaints } from "../support/ext-writing.ts";
import { MADE_IMAGES, madeImage } from "../support/made-images.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
const STEPS = Number(process.env["DAXKIT_DATA_STEPS"] ?? 150);
const SEED = Number(process.env["DAXKIT_SEED"] ?? 1);

const IMAGES: Readonly<Record<string, string>> = {
  ...MADE_IMAGES,
  "ext4 without a journal": "-t ext4 -b 4096 -O ^has_journal",
  "ext4 without extents, 1k": "-t ext4 -b 1024 -O ^extents,^64bit",
  "ext4, bigalloc, 1k": "-t ext4 -b 1024 -C 16384 -O bigalloc -N 1024",
  "ext4, bigalloc, 4k": "-t ext4 -b 4096 -C 65536 -O bigalloc -N 1024",
};

const devices: Readonly<Record<string, (bytes: Uint8Array<ArrayBuffer>) => BlockDevice>> = {
  disk: (bytes) => new RamDisk({ name: "ram0", bytes }),
  dax: (bytes) => {
    const domains = [{ start: 0, length: bytes.length, domain: "adr" }] as const;
    const media = RamMedia.over(bytes, { domains });
    const place = { start: 0, length: bytes.length, physicalStart: 2 ** 32 };
    return createPmem({ name: "pmem0", media, ...place }).disk;
  },
};

/** What a stream of calls leaves is right, and says how many calls found no room. */
function run(image: Uint8Array, kind: string, options: ExtMountOptions, reach: number): number {
  const device = (devices[kind] as (bytes: Uint8Array) => BlockDevice)(image);
  const environment = seededEnvironment(SEED);
  const filesystem = ext.mount(device, { write: true, ...options }, environment);
  const stream = new DataStream(filesystem, new Prng(SEED), { reach });
  for (let i = 0; i < STEPS; i++) stream.step();
  stream.check();
  filesystem.unmount();
  stream.check(ext.mount(device, {}, environment));
  expect(e2fsckSays(image)).toEqual([]);
  expect(complaints(image)).toEqual([]);
  return stream.refused;
}

describe.skipIf(e2fsprogs.missing).each(inSlices(Object.entries(IMAGES), 4))(
  `%s${e2fsprogs.hint}`,
  (_, options) => {
    const size = options.includes("65536") ? 64 : 16;

    test.each(Object.keys(devices))("%s: what is written is there", (kind) => {
      expect(run(madeImage(options, size), kind, {}, 1 << 21)).toBe(0);
    });

    test("sparse, until it is full", () => {
      const refused = run(madeImage(options, size), "disk", { data: "writeback" }, 2 ** 33);
      expect(refused).toBeGreaterThanOrEqual(0);
    });
  },
);
