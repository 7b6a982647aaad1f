/**
 * What changes through `volume.fs`, against `node:fs` on a folder of the host: the same calls, in
 * every flavour, must give the same values and errors to the letter, and leave the same tree.
 */
import { spawnSync } from "node:child_process";
import * as nodeFs from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { run } from "../support/facade-pair.ts";
import { type AnyFs, type Flavour, outcome } from "../support/fs-outcome.ts";
import { type WritablePair, complaintsOf, makeWritablePair } from "../support/writable-pair.ts";
import { bodies } from "../support/facade-bodies.ts";
import { makeFolder } from "../support/host-tree.ts";
import { probed, programs } from "./judge.ts";
import { withLoopMount } from "./loop-mount.ts";
import { fill, snapshot } from "../support/facade-tree.ts";
import { EVERYTHING, WHOLE } from "../support/slices.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");
const complaints = (pair: WritablePair): string => (e2fsck.missing ? "" : complaintsOf(pair));

type Call = readonly [string, ...unknown[]];
const flavours: readonly Flavour[] = ["sync", "callback", "promise"];
/** All of them; in CI two by turns, else one. */
const flavoursOf = (index: number): readonly Flavour[] =>
  WHOLE
    ? flavours.filter((_, i) => EVERYTHING || i !== index % 3)
    : [flavours[index % 3] as Flavour];

const names = (
  "tiny|dir|dir/|empty-dir|none|none/x|tiny/x|tiny/|link|dir-link|dir-link/|dangling|loop-a|" +
  "new|dir/new|new/|dir/.|dir/..|dir/deep|dir/deep/file|dir/../tiny|" +
  "n".repeat(256)
).split("|");
const odd: readonly unknown[] = ["", undefined, -7, "nul\0", null, {}, Symbol("s")];

/** A call with more arguments behind it. */
function call(name: string, args: readonly unknown[], rest: readonly unknown[]): Call {
  return [name, ...args, ...rest];
}

function over(name: string, ...rest: readonly unknown[]): (at: At) => Call[] {
  return (at) => [...names.map(at), ...odd].map((path) => call(name, [path], rest));
}

type At = (path: string) => string;

function each(name: string, path: string, ...options: readonly (readonly unknown[])[]) {
  return (at: At): Call[] => options.map((rest) => call(name, [at(path)], rest));
}

function pairs(name: string, ...rest: readonly unknown[]): (at: At) => Call[] {
  return (at) => {
    const paths = [...names.map(at), ""];
    return paths.flatMap((from) => paths.map((to) => call(name, [from, to], rest)));
  };
}

const notANumber = [undefined, null, "x", {}, 1.5, -2, 2 ** 32, NaN];
const times = [NaN, "abc", null, undefined, {}, true, Infinity, new Date(NaN), "12", 1e20];

