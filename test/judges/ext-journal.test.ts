/**
 * Journals that Linux left dirty on loop mounts: the replayed blocks against the ones that
 * `e2fsck -E journal_only` writes, block for block, the check against what Linux left, and what
 * e2fsck and a mount of ours leave in the end.
 *
 * `DAXKIT_LONG=1` makes 75 of them.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import {
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { type JournalReplay, replayLog } from "../../src/fs/ext/journal-replay.ts";
import { openJournal, recoverOnDevice } from "../../src/fs/ext/recovery.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { silent } from "../../src/lib/environment.ts";
import { noise, same } from "../support/bytes.ts";
import { manifestOf, mountBytes, still } from "../support/ext-images.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { probed, programs } from "./judge.ts";
import { withLoopMount } from "./loop-mount.ts";

const crashScript = join(import.meta.dirname, "..", "support", "crash-mount.py");
const tools = ["mke2fs", "e2fsck", "debugfs", "mount", "umount", "python3"];
const e2fsprogs = programs(tools, "apt-get install e2fsprogs util-linux python3");
const loop = probed(canMount, "run as root where loop mounts are allowed");
const judge = e2fsprogs.missing ? e2fsprogs : loop;

const LONG = process.env["DAXKIT_LONG"] !== undefined;

/** What a dirty image is made with: arguments of mke2fs, mount options, rounds of work. */
const KINDS: Readonly<Record<string, readonly [mkfs: string, mount: string, rounds: number]>> = {
  "checksum v3, 64bit, 4k": ["-t ext4 -b 4096", "", 7],
  "checksum v3, 64bit, 1k": ["-t ext4 -b 1024", "", 7],
  "checksum v3, 32 bit, 1k": ["-t ext4 -b 1024 -O ^64bit", "", 7],
  "no checksums, 64bit, 4k": ["-t ext4 -b 4096 -O ^metadata_csum", "", 7],
  "no checksums, 32 bit, 1k": ["-t ext4 -b 1024 -O ^64bit,^metadata_csum", "", 7],
  "checksum v1": ["-t ext4 -b 1024 -O ^metadata_csum", ",journal_checksum", 7],
  "async commit": ["-t ext4 -b 4096", ",journal_async_commit,data=writeback", 7],
  "ext3, block maps": ["-t ext3 -b 1024", "", 7],
  "a log that wrapped": ["-t ext4 -b 1024 -J size=1", "", 30],
  "data=journal, 1k": ["-t ext4 -b 1024", ",data=journal", 7],
  "data=journal on ext3, 4k": ["-t ext3 -b 4096", ",data=journal", 7],
  bigalloc: ["-t ext4 -b 4096 -O bigalloc", "", 7],
  "inline data, orphan file, 2k": [
    "-t ext4 -b 2048 -O inline_data,orphan_file,metadata_csum_seed",
    "",
    7,
  ],
  "fast commits, 4k": ["-t ext4 -b 4096 -O fast_commit", "", 7],
  "fast commits, no checksums, 1k": ["-t ext4 -b 1024 -O fast_commit,^metadata_csum", "", 7],
};

