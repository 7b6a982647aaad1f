/**
 * The commands on images, run as a user runs them, on images that Linux wrote.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daxkit, jsonLines, shell } from "../support/daxkit.ts";
import { fixtureImage, fixtureManifest } from "../support/ext-images.ts";
import { makeFolder } from "../support/host-tree.ts";

let cwd = "";
const run = (...args: string[]) => daxkit(args, { cwd });

beforeAll(() => {
  cwd = makeFolder();
  const image = fixtureImage("ext4-default");
  writeFileSync(join(cwd, "a.img"), image);
  writeFileSync(join(cwd, "a:b.img"), fixtureImage("ext2-1k"));
  const disk = new Uint8Array((17 << 20) + image.length);
  disk.set(image, 1 << 20);
  // A DOS table with one Linux partition from sector 2048.
  const entry = Uint8Array.of(0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x80, 0, 0);
  disk.set(entry, 0x1be);
  disk.set([0x55, 0xaa], 0x1fe);
  writeFileSync(join(cwd, "disk.img"), disk);
  writeFileSync(join(cwd, "empty.img"), "");
  writeFileSync(join(cwd, "noise.img"), Buffer.alloc(1 << 20, "noise"));
  writeFileSync(join(cwd, "short.img"), image);
  truncateSync(join(cwd, "short.img"), 100 * 1024);
});
afterAll(() => rmSync(cwd, { recursive: true }));

/** Path, size and digest of the regular files in a manifest. */
function filesOf(manifest: string): [path: string, size: number, digest: string][] {
  const lines = manifest.split("\n").map((line) => line.split(" "));
  return lines
    .filter(([mode = ""]) => mode.startsWith("8"))
    .map(([, , , size, path = "", digest = ""]) => [path.slice(1), Number(size), digest]);
}

describe("on an image", () => {
  test("ls lists what Linux put there", () => {
    const { status, stdout, stderr } = run("ls", "-R", "--json", "a.img");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const listed = jsonLines(stdout) as { path: string; size: number; type: string }[];
    const files = listed.filter(({ type }) => type === "file");
    const expected = filesOf(fixtureManifest("ext4-default"));
    expect(files.map(({ path, size }) => `${path} ${size}`).toSorted()).toEqual(
      expected.map(([path, size]) => `${path} ${size}`).toSorted(),
    );
  });

  test("cat prints bytes, of a path with a colon in its image's name too", () => {
    const [path, size, digest] = filesOf(fixtureManifest("ext2-1k")).at(-1) ?? ["", 0, ""];
    const { status, stdout } = run("cat", `a:b.img:${path}`);
    const sum = createHash("sha256").update(stdout, "latin1").digest("hex");
    expect({ status, size: stdout.length, sum }).toEqual({ status: 0, size, sum: digest });
  });

  test("cat --json prints pieces that add up", () => {
    const [path, size, digest] = filesOf(fixtureManifest("ext4-default")).find(
      ([, bytes]) => bytes > 200_000,
    ) ?? ["", 0, ""];
    const pieces = jsonLines(run("cat", "--json", `a.img:${path}`).stdout) as {
      offset: number;
      base64: string;
    }[];
    const whole = Buffer.concat(pieces.map(({ base64 }) => Buffer.from(base64, "base64")));
    expect(whole.length).toBe(size);
    expect(createHash("sha256").update(whole).digest("hex")).toBe(digest);
    expect(pieces.length).toBeGreaterThan(2);
  });

  test("stat, df, extents and tree answer for people and for programs", () => {
    expect(run("stat", "a.img:/a").stdout).toMatch(/^ {2}File: a\.img:\/a\n[\s\S]* Birth: 20/u);
    expect(jsonLines(run("stat", "--json", "a.img:/").stdout)).toMatchObject([{ ino: 2 }]);
    expect(run("df", "-T", "a.img").stdout).toMatch(/\na\.img +ext4 +\d+ +\d+ +\d+ +\d+%\n$/u);
    expect(jsonLines(run("df", "--json", "a.img").stdout)).toMatchObject([{ type: "ext4" }]);
    expect(run("extents", "a.img:/big").stdout).toMatch(/\n +0: +0\.\.[\s\S]* found\n$/u);
    const extents = jsonLines(run("extents", "--json", "a.img:/big").stdout);
    expect(extents[0]).toMatchObject({ offset: 0 });
    expect(run("tree", "-L1", "a.img").stdout).toMatch(/^a\.img:\/\n.{10}a\n[^]* files\n$/u);
    const [, report] = JSON.parse(run("tree", "--json", "a.img").stdout) as unknown[];
    expect(report).toMatchObject({ type: "report" });
  });

  test("--partition and --offset look into a disk", () => {
    const whole = run("ls", "-lR", "a.img").stdout.replaceAll("a.img:", "disk.img:");
    expect(run("ls", "-lR", "--partition", "1", "disk.img").stdout).toBe(whole);
    expect(run("ls", "-lR", "--offset=1M", "disk.img").stdout).toBe(whole);
  });
});

