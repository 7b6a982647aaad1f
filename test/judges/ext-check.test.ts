/**
 * The check against `e2fsck -fn`: both say that an image is clean, or both that it is not. Where
 * they differ on purpose, the difference is listed with its reason.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { Finding } from "../../src/vfs/filesystem.ts";
import { EXT_FIXTURES, type ExtFixture, fixtureImage, still } from "../support/ext-images.ts";
import { MUTATIONS } from "../support/mutations/all.ts";
import { type Mutation, Target } from "../support/mutations/target.ts";
import { places } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");

/** Damage that only one of the two reports, and why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "node depth": "e2fsck goes by the root's depth; Linux refuses such a tree (EUCLEAN)",
};

/** Lines of e2fsck that are no complaint. */
const HARMLESS = [
  /^\s*$/u,
  /^Pass \d/u,
  / files \([\d.]+% non-contiguous\), /u,
  // An offer to optimise what Linux itself writes.
  /extent tree \(at level \d+\) could be (shorter|narrower)/u,
];

function e2fsckComplains(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile("e2fsck", ["-fn", path], (error, stdout) => {
      const status = error === null ? 0 : Number(error.code ?? 16);
      const said = stdout.split("\n").filter((line) => !HARMLESS.some((rule) => rule.test(line)));
      resolve(status >= 4 || said.length > 0);
    });
  });
}

function weComplain(bytes: Uint8Array): boolean {
  const findings = [...ext.check(new RamDisk({ name: "ram0", bytes }), still)];
  return findings.some(({ severity }) => severity === "error");
}

