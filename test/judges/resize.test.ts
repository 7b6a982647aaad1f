/**
 * What `daxkit resize` makes, before resize2fs, e2fsck, dumpe2fs and the kernel: told the same,
 * both make the same filesystem, but for differences that are listed with their reasons.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { resizeExt } from "../../src/fs/ext/resize-grow.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { resizeVolume } from "../../src/node/resize-volume.ts";
import { makeCheckTree } from "../support/check-images.ts";
import { runLine } from "../support/command-line.ts";
import { CutDisk } from "../support/cut-disk.ts";
import { treeOf } from "../support/ext-cut-work.ts";
import {
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { superblockChecksumOf } from "../../src/fs/ext/recover-flag.ts";
import { mountToWrite, plainDirectory, plainFile, writingOf } from "../support/ext-mounted.ts";
import { mountBytes as mountAny, still } from "../support/ext-images.ts";
import { places } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { WHOLE, inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const judges = programs(["e2fsck", "mke2fs", "resize2fs", "dumpe2fs"], "apt-get install e2fsprogs");
const kernel = judges.missing ? judges : loopMounts();
const sameVersion = /mke2fs 1\.47\.0 /u.test(String(spawnSync("mke2fs", ["-V"]).stderr));
const LONG = process.env["DAXKIT_LONG"] !== undefined;

const folder = fs.mkdtempSync(join(places["tmpfs"] ?? tmpdir(), "daxkit-resize-"));
const tree = join(folder, "tree");
beforeAll(() => makeCheckTree(tree));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const mountBytes = (bytes: Uint8Array): ExtFilesystem => mountAny(bytes) as ExtFilesystem;

/** A size before and after in MiB, words of mke2fs, and why resize2fs makes something else. */
type Variant = readonly [before: number, after: number, words: string, differs: string];

const MOVES = "resize2fs moves tables to make room for descriptors; here they go into new groups";
const CLUSTERS = "resize2fs counts what is free wrongly with bigalloc, as e2fsck says";

const VARIANTS: readonly Variant[] = [
  [64, 200, "-t ext4 -b 4096", ""],
  [24, 100, "-t ext4 -b 1024", ""],
  [100, 900, "-t ext4 -b 4096", ""],
  [24, 37, "-t ext2 -b 1024", ""],
  [24, 97, "-t ext2 -b 1024 -g 1024", ""],
  [24, 97, "-t ext3 -b 1024 -g 1024", ""],
  [24, 97, "-t ext3 -b 1024 -I 128 -O ^resize_inode -g 1024", MOVES],
  [24, 150, "-t ext4 -b 1024 -g 1024", ""],
  [24, 150, "-t ext4 -b 1024 -g 1024 -G 4", ""],
  [24, 150, "-t ext4 -b 1024 -O ^flex_bg -g 1024", ""],
  [24, 150, "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit -g 2048", ""],
  [24, 150, "-t ext4 -b 1024 -O ^metadata_csum,^64bit -g 2048", ""],
  [24, 150, "-t ext4 -b 1024 -O meta_bg,^resize_inode -g 1024", ""],
  [24, 47, "-t ext4 -b 1024 -O meta_bg,^resize_inode,^flex_bg -g 256 -N 6000", ""],
  [24, 70, "-t ext4 -b 1024 -O sparse_super2,^resize_inode -g 4096", MOVES],
  [24, 70, "-t ext4 -b 4096 -O sparse_super2,^resize_inode -g 1024", ""],
  [24, 70, "-t ext4 -b 1024 -O ^sparse_super,^resize_inode -g 4096", MOVES],
  [64, 300, "-t ext4 -b 1024 -O bigalloc -C 4096 -N 8192", CLUSTERS],
  [256, 900, "-t ext4 -b 4096 -O bigalloc -C 65536 -N 8192", CLUSTERS],
  [24, 150, "-t ext4 -b 2048 -I 512 -O ^has_journal", ""],
  [24, 150, "-t ext4 -b 4096 -O inline_data,ea_inode", ""],
  [24, 150, "-t ext4 -b 1024 -O orphan_file,metadata_csum_seed,mmp", ""],
  [24, 150, "-t ext4 -b 1024 -O quota,project", ""],
  [24, 39, "-t ext4 -b 1024 -E resize=40960 -g 1024", ""],
  [24, 200, "-t ext4 -b 1024 -E resize=40960 -g 1024", MOVES],
  [24, 300, "-t ext4 -b 1024 -O ^resize_inode", MOVES],
  [8, 30, "-t ext2 -b 1024 -r 0", ""],
  [23, 24, "-t ext4 -b 4096 -m 10", ""],
];

