/**
 * Power cuts while files are written and cut, put in order by e2fsck and by this machine's kernel:
 * they too find what was synced. Without a journal nothing but e2fsck can.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { dataComplaints, dataWork } from "../support/data-cuts.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { places, scratch } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const e2fsprogs = programs(["e2fsck"], "apt-get install e2fsprogs");
const kernel = e2fsprogs.missing ? e2fsprogs : loopMounts();
const LONG = process.env["DAXKIT_LONG"] !== undefined;
const STATES = LONG ? 200 : 12;
const CALLS = LONG ? 400 : 100;
const SEED = Number(process.env["DAXKIT_SEED"] ?? 4);
const JOURNALLED: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 4k": { type: "ext4", blockSize: 4096 },
  "ext4, 1k, no checksums": { type: "ext4", blockSize: 1024, features: "^metadata_csum,^64bit" },
  ext3: { type: "ext3", blockSize: 1024 },
};
const IN_PLACE: Readonly<Record<string, MakeExtOptions>> = {
  ext2: { type: "ext2", blockSize: 1024 },
  "ext4 without a journal": { type: "ext4", blockSize: 4096, features: "^has_journal" },
};

/** What a recovery that is not ours makes of an image. */
function recoveredBy(image: Uint8Array, recover: (path: string) => void): Uint8Array {
  const path = scratch(places["tmpfs"] ?? places["disk"], "cut.img");
  writeSparse(path, image);
  recover(path);
  return new Uint8Array(readFileSync(path));
}

function mountOnce(path: string): void {
  const folder = `${path}.mount`;
  mkdirSync(folder);
  withLoopMount(path, folder, "noatime", () => {});
}

function repair(path: string): void {
  const { status, stdout } = spawnSync("e2fsck", ["-fy", path], { encoding: "utf8" });
  if (status !== 0 && status !== 1) throw new Error(`e2fsck -fy: ${status} ${stdout}`);
}

/** What is wrong with what a recovery finds after cuts. */
function complaintsAfter(
  options: MakeExtOptions,
  recover: (path: string) => void,
  repaired: boolean,
): string[] {
  const { disk, versions } = dataWork(options, {}, { calls: CALLS, seed: SEED });
  const all: string[] = [];
  for (const { image, promised } of disk.states(SEED, STATES, false)) {
    const theirs = recoveredBy(image, recover);
    const filesystem = mountToWrite(theirs);
    all.push(...dataComplaints(filesystem, versions, promised, repaired));
    filesystem.unmount();
    all.push(...e2fsckSays(theirs));
  }
  return all;
}

describe.skipIf(kernel.missing)(`the kernel${kernel.hint}`, () => {
  test.each(inSlices(Object.entries(JOURNALLED), 3))("%s", (_, options) => {
    expect(complaintsAfter(options, mountOnce, false)).toEqual([]);
  });
});

describe.skipIf(e2fsprogs.missing)(`e2fsck -fy${e2fsprogs.hint}`, () => {
  test.each(Object.entries(IN_PLACE))("%s", (_, options) => {
    expect(complaintsAfter(options, repair, true)).toEqual([]);
  });
});
