/**
 * Access times beside this machine's kernel: files with times of all kinds are read through a mount
 * of each, and the same of them have a new atime afterwards.
 */
import { lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { type Timespec, seededEnvironment } from "../../src/lib/environment.ts";
import { systemEnvironment } from "../../src/node/environment.ts";
import type { AccessRule } from "../../src/vfs/access-times.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { madeImage } from "../support/made-images.ts";
import { scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(["mke2fs"], "apt-get install e2fsprogs");
const judge = tools.missing ? tools : loopMounts();

const HOUR = 3600;
const now = Math.floor(Date.now() / 1000);
/** A second ago, three hours, two days, and three. */
const AGES = [1, 3 * HOUR, 48 * HOUR, 72 * HOUR].map((age) => now - age);

const RULES: readonly [string, AccessRule][] = [
  ["noatime", { times: "none" }],
  ["relatime", { times: "relative" }],
  ["strictatime", { times: "strict" }],
  ["strictatime,nodiratime", { times: "strict", directories: false }],
  ["relatime,nodiratime", { times: "relative", directories: false }],
];

interface Entry {
  readonly path: string;
  readonly kind: "file" | "dir" | "link";
}

/** Entries of every kind with every order of the three times, on an image. */
function prepare(image: Uint8Array): Entry[] {
  let at: Timespec = { sec: now, nsec: 0 };
  const clock = { now: () => at };
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const tree = new FileTree(
    ext.mount(disk, { write: true }, { ...seededEnvironment(1), clock, random: zeros }),
  );
  const entries: Entry[] = [];
  for (const kind of ["file", "dir", "link"] as const) {
    for (const [i, atime] of AGES.entries())
      for (const [j, mtime] of AGES.entries())
        for (const [k, ctime] of AGES.entries()) {
          const path = `/${kind}${i}${j}${k}`;
          entries.push({ path, kind });
          if (kind === "dir") tree.mkdir(path);
          else if (kind === "link") tree.symlink("nowhere", path);
          else tree.open(path, { create: true, access: "write" }).close();
          at = { sec: ctime, nsec: 500_000_000 };
          const nsec = (i + j) % 2 === 0 ? 500_000_000 : 0;
          const times = { atime: { sec: atime, nsec: 500_000_000 }, mtime: { sec: mtime, nsec } };
          tree.utimes(path, times, { follow: false });
        }
  }
  tree.close();
  return entries;
}

const zeros = { fill: (bytes: Uint8Array) => void bytes.fill(0) };

function byKernel(image: Uint8Array, entries: readonly Entry[], options: string): string[] {
  const path = scratch();
  writeSparse(path, image);
  mkdirSync(`${path}.mount`);
  return withLoopMount(path, `${path}.mount`, options, (folder) =>
    entries
      .filter(({ path: name, kind }) => {
        const whole = folder + name;
        const before = lstatSync(whole, { bigint: true }).atimeNs;
        if (kind === "file") readFileSync(whole);
        else if (kind === "dir") readdirSync(whole);
        else readlinkSync(whole);
        return lstatSync(whole, { bigint: true }).atimeNs !== before;
      })
      .map((entry) => entry.path),
  );
}

function byUs(image: Uint8Array, entries: readonly Entry[], rule: AccessRule): string[] {
  const disk = new RamDisk({ name: "ram0", bytes: image.slice() });
  const tree = new FileTree(ext.mount(disk, { write: true }, systemEnvironment));
  tree.mounts.root.accessRule = rule;
  const changed = entries.filter(({ path, kind }) => {
    const before = tree.lstat(path).attributes();
    if (kind === "link") tree.readlink(path);
    else if (kind === "dir") [...tree.readdir(path)].map(({ name }) => name);
    else {
      const file = tree.open(path);
      file.pread(new Uint8Array(10), 0);
      file.close();
    }
    const after = tree.lstat(path).attributes();
    expect(after.ctime).toEqual(before.ctime);
    return after.atime.sec !== before.atime.sec || after.atime.nsec !== before.atime.nsec;
  });
  tree.close();
  return changed.map((entry) => entry.path);
}

describe.skipIf(judge.missing)(`access times${judge.hint}`, () => {
  test.each(["-t ext4 -b 4096", "-t ext2 -b 1024 -I 128"])("as the kernel's: %s", (options) => {
    const image = madeImage(options, 4);
    const entries = prepare(image);
    const ours = RULES.map(([words, rule]) => [words, byUs(image, entries, rule)]);
    expect(ours).toEqual(RULES.map(([words]) => [words, byKernel(image, entries, words)]));
  });
});