/** Makes a filesystem that was checked, in a file of the size that it is to get. */
function makeImage(words: string, before: number, after: number, path: string): void {
  fs.writeFileSync(path, "");
  fs.truncateSync(path, before * 2 ** 20);
  execFileSync("mke2fs", ["-q", "-F", "-d", tree, ...words.split(" "), path], { stdio: "pipe" });
  spawnSync("e2fsck", ["-fy", path]);
  fs.truncateSync(path, after * 2 ** 20);
}

/** What one of both writes that the other need not. */
const UNCOMPARED =
  /^(Last [wm]|Lifetime|Journal (seq|start|check|feat)|Checksum)|mmp_|csum 0x|checksum 0x/u;

function dumped(path: string): string[] {
  const words = [path];
  const text = execFileSync("dumpe2fs", words, {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: "pipe",
  });
  return text.split("\n").filter((line) => !UNCOMPARED.test(line));
}

/** Our writer goes on where the resize ended. */
function writeInto(bytes: Uint8Array): void {
  const mounted = mountToWrite(bytes);
  for (let i = 0; i < 20; i++) {
    const made = writingOf(mounted.root).make(`new-${i}`, plainDirectory);
    for (let k = 0; k < 10; k++) writingOf(made).make(`file-${k}`, plainFile);
  }
  mounted.unmount();
}

describe.skipIf(judges.missing)(`grown filesystems${judges.hint}`, () => {
  test.each(inSlices(VARIANTS, 4, 2))("%i to %i MiB: %s", async (before, after, words, differs) => {
    const [ours, theirs] = [join(folder, "ours.img"), join(folder, "theirs.img")];
    makeImage(words, before, after, ours);
    execFileSync("cp", ["--sparse=always", ours, theirs]);
    const was = treeOf(mountBytes(Uint8Array.from(fs.readFileSync(ours))));

    const ended = await runLine(["resize", ours]);
    expect(ended.stderr).toBe("");
    expect(ended.stdout).toMatch(/^The filesystem on .* is now \d+ \(\d+k\) blocks long\.\n$/u);
    const bytes = Uint8Array.from(fs.readFileSync(ours));
    expect(e2fsckSays(bytes)).toEqual([]);
    expect([...ext.check(new RamDisk({ name: "ram0", bytes }), still)]).toEqual([]);
    expect(treeOf(mountBytes(bytes))).toBe(was);
    execFileSync("resize2fs", ["-f", theirs], { stdio: "pipe" });
    const same = isDeepStrictEqual(dumped(ours), dumped(theirs));
    expect(same || !sameVersion).toBe(differs === "" || !sameVersion);
    // Quotas are not kept by our writer, which refuses such a filesystem.
    if (!words.includes("quota")) writeInto(bytes);
    expect(e2fsckSays(bytes)).toEqual([]);
    for (const path of [ours, theirs]) fs.rmSync(path);
  });

  test("grows on a sparse file of a TiB, in little time and space", () => {
    const path = join(folder, "large.img");
    makeImage("-t ext4 -b 4096", 512, 2 ** 20, path);
    const { blocks } = resizeVolume(path);
    expect(blocks).toBe(2 ** 28);
    expect(fs.statSync(path).blocks * 512).toBeLessThan(256 * 2 ** 20);
    execFileSync("dumpe2fs", ["-h", path], { stdio: "pipe" });
    if (WHOLE) execFileSync("e2fsck", ["-fn", path], { stdio: "pipe" });
    fs.rmSync(path);
  });
});

