/**
 * Every call that changes a filesystem, as stories that are cut: each call is made durable before
 * the next.
 */
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { S_IFCHR, S_IFLNK, S_IFREG } from "../../src/vfs/modes.ts";
import type { InodeWriting } from "../../src/vfs/writing.ts";
import type { FlushedCall, FlushedImage, FlushedStory } from "./ext-flushes.ts";
import { plainDirectory, plainFile, writingOf } from "./ext-mounted.ts";

export const EXT4: FlushedImage = { name: "ext4", make: { type: "ext4" }, promise: "prefix" };
const EXT3: FlushedImage = { name: "ext3", make: { type: "ext3" }, promise: "prefix" };
const ORPHANS: FlushedImage = {
  name: "ext4 with an orphan file",
  make: { type: "ext4", features: "orphan_file" },
  promise: "prefix",
};
const INLINE: FlushedImage = {
  name: "ext4 with inline data",
  make: { type: "ext4", features: "inline_data", inodeSize: 256 },
  promise: "prefix",
};
const WRITEBACK: FlushedImage = {
  name: "ext4, data=writeback",
  make: { type: "ext4" },
  mount: { data: "writeback" },
  promise: "names",
};
const EXT2: FlushedImage = { name: "ext2", make: { type: "ext2" }, promise: "order" };

function at(filesystem: ExtFilesystem, path: string): Inode {
  let inode: Inode = filesystem.root;
  for (const name of path === "" ? [] : path.split("/")) {
    const next = inode.lookup(name);
    if (next === undefined) throw new Error(`${path} is missing`);
    inode = next;
  }
  return inode;
}

/** A call on the file at a path; the root is the empty one. */
export function on(path: string, name: string, body: (writing: InodeWriting) => void): FlushedCall {
  return { name, run: (filesystem) => body(writingOf(at(filesystem, path))) };
}

/** Bytes that tell where they are, and are never those of a free block. */
export function text(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 33 + ((i * 7 + seed) % 90));
}

export function fill(filesystem: ExtFilesystem): void {
  const root = writingOf(filesystem.root);
  writingOf(root.make("file", plainFile)).write(text(5000), 0);
  writingOf(root.make("other", plainFile)).write(text(300), 0);
  writingOf(root.make("d", plainDirectory)).make("inside", plainFile);
  root.make("empty", plainDirectory);
}

const rename = (name: string, to: string, newName: string, exchange = false): FlushedCall => ({
  name: `rename ${name} to ${to}/${newName}`,
  run: (filesystem) => {
    const { root } = filesystem;
    writingOf(root).rename(name, at(filesystem, to), newName, { exchange });
  },
});

const making: readonly FlushedCall[] = [
  on("", "create", (root) => root.make("new", { ...plainFile, uid: 7, gid: 8 })),
  on("d", "mkdir", (d) => d.make("sub", plainDirectory)),
  on("d", "mknod", (d) => d.make("node", { ...plainFile, mode: S_IFCHR | 0o600, rdev: 0x503 })),
  on("", "a fast symlink", (root) =>
    root.make("fast", { ...plainFile, mode: S_IFLNK | 0o777, target: "d" }),
  ),
  on("", "a slow symlink", (root) =>
    root.make("slow", { ...plainFile, mode: S_IFLNK | 0o777, target: "t".repeat(200) }),
  ),
  {
    name: "link",
    run: (filesystem) => writingOf(filesystem.root).link("linked", at(filesystem, "file")),
  },
  {
    name: "a file without a name gets one",
    run: (filesystem) => {
      const file = writingOf(filesystem.root).makeUnnamed({ ...plainFile, mode: S_IFREG | 0o640 });
      writingOf(file).hold();
      writingOf(file).write(text(10), 0);
      writingOf(filesystem.root).link("named", file);
      writingOf(file).release();
    },
  },
];

const removing: readonly FlushedCall[] = [
  rename("file", "d", "moved"),
  rename("other", "d", "moved"),
  rename("empty", "", "d", true),
  on("", "unlink", (root) => root.unlink("last")),
  on("", "rmdir", (root) => root.rmdir("gone")),
  {
    name: "unlink of an open file",
    run: (filesystem) => {
      writingOf(at(filesystem, "held")).hold();
      writingOf(filesystem.root).unlink("held");
    },
  },
];

