/**
 * Our tar streams against GNU tar's, byte by byte: of a folder of the host, and of what the
 * kernel's own mount of the same image shows.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openVolume } from "../../src/node/volume.ts";
import { tarSubtree, tarToDescriptor } from "../../src/node/image/tar.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { writeTar } from "../../src/vfs/tar.ts";
import { same } from "../support/bytes.ts";
import { makeFolder, makeHostTree, toyOf, walkHost } from "../support/host-tree.ts";
import { probed, programs } from "./judge.ts";
import { withLoopMount } from "./loop-mount.ts";

const gnuTar = probed(
  () => String(spawnSync("tar", ["--version"]).stdout).includes("GNU tar"),
  "apt-get install tar",
);
const python = programs(["python3"], "apt-get install python3");
const mounting = probed(
  () =>
    process.getuid?.() === 0 &&
    ["mke2fs", "losetup", "mount", "setfattr"].every(
      (name) => spawnSync("which", [name]).status === 0,
    ) &&
    spawnSync("losetup", ["-f"]).status === 0,
  "run as root with loop devices; apt-get install e2fsprogs attr",
);
const OPTIONS = [
  "--sort=name",
  "--format=posix",
  "--numeric-owner",
  "--xattrs",
  "--xattrs-include=*",
  "--pax-option=delete=atime,delete=ctime",
];

function theirs(folder: string, what = "."): Buffer {
  const run = spawnSync("tar", [...OPTIONS, "-C", folder, "-cf", "-", what], {
    maxBuffer: 2 ** 28,
    env: { ...process.env, LC_ALL: "C" },
  });
  return run.stdout;
}

function collect(write: (sink: (bytes: Uint8Array) => void) => unknown): Buffer {
  const parts: Buffer[] = [];
  write((bytes) => parts.push(Buffer.from(bytes)));
  return Buffer.concat(parts);
}

/** The first block in which two archives differ, for a message that helps. */
function difference(a: Buffer, b: Buffer): string {
  if (same(a, b)) return "";
  for (let at = 0; at < Math.max(a.length, b.length); at += 512) {
    const [left, right] = [a.subarray(at, at + 512), b.subarray(at, at + 512)];
    if (same(left, right)) continue;
    return `block ${at / 512}: ${left.toString("latin1")} | ${right.toString("latin1")}`;
  }
  return "lengths";
}

describe.skipIf(gnuTar.missing)(`of a folder${gnuTar.hint}`, () => {
  const root = makeFolder();
  makeHostTree(root);
  afterAll(() => fs.rmSync(root, { recursive: true }));

  test("everything, byte for byte", () => {
    const ours = collect((sink) => writeTar(new FileTree(toyOf(root)), "/", sink));
    expect(difference(ours, theirs(root))).toBe("");
  });

  test("a directory below, and a single file", () => {
    const tree = new FileTree(toyOf(root));
    const folder = collect((sink) => writeTar(tree, "/dir/deep", sink));
    expect(difference(folder, theirs(join(root, "dir/deep")))).toBe("");
    const file = collect((sink) => writeTar(tree, "dir/page", sink));
    expect(difference(file, theirs(join(root, "dir"), "page"))).toBe("");
  });

  test.skipIf(python.missing)(`python reads it${python.hint}`, () => {
    const ours = collect((sink) => writeTar(new FileTree(toyOf(root)), "/", sink));
    const script = `
import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", errors="surrogateescape") as archive:
    for member in archive:
        size = len(archive.extractfile(member).read()) if member.isreg() else 0
        print(ascii(member.name), oct(member.mode), member.type.decode(), size, member.mtime)
`;
    const lines = execFileSync("python3", ["-c", script], { input: ours, encoding: "utf8" }).trim();
    const files = lines.split("\n");
    expect(files).toHaveLength([...walkHost(Buffer.from(root))].length);
    const { mtimeMs } = fs.statSync(join(root, "tail"));
    const tail = files.find((line) => line.startsWith("'./tail' 0o644 0 700007 "));
    expect(Number(tail?.split(" ").at(-1)) * 1000).toBeCloseTo(mtimeMs, 2);
  });
});

