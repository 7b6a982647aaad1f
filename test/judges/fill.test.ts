/**
 * Archives unpacked into an image by us, and by GNU tar into a kernel's mount of the same image:
 * the same trees, also over what is there already, and clean for e2fsck.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fill } from "../../src/node/fill.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { FillOptions } from "../../src/vfs/tree-filler.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { WHOLE } from "../support/slices.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { difference, told } from "./gnu-tar.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";
import { makeSourceTree } from "./source-tree.ts";

const judge = programs(
  ["mke2fs", "e2fsck", "setfattr", "tar"],
  "apt-get install e2fsprogs attr tar",
);
const loop = loopMounts();
const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-fill-"));
const source = join(folder, "source");
const mounted = join(folder, "mounted");
afterAll(() => fs.rmSync(folder, { recursive: true }));

const PACK = ["--xattrs", "--xattrs-include=*", "--numeric-owner"];
const FEATURES: Readonly<Record<string, readonly string[]>> = {
  ext4: ["-t", "ext4", "-b", "4096"],
  ext2: ["-t", "ext2", "-b", "1024"],
  "inline data": ["-t", "ext4", "-b", "4096", "-O", "inline_data"],
  ext3: ["-t", "ext3", "-b", "2048"],
  bigalloc: ["-t", "ext4", "-b", "4096", "-O", "bigalloc", "-C", "16384"],
};

interface Turn {
  readonly archive: string;
  readonly options: FillOptions;
  readonly words: readonly string[];
}

function packed(name: string, format: readonly string[], what = "."): string {
  const path = join(folder, name);
  execFileSync("tar", [...format, ...PACK, "-C", source, "-cf", path, what]);
  return path;
}

const at = (name: string): string => join(source, name);

/** Takes some of the tree away and puts other things in its places. */
function changeTree(): void {
  fs.rmSync(at("sparse/solid"));
  fs.symlinkSync("/nowhere", at("sparse/solid"));
  fs.rmSync(at("special/fast"));
  fs.writeFileSync(at("special/fast"), "a link before");
  fs.writeFileSync(at("special/two"), "changed");
  fs.rmSync(at("special/fifo"));
  fs.mkdirSync(at("special/fifo"));
  fs.chmodSync(at("names"), 0o700);
}

let turns: readonly Turn[] = [];

function prepare(): void {
  fs.mkdirSync(source);
  fs.mkdirSync(mounted);
  makeSourceTree(source, 8);
  const first = packed("first.tar", ["--format=posix", "-S"]);
  changeTree();
  const second = packed("second.tar", ["--format=posix"]);
  const part = packed("part.tar", ["--format=posix"], "./special");
  turns = [
    { archive: first, options: {}, words: [] },
    { archive: second, options: {}, words: [] },
    {
      archive: part,
      options: { directory: "/d1", stripComponents: 2 },
      words: ["-C", "d1", "--strip-components=2"],
    },
    { archive: first, options: {}, words: [] },
  ];
}

async function oursOf(image: string): Promise<void> {
  const bytes = fs.readFileSync(image);
  const tree = new FileTree(mountToWrite(bytes));
  for (const { archive, options } of turns) {
    // oxlint-disable-next-line no-await-in-loop -- one over the other
    await fill({ tree }, archive, options);
  }
  tree.close();
  writeSparse(image, bytes);
  expect(e2fsckSays(bytes)).toEqual([]);
}

function theirsOf(image: string): Buffer {
  return withLoopMount(image, mounted, "rw", (root) => {
    for (const { archive, words } of turns) {
      const how = [...PACK, "--xattrs-include=*", "-C", root, ...words, "-xpf", archive];
      spawnSync("tar", how, { stdio: "pipe" });
    }
    return told(root);
  });
}

const cases = Object.entries(FEATURES);

describe.skipIf(judge.missing || loop.missing)(`filling${judge.hint}${loop.hint}`, () => {
  beforeAll(prepare);

  test.each(WHOLE ? cases : cases.slice(0, 1))("%s", async (_, features) => {
    const [ours, theirs] = ["ours", "theirs"].map((name) => join(folder, name)) as [string, string];
    for (const image of [ours, theirs]) {
      fs.rmSync(image, { force: true });
      execFileSync("mke2fs", ["-q", "-F", "-N", "8192", ...features, image, "96M"], {
        stdio: "pipe",
      });
    }
    await oursOf(ours);
    const expected = theirsOf(theirs);
    expect(expected.length).toBeGreaterThan(2 ** 22);
    withLoopMount(ours, mounted, "ro", (root) => {
      expect(difference(told(root), expected)).toBe("");
    });
  });

  test("from a directory of this machine", async () => {
    const image = join(folder, "ours");
    fs.rmSync(image, { force: true });
    execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", image, "96M"], { stdio: "pipe" });
    const bytes = fs.readFileSync(image);
    const tree = new FileTree(mountToWrite(bytes));
    const { members } = await fill({ tree }, source);
    tree.close();
    writeSparse(image, bytes);
    expect([e2fsckSays(bytes), members > 2500]).toEqual([[], true]);
    const expected = told(source);
    withLoopMount(image, mounted, "ro", (root) => {
      expect(difference(told(root), expected)).toBe("");
      expect(fs.statSync(join(root, "sparse", "head")).blocks * 512).toBeLessThan(100_000);
    });
  });
});
