/**
 * Power cuts while a mounted filesystem is changed, recovered by e2fsck, by this machine's kernel
 * and by us: all find the same tree, and e2fsck has nothing to say afterwards.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { superblockChecksumOf } from "../../src/fs/ext/recover-flag.ts";
import { treeOf, work } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { places, scratch } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const e2fsprogs = programs(["e2fsck"], "apt-get install e2fsprogs");
const kernel = e2fsprogs.missing ? e2fsprogs : loopMounts();
const LONG = process.env["DAXKIT_LONG"] !== undefined;
const STATES = LONG ? 250 : 8;
const CALLS = LONG ? 1000 : 250;
const IMAGES: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k, orphan file": { type: "ext4", blockSize: 4096, features: "orphan_file" },
  "ext4, no checksums": { type: "ext4", blockSize: 1024, features: "^metadata_csum,^64bit" },
  ext3: { type: "ext3", blockSize: 1024 },
};

/** Others refuse a superblock that was torn, whoever wrote it: it has two sectors. */
function isTorn(image: Uint8Array): boolean {
  const bytes = image.subarray(1024, 2048);
  const view = new DataView(image.buffer, 1024, 1024);
  const checksummed = SB.featureRoCompat.get(view, 0) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  return checksummed !== 0 && SB.checksum.get(view, 0) !== superblockChecksumOf(bytes);
}

/** What a recovery that is not ours makes of an image. */
function recoveredBy(image: Uint8Array, recover: (path: string) => void): Uint8Array {
  const path = scratch(places["tmpfs"] ?? places["disk"], "cut.img");
  writeFileSync(path, image);
  recover(path);
  return new Uint8Array(readFileSync(path));
}

function preen(path: string): void {
  // Without -f it leaves the flag that says that an orphan file may be in use.
  const { status, stdout } = spawnSync("e2fsck", ["-fp", path], { encoding: "utf8" });
  // 1: it has corrected what it was asked to, the journal and the orphans.
  if (status !== 0 && status !== 1) throw new Error(`e2fsck -fp: ${status} ${stdout}`);
}

function mountOnce(path: string): void {
  const folder = `${path}.mount`;
  mkdirSync(folder);
  withLoopMount(path, folder, "noatime", () => {});
}

const judges = [
  ["e2fsck", e2fsprogs, preen],
  ["the kernel", kernel, mountOnce],
] as const;

describe.each(judges)("%s", (_judge, { missing, hint }, recover) => {
  test.skipIf(missing).each(inSlices(Object.entries(IMAGES), 3))(`%s${hint}`, (_, options) => {
    const { disk } = work(options, CALLS);
    for (const { image } of disk.states(9, STATES, false)) {
      if (isTorn(image)) continue;
      const theirs = recoveredBy(image, recover);
      const ours = mountToWrite(image);
      expect(treeOf(mountToWrite(theirs.slice()))).toBe(treeOf(ours));
      ours.unmount();
      expect(e2fsckSays(theirs)).toEqual([]);
      expect(e2fsckSays(image)).toEqual([]);
    }
  });
});