/** What only root can make, and what needs room that the host's folder may not have. */
function makeHardTree(root: string): void {
  const at = (name: string): string => join(root, name);
  makeHostTree(root);
  const touch = (name: string, time: string): void => {
    fs.writeFileSync(at(name), "");
    execFileSync("touch", ["-d", time, at(name)]);
  };
  touch("before", "1969-12-31 23:59:58.500 UTC");
  touch("long-before", "1901-12-15 00:00:00 UTC");
  touch("far", "2300-01-01 00:00:00 UTC");
  touch("fine", "2024-02-29 12:00:00.123456789 UTC");
  for (const length of [98, 99, 100, 101, 150]) {
    fs.mkdirSync(join(root, "d".repeat(length), "e".repeat(120)), { recursive: true });
    fs.symlinkSync("t".repeat(length), at(`to-${length}`));
  }
  fs.writeFileSync(at("x".repeat(120)), "named long");
  fs.linkSync(at("x".repeat(120)), at("z".repeat(110)));
  fs.linkSync(at("link"), at("zz-link"));
  for (const [name, ...kind] of [
    ["fifo", "p"],
    ["char", "c", "5", "1"],
    ["block", "b", "4095", "1048575"],
  ]) {
    execFileSync("mknod", [at(name as string), ...kind]);
  }
  fs.linkSync(at("char"), at("char-again"));
  fs.chownSync(at("x".repeat(120)), 4_000_000_000, 70_000_000);
  fs.chownSync(at("far"), 2_097_151, 2_097_152);
  fs.lchownSync(at("to-150"), 3_000_000, 0);
  const attributes: readonly (readonly [string, string, string])[] = [
    ["fine", "user.plain", "value"],
    ["fine", "user.a=b", "0x00ff0a3d"],
    ["fine", "trusted.per%cent", ""],
    ["fine", "security.other", "s"],
    ["dir", "system.posix_acl_access", ACL],
    ["tiny", "user.linked", "twice"],
    ["empty", "user.big", `0x${"ab".repeat(700)}`],
  ];
  for (const [name, key, value] of attributes) {
    execFileSync("setfattr", ["-n", key, "-v", value, at(name)]);
  }
}

/** user::rwx, user:1000:rw-, group::r-x, mask::rwx, other::r-x, as setxattr(2) takes it. */
const ACL =
  "0x0200000001000700ffffffff02000600e803000004000500ffffffff10000700ffffffff20000500ffffffff";

describe.skipIf(mounting.missing || gnuTar.missing)(`of a mount${mounting.hint}`, () => {
  let folder = "";
  let image = "";

  beforeAll(() => {
    folder = makeFolder();
    image = join(folder, "image");
    const mount = join(folder, "mount");
    fs.mkdirSync(mount);
    execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", image, "64M"], { stdio: "pipe" });
    withLoopMount(image, mount, "rw", makeHardTree);
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  function expected(options: string): Buffer {
    return withLoopMount(image, join(folder, "mount"), options, (root) => theirs(root));
  }

  test("owners, devices, attributes, links and times, byte for byte", () => {
    const volume = openVolume(image);
    const ours = collect((sink) => tarSubtree(volume, "/", sink));
    volume.close();
    expect(difference(ours, expected("ro"))).toBe("");
  });

  test("to a descriptor it is the same stream", () => {
    using volume = openVolume(image);
    const path = join(folder, "archive");
    const fd = fs.openSync(path, "w");
    const { bytes, members } = tarToDescriptor(volume, "/", fd);
    fs.closeSync(fd);
    const ours = collect((sink) => tarSubtree(volume, "/", sink));
    expect(same(fs.readFileSync(path), ours)).toBe(true);
    expect([bytes, members > 300]).toEqual([ours.length, true]);
  });
});