/** Seeds from 100 on are shut down amid the work; `DAXKIT_LONG=1` has four such of each kind. */
const CASES = inSlices(
  Object.keys(KINDS).flatMap((kind, i) => {
    const seeds = LONG ? [0, 100, 200, 300, 400] : [i % 2 === 0 ? 0 : 100];
    return seeds.map((base) => [kind, base + i] as const);
  }),
  LONG ? 1 : 3,
  LONG ? 1 : 2,
);

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  // e2fsck answers 1 when it has changed something.
  if (status !== 0 && !(command === "e2fsck" && status === 1))
    throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), "daxkit-probe-"));
  const image = join(folder, "probe.img");
  try {
    writeFileSync(image, "");
    truncateSync(image, 8 << 20);
    run("mke2fs", ["-q", "-F", image]);
    run("mount", ["-o", "loop", image, folder]);
    run("umount", [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "daxkit-journal-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Makes a dirty image; its path. */
function crash(kind: string, seed: number): string {
  const [mkfs, options, rounds] = KINDS[kind] as (typeof KINDS)[string];
  const path = join(folder, `${seed}.img`);
  const mount = join(folder, `${seed}.mount`);
  writeFileSync(path, "");
  truncateSync(path, 32 << 20);
  run("mke2fs", ["-q", "-F", ...mkfs.split(" "), path]);
  mkdirSync(mount, { recursive: true });
  run("python3", [crashScript, path, mount, options, String(rounds), String(seed)]);
  return path;
}

interface Replayed {
  readonly replay: JournalReplay;
  readonly blockSize: number;
  /** Blocks in which the judge writes more than the log says: both superblocks. */
  readonly superblocks: ReadonlySet<number>;
}

function replayed(image: Uint8Array): Replayed {
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const superblock = readSuperblock(disk);
  const { blockSize, journalInum } = superblock;
  const volume = new Volume(superblock, new Buffers(disk, blockSize), silent);
  const replay = replayLog(openJournal(volume));
  const journal = new FileMap(volume, volume.record(journalInum)).blockOf(0) as number;
  return { replay, blockSize, superblocks: new Set([journal, Math.floor(1024 / blockSize)]) };
}

/** Blocks that are not as the judge left them, the superblocks left out. */
function differences(before: Uint8Array, after: Uint8Array): number[] {
  const { replay, blockSize, superblocks } = replayed(before);
  const wrong: number[] = [];
  for (let block = 0; block * blockSize < before.length; block++) {
    const [from, to] = [block * blockSize, (block + 1) * blockSize];
    const ours = replay.blocks.get(block) ?? before.subarray(from, to);
    if (!superblocks.has(block) && !same(ours, after.subarray(from, to))) wrong.push(block);
  }
  return wrong;
}

/** Fields of the superblock that each recovery writes in its own words. */
const OWN_FIELDS = [SB.wtime, SB.wtimeHi, SB.lastcheck, SB.kbytesWritten, SB.checksum];

/** The superblock without them. */
function superblockOf(image: Uint8Array<ArrayBuffer>): Uint8Array {
  const bytes = image.slice(1024, 2048);
  for (const { offset, size } of OWN_FIELDS) bytes.fill(0, offset, offset + size);
  return bytes;
}

/** A copy that is replayed on the device, as a mount for writing does. */
function recovered(before: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(before);
  const disk = new RamDisk({ name: "ram0", bytes });
  const superblock = readSuperblock(disk);
  recoverOnDevice(superblock, disk, silent);
  return bytes;
}

/** What somebody else makes of an image. */
function judged(path: string, change: (copy: string) => void): Uint8Array<ArrayBuffer> {
  const copy = `${path}.judge`;
  copyFileSync(path, copy);
  change(copy);
  const after = Uint8Array.from(readFileSync(copy));
  rmSync(copy);
  return after;
}

/**
 * Replays the log, and nothing else: e2fsck would end orphans, too. Before that no checksum need
 * hold, and debugfs is told so.
 */
function replayLike(copy: string, orphans: boolean): void {
  if (orphans) run("debugfs", ["-w", "-n", "-R", "journal_run", copy]);
  else run("e2fsck", ["-y", "-E", "journal_only", copy]);
}

/** Every block is the same, and the filesystem's superblock but for declared fields. */
function replayIsTheJudges(path: string, before: Uint8Array): void {
  const { lastOrphan, featureRoCompat } = readSuperblock(
    new RamDisk({ name: "ram0", bytes: recovered(before) }),
  );
  const listed = (featureRoCompat & EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT) !== 0;
  const after = judged(path, (copy) => replayLike(copy, lastOrphan !== 0 || listed));
  expect(differences(before, after)).toEqual([]);
  expect(superblockOf(recovered(before))).toEqual(superblockOf(after));
}

/** What a fast commit that removes a directory leaves, and e2fsck finds. */
const LINKS_COUNTED = /^Inode \d+ ref count is|\*{10} WARNING: Filesystem still|^exit status 4$/u;

/**
 * Orphans are ended as well: by somebody else, and by our mount. A fast commit does not say that
 * the parent of a directory that was removed has a link less, and nobody's replay finds out.
 */
function endIsTheSame(
  [path, before]: readonly [string, Uint8Array],
  ending: (copy: string) => void,
  fast = false,
): void {
  const theirs = judged(path, ending);
  const ours = Uint8Array.from(before);
  mountToWrite(ours).unmount();
  expect(manifestOf(mountBytes(ours))).toEqual(manifestOf(mountBytes(theirs)));
  const saidOfTheirs = e2fsckSays(theirs);
  const counted = fast && saidOfTheirs.length > 0;
  const said = e2fsckSays(ours).filter((line) => !(counted && LINKS_COUNTED.test(line)));
  expect([...said, ...(fast ? [] : saidOfTheirs)]).toEqual([]);
}

const preened = (copy: string): void => run("e2fsck", ["-fp", copy]);

function mounted(copy: string): void {
  const mount = `${copy}.mount`;
  mkdirSync(mount, { recursive: true });
  withLoopMount(copy, mount, "noatime", () => {});
}

describe.skipIf(judge.missing)(`journals that Linux left dirty${judge.hint}`, () => {
  test.each(CASES)("%s, seed %i", (kind, seed) => {
    const path = crash(kind, seed);
    const before = readFileSync(path);
    const findings = [...ext.check(new RamDisk({ name: "ram0", bytes: before }), still)];
    expect(findings.filter(({ severity }) => severity !== "note")).toEqual([]);
    expect(findings.map(({ code }) => code)).toContain("ext.journal.dirty");
    const fast = kind.startsWith("fast");
    endIsTheSame([path, before], mounted, fast);
    // What fast commits say is done by each in its own way, and by this e2fsck not to the end.
    if (!fast) {
      replayIsTheJudges(path, before);
      endIsTheSame([path, before], preened);
    }
    rmSync(path);
  });
});

const debugfs = programs(["mke2fs", "debugfs", "e2fsck"], "apt-get install e2fsprogs");

// Layouts that today's Linux does not write any more, written by debugfs.
describe.skipIf(debugfs.missing)(`journals that debugfs wrote${debugfs.hint}`, () => {
  const versions = ["2", "3"];
  const widths = ["^64bit", "64bit"];
  const cases = versions.flatMap((version) => widths.map((width) => [version, width] as const));
  test.each(cases)("checksum v%s, %s", (version, width) => {
    const path = join(folder, `debugfs-${version}-${width}.img`);
    writeFileSync(path, "");
    truncateSync(path, 16 << 20);
    const features = ["-t", "ext4", "-b", "1024", "-O", `metadata_csum,${width}`];
    run("mke2fs", ["-q", "-F", ...features, path]);
    writeFileSync(join(folder, "eight"), noise(1, 8192));
    // A block that looks like the journal's own has to be escaped.
    writeFileSync(join(folder, "magic"), Uint8Array.of(0xc0, 0x3b, 0x39, 0x98, ...noise(2, 1020)));
    const commands = [
      `journal_open -c -v ${version}`,
      `journal_write -b 9000-9007 ${join(folder, "eight")}`,
      "journal_write -r 9003,9004",
      `journal_write -b 9100 ${join(folder, "magic")}`,
      "journal_close",
    ];
    writeFileSync(join(folder, "commands"), `${commands.join("\n")}\n`);
    run("debugfs", ["-w", "-f", join(folder, "commands"), path]);
    const before = readFileSync(path);
    expect(replayed(before).replay.statistics).toMatchObject({
      transactions: 3,
      replayed: 7,
      revoked: 2,
      revokeRecords: 2,
    });
    run("e2fsck", ["-y", "-E", "journal_only", path]);
    expect(differences(before, readFileSync(path))).toEqual([]);
  });
});
