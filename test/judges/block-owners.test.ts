/** Which inode has a block: as debugfs says it (`icheck`), for every block of whole images. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { EXT_FIXTURES, fixtureImage, mountBytes } from "../support/ext-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { programs } from "./judge.ts";

const judge = programs(["debugfs"], "apt-get install e2fsprogs");
/** Of blocks that are reserved for descriptors debugfs names the inode, and we the group. */
const RESIZE_INO = 7;
const LINE = /^(\d+)\t(\d+|<block not found>)$/u;

function icheck(bytes: Uint8Array, blocks: number): Map<number, number> {
  const image = scratch(places["tmpfs"] ?? places["disk"], "owners.img");
  writeFileSync(image, bytes);
  // Of a longer line debugfs takes the beginning.
  const lines = Array.from({ length: Math.ceil(blocks / 1000) }, (_, line) => {
    const count = Math.min(1000, blocks - line * 1000);
    return `icheck ${Array.from({ length: count }, (__, i) => line * 1000 + i).join(" ")}\n`;
  });
  const { stdout } = spawnSync("debugfs", ["-f", "-", image], {
    input: lines.join(""),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const inodes = new Map<number, number>();
  for (const line of stdout.split("\n")) {
    const [, block, ino] = LINE.exec(line) ?? [];
    if (Number(ino) > 0 && Number(ino) !== RESIZE_INO) inodes.set(Number(block), Number(ino));
  }
  return inodes;
}

describe.each(EXT_FIXTURES)("%s", (fixture) => {
  test.skipIf(judge.missing)(`every block has the inode that debugfs names${judge.hint}`, () => {
    const bytes = fixtureImage(fixture);
    const filesystem = mountBytes(bytes) as ExtFilesystem;
    const { blocks, blockSize } = filesystem.volume.superblock;
    const expected = icheck(bytes, blocks);
    expect(expected.size).toBeGreaterThan(100);
    const found = new Map<number, number>();
    let at = 0;
    for (const { start, length, ino } of filesystem.ownersOf(0, blocks * blockSize)) {
      expect(start).toBe(at);
      at += length;
      if (ino === undefined || ino === RESIZE_INO) continue;
      for (let byte = start; byte < at; byte += blockSize) found.set(byte / blockSize, ino);
    }
    expect(at).toBe(blocks * blockSize);
    const apart = [...expected].filter(([block, ino]) => found.get(block) !== ino);
    expect(apart).toEqual([]);
    const extra = [...found].filter(([block]) => !expected.has(block));
    expect(extra).toEqual([]);
  });
});
