import { expect, test } from "vitest";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf } from "../support/bytes.ts";
import { ToyFilesystem } from "../support/toy-filesystem.ts";

interface Forest {
  readonly tree: FileTree;
  readonly outer: ToyFilesystem;
  readonly inner: ToyFilesystem;
}

/** `outer` with `/mnt/deep`, and `inner` (with `/dir/file`) mounted at `/mnt`. */
function forest(): Forest {
  const outer = new ToyFilesystem();
  const inner = new ToyFilesystem();
  outer.directory(outer.directory(outer.root, "mnt"), "deep");
  outer.file(outer.root, "file", new Uint8Array(0));
  inner.file(inner.directory(inner.root, "dir"), "file", new Uint8Array(3));
  inner.symlink(inner.root, "out", "../file");
  const tree = new FileTree(outer);
  tree.mount("/mnt", inner);
  return { tree, outer, inner };
}

test("a walk crosses mounts both ways", () => {
  const { tree, inner, outer } = forest();
  expect(tree.stat("/mnt/dir/file").filesystem).toBe(inner);
  expect(tree.stat("/mnt").ino).toBe(inner.root.ino);
  expect(tree.stat("/mnt/dir/../..").filesystem).toBe(outer);
  expect(tree.realpath("/mnt/out")).toBe("/file");
  expect(codeOf(() => tree.stat("/mnt/deep"))).toBe("ENOENT");
  expect(tree.statfs("/mnt/dir")).toEqual(inner.statfs());
});

test("mounts in mounts", () => {
  const { tree } = forest();
  const third = new ToyFilesystem();
  third.file(third.root, "x", new Uint8Array(0));
  tree.mount("/mnt/dir", third);
  expect(tree.realpath("/mnt/dir/x")).toBe("/mnt/dir/x");
  expect(tree.stat("/mnt/dir/../dir/x").filesystem).toBe(third);
  expect(() => tree.unmount("/mnt")).toThrow(/EBUSY.*\/mnt\/dir is mounted below/);
  tree.unmount("/mnt/dir");
  expect(codeOf(() => tree.stat("/mnt/dir/x"))).toBe("ENOENT");
});

test("what cannot be mounted, and where", () => {
  const { tree, inner } = forest();
  const other = new ToyFilesystem();
  expect(codeOf(() => tree.mount("/file", other))).toBe("ENOTDIR");
  expect(codeOf(() => tree.mount("/nothing", other))).toBe("ENOENT");
  expect(codeOf(() => tree.mount("/mnt", other))).toBe("EBUSY");
  expect(codeOf(() => tree.mount("/", other))).toBe("EBUSY");
  expect(() => tree.mount("/mnt/dir", inner)).toThrow(/EBUSY.*mounted at \/mnt/);
  expect(other.mounted).toBe(true);
});

test("unmount: EINVAL where nothing is mounted, EBUSY while a file is open, then it ends", () => {
  const { tree, inner } = forest();
  expect(codeOf(() => tree.unmount("/mnt/dir"))).toBe("EINVAL");
  expect(codeOf(() => tree.unmount("/"))).toBe("EINVAL");
  const file = tree.open("/mnt/dir/file");
  expect(() => tree.unmount("/mnt")).toThrow(/EBUSY.*open file \/mnt\/dir\/file/);
  file.close();
  tree.unmount("/mnt");
  expect(inner.mounted).toBe(false);
  expect(tree.stat("/mnt/deep")).toBeDefined();
});

test("revoke ends open files below, children first", () => {
  const { tree, inner } = forest();
  const third = new ToyFilesystem();
  third.file(third.root, "x", new Uint8Array(9));
  tree.mount("/mnt/dir", third);
  const files = [tree.open("/mnt/dir/x"), tree.open("/mnt")];
  tree.unmount("/mnt", { revoke: true });
  expect([inner.mounted, third.mounted]).toEqual([false, false]);
  expect(files.map(({ closed }) => closed)).toEqual([true, true]);
  expect([...tree.mounts]).toHaveLength(1);
});

test("an unmounted filesystem can be mounted elsewhere", () => {
  const { tree, inner } = forest();
  tree.unmount("/mnt");
  tree.mount("/mnt/deep", inner);
  expect(tree.realpath("/mnt/deep/dir/file")).toBe("/mnt/deep/dir/file");
});

test("close ends all mounts, the last one first; busy ones keep the whole tree", () => {
  const { tree, inner, outer } = forest();
  const file = tree.open("/mnt/dir/file");
  expect(codeOf(() => tree.close())).toBe("EBUSY");
  expect([outer.mounted, inner.mounted]).toEqual([true, true]);
  file.close();
  tree.close();
  expect([outer.mounted, inner.mounted]).toEqual([false, false]);
});
