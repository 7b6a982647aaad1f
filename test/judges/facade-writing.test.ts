/**
 * What `volume.fs` says to calls that write, against `node:fs` on a filesystem that the kernel has
 * mounted read-only: the same errors, in the same order of precedence.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as nodeFs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NodeFs, type VolumeFs, makeFacade } from "../../src/node/facade/facade.ts";
import { type Body, run, treeLike } from "../support/facade-pair.ts";
import { type AnyFs, type Flavour, outcome } from "../support/fs-outcome.ts";
import { makeFolder, makeHostTree } from "../support/host-tree.ts";
import { probed } from "./judge.ts";

const mounting = probed(
  () => process.getuid?.() === 0 && spawnSync("mount", ["--version"]).status === 0,
  "run as root, who may mount",
);

type Call = readonly [string, ...unknown[]];
const flavours: readonly Flavour[] = ["sync", "callback", "promise"];

const root = makeFolder();
const at = (path: string): string => `${root}/${path}`;
const places =
  "tiny|dir|dir/|none|none/x|tiny/x|tiny/|link|dir-link|dangling|loop-a|new|dir/new|new/";
const paths = places.split("|").map((path) => at(path));
// Nothing outside of the mount: the real calls are made, by root.
const odd = ["", `${root}/.`, `${root}/dir/..`, undefined, 7, "nul\0"];
const every: readonly unknown[] = [...paths, ...odd];

function over(name: string, ...rest: readonly unknown[]): Call[] {
  const call = (path: unknown): Call => [name, path, ...rest];
  return every.map((path) => call(path));
}

/** Node takes a number for a descriptor here. */
function overPaths(name: string, ...rest: readonly unknown[]): Call[] {
  return paths.map((path) => [name, path, ...rest] as const);
}

function all(on: AnyFs, flavour: Flavour, calls: readonly Call[]): Promise<unknown[]> {
  return Promise.all(
    calls.map(async ([name, ...args]) => [args, await outcome(on, flavour, name, args)]),
  );
}

function pairs(name: string): Call[] {
  const some = paths.concat([""]);
  return some.flatMap((from) => some.map((to) => [name, from, to] as const));
}

const table: Readonly<Record<string, readonly Call[]>> = {
  access: [...over("access", 2), ...over("access", 6), ...over("access", 1)],
  writeFile: overPaths("writeFile", "text"),
  appendFile: overPaths("appendFile", "text"),
  "writeFile with flags": ["a", "ax", "wx", "r+", "r", "zz"].flatMap((flag) =>
    overPaths("writeFile", "text", { flag }),
  ),
  "writeFile of what is no data": [["writeFile", at("tiny"), 5]],
  mkdir: over("mkdir"),
  "mkdir, recursive, of what is there": ["dir", "dir/", "dir-link", "tiny", "dir/deep/.."].map(
    (path): Call => ["mkdir", at(path), { recursive: true }],
  ),
  unlink: over("unlink"),
  rmdir: over("rmdir"),
  rename: pairs("rename"),
  link: pairs("link"),
  symlink: pairs("symlink"),
  copyFile: pairs("copyFile").filter(([, from]) => from !== at("dir") && from !== at("dir/")),
  chmod: over("chmod", 0o644),
  chown: over("chown", 1, 1),
  lchown: over("lchown", 1, 1),
  utimes: over("utimes", 1, 1),
  lutimes: over("lutimes", 1, 1),
  truncate: overPaths("truncate"),
  "rm of what is not there": [
    ["rm", at("none")],
    ["rm", at("none"), { force: true }],
    ["rm", at("none/x")],
  ],
};

const bodies: Readonly<Record<string, Body>> = {
  mkdtemp: async (fs) => {
    const prefixes = ["dir/x", "none/x", "tiny/x"].map((prefix) => at(prefix));
    const came = flavours.flatMap((flavour) =>
      prefixes.map((prefix) => outcome(fs, flavour, "mkdtemp", [prefix])),
    );
    // Some flavours show the random letters, others those they stand for.
    return JSON.stringify(await Promise.all(came)).replaceAll(/\/x\w{6}/gu, "/x");
  },
  "open for writing, in all ways": (fs) =>
    Promise.all(
      ["r+", "w", "wx", "w+", "a", "ax", "a+"].flatMap((flags) =>
        paths.map((path) => outcome(fs, "sync", "open", [path, flags])),
      ),
    ),
  "open by numbers": (fs) => {
    const { O_RDONLY, O_CREAT, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_EXCL, O_APPEND } = fs.constants;
    const kinds = [O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_APPEND, O_CREAT | O_EXCL, O_CREAT];
    return Promise.all(
      kinds.flatMap((kind) =>
        paths.map(async (path) => {
          const came = await outcome(fs, "sync", "open", [path, O_RDONLY | kind]);
          const { value } = came as { value?: number };
          if (value === undefined) return came;
          fs.closeSync(value);
          return "a descriptor";
        }),
      ),
    );
  },
  "descriptors that are open for reading": (fs) => {
    const fd = fs.openSync(at("tiny"), "r");
    const calls: Readonly<Record<string, readonly unknown[]>> = {
      write: [fd, "text"],
      writev: [fd, [Buffer.from("x")]],
      ftruncate: [fd, 3],
      fchmod: [fd, 0o644],
      fchown: [fd, 1, 1],
      futimes: [fd, 1, 1],
      fsync: [fd],
      fdatasync: [fd],
      writeFile: [fd, "text"],
    };
    return Promise.all(
      Object.entries(calls).map(([name, args]) => outcome(fs, "sync", name, args)),
    ).finally(() => fs.closeSync(fd));
  },
  "a write stream": (fs: NodeFs) =>
    new Promise((_, reject) => {
      fs.createWriteStream(at("new")).on("error", reject);
    }),
};

describe.skipIf(mounting.missing)(`calls that write${mounting.hint}`, () => {
  let ours: VolumeFs;

  beforeAll(() => {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", root]);
    makeHostTree(root);
    execFileSync("mount", ["-o", "remount,ro", root]);
    ours = makeFacade(treeLike(root)).fs;
  });
  afterAll(() => {
    execFileSync("umount", [root]);
    nodeFs.rmSync(join(root), { recursive: true });
  });

  describe.each(Object.entries(table))("%s", (_, calls) => {
    test.each(flavours)("%s", async (flavour) => {
      expect(await all(ours, flavour, calls)).toEqual(await all(nodeFs, flavour, calls));
    });
  });

  test.each(Object.entries(bodies))("%s", async (_, body) => {
    expect(await run(ours, body)).toEqual(await run(nodeFs, body));
  });
});
