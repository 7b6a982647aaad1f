/** The check over images with random damage: it always ends, with findings and never an error. */
import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { Prng } from "../../src/lib/prng.ts";
import { EXT_FIXTURES, type ExtFixture, fixtureImage, still } from "../support/ext-images.ts";
import { Target } from "../support/mutations/target.ts";

const ROUNDS = 12;

/** Findings by severity. */
function check(bytes: Uint8Array): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { severity } of ext.check(new RamDisk({ name: "ram0", bytes }), still)) {
    counts.set(severity, (counts.get(severity) ?? 0) + 1);
  }
  return counts;
}

/** Where metadata lies: the first blocks, the inode table, and blocks that inodes refer to. */
function metadataByte(target: Target, prng: Prng): number {
  const { blockSize, inodeSize } = target.superblock;
  switch (prng.below(4)) {
    case 0:
      return 1024 + prng.below(1024 + 8 * blockSize);
    case 1:
      return target.inodeAt(1) + prng.below(200 * inodeSize);
    case 2:
      return (
        target.inodeAt(target.ino(prng.pick(["a", "big", "dir", "frag", "many"]))) + prng.below(128)
      );
    default:
      return (
        target.firstBlock(target.ino(prng.pick(["a", "a/b", "many"]))) * blockSize +
        prng.below(blockSize)
      );
  }
}

test.each(EXT_FIXTURES)("%s, random bytes of metadata", (name: ExtFixture) => {
  const prng = new Prng(name.length * 7 + 3);
  let found = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const target = new Target(name);
    const superblock = target.bytes.slice(1024, 2048);
    for (let i = 2 ** prng.below(9); i > 0; i--) {
      const at = metadataByte(target, prng);
      if (at < target.bytes.length) target.bytes[at] = prng.below(256);
    }
    // Mostly with a superblock that can be read, so that the check comes to the rest.
    if (round % 3 > 0) target.bytes.set(superblock, 1024);
    if ((check(target.bytes).get("error") ?? 0) > 0) found++;
  }
  expect(found).toBeGreaterThan(ROUNDS / 2);
});

test.each(["ext2-1k", "ext4-default"] as const)("%s, blocks exchanged", (name) => {
  const prng = new Prng(99);
  const image = fixtureImage(name);
  const size = name === "ext2-1k" ? 1024 : 4096;
  for (let round = 0; round < ROUNDS; round++) {
    const damaged = Uint8Array.from(image);
    for (let i = 0; i < 40; i++) {
      const [from, to] = [prng.below(600), 4096 / size + prng.below(600)];
      damaged.copyWithin(to * size, from * size, (from + 1) * size);
    }
    expect([...check(damaged).keys()]).toContain("error");
  }
});

/** Indirect blocks that all refer to each other, and extent nodes that refer to themselves. */
test("maps tangled into themselves end at once", () => {
  const target = new Target("ext2-1k");
  const first = target.firstBlock(target.ino("big"));
  const view = new DataView(target.bytes.buffer);
  for (let block = first; block < first + 64; block++) {
    for (let i = 0; i < 256; i++) view.setUint32(block * 1024 + i * 4, first + (i % 64), true);
  }
  for (const path of ["a/f1", "a/f2", "a/f9", "a/f10", "big", "sparse", "prealloc", "frag"]) {
    const ino = target.ino(path);
    for (let i = 0; i < 60; i += 4) target.setMapWord(ino, i, first + i);
  }
  expect(check(target.bytes).get("error") ?? 0).toBeGreaterThan(20);
});
