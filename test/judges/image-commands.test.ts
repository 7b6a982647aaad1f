/**
 * The commands on images print what coreutils and filefrag print of the kernel's mount.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daxkit } from "../support/daxkit.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { makeFolder } from "../support/host-tree.ts";
import { inSlices } from "../support/slices.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(["filefrag", "stat", "df", "find"], "apt-get install e2fsprogs coreutils");
const trees = programs(["tree"], "apt-get install tree");
const kernel = loopMounts();
const IMAGES = ["ext4-default", "ext2-1k"] as const;

let cwd = "";
beforeAll(() => {
  cwd = makeFolder();
  mkdirSync(join(cwd, "mount"));
});
afterAll(() => rmSync(cwd, { recursive: true }));

/** What a program of this machine prints, run in the mount. */
function theirs(program: string, args: readonly string[], folder: string): string {
  const env = { ...process.env, LC_ALL: "C", TZ: "UTC" };
  return execFileSync(program, args, { cwd: folder, env, encoding: "latin1", stdio: "pipe" });
}

function ours(...args: string[]): string {
  const { status, stdout, stderr } = daxkit(args, { cwd });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout.replaceAll("i.img:/", "./");
}

function numbers(table: string): string[] {
  return table.trimEnd().split("\n").at(-1)?.trim().split(/\s+/u).slice(1, 5) ?? [];
}

describe.skipIf(tools.missing || kernel.missing)(
  `commands on images against a mount${tools.hint}${kernel.hint}`,
  () => {
    test.each(inSlices(IMAGES, 2))("%s", (name) => {
      writeFileSync(join(cwd, "i.img"), fixtureImage(name));
      withLoopMount(join(cwd, "i.img"), join(cwd, "mount"), "ro", (mount) => {
        // The root's `..` is a directory of this machine; names below start with a dot.
        const folders = ["./a", "./a/b", "./dir", "./lost+found"];
        const inside = folders.map((path) => path.replace("./", "i.img:/"));
        expect(ours("ls", "-lai", ...inside)).toBe(theirs("ls", ["-lai", ...folders], mount));
        expect(ours("ls", "-R", "i.img")).toBe(theirs("ls", ["-R", "./"], mount));

        const files = theirs("find", [".", "-type", "f"], mount).trimEnd().split("\n").toSorted();
        const images = files.map((path) => path.replace("./", "i.img:/"));
        const some = files.filter((_, index) => index % 40 === 0);
        const stats = theirs("stat", some, mount).replaceAll(/Device: \d+,\d+/gu, "Device: i.img");
        expect(ours("stat", ...images.filter((_, index) => index % 40 === 0))).toBe(stats);

        const table = theirs("filefrag", ["-v", ...files], mount)
          .replaceAll(/^File\s?system .*\n/gmu, "")
          .replaceAll(/ +$/gmu, "");
        // Of block maps the kernel makes extents as it goes, split where a map's block ends.
        const lines = name === "ext2-1k" ? /^ .*\n/gmu : /^$/gu;
        expect(ours("extents", ...images).replaceAll(lines, "")).toBe(table.replaceAll(lines, ""));

        for (const letters of ["-k", "-i", "-h"]) {
          const own = letters === "-k" ? [] : [letters];
          expect(numbers(ours("df", ...own, "i.img"))).toEqual(
            numbers(theirs("df", [letters, "."], mount)),
          );
        }
      });
    });

    test.skipIf(trees.missing)(`tree draws what tree(1) draws${trees.hint}`, () => {
      writeFileSync(join(cwd, "i.img"), fixtureImage("ext4-default"));
      withLoopMount(join(cwd, "i.img"), join(cwd, "mount"), "ro", (mount) => {
        const drawn = theirs("tree", ["-n", "--charset=UTF-8"], mount);
        expect(ours("tree", "i.img").replace("./\n", ".\n")).toBe(drawn);
      });
    });
  },
);