/** Each starts from a fresh tree. */
const table: Readonly<Record<string, (at: At) => Call[]>> = {
  "writeFile, of every path": (at) =>
    [...names.map(at), "", "nul\0", undefined, null, {}].map(
      (path) => ["writeFile", path, "text"] as const,
    ),
  "writeFile with flags": (at) =>
    ["a", "ax", "wx", "r+", "w+", "r", "zz", 5, "as"].flatMap((flag) =>
      ["tiny", "new", "dir", "link"].map(
        (name) => ["writeFile", at(name), "xy", { flag }] as const,
      ),
    ),
  "writeFile with options": each(
    "writeFile",
    "new",
    [5],
    [null],
    ["text", "latin1"],
    ["text", "nonsense"],
    ["616263", "hex"],
    ["text", { mode: 0o600 }],
    ["text", { mode: "zz" }],
    ["text", { mode: -1 }],
    ["text", { flush: true }],
    ["text", { flush: 1 }],
    [Buffer.from("buffer")],
    [new Uint16Array([1, 2])],
    [new DataView(new ArrayBuffer(3))],
    ["text", { signal: 5 }],
    ["text", 5],
  ),
  "writeFile modes": (at) =>
    [0o600, 0o7777, "640", 0].map((mode, i) => ["writeFile", at(`mode-${i}`), "x", { mode }]),
  appendFile: (at) => [...names.map(at), ""].map((path) => ["appendFile", path, "more"] as const),
  mkdir: over("mkdir"),
  "mkdir with modes": (at) =>
    [0o700, "750", "9", 8.5, -1, "abc", 5, null, 0o7777, { mode: 0o711 }, { recursive: 1 }].map(
      (given, i) => ["mkdir", at(`made-${i}`), given] as const,
    ),
  "mkdir, recursive": (at) => [
    ...["a/b/c", "a/b", "dir/x/y/", "tiny/x", "tiny/x/y", "tiny", "tiny/", "dir", "link/x"].map(
      (path) => ["mkdir", at(path), { recursive: true }] as const,
    ),
    ...["dir/no/../k/l", "dangling", "dangling/x", "loop-a/x", "dir-link/z/zz", "./q/./w"].map(
      (path) => ["mkdir", at(path), { recursive: true, mode: 0o750 }] as const,
    ),
    ["mkdir", "", { recursive: true }],
  ],
  unlink: over("unlink"),
  rmdir: over("rmdir"),
  "rmdir with options": each(
    "rmdir",
    "empty-dir",
    [5],
    [null],
    [{ maxRetries: -1 }],
    [{ retryDelay: "x" }],
    [{ recursive: 1 }],
    [{ recursive: false }],
  ),
  rename: pairs("rename"),
  link: pairs("link"),
  symlink: pairs("symlink"),
  "symlink with types": (at) =>
    ["dir", "file", "junction", "zz", 5, null].map(
      (type, i) => ["symlink", "tiny", at(`typed-${i}`), type] as const,
    ),
  copyFile: pairs("copyFile"),
  "copyFile with modes": (at) =>
    [0, 1, 1, 2, 3, 4, 5, 7, 8, -1, "a", {}, 1.5, null].map(
      (mode, i) => ["copyFile", at("tiny"), at(i < 3 ? "to" : `to-${i}`), mode] as const,
    ),
  chmod: over("chmod", 0o640),
  "chmod with modes": each("chmod", "tiny", ...[...notANumber, "755", "9", 0o7777].map((m) => [m])),
  chown: over("chown", 12, 34),
  "chown with owners": each(
    "chown",
    "tiny",
    ...notANumber.flatMap((id) => [
      [id, 5],
      [5, id],
    ]),
    [-1, -1],
    [-1, 77],
    [2 ** 32 - 1, 78],
    [2 ** 32 - 2, 2 ** 32 - 2],
  ),
  lchown: over("lchown", 13, 35),
  utimes: over("utimes", 1e9 + 0.123456789, 5),
  "utimes with times": each(
    "utimes",
    "tiny",
    ...times.flatMap((time) => [
      [time, 5],
      [5, time],
    ]),
  ),
  lutimes: over("lutimes", 1e9, "17.5"),
  truncate: over("truncate"),
  "truncate with lengths": each(
    "truncate",
    "tiny",
    ...["a", null, 1.5, -5, 2, 100_000, 3, {}].map((length) => [length]),
  ),
  access: (at) => [2, 3, 6, 7].flatMap((mode) => over("access", mode)(at)),
  rm: over("rm"),
  "rm with force": over("rm", { force: true }),
  "rm, recursive": (at) =>
    ["dir-link", "link", "dangling", "none", "dir", "empty-dir", "tiny/x"].flatMap((path) => [
      ["rm", at(path), { recursive: true }] as const,
      ["rm", at(path), { recursive: true, force: true }] as const,
    ]),
  "rm with options": each(
    "rm",
    "none",
    [5],
    [null],
    ["utf8"],
    [{ recursive: 1 }],
    [{ force: 1 }],
    [{ maxRetries: -1 }],
    [{ maxRetries: 3, retryDelay: 1 }],
  ),
  "cp of one": (at) =>
    ["tiny", "dir", "link", "dangling", "none", "dir-link"].flatMap((from) =>
      ["to", "dir", "tiny", "link", "dir/deep/file", "none/x/y", "tiny/x", "dir/deep/in"].map(
        (to) => ["cp", at(from), at(to)] as const,
      ),
    ),
  "cp of trees": (at) => [
    ["cp", at("dir"), at("copy"), { recursive: true }],
    ["cp", at("dir/deep"), at("copy/deep"), { recursive: true }],
    ["cp", at("dir/deep"), at("copy/deep"), { recursive: true, force: false }],
    ["cp", at("dir/up-link"), at("copy/up-link"), { recursive: true }],
    ["cp", at("dir/deep/deeper"), at("copy/deep"), { recursive: true, errorOnExist: true }],
    ["cp", at("tiny"), at("copy/hard"), { force: false, errorOnExist: true }],
    ["cp", at("dir"), at("copy2"), { recursive: true, dereference: true }],
    ["cp", at("dir"), at("copy3"), { recursive: true, verbatimSymlinks: true }],
    ["cp", at("dir"), at("copy4"), { recursive: true, filter: (from: string) => !/up/.test(from) }],
    ["cp", at("dir"), at("dir/inside"), { recursive: true }],
    ["cp", at("tiny"), at("timely"), { preserveTimestamps: true, mode: 1 }],
    ["cp", at("tiny"), at("timely"), { mode: 1, force: false }],
  ],
  "cp with options": (at) =>
    [
      5,
      null,
      { recursive: 1 },
      { force: "x" },
      { filter: 5 },
      { mode: 9 },
      { mode: "x" },
      { dereference: true, verbatimSymlinks: true },
    ].map((options) => ["cp", at("tiny"), at("none-yet"), options] as const),
};

