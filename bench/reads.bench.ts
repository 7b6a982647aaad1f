/**
 * Reading a 256 MiB file that lies in an ext4 image on tmpfs, against `fs.readSync` of the same
 * bytes on tmpfs. Ours is an in-process copy from a mapping; the peer's is a system call. A plain
 * mapped copy is the limit of what is possible.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { Prng } from "../src/lib/prng.ts";
import { openVolume } from "../src/node/volume.ts";
import { folderWithFile, makeImage, scratch } from "./images.ts";
import { race, report } from "./measure.ts";

const FILE = 256 << 20;
const BLOCK = 4096;
const root = scratch();
const source = folderWithFile(root, "data", FILE);
const volume = openVolume(makeImage(join(root, "image"), "384M", source));
const file = volume.tree.open("/data");
const fd = fs.openSync(join(source, "data"), "r");

const offsets = new Uint32Array(1 << 16);
const random = new Prng(3);
for (let i = 0; i < offsets.length; i++) offsets[i] = random.below(FILE / BLOCK) * BLOCK;
const next = (i: number): number => offsets[i & 0xffff] as number;

const buffer = Buffer.alloc(BLOCK);
const whole = file.view(0, FILE);
// Every page once: what is compared is reading, not the first touch of a new mapping (about 1.7 µs
// a page on tmpfs), which the peer's cached file does not have.
let touched = 0;
for (let at = 0; at < FILE; at += BLOCK) touched += whole[at] as number;
if (touched < 0) throw new Error("bytes are not negative");
const [ours = 0, node = 0, plain = 0] = race(
  {
    name: "daxkit pread",
    run(times) {
      for (let i = 0; i < times; i++) file.pread(buffer, next(i));
    },
  },
  {
    name: "fs.readSync",
    run(times) {
      for (let i = 0; i < times; i++) fs.readSync(fd, buffer, 0, BLOCK, next(i));
    },
  },
  {
    name: "plain copy",
    run(times) {
      for (let i = 0; i < times; i++) {
        buffer.set(new Uint8Array(whole.buffer, whole.byteOffset + next(i), BLOCK));
      }
    },
  },
);
report({
  what: "random 4 KiB reads into the caller's buffer, against fs.readSync on tmpfs",
  figure: `${(node / ours).toFixed(2)}x`,
  target: "at least 2.5x",
  met: node / ours >= 2.5,
  detail: [
    `${ours.toFixed(0)} ns`,
    `fs.readSync ${node.toFixed(0)} ns`,
    `plain copy ${plain.toFixed(0)} ns`,
  ].join("; "),
});

const [view = 0] = race({
  name: "views",
  run(times) {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += file.view(next(i), BLOCK).length;
    return sum;
  },
});
report({
  what: "zero-copy views of 4 KiB",
  figure: `${(1000 / view).toFixed(1)} M/s`,
  target: "at least 3 M/s",
  met: 1000 / view >= 3,
  detail: `${view.toFixed(0)} ns a view; nothing is copied`,
});

/** Of nanoseconds for a mebibyte. */
function gigabytes(nanoseconds: number): string {
  return ((1 << 20) / nanoseconds).toFixed(1);
}

const chunk = Buffer.alloc(1 << 20);
const mapped = Buffer.from(whole.buffer, whole.byteOffset, FILE);
const [stream = 0, copy = 0] = race(
  {
    name: "daxkit stream",
    run(times) {
      for (let i = 0; i < times; i++) file.pread(chunk, (i & 255) << 20);
    },
  },
  {
    name: "Buffer.copy",
    run(times) {
      for (let i = 0; i < times; i++) mapped.copy(chunk, 0, (i & 255) << 20, ((i & 255) + 1) << 20);
    },
  },
);
report({
  what: "streaming read of the file in 1 MiB pieces, against Buffer.copy of the same range",
  figure: `${((copy / stream) * 100).toFixed(0)} %`,
  target: "at least 90 %",
  met: copy / stream >= 0.9,
  detail: `${gigabytes(stream)} GB/s against ${gigabytes(copy)} GB/s`,
});
fs.closeSync(fd);
