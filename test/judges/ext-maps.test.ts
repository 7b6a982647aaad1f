/**
 * Maps of files that are changed at random, on images of every kind: read back, and judged by
 * e2fsck, debugfs and our own check.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { extentsOf, readRoot } from "../../src/fs/ext/extent-node.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { MAX_LOGICAL_BLOCKS } from "../../src/fs/ext/inode-record.ts";
import { mapBlocks } from "../../src/fs/ext/map-writer.ts";
import { Prng } from "../../src/lib/prng.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { ModelledFile, changeMap } from "../support/map-model.ts";
import { inSlices } from "../support/slices.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const judge = programs(["mke2fs", "e2fsck", "debugfs"], "apt-get install e2fsprogs");

/** Arguments of mke2fs by what they are for, and the size of the image. */
const KINDS: Readonly<Record<string, readonly [mke2fs: string, size: string]>> = {
  "ext4, 64M": ["-t ext4 -b 4096", "64M"],
  "one run, 2k": ["-t ext4 -b 2048 -O sparse_super2,^has_journal -E num_backup_sb=0", "100M"],
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
const rounds = Number(process.env["DAXKIT_MAP_ROUNDS"] ?? 50);
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

/** What debugfs says that a file's blocks are: `logical:physical`, with `u` for unwritten. */
function blocksByDebugfs(path: string, ino: number): string[] {
  const { stdout } = spawnSync("debugfs", ["-R", `stat <${ino}>`, path], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const blocks: string[] = [];
  const list = stdout.slice(stdout.search(/^(?:BLOCKS|EXTENTS):/mu));
  for (const run of list.matchAll(/\((\d+)(?:-(\d+))?(\[u\])?\):(\d+)/gu)) {
    const [, first = "", last = first, unwritten, start = ""] = run;
    for (let at = Number(first); at <= Number(last); at++) {
      blocks.push(
        `${at}:${Number(start) + at - Number(first)}${unwritten === undefined ? "" : "u"}`,
      );
    }
  }
  return blocks;
}

/** The same by our map. */
function blocksByMap(map: FileMap, blockSize: number): string[] {
  const blocks: string[] = [];
  for (let at = 0; at < MAX_LOGICAL_BLOCKS;) {
    const { type, offset, length, addr } = map.iomap(at * blockSize);
    const stop = Math.min((offset + length) / blockSize, MAX_LOGICAL_BLOCKS);
    const mapped = type === "hole" ? 0 : stop - at;
    for (let i = at; i < at + mapped; i++) {
      const block = (addr - offset) / blockSize + i;
      blocks.push(`${i}:${block}${type === "unwritten" ? "u" : ""}`);
    }
    at = stop;
  }
  return blocks;
}

/** Maps blocks of an empty file on an empty disk. */
function empty() {
  const writing = writeTo(makeImage("ext4, 64M"));
  const { volume, editor, operate } = writing;
  const record = volume.record(INODES[0] as number);
  const map = (from: number, count: number, unwritten = false) =>
    operate((handle) => mapBlocks(editor, handle, record, from, count, { unwritten }));
  return { map, huge: (2 << 20) / volume.superblock.blockSize };
}

describe.skipIf(judge.missing)(`where large files are put${judge.hint}`, () => {
  test("a large request lies on huge pages, and is contiguous", () => {
    const { map, huge } = empty();
    const run = map(0, 3 * huge + 10, true);
    expect(run).toMatchObject({ logical: 0, count: 3 * huge + 10, unwritten: true, fresh: true });
    expect(run.block % huge).toBe(0);
  });

  test("behind a head that does not, the rest lies on huge pages", () => {
    const { map, huge } = empty();
    expect(map(5, 3 * huge).count).toBe(huge - 5);
    const rest = map(huge, 2 * huge + 5);
    expect(rest.block % huge).toBe(0);
    expect(rest.count).toBe(2 * huge + 5);
  });
});

test.skipIf(judge.missing)(`extents of the greatest length${judge.hint}`, () => {
  const image = makeImage("one run, 2k");
  const writing = writeTo(image);
  const file = new ModelledFile(writing, INODES[0] as number);
  const lengths = () => extentsOf(writing.volume, readRoot(file.record)).map(({ count }) => count);
  file.fill(0, 32_768, false);
  expect(lengths()).toEqual([32_768]);
  file.fill(32_768, 100, false);
  expect(lengths()).toEqual([32_768, 100]);
  file.convert(0, 32_868, true);
  expect(lengths()).toEqual([32_767, 101]);
  file.convert(0, 32_868, false);
  expect(lengths()).toEqual([32_767, 101]);
  expect(file.difference()).toBe(undefined);
  writing.close();
  expect(e2fsckSays(image)).toEqual([]);
});

/** An image on which files' maps were changed at random, and what they should be. */
function changed(kind: string, seed: number) {
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
  const path = join(folder, "written");
  writeSparse(path, image);
  return { image, files, path, blockSize: writing.volume.superblock.blockSize };
}

describe.skipIf(judge.missing)(`maps that are changed${judge.hint}`, () => {
  const cases = Object.keys(KINDS)
    .slice(2)
    .flatMap((kind, at) => Array.from({ length: seeds }, (_, i) => [kind, at * 1000 + i] as const));
  test.each(inSlices(cases, 3))("%s, seed %i", (kind, seed) => {
    const { image, files, path, blockSize } = changed(kind, seed);
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    const { volume } = writeTo(image);
    for (const file of files) {
      const { ino } = file.record;
      const map = new FileMap(volume, volume.record(ino));
      expect(file.difference(volume, map)).toBe(undefined);
      expect(blocksByDebugfs(path, ino)).toEqual(blocksByMap(map, blockSize));
    }
  });
});

/** Blocks of a file that do not hold what the model says; what is unwritten reads as zeros. */
function wrongContents(path: string, file: ModelledFile, blockSize: number): number[] {
  const wrong: number[] = [];
  const bytes = Buffer.alloc(8);
  const fd = openSync(path, "r");
  for (let at = 0; at < file.length; at++) {
    const cell = file.cells.get(at);
    readSync(fd, bytes, 0, 8, at * blockSize);
    const expected = cell === undefined || cell.unwritten ? 0 : cell.tag;
    if (bytes.readDoubleBE(0) !== expected) wrong.push(at);
  }
  closeSync(fd);
  return wrong;
}

const mounts = loopMounts();
describe.skipIf(judge.missing || mounts.missing)(`maps for this kernel${mounts.hint}`, () => {
  test.each(["ext4, 1k", "ext4, no checksums", "bigalloc", "ext2, 1k", "ext3"])("%s", (kind) => {
    const { files, path, blockSize } = changed(kind, 7);
    const mount = mkdtempSync(join(folder, "mount-"));
    withLoopMount(path, mount, "rw", (root) => {
      for (const file of files) {
        const name = join(root, `file${file.record.ino}`);
        expect(statSync(name).size).toBe(file.record.size);
        expect(wrongContents(name, file, blockSize)).toEqual([]);
        // The kernel takes apart what was put together here.
        unlinkSync(name);
      }
    });
    expect(e2fsckSays(readFileSync(path))).toEqual([]);
  });
});