const folder = mkdtempSync(join(places["tmpfs"] ?? places["disk"] ?? tmpdir(), "daxkit-check-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function agree(name: string, bytes: Uint8Array): Promise<boolean> {
  const path = join(folder, `${name.replaceAll(/\W/gu, "-")}.img`);
  await writeFile(path, bytes);
  const judged = e2fsckComplains(path);
  const ours = weComplain(bytes);
  const same = ours === (await judged);
  await rm(path);
  return same;
}

/** Damages the first image that has what the mutation needs, starting at a different one each. */
function damaged(mutation: Mutation, start: number): Target {
  for (const i of EXT_FIXTURES.keys()) {
    const name = EXT_FIXTURES[(start + i) % EXT_FIXTURES.length] as ExtFixture;
    const target = new Target(name);
    if (mutation.edit(target) !== false) return target;
  }
  throw new Error(`no fixture has what "${mutation.name}" needs`);
}

describe.skipIf(e2fsck.missing)(`e2fsck agrees${e2fsck.hint}`, { concurrent: true }, () => {
  test.each(inSlices(EXT_FIXTURES, 3))("%s is clean", async (name) => {
    expect(weComplain(fixtureImage(name))).toBe(false);
    expect(await agree(name, fixtureImage(name))).toBe(true);
  });

  // Each kind of damage on one of the images, a different one for each.
  test.each(
    inSlices(
      MUTATIONS.map(({ name }, i) => [name, i] as const),
      4,
    ),
  )("%s", async (name, i) => {
    const mutation = MUTATIONS[i] as (typeof MUTATIONS)[number];
    const target = damaged(mutation, i);
    const differs = DIFFERENCES[name] !== undefined;
    expect(await agree(name, target.bytes)).toBe(!differs);
  });
});

/** Arguments of mke2fs, each for an image with a tree in it. */
const VARIANTS: Readonly<Record<string, string>> = {
  "ext2, 1k": "-t ext2 -b 1024",
  "ext2, revision 0": "-t ext2 -r 0 -b 1024",
  "ext2, no file types, no index": "-t ext2 -b 2048 -O ^filetype,^dir_index",
  "ext2, superblocks everywhere": "-t ext2 -b 1024 -g 8192 -O ^sparse_super,^resize_inode",
  "ext3, 128-byte inodes": "-t ext3 -b 1024 -I 128",
  "ext4, 1k": "-t ext4 -b 1024",
  "ext4, 4k": "-t ext4 -b 4096",
  "ext4, 512-byte inodes": "-t ext4 -b 4096 -I 512",
  "no checksums": "-t ext4 -b 1024 -O ^metadata_csum,^64bit",
  "descriptor checksums": "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg",
  "no extents": "-t ext4 -b 1024 -O ^extents,^64bit",
  meta_bg: "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,sparse_super2,^flex_bg",
  "bigalloc, 1k": "-t ext4 -b 1024 -C 16384 -O bigalloc",
  "inline data": "-t ext4 -b 4096 -O inline_data",
  "ea_inode, large_dir": "-t ext4 -b 1024 -O ea_inode,large_dir",
  "orphan file, checksum seed": "-t ext4 -b 1024 -O orphan_file,metadata_csum_seed",
  mmp: "-t ext4 -b 4096 -O mmp",
  "lazy inode tables": "-t ext4 -b 1024 -g 2048 -E lazy_itable_init=1",
  "no journal": "-t ext4 -b 4096 -O ^has_journal",
};

const mke2fs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");

/** A tree with what files can be: many names, long names, holes, links, a pipe. */
function makeTree(): string {
  const tree = join(folder, "tree");
  for (let d = 0; d < 6; d++) {
    mkdirSync(join(tree, `d${d}`), { recursive: true });
    for (let i = 0; i < 20; i++) {
      writeFileSync(join(tree, `d${d}`, `${"n".repeat(i * 4)}-${i}`), Buffer.alloc(i * 997, d + 1));
    }
  }
  mkdirSync(join(tree, "many"));
  for (let i = 0; i < 300; i++)
    writeFileSync(join(tree, "many", `entry-${"m".repeat(i % 40)}-${i}`), "");
  writeFileSync(join(tree, "large"), Buffer.alloc(1_500_000, 7));
  writeFileSync(join(tree, "sparse"), "x");
  truncateSync(join(tree, "sparse"), 5_000_000);
  symlinkSync("short", join(tree, "fast"));
  symlinkSync("long/".repeat(40), join(tree, "slow"));
  linkSync(join(tree, "large"), join(tree, "hard"));
  execFileSync("mkfifo", [join(tree, "fifo")]);
  return tree;
}

describe.skipIf(mke2fs.missing)(`what mke2fs makes is clean${mke2fs.hint}`, () => {
  let tree = "";
  beforeAll(() => {
    tree = makeTree();
  });

  test.each(inSlices(Object.entries(VARIANTS), 2))("%s", async (name, options) => {
    const path = join(folder, "variant.img");
    writeFileSync(path, "");
    truncateSync(path, 24 << 20);
    execFileSync("mke2fs", ["-q", "-F", "-d", tree, ...options.split(" "), path], {
      stdio: "pipe",
    });
    const bytes = readFileSync(path);
    rmSync(path);
    expect([...ext.check(new RamDisk({ name: "ram0", bytes }), still)]).toEqual([]);
    expect(await agree(name, bytes)).toBe(true);
  });

  test("quota files are compared with what is in use", async () => {
    const path = join(folder, "quota.img");
    writeFileSync(path, "");
    truncateSync(path, 24 << 20);
    const features = ["-t", "ext4", "-b", "1024", "-O", "quota,project"];
    execFileSync("mke2fs", ["-q", "-F", "-d", tree, ...features, path], { stdio: "pipe" });
    // mke2fs puts the tree in after it has written the quota files.
    const codes = new Set([...checkFile(path)].map(({ code }) => code));
    expect([...codes]).toEqual(["ext.quota.usage"]);
    expect(await e2fsckComplains(path)).toBe(true);
    spawnSync("e2fsck", ["-fy", path]);
    expect([...checkFile(path)]).toEqual([]);
    expect(await e2fsckComplains(path)).toBe(false);
    rmSync(path);
  });
});

function checkFile(path: string): Iterable<Finding> {
  return ext.check(new RamDisk({ name: "ram0", bytes: readFileSync(path) }), still);
}
