/**
 * Contents of files that we write and cut at random, beside a naive model, and what e2fsck says
 * afterwards.
 */
import { closeSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { same } from "../support/bytes.ts";
import { DataStream } from "../support/data-stream.ts";
import { complaints } from "../support/ext-writing.ts";
import { MADE_IMAGES, madeImage } from "../support/made-images.ts";
import { inSlices } from "../support/slices.ts";
import { places, scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

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

const kernel = e2fsprogs.missing ? e2fsprogs : loopMounts();

/** The kernel reads every file, and finds the bytes of the model. */
function kernelAgrees(image: Uint8Array, stream: DataStream): void {
  const path = scratch(places["tmpfs"] ?? places["disk"], "kernel.img");
  writeSparse(path, image);
  const folder = `${path}.mount`;
  mkdirSync(folder);
  withLoopMount(path, folder, "ro", () => {
    for (const [name, model] of stream.models) {
      const file = join(folder, name);
      expect(statSync(file).size).toBe(model.size);
      const fd = openSync(file, "r");
      for (const [offset, length] of model.written()) {
        const bytes = new Uint8Array(length);
        readSync(fd, bytes, 0, length, offset);
        expect(same(bytes, model.read(offset, length))).toBe(true);
      }
      closeSync(fd);
    }
  });
}

/** What a stream of calls leaves is right, and says how many calls found no room. */
function run(image: Uint8Array, kind: string, options: ExtMountOptions, reach: number): DataStream {
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
  return stream;
}

describe.skipIf(e2fsprogs.missing).each(inSlices(Object.entries(IMAGES), 4, 2))(
  `%s${e2fsprogs.hint}`,
  (_, options) => {
    const size = options.includes("65536") ? 64 : 16;

    test.each(Object.keys(devices))("%s: what is written is there", (kind) => {
      const image = madeImage(options, size);
      const stream = run(image, kind, {}, 1 << 21);
      expect(stream.refused).toBe(0);
      if (!kernel.missing && !options.includes("-b 65536")) kernelAgrees(image, stream);
    });

    test("sparse, until it is full", () => {
      const { refused } = run(madeImage(options, size), "disk", { data: "writeback" }, 2 ** 33);
      expect(refused).toBeGreaterThanOrEqual(0);
    });
  },
);
