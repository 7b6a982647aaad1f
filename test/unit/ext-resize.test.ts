/**
 * Growing filesystems that mkfs made here: sizes, layouts and steps, by our own check.
 */
import { ftruncateSync, openSync, closeSync, readFileSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { hasIncompat } from "../../src/fs/ext/features.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { planResizeExt, resizeExt } from "../../src/fs/ext/resize-grow.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { EXT4_FEATURE_INCOMPAT_META_BG } from "../../src/format/ext-superblock.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { resizeVolume } from "../../src/node/resize-volume.ts";
import { type Site, sitesOf } from "../support/check-sites.ts";
import { ExtEditor } from "../support/ext-field-editor.ts";
import { still } from "../support/ext-images.ts";
import { scratch } from "../support/scratch.ts";

const MIB = 2 ** 20;

/** A filesystem of `before` bytes on a disk of `after`. */
function disk(options: MakeExtOptions, before: number, after: number): RamDisk {
  const bytes = new Uint8Array(after);
  const device = new RamDisk({ name: "ram0", bytes });
  makeExt(device, { ...options, size: { bytes: before } }, seededEnvironment(3));
  return device;
}

function grow(device: RamDisk, blocks?: number) {
  const options = blocks === undefined ? {} : { blocks };
  return resizeExt(device, options, seededEnvironment(4));
}

const isClean = (device: RamDisk): boolean => [...ext.check(device, still)].length === 0;

const LAYOUTS: Readonly<Record<string, MakeExtOptions>> = {
  ext2: { type: "ext2", blockSize: 1024, blocksPerGroup: 1024 },
  ext3: { type: "ext3", blockSize: 1024, blocksPerGroup: 2048 },
  ext4: { type: "ext4", blockSize: 1024, blocksPerGroup: 1024 },
  "ext4, 4k": { type: "ext4", blockSize: 4096, blocksPerGroup: 512 },
  "flex groups of 4": { type: "ext4", blockSize: 1024, blocksPerGroup: 1024, flexGroups: 4 },
  "no flex groups": { type: "ext4", blockSize: 1024, blocksPerGroup: 1024, features: "^flex_bg" },
  uninit_bg: {
    type: "ext4",
    blockSize: 1024,
    blocksPerGroup: 1024,
    features: "^metadata_csum,uninit_bg,^64bit",
  },
  "no checksums": {
    type: "ext4",
    blockSize: 1024,
    blocksPerGroup: 1024,
    features: "^metadata_csum,^64bit",
  },
  meta_bg: {
    type: "ext4",
    blockSize: 1024,
    blocksPerGroup: 512,
    features: "meta_bg,^resize_inode",
    inodes: 1024,
  },
  "no reserve": { type: "ext4", blockSize: 1024, blocksPerGroup: 512, features: "^resize_inode" },
  "little reserve": {
    type: "ext4",
    blockSize: 1024,
    blocksPerGroup: 512,
    resize: { blocks: 20_000 },
  },
  sparse_super2: {
    type: "ext4",
    blockSize: 1024,
    blocksPerGroup: 1024,
    features: "sparse_super2,^resize_inode",
  },
  bigalloc: {
    type: "ext4",
    blockSize: 1024,
    clusterSize: 4096,
    blocksPerGroup: 1024,
    features: "bigalloc",
    inodes: 512,
  },
};

describe("layouts", () => {
  test.each(Object.entries(LAYOUTS))("%s: in odd steps up to 40 MiB", (_name, options) => {
    const device = disk(options, 9 * MIB, 40 * MIB);
    const { blockSize } = readSuperblock(device);
    const random = new Prng(17);
    for (let bytes = 9 * MIB; bytes < 40 * MIB;) {
      bytes = Math.min(40 * MIB, bytes + random.below(9 * MIB));
      const { blocks, blocksBefore } = grow(device, Math.floor(bytes / blockSize));
      expect(readSuperblock(device).blocks).toBe(blocks);
      expect(blocks).toBeGreaterThanOrEqual(blocksBefore);
      expect(isClean(device)).toBe(true);
    }
    expect(grow(device).blocks).toBeGreaterThan((39 * MIB) / blockSize);
  });
});

test("a last group without room for its tables and 50 blocks more is left out", () => {
  const device = disk({ type: "ext2", blockSize: 1024, blocksPerGroup: 1024 }, 9 * MIB, 20 * MIB);
  const whole = 1 + 1024 * 12;
  expect(planResizeExt(device, { blocks: whole + 20 }).blocks).toBe(whole);
  expect(grow(device, whole + 20).blocks).toBe(whole);
  expect(grow(device, whole + 1000).blocks).toBe(whole + 1000);
  expect(isClean(device)).toBe(true);
});

test("the reserve stays the same share", () => {
  const device = disk({ type: "ext4", blockSize: 4096, reservedPercent: 10 }, 16 * MIB, 32 * MIB);
  const { reservedBlocks } = readSuperblock(device);
  grow(device);
  expect(readSuperblock(device).reservedBlocks).toBe(reservedBlocks * 2);
});

test("without blocks reserved for descriptors they go into the new groups", () => {
  const device = disk(LAYOUTS["little reserve"] as MakeExtOptions, 9 * MIB, 40 * MIB);
  expect(hasIncompat(readSuperblock(device), EXT4_FEATURE_INCOMPAT_META_BG)).toBe(false);
  grow(device);
  expect(hasIncompat(readSuperblock(device), EXT4_FEATURE_INCOMPAT_META_BG)).toBe(true);
  expect(isClean(device)).toBe(true);
  const old = disk(
    { type: "ext2", revision: 0, blockSize: 1024, blocksPerGroup: 256 },
    MIB,
    20 * MIB,
  );
  expect(() => grow(old)).toThrow(/EINVAL.*revision 0/u);
  expect(isClean(old)).toBe(true);
});

test("a smaller size, or more than there is, is refused", () => {
  const device = disk({ type: "ext4", blockSize: 1024 }, 9 * MIB, 9 * MIB);
  expect(() => grow(device, 8192)).toThrow(/EINVAL.*not shrunk/u);
  expect(() => grow(device, 16_384)).toThrow(/ENOSPC.*has 9216 blocks/u);
  expect(grow(device)).toMatchObject({ blocks: 9216, blocksBefore: 9216 });
});

test("a file grows with its filesystem, and gets its length back when nothing comes of it", () => {
  const path = scratch();
  makeVolume(path, { type: "ext4", size: { bytes: 8 * MIB } });
  expect(resizeVolume(path, { size: { bytes: 30 * MIB } }).blocks).toBe(30 * 1024);
  expect(statSync(path).size).toBe(30 * MIB);
  expect(isClean(new RamDisk({ name: "ram0", bytes: readFileSync(path) }))).toBe(true);
  expect(() => resizeVolume(path, { size: { bytes: 20 * MIB } })).toThrow(/EINVAL/u);
  expect(() => resizeVolume(path, { size: { blocks: 2 ** 52 } })).toThrow(/EINVAL/u);
  expect(statSync(path).size).toBe(30 * MIB);
});

test("a file that was cut short is refused", () => {
  const path = scratch();
  makeVolume(path, { type: "ext4", size: { bytes: 8 * MIB } });
  const fd = openSync(path, "r+");
  ftruncateSync(fd, 7 * MIB);
  closeSync(fd);
  expect(() => resizeVolume(path)).toThrow(/EUCLEAN.*cut short/u);
  expect(statSync(path).size).toBe(7 * MIB);
});

test("a damaged filesystem grows, or is refused with a typed error", () => {
  const sound = new Uint8Array(24 * MIB);
  const options: MakeExtOptions = { type: "ext4", blockSize: 1024, blocksPerGroup: 1024 };
  const device = new RamDisk({ name: "ram0", bytes: sound });
  makeExt(device, { ...options, size: { bytes: 6 * MIB } }, seededEnvironment(3));
  const sites = sitesOf(sound).filter(({ name }) => /^(superblock|group|inode [78]) /u.test(name));
  const random = new Prng(23);
  const refused: unknown[] = [];
  for (let i = 0; i < 60; i++) {
    const bytes = sound.slice();
    const editor = new ExtEditor(bytes);
    const site = sites[random.below(sites.length)] as Site;
    for (let k = 0; k < site.size; k++) bytes[site.at + k] = random.below(256);
    site.seal?.(editor);
    try {
      const given = { force: true };
      resizeExt(new RamDisk({ name: "ram0", bytes }), given, seededEnvironment(4));
    } catch (error) {
      refused.push(error);
    }
  }
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.filter((error) => !isDaxError(error))).toEqual([]);
});
