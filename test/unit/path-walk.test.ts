import { expect, test } from "vitest";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pathOf } from "../../src/vfs/mounts.ts";
import { codeOf } from "../support/bytes.ts";
import { ToyFilesystem } from "../support/toy-filesystem.ts";

const text = (words: string): Uint8Array => new TextEncoder().encode(words);

function sample(): { fs: ToyFilesystem; tree: FileTree } {
  const fs = new ToyFilesystem();
  const a = fs.directory(fs.root, "a");
  const b = fs.directory(a, "b");
  fs.file(b, "file", text("x"));
  fs.symlink(fs.root, "to-b", "a/b");
  fs.symlink(b, "up", "..");
  fs.symlink(b, "rooted", "/a/b/file");
  fs.symlink(fs.root, "loop", "loop");
  fs.symlink(fs.root, "slash", "a/b/file/");
  fs.symlink(fs.root, "dangling", "nowhere/at/all");
  fs.symlink(fs.root, "empty", "");
  return { fs, tree: new FileTree(fs) };
}

const found: readonly (readonly [string, string])[] = [
  ["/", "/"],
  ["///", "/"],
  [".", "/"],
  ["..", "/"],
  ["/..//../a/./b", "/a/b"],
  ["a/b/file", "/a/b/file"],
  ["a/b/../b/../../a", "/a"],
  ["to-b/file", "/a/b/file"],
  ["to-b/..", "/a"],
  ["a/b/up/b/up", "/a"],
  ["to-b/rooted", "/a/b/file"],
  ["a/b/", "/a/b"],
  ["a/b//", "/a/b"],
  ["to-b/", "/a/b"],
  ["a/b/.", "/a/b"],
];

test.each(found)("%s leads to %s", (path, place) => {
  expect(pathOf(sample().tree.locate(path))).toBe(place);
});

const refused: readonly (readonly [string, string])[] = [
  ["", "ENOENT"],
  ["nothing", "ENOENT"],
  ["a/nothing/..", "ENOENT"],
  ["dangling", "ENOENT"],
  ["empty", "ENOENT"],
  ["a/b/file/", "ENOTDIR"],
  ["a/b/file/.", "ENOTDIR"],
  ["a/b/file/..", "ENOTDIR"],
  ["a/b/file/deeper", "ENOTDIR"],
  ["slash", "ENOTDIR"],
  ["loop", "ELOOP"],
  ["loop/deeper", "ELOOP"],
  ["a\0b", "EINVAL"],
  [`a/${"n".repeat(256)}`, "ENAMETOOLONG"],
  [`a/${"é".repeat(128)}`, "ENAMETOOLONG"],
  ["./".repeat(2048), "ENAMETOOLONG"],
];

test.each(refused)("%j gives %s", (path, code) => {
  expect(codeOf(() => sample().tree.locate(path))).toBe(code);
});

test("limits are inclusive: 255 bytes a name, 4095 a path", () => {
  const { fs, tree } = sample();
  fs.directory(fs.root, "n".repeat(255));
  fs.directory(fs.root, `é${"é".repeat(126)}x`);
  expect(pathOf(tree.locate("n".repeat(255)))).toBe(`/${"n".repeat(255)}`);
  expect(tree.locate(`${"é".repeat(127)}x`).name).toHaveLength(128);
  expect(pathOf(tree.locate(`${"./".repeat(2047)}a`))).toBe("/a");
});

test("40 links are followed, the 41st is ELOOP", () => {
  const { fs, tree } = sample();
  fs.symlink(fs.root, "l0", "a");
  for (let i = 1; i <= 40; i++) fs.symlink(fs.root, `l${i}`, `l${i - 1}`);
  expect(pathOf(tree.locate("l39"))).toBe("/a");
  expect(codeOf(() => tree.locate("l40"))).toBe("ELOOP");
});

test("a link in the last place is followed only if asked, or by a trailing slash", () => {
  const { tree } = sample();
  const at = (path: string): string => pathOf(tree.locate(path, { follow: false }));
  expect([at("to-b"), at("to-b/"), at("loop"), at("to-b/up/b/rooted")]).toEqual([
    "/to-b",
    "/a/b",
    "/loop",
    "/a/b/rooted",
  ]);
});

test("relative paths start where they are told, absolute ones and links at the root", () => {
  const { tree } = sample();
  const from = tree.locate("/a/b");
  const at = (path: string): string => pathOf(tree.locate(path, { from }));
  expect([at("file"), at("../b/up"), at("/a"), at("rooted")]).toEqual([
    "/a/b/file",
    "/a",
    "/a",
    "/a/b/file",
  ]);
});

test("errors are worded as Node words them", () => {
  const { tree } = sample();
  expect(() => tree.locate("/a/none", { syscall: "open" })).toThrow(
    "ENOENT: no such file or directory, open '/a/none'",
  );
  expect(() => tree.readlink("/a")).toThrow("EINVAL: invalid argument, readlink '/a'");
});

test("names that are not UTF-8 are found by their bytes", () => {
  const { fs, tree } = sample();
  fs.directory(fs.root, "bad-\udcff");
  expect(tree.locate("/bad-\udcff").name).toBe("bad-\udcff");
});
