/**
 * `ls`, `stat` and `df` print what coreutils print, asked of the same folder of this machine.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Listing, type ListingOptions } from "../../src/cli/listing.ts";
import { Output } from "../../src/cli/output.ts";
import { OwnerNames } from "../../src/cli/owners.ts";
import { spaceLines } from "../../src/cli/space-table.ts";
import { statLines } from "../../src/cli/stat-text.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { HostFilesystem } from "../support/host-filesystem.ts";
import { makeFolder, makeHostTree, timespecOf } from "../support/host-tree.ts";

const gnu = (spawnSync("ls", ["--version"], { encoding: "utf8" }).stdout ?? "").includes("GNU");
const environment = { ...process.env, LC_ALL: "C.UTF-8", TZ: process.env["TZ"] ?? "UTC" };
let folder = "";
let now = timespecOf(0n);

beforeAll(() => {
  folder = makeFolder();
  fs.mkdirSync(join(folder, "t"));
  makeHostTree(join(folder, "t"));
  // The first reading of a link changes its access time.
  for (const name of ["dir-link", "long-link"]) fs.readlinkSync(join(folder, "t", name));
  now = timespecOf(BigInt(Date.now()) * 1_000_000n);
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const none: ListingOptions = {
  long: false,
  all: false,
  recursive: false,
  inode: false,
  numeric: false,
  human: false,
  directory: false,
  reverse: false,
  one: false,
  sort: "name",
  json: false,
};

function onError(error: Error): never {
  throw error;
}

/** What ours prints, with an image of no name. */
function ours(options: Partial<ListingOptions>, paths: readonly string[]): Buffer {
  const chunks: Uint8Array[] = [];
  const out = new Output((bytes) => chunks.push(Uint8Array.from(bytes)), false);
  const err = new Output(() => {}, false);
  const terminal = new Terminal(out, err, { environment: {} });
  const tree = new FileTree(new HostFilesystem(folder));
  const listing = new Listing({ ...none, ...options }, { out, terminal, now, width: 80, onError });
  listing.run(paths.map((path) => ({ image: "", tree, path })));
  out.flush();
  return Buffer.concat(chunks);
}

function theirs(program: string, args: readonly string[]): Buffer {
  return execFileSync(program, args, { cwd: folder, env: environment });
}

/** Our operands and headings start with the image's name and a colon. */
function unlabelled(output: Buffer): string {
  return output.toString("latin1").replaceAll(/(^|\s):\//gmu, "$1");
}

function words(text: string): string[] {
  return text.trim().split(/\s+/u);
}

describe.skipIf(!gnu)("coreutils (needs GNU coreutils)", () => {
  test.each<[string, Partial<ListingOptions>, string[]]>([
    ["-1", {}, ["t"]],
    ["-a", { all: true }, ["t/dir"]],
    ["-R", { recursive: true }, ["t"]],
    ["-Rar", { recursive: true, all: true, reverse: true }, ["t"]],
    ["-l", { long: true }, ["t"]],
    ["-la", { long: true, all: true }, ["t/dir"]],
    ["-lai", { long: true, all: true, inode: true }, ["t/dir"]],
    ["-ln", { long: true, numeric: true }, ["t"]],
    ["-lh", { long: true, human: true }, ["t/sparse", "t/dir/deep/big", "t/tiny"]],
    ["-lS", { long: true, sort: "size" }, ["t/dir/deep"]],
    ["-lt", { long: true, sort: "time" }, ["t/dir"]],
    ["-ld", { long: true, directory: true }, ["t", "t/dir-link", "t/tiny"]],
    ["-l", { long: true }, ["t/dir-link/"]],
    ["-1", {}, ["t/tiny", "t/dir", "t/dir-link"]],
    ["-lR", { long: true, recursive: true }, ["t"]],
    ["-i", { inode: true }, ["t"]],
  ])("ls %s prints the same: %j %j", (letters, options, paths) => {
    const expected = theirs("ls", [letters, ...paths]).toString("latin1");
    const rooted = paths.map((path) => `/${path}`);
    expect(unlabelled(ours(options, rooted))).toBe(expected);
  });

  test.each(["t", "t/tiny", "t/empty", "t/dir-link", "t/long-link", "t/empty-dir"])(
    "stat %s prints the same",
    (path) => {
      const text = statLines(new HostFilesystem(join(folder, path)).root, {
        name: path,
        image: "DEVICE",
        blockSize: 4096,
        owners: new OwnerNames(),
        shownTarget: (target) => target,
      }).join("\n");
      const expected = theirs("stat", [path]).toString();
      expect(`${text}\n`).toBe(expected.replace(/Device: [\d,]+/u, "Device: DEVICE"));
    },
  );

  test.each(["-k", "-h", "-i", "-ih"])("df %s prints the same numbers", (letters) => {
    const [theirHead = "", theirLine = ""] = theirs("df", [letters, "/"]).toString().split("\n");
    const space = { image: "image", type: "host", statfs: new HostFilesystem("/").statfs() };
    const human = letters.includes("h");
    const inodes = letters.includes("i");
    const [head = "", line = ""] = spaceLines([space], { human, inodes, type: false });
    expect(words(head)).toEqual(words(theirHead).slice(0, 5));
    expect(words(line).slice(1)).toEqual(words(theirLine).slice(1, 5));
  });
});
