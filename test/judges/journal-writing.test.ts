/**
 * Journals that we wrote, cut at random instants: e2fsck and this kernel's mount replay the same
 * images, and every block has to be what our own recovery leaves.
 *
 * `DAXKIT_LONG=1` cuts a thousand times.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Journal, journalFeaturesFor } from "../../src/fs/ext/journal.ts";
import { fixedMap } from "../../src/fs/ext/journal-map.ts";
import type { JournalMap } from "../../src/fs/ext/journal-log.ts";
import { journalMapOf, recoverOnDevice } from "../../src/fs/ext/recovery.ts";
import { writeRecoverFlag } from "../../src/fs/ext/recover-flag.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { seededEnvironment, silent } from "../../src/lib/environment.ts";
import { same } from "../support/bytes.ts";
import { CutDisk } from "../support/cut-disk.ts";
import { JournalWorkload } from "../support/journal-workload.ts";
import { inSlices } from "../support/slices.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const LONG = process.env["DAXKIT_LONG"] !== undefined;
const judge = programs(["mke2fs", "e2fsck", "debugfs"], "apt-get install e2fsprogs");
const kernel = loopMounts();

const KINDS: Readonly<Record<string, string>> = {
  "checksum v3, 64bit, 4k": "-t ext4 -b 4096",
  "checksum v3, 32 bit, 1k": "-t ext4 -b 1024 -O ^64bit",
  "no checksums, 64bit, 1k": "-t ext4 -b 1024 -O ^metadata_csum",
  "ext3, 1k": "-t ext3 -b 1024",
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "daxkit-journal-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function make(kind: string): Uint8Array<ArrayBuffer> {
  const path = join(folder, "made.img");
  writeFileSync(path, "");
  truncateSync(path, kind.endsWith("4k") ? 16 << 20 : 8 << 20);
  const options = ["-q", "-F", "-J", kind.endsWith("4k") ? "size=4" : "size=1"];
  execFileSync("mke2fs", [...options, ...(KINDS[kind] as string).split(" "), path]);
  return Uint8Array.from(readFileSync(path));
}

/** Blocks that nothing uses: there a replay can be seen, and e2fsck stays content. */
function freeBlocks(): number[] {
  const path = join(folder, "made.img");
  const out = execFileSync("debugfs", ["-R", "ffb 60", path], { stdio: "pipe" }).toString();
  return [...out.matchAll(/\b\d+\b/gu)].map(([digits]) => Number(digits)).slice(-60);
}

interface Work {
  readonly disk: CutDisk;
  readonly workload: JournalWorkload;
  readonly map: JournalMap;
  readonly blockSize: number;
}

/** Transactions on a new filesystem, around the log. */
function work(kind: string): Work {
  const disk = new CutDisk(make(kind));
  const superblock = readSuperblock(disk.device);
  const buffers = new Buffers(disk.device, superblock.blockSize);
  const map = fixedMap(journalMapOf(new Volume(superblock, buffers, silent)));
  const workload = new JournalWorkload(buffers, freeBlocks(), 3);
  const journal = new Journal(buffers, map, {
    environment: seededEnvironment(1),
    features: journalFeaturesFor(superblock),
    hooks: {
      beforeFirstCommit: () => writeRecoverFlag(buffers, true),
      afterClean: () => writeRecoverFlag(buffers, false),
    },
  });
  for (let n = 1; n <= 150; n++) {
    workload.step(journal);
    disk.promise(n);
  }
  journal.close();
  return { disk, workload, map, blockSize: buffers.blockSize };
}

/** Replays a copy as we do. */
function ours(image: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = image.slice();
  const disk = new RamDisk({ name: "ram0", bytes });
  recoverOnDevice(readSuperblock(disk), disk, silent);
  return bytes;
}

function e2fsck(path: string, options: readonly string[]): void {
  const { status, stdout } = spawnSync("e2fsck", [...options, path], { encoding: "utf8" });
  if (status !== 0 && status !== 1) throw new Error(`e2fsck ${options.join(" ")}: ${stdout}`);
  if (status === 1 && options.includes("-n")) throw new Error(`not clean: ${stdout}`);
}

/** Blocks that are not the same; the superblocks of both are the judge's own business. */
function differences(
  a: Uint8Array,
  b: Uint8Array,
  { map, blockSize }: Pick<Work, "map" | "blockSize">,
): number[] {
  const own = new Set([Math.floor(1024 / blockSize)]);
  for (let n = 0; n < map.blocks; n++) own.add(map.physical(n) ?? 0);
  const wrong: number[] = [];
  for (let block = 0; block * blockSize < a.length; block++) {
    const [from, to] = [block * blockSize, (block + 1) * blockSize];
    if (!own.has(block) && !same(a.subarray(from, to), b.subarray(from, to))) wrong.push(block);
  }
  return wrong;
}

describe.skipIf(judge.missing)(`journals that we wrote${judge.hint}`, () => {
  test.each(inSlices(Object.keys(KINDS), 2))("%s: e2fsck replays what we replay", (kind) => {
    const job = work(kind);
    const path = join(folder, "cut.img");
    let replayed = 0;
    for (const { image, promised } of job.disk.states(5, LONG ? 250 : 3, false)) {
      const recovered = ours(image);
      const step = job.workload.stepOf(recovered, promised);
      expect(step).toBeDefined();
      writeSparse(path, image);
      e2fsck(path, ["-y", "-E", "journal_only"]);
      const after = readFileSync(path);
      expect(differences(recovered, after, job)).toEqual([]);
      e2fsck(path, ["-f", "-n"]);
      writeFileSync(path, recovered);
      e2fsck(path, ["-f", "-n"]);
      if (differences(image, recovered, job).length > 0) replayed++;
    }
    expect(replayed).toBeGreaterThan(0);
  });
});

describe.skipIf(judge.missing || kernel.missing)(`this kernel${judge.hint}${kernel.hint}`, () => {
  test.each(inSlices(Object.keys(KINDS), 2))("%s: a mount replays what we replay", (kind) => {
    const job = work(kind);
    const [path, mount] = [join(folder, "mounted.img"), join(folder, "mount")];
    mkdirSync(mount, { recursive: true });
    for (const { image } of job.disk.states(6, LONG ? 20 : 1, false)) {
      const recovered = ours(image);
      // The mount's own changes are made to ours, too: what differs then is the replay.
      for (const bytes of [image, recovered]) {
        writeSparse(path, bytes);
        withLoopMount(path, mount, "noatime,noinit_itable", () => {});
        bytes.set(readFileSync(path));
      }
      expect(job.workload.stepOf(image, 0)).toBe(job.workload.stepOf(recovered, 0));
      expect(job.workload.stepOf(image, 0)).toBeDefined();
      expect(differences(image, recovered, job)).toEqual([]);
    }
  });
});
