/**
 * Power cuts while a mounted filesystem is changed, recovered by e2fsck, by this machine's kernel
 * and by us: all find the same tree, which the work had made, and e2fsck has nothing to say
 * afterwards.
 *
 * `DAXKIT_LONG=1` cuts a thousand times.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import {
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import { superblockChecksumOf } from "../../src/fs/ext/recover-flag.ts";
import { CUT_KINDS, type Work, treeOf, work } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { places, scratch } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const e2fsprogs = programs(["e2fsck"], "apt-get install e2fsprogs");
const loop = loopMounts();
const hint = e2fsprogs.hint + loop.hint;
const LONG = process.env["DAXKIT_LONG"] !== undefined;
/** States of one test, and tests of one kind of image. */
const STATES = LONG ? 25 : 8;
const PARTS = LONG ? 10 : 1;
const CALLS = LONG ? 600 : 250;

/**
 * Others refuse a superblock that was torn, whoever wrote it: it has two sectors. A disk that
 * writes 4 KiB at once leaves none.
 */
function isTorn(image: Uint8Array): boolean {
  const bytes = image.subarray(1024, 2048);
  const view = new DataView(image.buffer, 1024, 1024);
  const checksummed = SB.featureRoCompat.get(view, 0) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  return checksummed !== 0 && SB.checksum.get(view, 0) !== superblockChecksumOf(bytes);
}

/** What a recovery that is not ours makes of an image. */
function recoveredBy(image: Uint8Array, recover: (path: string) => void): Uint8Array {
  const path = scratch(places["tmpfs"] ?? places["disk"], "cut.img");
  writeSparse(path, image);
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

/** What each recovery leaves; ours is made on the image itself. */
function recoveries(image: Uint8Array): readonly Uint8Array[] {
  const theirs = [recoveredBy(image, preen)];
  if (!loop.missing) theirs.push(recoveredBy(image, mountOnce));
  mountToWrite(image).unmount();
  return [image, ...theirs];
}

/** The work on one kind of image; the tests of a kind follow each other. */
let made: { readonly kind: string; readonly work: Work } | undefined;
afterAll(() => (made = undefined));

function workOn(kind: keyof typeof CUT_KINDS): Work {
  if (made?.kind !== kind) made = { kind, work: work(CUT_KINDS[kind], CALLS) };
  return made.work;
}

const kinds = inSlices(Object.keys(CUT_KINDS) as (keyof typeof CUT_KINDS)[], 3);

test.each(kinds)("%s: no superblock is torn where 4 KiB are written at once", (kind) => {
  const { disk } = workOn(kind);
  let torn = 0;
  for (const { image } of disk.states(3, 100, false, 4096)) if (isTorn(image)) torn++;
  expect(torn).toBe(0);
});

describe.skipIf(e2fsprogs.missing).each(kinds)(`%s${hint}`, (kind) => {
  test.each(Array.from({ length: PARTS }, (_, i) => i + 1))("part %i", (part) => {
    const { disk, trees } = workOn(kind);
    const atom = part % 2 === 0 ? 4096 : 512;
    for (const { image, promised } of disk.states(8 + part, STATES, false, atom)) {
      if (isTorn(image)) continue;
      const found = recoveries(image);
      const [ours = "", ...theirs] = found.map((bytes) => treeOf(mountToWrite(bytes.slice())));
      expect(trees.indexOf(ours, promised)).toBeGreaterThanOrEqual(promised);
      for (const tree of theirs) expect(tree).toBe(ours);
      expect(found.flatMap(e2fsckSays)).toEqual([]);
    }
  });
});