const attributes: readonly FlushedCall[] = [
  on("file", "chmod", (file) => file.change({ mode: 0o4711 })),
  on("file", "chown", (file) => file.change({ uid: 70_000, gid: 5 })),
  on("file", "utimes", (file) => file.change({ mtime: { sec: 2 ** 33, nsec: 5 } })),
  on("file", "an attribute in the inode", (file) => file.setxattr("user.a", text(20))),
  on("file", "attributes in a block", (file) => file.setxattr("user.b", text(700))),
  on("file", "an attribute less", (file) => file.removexattr("user.a")),
];

const fdatasync =
  (path: string) =>
  (filesystem: ExtFilesystem): void =>
    writingOf(at(filesystem, path)).sync("data");
const fsync =
  (path: string) =>
  (filesystem: ExtFilesystem): void =>
    writingOf(at(filesystem, path)).sync("all");

const writing: readonly FlushedCall[] = [
  { ...on("other", "append", (file) => file.write(text(200, 3), 300)), sync: fsync("other") },
  {
    ...on("other", "append over blocks", (f) => f.write(text(2000, 4), 500)),
    sync: fsync("other"),
  },
  {
    ...on("file", "overwrite", (file) => file.write(text(900, 5), 700)),
    sync: fdatasync("file"),
    inPlace: "file",
  },
  { ...on("file", "write behind a hole", (f) => f.write(text(10, 6), 9000)), sync: fsync("file") },
  { ...on("file", "write into a hole", (f) => f.write(text(700, 7), 7300)), sync: fsync("file") },
];

export const sizing: readonly FlushedCall[] = [
  on("file", "truncate within a block", (file) => file.truncate(4500)),
  on("file", "truncate", (file) => file.truncate(1024)),
  on("file", "grow", (file) => file.truncate(3000)),
  on("other", "grow in a block", (file) => file.truncate(700)),
  on("other", "empty", (file) => file.truncate(0)),
];

export const allocating: readonly FlushedCall[] = [
  on("other", "fallocate", (file) => file.fallocate("allocate", 1000, 3000)),
  on("other", "fallocate, keep size", (file) => file.fallocate("allocate", 4096, 2048, true)),
  on("other", "write to what was allocated", (file) => file.write(text(500, 9), 1100)),
  { ...on("file", "punch", (file) => file.fallocate("punch", 1024, 1024)) },
  { ...on("file", "punch in a block", (f) => f.fallocate("punch", 100, 200)), inPlace: "file" },
  on("file", "zero", (file) => file.fallocate("zero", 2048, 1024)),
];

const shifting: readonly FlushedCall[] = [
  on("file", "collapse", (file) => file.fallocate("collapse", 1024, 1024)),
  on("file", "insert", (file) => file.fallocate("insert", 2048, 2048)),
];

export const inline: readonly FlushedCall[] = [
  on("", "create", (root) => root.make("small", plainFile)),
  on("small", "a small file", (file) => file.write(text(40), 0)),
  on("small", "which outgrows its inode", (file) => file.write(text(100, 2), 40)),
  on("tiny", "cut in the inode", (file) => file.truncate(10)),
  on("i", "a directory that outgrows its inode", (i) => i.make("n".repeat(200), plainFile)),
];

function fillMore(filesystem: ExtFilesystem): void {
  fill(filesystem);
  const root = writingOf(filesystem.root);
  writingOf(root.make("last", plainFile)).write(text(1500), 0);
  writingOf(root.make("held", plainFile)).write(text(1500), 0);
  root.make("gone", plainDirectory);
}

export function fillInline(filesystem: ExtFilesystem): void {
  const root = writingOf(filesystem.root);
  writingOf(root.make("tiny", plainFile)).write(text(30), 0);
  root.make("i", plainDirectory);
}

/** A story of an image. */
export const story = (
  image: FlushedImage,
  name: string,
  calls: readonly FlushedCall[],
  prepare: (filesystem: ExtFilesystem) => void = fill,
): FlushedStory => ({ name: `${image.name}: ${name}`, image, prepare, calls });

/** Every call, on a filesystem of each kind that goes its own way. */
export const STORIES: readonly FlushedStory[] = [
  story(EXT4, "made", making),
  story(EXT4, "moved and removed", removing, fillMore),
  story(EXT4, "attributes", attributes),
  story(EXT4, "written", writing),
  story(EXT4, "cut and grown", sizing),
  story(EXT4, "set aside", allocating),
  story(EXT4, "shifted", shifting),
  story(ORPHANS, "moved and removed", removing, fillMore),
  story(INLINE, "in inodes", inline, fillInline),
  story(EXT3, "made", making),
  story(EXT3, "written", writing),
  story(EXT3, "cut and grown", sizing),
  story(WRITEBACK, "written", writing),
  story(EXT2, "made", making),
  story(EXT2, "written", writing),
];
