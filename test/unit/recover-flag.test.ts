/** INCOMPAT_RECOVER changed in place: every state that a power cut may leave is believed. */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_FEATURE_INCOMPAT_RECOVER } from "../../src/format/ext-superblock.ts";
import { writeRecoverFlag } from "../../src/fs/ext/recover-flag.ts";
import { hasIncompat } from "../../src/fs/ext/features.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { same } from "../support/bytes.ts";
import { crashImage } from "../support/ext-crash-images.ts";

const needsRecovery = (bytes: Uint8Array<ArrayBuffer>) =>
  hasIncompat(readSuperblock(new RamDisk({ name: "ram0", bytes })), EXT4_FEATURE_INCOMPAT_RECOVER);

function turned(image: Uint8Array<ArrayBuffer>, blockSize: number, set: boolean) {
  const bytes = image.slice();
  writeRecoverFlag(new Buffers(new RamDisk({ name: "ram0", bytes }), blockSize), set);
  return bytes;
}

describe.each([
  ["1k", 1024, 2],
  ["dax4k", 4096, 2],
  ["ext3", 1024, 1],
])("%s", (name, blockSize, atoms) => {
  const dirty = crashImage(name);
  const clean = turned(dirty, blockSize, false);

  test("changes the flag and its checksum, and nothing else", () => {
    expect([needsRecovery(dirty), needsRecovery(clean)]).toEqual([true, false]);
    expect(same(turned(clean, blockSize, true), dirty)).toBe(true);
    const changed = new Set<number>();
    for (const [i, byte] of clean.entries()) if (byte !== dirty[i]) changed.add(i >> 3);
    expect(changed.size).toBe(atoms);
  });

  test("the journal's copy of the superblock says the same", () => {
    const disk = new RamDisk({ name: "ram0", bytes: clean.slice() });
    const buffers = new Buffers(disk, blockSize);
    const block = Math.floor(1024 / blockSize);
    const copy = clean.slice(block * blockSize, (block + 1) * blockSize);
    buffers.overlay(block, copy);
    writeRecoverFlag(buffers, true);
    expect(same(copy, dirty.subarray(block * blockSize, (block + 1) * blockSize))).toBe(true);
  });
});

test.each([
  ["1k", 1024],
  ["dax4k", 4096],
] as const)("%s: caught half way, either way, it is set", (name, blockSize) => {
  const dirty = crashImage(name);
  const clean = turned(dirty, blockSize, false);
  for (const [from, to] of [
    [dirty, clean],
    [clean, dirty],
  ] as const) {
    const torn = from.slice();
    torn.set(to.subarray(0x400 + 0x60, 0x400 + 0x64), 0x400 + 0x60);
    expect(needsRecovery(torn)).toBe(true);
    expect(same(turned(torn, blockSize, true), dirty)).toBe(true);
    expect(same(turned(torn, blockSize, false), clean)).toBe(true);
  }
});

test("other damage is not believed", () => {
  const image = crashImage("1k");
  (image[0x400 + 0x60] as number) ^= 1;
  expect(() => needsRecovery(image)).toThrow(expect.objectContaining({ code: "EBADMSG" }));
});