/** Names, kinds, targets and sums of all files. */
function listed(root: string): string {
  const names = execFileSync("find", [".", "-printf", "%p %y %m %n %l\n"], { cwd: root });
  const files = ["-type", "f", "-exec", "sha1sum", "{}", "+"];
  const sums = execFileSync("find", [".", ...files], { cwd: root });
  return `${names.toString()}${sums.toString()}`;
}

describe.skipIf(kernel.missing)(`the kernel finds the same tree${kernel.hint}`, () => {
  // Not every kernel writes to these.
  const mountable = VARIANTS.filter(([, , words]) => !/quota|bigalloc -C 65536/u.test(words));
  test.each(inSlices(mountable, 6, 2))("%i to %i MiB: %s", (size, after, words) => {
    const path = join(folder, "mounted.img");
    makeImage(words, size, after, path);
    const target = join(folder, "mounted");
    fs.mkdirSync(target, { recursive: true });
    const before = withLoopMount(path, target, "ro", listed);
    resizeVolume(path);
    withLoopMount(path, target, "rw", (root) => {
      expect(listed(root)).toBe(before);
      const space = fs.statfsSync(root);
      expect(space.blocks * space.bsize).toBeGreaterThan(after * 0.7 * 2 ** 20);
      for (let i = 0; i < 30; i++) fs.mkdirSync(join(root, `later-${i}`));
      fs.writeFileSync(join(root, "later"), Buffer.alloc(after * 2 ** 18, 3));
    });
    execFileSync("e2fsck", ["-fn", path], { stdio: "pipe" });
    fs.rmSync(path);
  });
});

function isTorn(image: Uint8Array): boolean {
  const bytes = image.subarray(1024, 2048);
  const view = new DataView(image.buffer, 1024, 1024);
  const checksummed = SB.featureRoCompat.get(view, 0) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  return checksummed !== 0 && SB.checksum.get(view, 0) !== superblockChecksumOf(bytes);
}

/** Both halves of a cut: what e2fsck makes of an image, and how large it is then. */
function repaired(image: Uint8Array, mode: "-fp" | "-fy"): Uint8Array {
  const path = join(folder, "cut.img");
  writeSparse(path, image);
  const { status, stdout } = spawnSync("e2fsck", [mode, path], { encoding: "utf8" });
  if (status !== 0 && status !== 1) throw new Error(`e2fsck ${mode}: ${status} ${stdout}`);
  return Uint8Array.from(fs.readFileSync(path));
}

function* cuts(words: string, before: number, after: number): Generator<Uint8Array> {
  const path = join(folder, "whole.img");
  makeImage(words, before, after, path);
  const bytes = Uint8Array.from(fs.readFileSync(path));
  fs.rmSync(path);
  const disk = new CutDisk(bytes);
  resizeExt(disk.device, {}, seededEnvironment(5));
  // Linux and e2fsck refuse a superblock that was torn, whoever wrote it: it has two sectors.
  const states = disk.states(11, LONG ? 400 : WHOLE ? 12 : 6, false);
  for (const { image } of states) if (!isTorn(image)) yield image;
  yield bytes;
}

const lastBlocks = (after: number, words: string): number =>
  (after * 2 ** 20) / Number(/-b (\d+)/u.exec(words)?.[1]);

const sizeOf = (image: Uint8Array): number =>
  readSuperblock(new RamDisk({ name: "ram0", bytes: image })).blocks;

