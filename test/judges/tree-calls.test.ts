/**
 * Paths, flags of open and permissions: one stream of calls, on behalf of several users, made
 * through a tree of ours and by this machine's kernel on images that are the same. Every result
 * and both trees have to agree.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { walkSubtree } from "../../src/vfs/subtree.ts";
import { xattrsOf } from "../../src/vfs/xattrs.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { callTree, shown } from "../support/tree-ours.ts";
import { type TreeCall, TreeStream } from "../support/tree-stream.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(["mke2fs", "e2fsck", "python3"], "apt-get install e2fsprogs python3");
const judge = tools.missing ? tools : loopMounts();
const script = join(import.meta.dirname, "tree-kernel.py");
/** Calls of each stream; the long run has more. */
const CALLS = Number(process.env["DAXKIT_TREE_CALLS"] ?? 6000);
const SEED = Number(process.env["DAXKIT_TREE_SEED"] ?? 0);

/** Whether a setting of this machine forbids more in sticky directories than their bit says. */
function isHardened(): boolean {
  return ["regular", "fifos", "symlinks"].some((what) => {
    try {
      return readFileSync(`/proc/sys/fs/protected_${what}`, "utf8").trim() !== "0";
    } catch {
      return false;
    }
  });
}

interface Report {
  readonly results: readonly string[];
  readonly tree: readonly (readonly unknown[])[];
}

function callKernel(image: Uint8Array, calls: readonly TreeCall[], options: string) {
  const path = scratch(places["tmpfs"] ?? places["disk"], "kernel.img");
  writeSparse(path, image);
  const folder = `${path}.mount`;
  mkdirSync(folder);
  const report = withLoopMount(path, folder, options, () => {
    const input = JSON.stringify({ calls });
    const output = execFileSync("python3", [script, folder], { input, maxBuffer: 2 ** 28 });
    return JSON.parse(output.toString()) as Report;
  });
  return { ...report, image: new Uint8Array(readFileSync(path)) };
}

function linesOf(tree: FileTree): string[] {
  const lines: string[] = [];
  for (const { inode, path, leaving } of walkSubtree(tree.root.inode)) {
    if (leaving || path === "" || path === "lost+found") continue;
    const values = new Map([...xattrsOf(inode)].map(({ name, value }) => [name, value]));
    const sorted = [...values.keys()].toSorted();
    const pairs = sorted.map((name) => [name, Buffer.from(values.get(name) ?? []).toString("hex")]);
    lines.push(JSON.stringify([`/${path}`, shown(inode), pairs]));
  }
  return lines.toSorted();
}

function differences(tree: FileTree, calls: readonly TreeCall[], theirs: Report): unknown[] {
  return calls.flatMap((call, i) => {
    const ours = callTree(tree, call);
    return ours === theirs.results[i] ? [] : [{ i, ours, theirs: theirs.results[i], call }];
  });
}

/** Files and directories whose permissions are asked for. */
const FILES = Math.ceil(CALLS / 40);

const IMAGES = ["-t ext4 -b 1024", "-t ext2 -b 4096", "-t ext4 -b 4096 -I 256 -O inline_data"];

describe.skipIf(judge.missing)(`the kernel${judge.hint}`, () => {
  test("permissions of everybody, by mode and access list", { timeout: 120_000 }, () => {
    const stream = new TreeStream(new Prng(SEED + 5), false);
    const calls = Array.from({ length: FILES }, (_, i) => stream.matrix(`f${i}`)).flat();
    const image = madeImage("-t ext4 -b 4096", 24, "-N", "8192");
    const kernel = callKernel(image, calls, "noatime");
    const tree = new FileTree(mountToWrite(image));
    expect(differences(tree, calls, kernel).slice(0, 5)).toEqual([]);
    const granted = kernel.results.filter(
      (result, i) => calls[i]?.op === "access" && result === "ok",
    );
    expect(granted.length).toBeGreaterThan(FILES);
  });

  test.each(IMAGES)("%s", { timeout: 120_000 }, (options) => {
    const stream = new TreeStream(new Prng(SEED + options.length), !isHardened());
    const calls = Array.from({ length: CALLS }, () => stream.next());
    const image = madeImage(options, 24, "-N", "4096");
    const kernel = callKernel(image, calls, "noatime");
    const tree = new FileTree(mountToWrite(image));
    expect(differences(tree, calls, kernel).slice(0, 5)).toEqual([]);
    const kernelTree = kernel.tree.map((line) => JSON.stringify(line)).toSorted();
    expect(linesOf(tree)).toEqual(kernelTree);
    tree.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    // The same names again, where nothing may be written.
    const more = Array.from({ length: CALLS / 4 }, () => stream.next());
    const still = callKernel(kernel.image, more, "ro,noatime");
    const disk = new RamDisk({ name: "ram0", bytes: kernel.image });
    const frozen = new FileTree(ext.mount(disk, {}, seededEnvironment(1)));
    expect(differences(frozen, more, still).slice(0, 5)).toEqual([]);
  });
});
