import { copyFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAIN, daxkit, jsonLines, shell } from "../support/daxkit.ts";
import { makeFolder } from "../support/host-tree.ts";

let cwd = "";
beforeAll(() => {
  cwd = makeFolder();
  const { status, stderr } = daxkit(["mkfs.ext4", "-q", join(cwd, "a.img"), "8M"]);
  if (status !== 0) throw new Error(stderr);
});
afterAll(() => rmSync(cwd, { recursive: true }));

const run = (...words: string[]) => daxkit(words, { cwd });

test("a pipe is written into an image, and read again", () => {
  const line =
    "seq 100000 | daxkit put -m 640 - a.img:/numbers && daxkit cat a.img:/numbers | cksum";
  const { status, stdout, stderr } = shell(line, cwd);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toBe(shell("seq 100000 | cksum", cwd).stdout);
  expect(run("stat", "a.img:/numbers").stdout).toContain("(0640/-rw-r-----)");
});

test("with --json each change is a line", () => {
  mkdirSync(join(cwd, "tree"));
  writeFileSync(join(cwd, "tree/one"), "1");
  const records = [
    ...jsonLines(run("mkdir", "--json", "-p", "a.img:/x/y").stdout),
    ...jsonLines(run("cp", "--json", "-r", "tree", "a.img:/x").stdout),
    ...jsonLines(run("mv", "--json", "a.img:/x/tree", "a.img:/moved").stdout),
    ...jsonLines(run("rm", "--json", "-r", "a.img:/moved").stdout),
  ];
  expect(records).toEqual([
    { image: "a.img", path: "/x", change: "created" },
    { image: "a.img", path: "/x/y", change: "created" },
    { image: "a.img", path: "/x/tree", change: "copied", from: "tree" },
    { image: "a.img", path: "/x/tree/one", change: "copied", from: "tree/one" },
    { image: "a.img", path: "/moved", change: "renamed", from: "a.img:/x/tree" },
    { image: "a.img", path: "/moved/one", change: "removed" },
    { image: "a.img", path: "/moved", change: "removed" },
  ]);
});

test("who may not write an image is told what to do", () => {
  copyFileSync(join(cwd, "a.img"), join(cwd, "closed.img"));
  chmodSync(join(cwd, "closed.img"), 0o444);
  chmodSync(cwd, 0o755);
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const words = [MAIN, "mkdir", "closed.img:/x"];
  const ended = spawnSync(process.execPath, words, { cwd, encoding: "utf8", ...user });
  expect(ended.stderr).toBe(
    "daxkit mkdir: cannot create directory 'closed.img:/x': EACCES: permission denied, " +
      "open 'closed.img' (it cannot be opened for writing: chmod u+w, or change a copy)\n",
  );
  expect(ended.status).toBe(1);
});

test("an image whose user is killed in the midst of a copy is sound, and goes on", () => {
  const line =
    "(yes | head -c 4000000 | (daxkit put - a.img:/big & p=$!; sleep 0.4; kill -9 $p; wait)) " +
    "2>/dev/null; daxkit sync a.img && daxkit check a.img && daxkit mkdir a.img:/after";
  const { status, stdout } = shell(line, cwd);
  expect({ status, stdout }).toEqual({ status: 0, stdout: "a.img: clean\n" });
  expect(readFileSync(join(cwd, "a.img")).length).toBe(8 << 20);
});

test("errors say what is not there, and what does it instead", () => {
  writeFileSync(join(cwd, "there"), "x");
  mkdirSync(join(cwd, "folder"));
  const ends = (...words: string[]) => {
    const { status, stderr } = run(...words);
    return { status, stderr };
  };
  expect(ends("put", "there", "a.img:/nowhere/x")).toEqual({
    status: 1,
    stderr:
      "daxkit put: cannot write 'there': ENOENT: no such file or directory " +
      "(there is no directory '/nowhere' to put it in)\n",
  });
  expect(ends("put", "folder", "a.img:/x").stderr).toMatch(/EISDIR: .*'daxkit cp -r' copies/u);
  expect(run("ln", "-s", "nothing", "a.img:/link").status).toBe(0);
  expect(ends("ln", "-s", "y", "a.img:/link").stderr).toBe(
    "daxkit ln: failed to create symbolic link 'a.img:/link': EEXIST: file already exists\n",
  );
});