/** `mkdtemp` and the like aside, nothing differs but what `fs-outcome` leaves out. */
describe.each(Object.entries(table))("%s", (title, calls) => {
  test.each(flavoursOf(Object.keys(table).indexOf(title)))("%s", async (flavour) => {
    const pair = makeWritablePair();
    const { root, volume } = pair;
    const at: At = (path) => `${root}/${path}`;
    try {
      for (const fs of [nodeFs, volume.fs]) fill(fs, root);
      for (const [name, ...args] of calls(at)) {
        // oxlint-disable-next-line no-await-in-loop -- each call finds what the last one left
        const real = await outcome(nodeFs, flavour, name, args);
        // oxlint-disable-next-line no-await-in-loop
        expect([name, args, await outcome(volume.fs, flavour, name, args)]).toEqual([
          name,
          args,
          real,
        ]);
      }
      expect(snapshot(volume.fs, root)).toEqual(snapshot(nodeFs, root));
    } finally {
      pair.end();
    }
    expect(complaints(pair)).toBe("");
  });
});

const mounting = probed(
  () => process.getuid?.() === 0 && spawnSync("mount", ["--version"]).status === 0,
  "run as root, who may mount",
);

test.skipIf(mounting.missing)(`an image that Linux has mounted${mounting.hint}`, () => {
  const folder = makeFolder();
  const [image, mountpoint] = [`${folder}/image`, `${folder}/mount`];
  makeVolume(image, { size: { bytes: 2 ** 23 } });
  nodeFs.mkdirSync(mountpoint);
  withLoopMount(image, mountpoint, "rw", () => {
    expect(() => openVolume(image, { write: true })).toThrow(
      new RegExp(`^EBUSY.*mounted on ${mountpoint} through /dev/loop`, "u"),
    );
    openVolume(image).close();
  });
  openVolume(image, { write: true }).close();
  nodeFs.rmSync(folder, { recursive: true });
});

describe("bodies", () => {
  let pair: WritablePair;
  beforeAll(() => {
    pair = makeWritablePair();
  });
  afterAll(() => {
    pair.end();
    if (complaints(pair) !== "") throw new Error(complaints(pair));
  });

  test.each(Object.entries(bodies))("%s", async (name, body) => {
    const { root, volume } = pair;
    const folder = `${root}/${name.replaceAll(/\W/gu, "-")}`;
    const came: unknown[] = [];
    for (const fs of [nodeFs, volume.fs] as const) {
      fs.mkdirSync(folder);
      fill(fs, folder);
      // oxlint-disable-next-line no-await-in-loop -- one filesystem after the other
      came.push(await run(fs, (on) => body(on as AnyFs as typeof nodeFs, folder)));
    }
    expect(came[1]).toEqual(came[0]);
    expect(snapshot(volume.fs, folder)).toEqual(snapshot(nodeFs, folder));
  });
});
