/**
 * `daxkit mkfs -d ARCHIVE` before GNU tar, e2fsck and the kernel: the mounted image holds what GNU
 * tar unpacks of the same archive, told by GNU tar byte for byte, in each format that it writes.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tarSubtree } from "../../src/node/image/tar.ts";
import { checkVolume, openVolume } from "../../src/node/volume.ts";
import { same } from "../support/bytes.ts";
import { runLine } from "../support/command-line.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { difference, told } from "./gnu-tar.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";
import { makeSourceTree } from "./source-tree.ts";

const judge = programs(
  ["e2fsck", "setfattr", "setfacl", "tar"],
  "apt-get install e2fsprogs attr acl tar",
);
const loop = loopMounts();
// On a disk: not every tmpfs has attributes.
const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-mkfs-tar-"));
const source = join(folder, "source");
const image = join(folder, "image");
afterAll(() => fs.rmSync(folder, { recursive: true }));

const FORMATS: Readonly<Record<string, readonly string[]>> = {
  posix: ["--format=posix", "--xattrs", "--xattrs-include=*"],
  gnu: ["--format=gnu"],
  oldgnu: ["--format=oldgnu"],
  ustar: ["--format=ustar"],
  v7: ["--format=v7"],
  "sparse 0.0": ["--format=posix", "-S", "--sparse-version=0.0"],
  "sparse 0.1": ["--format=posix", "-S", "--sparse-version=0.1"],
  "sparse 1.0": ["--format=posix", "-S", "--sparse-version=1.0"],
  "sparse gnu": ["--format=gnu", "-S"],
};

function packed(format: readonly string[]): string {
  const path = join(folder, "archive.tar");
  // What a format cannot hold is left out with a message and status 2.
  spawnSync("tar", [...format, "--numeric-owner", "-C", source, "-cf", path, "."]);
  return path;
}

async function make(archive: string): Promise<void> {
  fs.rmSync(image, { force: true });
  const line = ["mkfs.ext4", "-q", "-b", "4096", "--seed", "3", "-d", archive, image, "96M"];
  expect(await runLine(line)).toEqual({ status: 0, stdout: "", stderr: "" });
}

describe.skipIf(judge.missing || loop.missing)(`an archive${judge.hint}${loop.hint}`, () => {
  beforeAll(() => {
    fs.mkdirSync(source);
    makeSourceTree(source, 5);
  });

  test.each(inSlices(Object.entries(FORMATS), 4, 2))("%s", async (_, format) => {
    const archive = packed(format);
    await make(archive);
    expect(e2fsckSays(fs.readFileSync(image))).toEqual([]);
    expect([...checkVolume(image)]).toEqual([]);
    const unpacked = join(folder, "unpacked");
    const mounted = join(folder, "mounted");
    for (const each of [unpacked, mounted]) fs.mkdirSync(each, { recursive: true });
    const how = ["--xattrs", "--xattrs-include=*"];
    execFileSync("tar", [...how, "--numeric-owner", "-xpf", archive, "-C", unpacked]);
    const theirs = told(unpacked);
    fs.rmSync(unpacked, { recursive: true });
    expect(theirs.length).toBeGreaterThan(2 ** 20);
    withLoopMount(image, mounted, "ro", (root) => {
      expect(difference(told(root), theirs)).toBe("");
      const { blocks } = fs.statSync(join(root, "sparse", "head"));
      const most = format.includes("-S") ? 100_000 : 2 ** 24;
      expect(blocks * 512).toBeLessThan(most);
    });
  });

  test("there and back again", async () => {
    await make(packed(FORMATS["posix"] as readonly string[]));
    const streams = [];
    for (let turn = 0; turn < 2; turn++) {
      const parts: Buffer[] = [];
      const volume = openVolume(image);
      tarSubtree(volume, "/", (bytes) => parts.push(Buffer.from(bytes)));
      volume.close();
      streams.push(Buffer.concat(parts));
      const path = join(folder, "ours.tar");
      fs.writeFileSync(path, streams.at(-1) as Buffer);
      // oxlint-disable-next-line no-await-in-loop -- the second turn reads what this one makes
      await make(path);
    }
    expect(same(streams[0] as Buffer, streams[1] as Buffer)).toBe(true);
  });
});
