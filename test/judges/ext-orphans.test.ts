/**
 * Orphans against e2fsck: it finds the ones that we left, and nothing when we took them back.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Orphans } from "../../src/fs/ext/orphans.ts";
import { fixtureImage, mountBytes, walkTree } from "../support/ext-images.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsprogs = programs(["e2fsck", "mke2fs", "debugfs"], "apt-get install e2fsprogs");

/** An image with an orphan file and eight files. */
function withOrphanFile(): Uint8Array<ArrayBuffer> {
  const path = scratch();
  writeFileSync(path, "");
  truncateSync(path, 16 << 20);
  const features = "orphan_file,metadata_csum,64bit";
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", "-O", features, path]);
  const from = scratch(undefined, "content");
  writeFileSync(from, "content");
  const commands = Array.from({ length: 8 }, (_, i) => `write ${from} file-${i}`);
  const script = scratch(undefined, "script");
  writeFileSync(script, commands.join("\n"));
  execFileSync("debugfs", ["-w", "-f", script, path], { stdio: "ignore" });
  execFileSync("e2fsck", ["-fy", path], { stdio: "ignore" });
  return Uint8Array.from(readFileSync(path));
}

const IMAGES = [
  ["ext2-1k", () => fixtureImage("ext2-1k")],
  ["ext4-default", () => fixtureImage("ext4-default")],
  ["orphan file", withOrphanFile],
] as const;

/** The orphans that e2fsck cuts or deletes, and what it leaves. */
function repaired(image: Uint8Array): { found: number[]; after: Uint8Array } {
  const path = scratch();
  writeSparse(path, image);
  const { stdout } = spawnSync("e2fsck", ["-fy", path], { encoding: "utf8" });
  const found = [...stdout.matchAll(/(?:Truncating|Clearing) orphaned inode (\d+)/gu)];
  return { found: found.map(([, ino]) => Number(ino)), after: readFileSync(path) };
}

describe(`orphans${e2fsprogs.hint}`, () => {
  test.skipIf(e2fsprogs.missing).each(IMAGES)("%s", { timeout: 60_000 }, (_, make) => {
    const image = make();
    const nodes = [...walkTree(mountBytes(Uint8Array.from(image)).root)];
    const files = nodes.filter(({ inode }) => (inode.mode & 0o170000) === 0o100000);
    const inos = [...new Set(files.map(({ inode }) => inode.ino))].slice(0, 6);
    const writing = writeTo(image);
    const orphans = new Orphans(writing.volume, writing.editor.superblock);
    const records = inos.map((ino) => writing.volume.record(ino));
    writing.operate((handle) => {
      writing.editor.superblock.mounted(handle);
      for (const record of records) orphans.add(handle, record);
    });
    for (const record of [records[1], records[5], records[3]]) {
      writing.operate((handle) => orphans.remove(handle, record!));
    }
    writing.operate((handle) => writing.editor.superblock.storeTotals(handle));
    writing.journal.close();
    const { found, after } = repaired(image);
    expect(new Set(found)).toEqual(new Set([inos[0], inos[2], inos[4]]));
    expect(e2fsckSays(after)).toEqual([]);

    const again = writeTo(image);
    const left = new Orphans(again.volume, again.editor.superblock);
    for (const record of left.load().records) {
      again.operate((handle) => left.remove(handle, record));
    }
    again.operate((handle) => again.editor.superblock.unmounted(handle, left.inFile));
    again.journal.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });
});
