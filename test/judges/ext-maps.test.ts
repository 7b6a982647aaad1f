/**
 * Maps of files that are changed at random, on images of every kind: read back, and judged by
 * e2fsck, debugfs and our own check.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { Prng } from "../../src/lib/prng.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { ModelledFile, changeMap } from "../support/map-model.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const judge = programs(["mke2fs", "e2fsck", "debugfs"], "apt-get install e2fsprogs");

/** Arguments of mke2fs by what they are for, and the size of the image. */
const KINDS: Readonly<Record<string, readonly [mke2fs: string, size: string]>> = {
  "ext4, 1k": ["-t ext4 -b 1024", "12M"],
  "ext4, 2k": ["-t ext4 -b 2048", "16M"],
  "ext4, 4k": ["-t ext4 -b 4096", "24M"],
  "ext4, no checksums": ["-t ext4 -b 1024 -O ^metadata_csum,^64bit,uninit_bg", "12M"],
  "ext4, no journal": ["-t ext4 -b 1024 -O ^has_journal", "12M"],
  "ext4, 32 bit, no huge files": ["-t ext4 -b 1024 -O ^64bit,^huge_file,^flex_bg", "12M"],
  "ext4, 128-byte inodes": ["-t ext4 -b 1024 -I 128", "12M"],
  bigalloc: ["-t ext4 -b 1024 -C 16384 -O bigalloc", "24M"],
  "bigalloc, 4k, no journal": ["-t ext4 -b 4096 -C 16384 -O bigalloc,^has_journal", "24M"],
  "ext2, 1k": ["-t ext2 -b 1024", "12M"],
  "ext2, 4k": ["-t ext2 -b 4096", "24M"],
  ext3: ["-t ext3 -b 1024", "12M"],
};

const INODES = [12, 13, 14];
const rounds = Number(process.env["DAXKIT_MAP_ROUNDS"] ?? 100);
const seeds = Number(process.env["DAXKIT_MAP_SEEDS"] ?? 1);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "daxkit-maps-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An image with three empty files. */
function makeImage(kind: string): Uint8Array<ArrayBuffer> {
  const [options, size] = KINDS[kind] as (typeof KINDS)[string];
  const source = mkdtempSync(join(folder, "source-"));
  for (const ino of INODES) writeFileSync(join(source, `file${ino}`), "");
  const path = join(source, "..", "image");
  writeFileSync(path, "");
  truncateSync(path, Number(size.replace("M", "")) << 20);
  const words = ["-q", "-F", ...options.split(" "), "-d", source, path];
  const { status, stderr } = spawnSync("mke2fs", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`mke2fs ${words.join(" ")}: ${stderr}`);
  return Uint8Array.from(readFileSync(path));
}

describe.skipIf(judge.missing)(`maps that are changed${judge.hint}`, () => {
  const cases = Object.keys(KINDS).flatMap((kind, at) =>
    Array.from({ length: seeds }, (_, i) => [kind, at * 1000 + i] as const),
  );
  test.each(cases)("%s, seed %i", (kind, seed) => {
    const image = makeImage(kind);
    const prng = new Prng(seed);
    const writing = writeTo(image, seed);
    const files = INODES.map((ino) => new ModelledFile(writing, ino));
    const done: string[] = [];
    for (let round = 0; round < rounds; round++) {
      done.push(changeMap(files, prng));
      if (prng.below(10) === 0) writing.journal.commit();
      if (round % 8 !== 0 && round < rounds - 1) continue;
      const wrong = files.flatMap((file) => file.difference() ?? []);
      if (wrong.length > 0) throw new Error(`${wrong.join()} after ${done.slice(-9).join("; ")}`);
    }
    writing.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    const { volume } = writeTo(image);
    for (const file of files) {
      const map = new FileMap(volume, volume.record(file.record.ino));
      expect(file.difference(volume, map)).toBe(undefined);
    }
  });
});
