/**
 * Overwriting 4 KiB of a file in an ext4 image and making it durable, with cache-line write-back
 * forced on a mapping of tmpfs, against `write` and `fdatasync` of Node on the disk's filesystem.
 * Ours is an in-process call on memory; the peer's are two system calls and a device.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPmem } from "../src/drivers/pmem.ts";
import { ext } from "../src/fs/ext/ext.ts";
import { Prng } from "../src/lib/prng.ts";
import { systemEnvironment } from "../src/node/environment.ts";
import { openFileMedia } from "../src/node/file-media.ts";
import { S_IFREG } from "../src/vfs/modes.ts";
import { makeImage, scratch } from "./images.ts";
import { median, race, report } from "./measure.ts";

const FILE = 64 << 20;
const BLOCK = 4096;
const image = makeImage(join(scratch(), "image"), "192M");
const media = openFileMedia(image, { flush: "cache-line", domain: "adr" });
const place = { start: 0, length: media.size, physicalStart: 0, writeCache: true };
const pmem = createPmem({ name: "pmem0", media, ...place });
const filesystem = ext.mount(pmem.disk, { write: true }, systemEnvironment);
const made = filesystem.root.writing?.make("data", { mode: S_IFREG | 0o644, uid: 0, gid: 0 });
const writing = made?.writing;
if (made === undefined || writing === undefined) throw new Error("the image is read-only");
const file = writing;
const piece = new Uint8Array(1 << 20).fill(1);
for (let at = 0; at < FILE; at += piece.length) file.write(piece, at);
file.sync("all");

const offsets = new Uint32Array(1 << 14);
const random = new Prng(3);
for (let i = 0; i < offsets.length; i++) offsets[i] = random.below(FILE / BLOCK) * BLOCK;
const next = (i: number): number => offsets[i & 0x3fff] as number;
const bytes = new Uint8Array(BLOCK).fill(7);

function overwrite(times: number): void {
  for (let i = 0; i < times; i++) {
    file.write(bytes, next(i));
    file.sync("data");
  }
}

// Compiled first: a round is as long as the first calls are not.
overwrite(100_000);
const { buffer, byteOffset } = new Uint8Array(FILE);
const [ours = 0, plain = 0] = race(
  { name: "daxkit write + fdatasync", run: overwrite },
  {
    name: "plain copy",
    run(times) {
      for (let i = 0; i < times; i++) {
        new Uint8Array(buffer, byteOffset + next(i), BLOCK).set(bytes);
      }
    },
  },
);
const node = nodeOnDisk();
report({
  what: "4 KiB overwrite + fdatasync, cache-line write-back forced on tmpfs",
  figure: `${(ours / 1000).toFixed(2)} us`,
  target: "below 5 us",
  met: ours < 5000,
  detail: `a plain copy to memory takes ${plain.toFixed(0)} ns; ${media.cacheControl}`,
});
report({
  what: "… against Node's write + fdatasync on this machine's disk",
  figure: `${(node / ours).toFixed(0)}x`,
  target: "at least 200x",
  met: node / ours >= 200,
  detail: `an in-process call on memory against ${(node / 1000).toFixed(0)} us on a disk`,
});
// Few enough that no collection comes in between, which would hide what was allocated.
const TIMES = 1000;
const heaps = Array.from({ length: 51 }, () => {
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  overwrite(TIMES);
  return (process.memoryUsage().heapUsed - before) / TIMES;
});
// Asking takes a little, too.
globalThis.gc?.();
const idle = process.memoryUsage().heapUsed;
const asking = (process.memoryUsage().heapUsed - idle) / TIMES;
const grown = median(heaps) - asking;
report({
  what: "heap that one of them takes",
  figure: `${grown.toFixed(2)} bytes`,
  target: "no object; numbers in boxes of 16 bytes: the time, and the address for machine code",
  met: grown < 48,
  detail: `the median of ${heaps.length} times ${TIMES} in a row`,
});
filesystem.unmount();

/** Median nanoseconds of `write` and `fdatasync` on the disk. */
function nodeOnDisk(): number {
  const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-bench-"));
  const path = join(folder, "data");
  fs.writeFileSync(path, new Uint8Array(16 << 20));
  const fd = fs.openSync(path, "r+");
  fs.fsyncSync(fd);
  const samples: number[] = [];
  for (let i = 0; i < 100; i++) {
    const start = process.hrtime.bigint();
    fs.writeSync(fd, bytes, 0, BLOCK, next(i) % (16 << 20));
    fs.fdatasyncSync(fd);
    samples.push(Number(process.hrtime.bigint() - start));
  }
  fs.closeSync(fd);
  fs.rmSync(folder, { recursive: true });
  return median(samples);
}
