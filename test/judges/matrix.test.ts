/**
 * The matrix: for every variant, `daxkit tar` says what the kernel's loop mount says, member by
 * member, with owners, modes, times, links and extended attributes.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shortOnes } from "../support/slices.ts";
import { makeImage } from "./images.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";
import { makeSourceTree } from "./source-tree.ts";
import { VARIANTS } from "./variants.ts";

const command = resolve(import.meta.dirname, "../../dist/cli/main.js");
const tools = programs(
  ["mke2fs", "tar", "python3", "setfattr", "setfacl", "fallocate"],
  "apt-get install e2fsprogs tar python3 attr acl util-linux",
);
const mounts = loopMounts();
const GNU_TAR = [
  "--sort=name",
  "--format=posix",
  "--numeric-owner",
  "--xattrs",
  "--xattrs-include=*",
];
const variants = shortOnes(VARIANTS);

let folder = "";
let mount = "";

/** The archive as lines of JSON, by a reader that is neither GNU's nor ours. */
function members(archive: string): string[] {
  const script = join(import.meta.dirname, "tar-members.py");
  const fd = fs.openSync(archive, "r");
  const reader = spawnSync("python3", [script], {
    stdio: [fd, "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  fs.closeSync(fd);
  if (reader.status !== 0) throw new Error(`tar-members.py: ${reader.stderr}`);
  return reader.stdout.trimEnd().split("\n");
}

const same = (archive: readonly string[]): readonly string[] => archive;

function withoutDirectoryTimes(archive: readonly string[]): string[] {
  return archive.map((line) =>
    line.includes('"type": "5"') ? line.replace(/"mtime": "[0-9.]+"/u, '"mtime": "any"') : line,
  );
}

/** The first few members that only one of the two has: all of them would fill pages. */
function differences(theirs: readonly string[], ours: readonly string[]): string[] {
  const [kernel, daxkit] = [new Set(theirs), new Set(ours)];
  const missing = theirs.filter((member) => !daxkit.has(member));
  const surplus = ours.filter((member) => !kernel.has(member));
  const order = missing.length + surplus.length === 0 && theirs.join() !== ours.join();
  return [
    ...missing.slice(0, 3).map((member) => `only the kernel, ${missing.length} in all: ${member}`),
    ...surplus.slice(0, 3).map((member) => `only daxkit, ${surplus.length} in all: ${member}`),
    ...(order ? ["the same members in another order"] : []),
  ];
}

describe.skipIf(tools.missing || mounts.missing)(
  `daxkit tar equals the kernel's mount${tools.hint}${mounts.hint}`,
  () => {
    beforeAll(() => {
      folder = fs.mkdtempSync(join(tmpdir(), "daxkit-matrix-"));
      mount = join(folder, "mount");
      fs.mkdirSync(mount);
      fs.mkdirSync(join(folder, "source"));
      makeSourceTree(join(folder, "source"), 1);
    });

    afterAll(() => {
      fs.rmSync(folder, { recursive: true, force: true });
    });

    test.for(variants)("$name", ({ life, ...rest }) => {
      const made = makeImage({ life, ...rest }, join(folder, "source"), folder, mount);
      const theirs = join(folder, "theirs.tar");
      const ours = join(folder, "ours.tar");
      withLoopMount(made.reference, mount, life === "dirty" ? "rw" : "ro", (root) => {
        execFileSync("tar", ["-C", root, ...GNU_TAR, "-cf", theirs, "."], { stdio: "pipe" });
      });
      execFileSync(process.execPath, [command, "tar", made.image, "-f", ours], { stdio: "pipe" });
      const comparable = rest.replayDatesDirectories === true ? withoutDirectoryTimes : same;
      const expected = members(theirs);
      expect(expected.length).toBeGreaterThan(2700);
      expect(differences(comparable(expected), comparable(members(ours)))).toEqual([]);
      const check = spawnSync(process.execPath, [command, "check", made.image], {
        encoding: "utf8",
      });
      expect(check.stdout + check.stderr).not.toContain("error");
      expect(check.status).toBe(0);
      for (const path of [made.image, made.reference, theirs, ours]) fs.unlinkSync(path);
    });
  },
);
