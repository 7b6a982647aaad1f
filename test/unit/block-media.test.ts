/**
 * Block devices as media, by loop devices; and a file system that is full. Both need root.
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { pattern, put, take } from "../conformance/media-cases.ts";
import { same } from "../support/bytes.ts";
import { descriptorOf } from "../support/descriptors.ts";
import { scratch } from "../support/scratch.ts";

const SIZE = 3 << 20;
const refuses = (code: string, detail = "") =>
  expect.objectContaining({ name: "DaxError", code, message: expect.stringContaining(detail) });

function run(command: string, ...args: string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** A loop device over a new file; gone after the test. */
function loopDevice(): string {
  const path = scratch();
  writeFileSync(path, "");
  truncateSync(path, SIZE);
  const device = run("losetup", "--find", "--show", path);
  if (device === undefined) throw new Error("losetup failed");
  onTestFinished(() => void run("losetup", "--detach", device));
  return device;
}

function loopsWork(): boolean {
  const path = join(dirname(new URL(import.meta.url).pathname), "block-media.test.ts");
  const device = process.getuid?.() === 0 ? run("losetup", "-r", "-f", "--show", path) : undefined;
  if (device !== undefined) run("losetup", "--detach", device);
  return device !== undefined;
}

const unable = !loopsWork();
const why = unable ? " (needs root and loop devices)" : "";

test.skipIf(unable)(`a block device is media of its own size${why}`, () => {
  const device = loopDevice();
  const media = openFileMedia(device);
  expect(media.size).toBe(SIZE);
  expect(media.durability).toBe(libc() === undefined ? "fsync" : "msync");
  put(media, SIZE - 5000, pattern(5000));
  media.flush(SIZE - 5000, 5000);
  media.fence();
  expect(() => media.grow(2 * SIZE)).toThrow(refuses("ENOTSUP"));
  expect(() => openFileMedia(device)).toThrow(refuses("EBUSY", `pid ${process.pid}`));
  const reader = openFileMedia(device, { readOnly: true });
  expect(same(take(reader, SIZE - 5000, 5000), pattern(5000))).toBe(true);
  reader.close();
  media.close();
  const fd = openSync(device, "r");
  const bytes = new Uint8Array(5000);
  readSync(fd, bytes, 0, 5000, SIZE - 5000);
  closeSync(fd);
  expect(same(bytes, pattern(5000))).toBe(true);
  expect(() => openFileMedia(device, { create: SIZE + 512 })).toThrow(refuses("EEXIST"));
  openFileMedia(device, { create: SIZE }).close();
});

test.skipIf(unable)(`a device just closed is free, though a child still has it open${why}`, () => {
  const device = loopDevice();
  const media = openFileMedia(device);
  // As a child does that is just being started by another thread.
  const fd = descriptorOf(device);
  const child = spawn("sleep", ["0.02"], { stdio: ["ignore", "ignore", "ignore", fd] });
  media.close();
  expect(() => openFileMedia(device).close()).not.toThrow();
  child.kill();
});

test.skipIf(unable)(`a mounted device is not written to, and the mount is named${why}`, () => {
  const device = loopDevice();
  const folder = scratch();
  mkdirSync(folder);
  expect(run("mke2fs", "-q", "-F", device)).toBeDefined();
  expect(run("mount", device, folder)).toBeDefined();
  try {
    expect(() => openFileMedia(device)).toThrow(refuses("EBUSY", `mounted on ${folder}`));
    openFileMedia(device, { readOnly: true }).close();
  } finally {
    run("umount", folder);
  }
  openFileMedia(device).close();
});

test.skipIf(unable || libc() === undefined)(`a full file system is EIO, not the end${why}`, () => {
  const folder = scratch();
  mkdirSync(folder);
  expect(run("mount", "-t", "tmpfs", "-o", "size=1m", "none", folder)).toBeDefined();
  try {
    const media = openFileMedia(join(folder, "sparse"), { create: 4 << 20 });
    const { memory } = media.window(0);
    for (let at = 0; at < 4 << 20; at += 4096) memory.setUint8(at, 1);
    expect(() => media.fence()).toThrow(refuses("EIO", "the file system is full"));
    expect(media.badRanges()).toEqual([{ start: 1 << 20, length: 3 << 20 }]);
    media.close();
  } finally {
    run("umount", folder);
  }
});