describe("out of an image", () => {
  test("cp -r copies what Linux put there, and replaces nothing", () => {
    const { status, stderr } = run("cp", "-r", "a.img:/a", "copy");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const expected = filesOf(fixtureManifest("ext4-default")).filter(([path]) =>
      path.startsWith("/a/"),
    );
    expect(expected.length).toBeGreaterThan(20);
    for (const [path, , digest] of expected) {
      const bytes = readFileSync(join(cwd, path.replace("/a", "copy")));
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(digest);
    }
    expect(run("cp", "-r", "a.img:/a/b", "copy").stderr).toContain("EEXIST");
    expect(run("cp", "a.img:/a", "other").stderr).toMatch(/EISDIR: .*-r copies directories/u);
    expect(run("cp", "a.img:/big").stderr).toContain("usage: DEST is missing");
  });

  test("cp of several takes a directory, and makes nothing of their name", () => {
    const names = filesOf(fixtureManifest("ext4-default"))
      .map(([path]) => path)
      .slice(0, 2);
    const words = names.map((path) => `a.img:${path}`);
    const missing = run("cp", ...words, "several");
    expect(missing).toMatchObject({ status: 2, stdout: "" });
    expect(missing.stderr).toMatch(/^daxkit cp: ENOENT: .*'several' \(several files .* directory/u);
    expect(existsSync(join(cwd, "several"))).toBe(false);
    expect(run("cp", ...words, "noise.img").stderr).toMatch(/^daxkit cp: ENOTDIR: /u);
    mkdirSync(join(cwd, "several"));
    const { status, stdout } = run("cp", "--json", ...words, "several");
    expect(status).toBe(0);
    expect(jsonLines(stdout)).toEqual(names.map((path) => ({ image: "a.img", path })));
  });

  test("cp says what it copies by its path in the image", () => {
    const { stdout } = run("cp", "-rv", "a.img:/a/b", "spoken");
    expect(stdout.split("\n")[0]).toBe("/a/b");
    const listed = run("ls", "-R", "--json", "a.img:/a/b").stdout;
    const paths = (jsonLines(listed) as { path: string }[]).map(({ path }) => path);
    expect(stdout.split("\n").slice(1, -1).toSorted()).toEqual(paths.toSorted());
  });

  test("tar writes neither over its own image nor over anything before it can read", () => {
    const before = readFileSync(join(cwd, "a.img"));
    symlinkSync("a.img", join(cwd, "alias.img"));
    for (const name of ["a.img", "alias.img"]) {
      const { status, stderr } = run("tar", "-f", name, "a.img:/a");
      expect(status).toBe(2);
      expect(stderr).toMatch(/^daxkit tar: EINVAL: .*\(it is the image itself; give another file/u);
    }
    expect(readFileSync(join(cwd, "a.img")).equals(before)).toBe(true);
    writeFileSync(join(cwd, "kept.tar"), "kept");
    expect(run("tar", "-f", "kept.tar", "a.img:/none").stderr).toMatch(
      /ENOENT: .*'a\.img:\/none'/u,
    );
    expect(readFileSync(join(cwd, "kept.tar"), "utf8")).toBe("kept");
  });

  test("tar prints a stream that tar unpacks, or writes it to a file", () => {
    const list = shell("daxkit tar a.img:/a | tar -tf - | wc -l", cwd);
    expect(list).toMatchObject({ status: 0, stderr: "" });
    const { status, stdout } = run("tar", "--json", "-f", "a.tar", "a.img:/a");
    expect(status).toBe(0);
    expect(jsonLines(stdout)).toHaveLength(Number(list.stdout));
    expect(shell("daxkit tar a.img:/a | cmp - a.tar", cwd)).toMatchObject({ status: 0 });
    expect(run("tar", "--json", "a.img").stderr).toContain("usage: with '--json'");
    const full = run("tar", "-f", "/dev/full", "a.img");
    expect(full).toMatchObject({ status: 2, stdout: "" });
    expect(full.stderr).toMatch(/^daxkit tar: ENOSPC: /u);
  });

  test("check is 0 for a clean image, 1 for a damaged one, 2 for none", () => {
    expect(run("check", "a.img", "a:b.img")).toMatchObject({
      status: 0,
      stdout: "a.img: clean\na:b.img: clean\n",
    });
    const damaged = fixtureImage("ext4-default");
    damaged.fill(0xff, 4096, 4096 + 64);
    writeFileSync(join(cwd, "damaged.img"), damaged);
    const { status, stdout } = run("check", "damaged.img");
    expect(status).toBe(1);
    expect(stdout).toMatch(/^error ext\.[^]*\ndamaged\.img: \d+ error/u);
    const records = jsonLines(run("check", "--json", "damaged.img").stdout);
    expect(records[0]).toMatchObject({ image: "damaged.img", severity: "error" });
    const errors = records.length - 1;
    expect(records.at(-1)).toMatchObject({ image: "damaged.img", clean: false, errors });
    expect(run("check", "-q", "damaged.img")).toMatchObject({ status: 1, stdout: "" });
    expect(run("check", "noise.img")).toMatchObject({ status: 2, stdout: "" });
  });

  test("check --json ends with a count for each image, a clean one's too", () => {
    const { status, stdout } = run("check", "--json", "a.img", "noise.img", "a:b.img");
    const counts = { clean: true, errors: 0, warnings: 0, notes: 0 };
    const expected = ["a.img", "a:b.img"].map((image) => Object.assign({ image }, counts));
    expect([status, jsonLines(stdout)]).toEqual([2, expected]);
    expect(run("check", "--json", "-q", "a.img")).toMatchObject({ status: 0, stdout: "" });
  });
});

describe("what cannot be done is one line with a code, and status 2", () => {
  test.each([
    [["ls", "none.img:/x"], "daxkit ls: ENOENT: no such file or directory, open 'none.img'"],
    [["ls", "."], "daxkit ls: EISDIR: "],
    [["ls", "empty.img"], "daxkit ls: EINVAL: "],
    [["ls", "noise.img"], "daxkit ls: EINVAL: "],
    [["ls", "short.img"], "daxkit ls: "],
    [["ls", "disk.img"], "choose a partition: the dos partition table has partition 1 "],
    [["ls", "--partition=4", "disk.img"], "open 'disk.img' (no partition 4: the dos"],
    [["check", "--partition=4", "disk.img"], "open 'disk.img' (no partition 4: the dos"],
    [["ls", "--offset=3K", "disk.img"], "mount 'disk.img' (no filesystem of a known kind"],
    [["ls", "a.img:/none"], "daxkit ls: ENOENT: no such file or directory, stat 'a.img:/none'"],
    [["cat", "a.img:/a"], "daxkit cat: EISDIR: illegal operation on a directory, read 'a.img:/a'"],
    [["tree", "a.img:/big"], "daxkit tree: ENOTDIR: not a directory, scandir 'a.img:/big'"],
    [["cat", "a.img:/big/x"], "daxkit cat: ENOTDIR: not a directory, open 'a.img:/big/x'"],
    [["ls", "-"], "daxkit ls: usage: "],
    [["ls"], "daxkit ls: usage: IMAGE[:PATH] is missing"],
  ])("%j", (args, text) => {
    const { status, stdout, stderr } = run(...args);
    expect(stderr).toContain(text);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  test("of several operands the good ones are served", () => {
    const { status, stdout, stderr } = run("stat", "none.img", "a.img:/a", "a.img:/none");
    expect(status).toBe(2);
    expect(stdout).toContain("File: a.img:/a");
    expect(stderr.trimEnd().split("\n")).toHaveLength(2);
  });
});

describe("output", () => {
  test("to a reader that goes away ends quietly", () => {
    const { stdout, stderr } = shell("daxkit ls -lR a.img | head -n 1", cwd);
    expect({ stdout, stderr }).toEqual({ stdout: "a.img:/:\n", stderr: "" });
  });

  test("to a full device is an error", () => {
    const { status, stderr } = shell("daxkit cat a.img:/big > /dev/full", cwd);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^daxkit cat: ENOSPC: .*\n$/u);
  });

  test("through a pipe keeps every byte, however slow the reader", () => {
    const line = "daxkit cat a.img:/big | (sleep 0.2; sha256sum)";
    const digest = filesOf(fixtureManifest("ext4-default")).find(([path]) => path === "/big")?.[2];
    expect(shell(line, cwd).stdout.slice(0, 64)).toBe(digest);
  });

  test.skipIf(shell("script --version", "/").status !== 0)(
    "on a terminal has colours, unless NO_COLOR is set (needs util-linux)",
    () => {
      const line = `script -qec "$(declare -f daxkit); daxkit ls a.img" /dev/null`;
      const env = "export TERM=xterm SHELL=/bin/bash";
      expect(shell(`${env}; ${line}`, cwd).stdout).toContain("\u001B[34ma\u001B[39m");
      expect(shell(`${env} NO_COLOR=1; ${line}`, cwd).stdout).not.toContain("\u001B[");
    },
  );
});
