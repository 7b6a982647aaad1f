/** The order of `-o` beside mount(8) and this machine's kernel, on a tmpfs. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readMountOptions } from "../../src/cli/mount-options.ts";
import { Prng } from "../../src/lib/prng.ts";
import { scratch } from "../support/scratch.ts";
import { probed } from "./judge.ts";

const WORDS =
  "ro rw exec noexec suid nosuid dev nodev user users owner defaults nofail x-a=b".split(" ");
const LISTS = 40;

function canMount(): boolean {
  return process.getuid?.() === 0 && spawnSync("mount", ["-V"], { stdio: "ignore" }).status === 0;
}
const judge = probed(canMount, "run as root, with mount");

/** Which of the words the mount at `folder` has. */
function byMount(folder: string, list: string): string[] {
  execFileSync("mount", ["-t", "tmpfs", "-o", list, "daxkit", folder], { stdio: "pipe" });
  try {
    const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
    const options = lines.find((line) => line.split(" ")[1] === folder)?.split(" ")[3] ?? "";
    return ["ro", "noexec", "nosuid", "nodev"].filter((each) => options.split(",").includes(each));
  } finally {
    execFileSync("umount", [folder], { stdio: "pipe" });
  }
}

function byUs(list: string): string[] {
  const { readOnly, noexec, nosuid, nodev } = readMountOptions([list]).settings;
  const flags = Object.entries({ ro: readOnly, noexec, nosuid, nodev });
  return flags.filter(([, on]) => on).map(([name]) => name);
}

describe.skipIf(judge.missing)(`options of mount(8)${judge.hint}`, () => {
  test("mean the same in any order", () => {
    const folder = scratch(undefined, "mount");
    mkdirSync(folder);
    const prng = new Prng(25);
    const lists = Array.from({ length: LISTS }, () => {
      const length = 1 + prng.below(6);
      return Array.from({ length }, () => WORDS[prng.below(WORDS.length)]).join(",");
    });
    const ours = lists.map((list) => `${list}: ${byUs(list).join()}`);
    expect(ours).toEqual(lists.map((list) => `${list}: ${byMount(folder, list).join()}`));
  });
});
