/**
 * Allocation against e2fsck: what was given out and belongs to no file is exactly what e2fsck finds
 * in use without an owner; when all of it was taken back, nothing is left to say.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { TINY_IMAGES, tinyImage } from "../support/tiny-images.ts";
import { e2fsckSays, missingIn } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");

const CLEAN = TINY_IMAGES.filter((name) => !name.startsWith("journal-"));
const LARGE = ["ext2-1k", "ext3-4k", "ext4-1k", "ext4-bigalloc", "ext4-gdtcsum"] as const;
const IMAGES: readonly (readonly [string, () => Uint8Array<ArrayBuffer>])[] = [
  ...LARGE.map((name) => [name, () => fixtureImage(name)] as const),
  ...CLEAN.map((name) => [`tiny ${name}`, () => tinyImage(name)] as const),
];

/** What e2fsck must not find: anything but bits without an owner, and the counts that follow. */
const EXPECTED = [
  /^(Block|Inode) bitmap differences: /u,
  /^Fix\? no$/u,
  /^Free (blocks|inodes) count wrong/u,
  /^Directories count wrong/u,
  /WARNING: Filesystem still has errors/u,
  /^exit status 4$/u,
];

describe(`e2fsck${e2fsck.hint}`, () => {
  test.skipIf(e2fsck.missing).each(IMAGES)("%s", { timeout: 60_000 }, (_, make) => {
    const image = make();
    const writing = writeTo(image);
    const { editor, operate, journal, volume } = writing;
    const dice = new Prng(7);
    const [blocks, inodes]: [[start: number, count: number][], [number, boolean][]] = [[], []];
    const ratio = volume.superblock.clusterRatio;
    for (let i = 0; i < 60; i++) {
      operate((handle) => {
        const goal = dice.below(volume.superblock.blocks);
        const count = 1 + dice.below(6) * ratio;
        if (editor.allocator.freeBlocks > 100 * ratio) {
          const run = editor.allocator.allocate(handle, { goal, count });
          blocks.push([run.start, Math.ceil(run.count / ratio) * ratio]);
        }
        const directory = dice.below(2) === 0;
        if (editor.inodes.freeInodes > 10) {
          inodes.push([editor.inodes.allocate(handle, { parent: 2, directory }), directory]);
        }
      });
      if (i % 10 === 9) journal.commit();
    }
    journal.commit();
    for (const [ino, directory] of inodes.splice(0, 20)) {
      operate((handle) => editor.inodes.free(handle, ino, directory));
    }
    for (const [start, count] of blocks.splice(0, 20)) {
      operate((handle) => editor.allocator.free(handle, start, count, { metadata: false }));
    }
    writing.close();
    const said = e2fsckSays(image);
    expect(said.filter((line) => !EXPECTED.some((rule) => rule.test(line)))).toEqual([]);
    const { firstDataBlock } = volume.superblock;
    // With bigalloc e2fsck goes by clusters.
    const clustersOf = (numbers: Iterable<number>) =>
      new Set([...numbers].map((block) => Math.floor((block - firstDataBlock) / ratio)));
    const owned = blocks.flatMap(([start, n]) => Array.from({ length: n }, (_x, k) => start + k));
    expect(clustersOf(missingIn(said, "Block"))).toEqual(clustersOf(owned));
    expect(new Set(missingIn(said, "Inode"))).toEqual(new Set(inodes.map(([ino]) => ino)));

    const again = writeTo(image, 2);
    for (const [ino, directory] of inodes) {
      again.operate((handle) => again.editor.inodes.free(handle, ino, directory));
    }
    for (const [start, count] of blocks) {
      again.operate((handle) =>
        again.editor.allocator.free(handle, start, count, { metadata: false }),
      );
    }
    again.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });
});