describe.skipIf(judges.missing)(`power cuts while it grows${judges.hint}`, () => {
  const journalled: readonly Variant[] = [
    [8, 20, "-t ext4 -b 1024 -g 1024", ""],
    [8, 20, "-t ext4 -b 1024 -O ^metadata_csum,^64bit -g 1024", ""],
    [8, 20, "-t ext3 -b 1024 -g 1024", ""],
    [8, 20, "-t ext4 -b 1024 -O ^resize_inode -g 256", ""],
    [8, 20, "-t ext4 -b 4096 -O sparse_super2,^resize_inode -g 512", ""],
  ];
  const plain: readonly Variant[] = [
    [8, 20, "-t ext2 -b 1024 -g 1024", ""],
    [8, 20, "-t ext4 -b 1024 -O ^has_journal -g 1024", ""],
  ];

  test.each(inSlices(journalled, 2))("with a journal: %i to %i MiB, %s", (before, after, words) => {
    const sizes = new Set<number>();
    let was: string | undefined;
    let images = 0;
    for (const image of cuts(words, before, after)) {
      const theirs = repaired(image, "-fp");
      expect(e2fsckSays(theirs)).toEqual([]);
      // Replayed in memory it has nothing wrong either.
      const found = [...ext.check(new RamDisk({ name: "ram0", bytes: image }), still)];
      expect(found.filter(({ severity }) => severity === "error")).toEqual([]);
      mountToWrite(image).unmount();
      expect(e2fsckSays(image)).toEqual([]);
      expect(sizeOf(image)).toBe(sizeOf(theirs));
      sizes.add(sizeOf(image));
      if (was !== undefined && images++ % 5 !== 0) continue;
      was ??= treeOf(mountBytes(image));
      expect(treeOf(mountBytes(theirs))).toBe(was);
    }
    expect(sizes.size).toBeLessThanOrEqual(2);
    expect(sizes).toContain(lastBlocks(after, words));
  });

  test.each(plain)("without a journal: %i to %i MiB, %s", (before, after, words) => {
    const sizes = new Set<number>();
    let was: string | undefined;
    let images = 0;
    for (const image of cuts(words, before, after)) {
      const theirs = repaired(image, "-fy");
      expect(e2fsckSays(theirs)).toEqual([]);
      sizes.add(sizeOf(theirs));
      if (was !== undefined && images++ % 5 !== 0) continue;
      was ??= treeOf(mountBytes(theirs));
      expect(treeOf(mountBytes(theirs))).toBe(was);
    }
    expect(sizes.size).toBeLessThanOrEqual(2);
    expect(sizes).toContain(lastBlocks(after, words));
  });
});

async function refused(words: string, prepare: (path: string) => void, line: string[]) {
  const path = join(folder, "refused.img");
  makeImage(words, 16, 16, path);
  prepare(path);
  const before = fs.readFileSync(path);
  const ended = await runLine(["resize", ...line.slice(0, -1), path, line.at(-1) as string]);
  expect(ended.status).toBe(2);
  expect(fs.readFileSync(path).equals(before)).toBe(true);
  return ended.stderr;
}

const debugfs = (path: string, command: string) =>
  execFileSync("debugfs", ["-w", "-R", command, path], { stdio: "pipe" });

const dirty = (path: string) => debugfs(path, "feature needs_recovery");
const errors = (path: string) => debugfs(path, "set_super_value state 3");
const orphan = (path: string) => debugfs(path, "set_super_value last_orphan 12");
const damaged = (path: string) => {
  debugfs(path, "set_super_value mtime 20400101");
  debugfs(path, "clri <12>");
};

describe.skipIf(judges.missing)(`refused with nothing changed${judges.hint}`, () => {
  test("a smaller size", async () => {
    expect(await refused("-t ext4", () => {}, ["8M"])).toMatch(/not shrunk here; resize2fs does/u);
    expect(await refused("-t ext4", () => {}, ["-M", "20M"])).toMatch(/not shrunk here/u);
    expect(await refused("-t ext4", () => {}, ["-b", "20M"])).toMatch(/keep their size/u);
  });

  test("one that has errors, or is in use", async () => {
    expect(await refused("-t ext4", dirty, ["32M"])).toMatch(/EUCLEAN.*not unmounted/u);
    expect(await refused("-t ext4", errors, ["32M"])).toMatch(/EUCLEAN.*run e2fsck -f/u);
    expect(await refused("-t ext4", orphan, ["32M"])).toMatch(/EUCLEAN.*not unmounted/u);
  });

  test("damage that a check finds, when it was mounted since the last one", async () => {
    expect(await refused("-t ext4", damaged, ["32M"])).toMatch(/EUCLEAN.*run e2fsck -f/u);
  });

  test.each([
    ["99999T", /above 2\^53/u],
    ["8000T", /EINVAL|ENOSPC|EFBIG/u],
    ["0", /EINVAL/u],
    ["lots", /unsigned number/u],
  ])("a size of %s", async (size, said) => {
    expect(await refused("-t ext4", () => {}, [size])).toMatch(said);
  });
});
