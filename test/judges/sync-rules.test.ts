/** What fdatasync leaves out: Linux and we agree, by images taken as soon as it has returned. */
import { execFileSync, spawnSync } from "node:child_process";
import * as nodeFs from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { makeFolder } from "../support/host-tree.ts";
import { type RuleFs, SYNC_RULES, type SyncRule } from "../support/sync-rules.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(["e2fsck", "cp"], "apt-get install e2fsprogs");
const mounts = loopMounts();

interface SyncFs extends RuleFs {
  openSync(path: string, flags: string): number;
  fsyncSync(fd: number): void;
  fdatasyncSync(fd: number): void;
  closeSync(fd: number): void;
  mkdirSync(path: string): unknown;
}

type How = "fsyncSync" | "fdatasyncSync";

function sync(fs: SyncFs, path: string, how: How): void {
  const fd = fs.openSync(path, "r");
  fs[how](fd);
  fs.closeSync(fd);
}

function act(fs: SyncFs, at: string, { change }: SyncRule, how: How): void {
  // An inode that was read while a transaction ran waits for that one, whoever has changed what.
  for (const name of ["f", "d"]) fs.statSync(at + name);
  fs.writeFileSync(`${at}other`, "");
  sync(fs, `${at}other`, "fsyncSync");
  sync(fs, at + change(fs, at), how);
}

/** Whether the change is in a copy of the image once the journal was replayed. */
function survives(image: string, copy: string, rule: SyncRule): boolean {
  execFileSync("cp", ["--sparse=always", image, copy]);
  spawnSync("e2fsck", ["-p", copy]);
  execFileSync("e2fsck", ["-fn", copy], { stdio: "pipe" });
  using volume = openVolume(copy);
  return rule.isThere(volume.fs, "/");
}

describe.skipIf(tools.missing || mounts.missing)(
  `what a sync makes durable${tools.hint}${mounts.hint}`,
  () => {
    test.each(SYNC_RULES)("$name", (rule) => {
      const folder = makeFolder();
      onTestFinished(() => nodeFs.rmSync(folder, { recursive: true }));
      const [first, image, copy] = ["first", "image", "copy"].map((name) => join(folder, name));
      makeVolume(first!, { size: { bytes: 2 ** 24 } });
      {
        using volume = openVolume(first!, { write: true });
        volume.fs.writeFileSync("/f", "old");
        volume.fs.mkdirSync("/d");
      }
      const mount = join(folder, "mount");
      nodeFs.mkdirSync(mount);
      const found = (["fsyncSync", "fdatasyncSync"] as const).map((how) => {
        nodeFs.copyFileSync(first!, image!);
        // Nothing is committed that was not asked for.
        const linux = withLoopMount(image!, mount, "commit=300", () => {
          act(nodeFs, `${mount}/`, rule, how);
          return survives(image!, copy!, rule);
        });
        nodeFs.copyFileSync(first!, image!);
        using volume = openVolume(image!, { write: true });
        act(volume.fs, "/", rule, how);
        return [linux, survives(image!, copy!, rule)];
      });
      const linux = rule.fdatasync;
      expect(found).toEqual([
        [true, true],
        [linux, rule.fdatasync],
      ]);
    });
  },
);
