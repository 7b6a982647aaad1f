import { expect, test } from "vitest";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { type Layout, ToyFilesystem, type ToyInode } from "../support/toy-filesystem.ts";
import type { ToyDiskOptions } from "../support/toy-disk.ts";

const PAGE = 4096;

function opened(
  bytes: Uint8Array,
  layout: Layout = "contiguous",
  options: ToyDiskOptions = {},
): { fs: ToyFilesystem; tree: FileTree; inode: ToyInode; file: OpenFile } {
  const fs = new ToyFilesystem(options);
  const inode = fs.file(fs.root, "f", bytes, layout);
  const tree = new FileTree(fs);
  return { fs, tree, inode, file: tree.open("/f") };
}

/** Page 0 data, pages 1 and 2 a hole, page 3 unwritten, page 4 data, then a hole to the end. */
function holey(): ReturnType<typeof opened> {
  const all = opened(new Uint8Array(0));
  all.fs.write(all.inode, 0, noise(1, PAGE));
  all.fs.write(all.inode, 3 * PAGE, noise(2, PAGE), "unwritten");
  all.fs.write(all.inode, 4 * PAGE, noise(3, 100));
  all.inode.size = 6 * PAGE + 7;
  return all;
}

const layouts: readonly Layout[] = ["contiguous", "fragmented", "inline"];

test.each(layouts)("reads of a %s file give its bytes, wherever they start and end", (layout) => {
  const bytes = noise(7, 5 * PAGE + 123);
  const { file } = opened(bytes, layout, { spanPages: 2 });
  for (const [offset, length] of [
    [0, bytes.length],
    [1, 2 * PAGE],
    [PAGE - 1, 2],
    [5 * PAGE, 4096],
    [bytes.length - 1, 10],
    [bytes.length, 1],
    [2 ** 40, 9],
    [17, 0],
  ] as const) {
    const target = new Uint8Array(length);
    const count = file.pread(target, offset);
    const expected = bytes.subarray(offset, offset + length);
    expect([count, same(target.subarray(0, count), expected)]).toEqual([expected.length, true]);
  }
});

test("read and readv move the position, pread and preadv do not", () => {
  const bytes = noise(2, 1000);
  const { file } = opened(bytes);
  const [a, b, c] = [new Uint8Array(300), new Uint8Array(500), new Uint8Array(500)];
  expect([file.read(a), file.position]).toEqual([300, 300]);
  expect([file.preadv([a, b], 100), file.position]).toEqual([800, 300]);
  expect([file.readv([b, c]), file.position]).toEqual([700, 1000]);
  expect(same(c.subarray(0, 200), bytes.subarray(800))).toBe(true);
  expect([file.read(a), file.position]).toEqual([0, 1000]);
});

test("without dax the same bytes come through the block device", () => {
  const bytes = noise(3, 3 * PAGE);
  const { file, fs } = opened(bytes, "fragmented", { dax: false });
  const target = new Uint8Array(bytes.length);
  file.pread(target, 0);
  expect([same(target, bytes), fs.toy.device.counters.directAccess]).toEqual([true, 0]);
});

test("holes and unwritten ranges read as zeros, data between them as data", () => {
  const { file, inode } = holey();
  const target = new Uint8Array(inode.size).fill(9);
  expect(file.pread(target, 0)).toBe(inode.size);
  expect(same(target.subarray(0, PAGE), noise(1, PAGE))).toBe(true);
  expect(target.subarray(PAGE, 4 * PAGE).every((byte) => byte === 0)).toBe(true);
  expect(same(target.subarray(4 * PAGE, 4 * PAGE + 100), noise(3, 100))).toBe(true);
  expect(target.subarray(5 * PAGE).every((byte) => byte === 0)).toBe(true);
});

test("seek: set, cur, end, and refusals before the start", () => {
  const { file } = opened(noise(1, 1000));
  expect([file.seek(10, "set"), file.seek(-3, "cur"), file.seek(-1, "end")]).toEqual([10, 7, 999]);
  expect(file.seek(5000, "set")).toBe(5000);
  expect(file.read(new Uint8Array(1))).toBe(0);
  expect(codeOf(() => file.seek(-1, "set"))).toBe("EINVAL");
  expect(codeOf(() => file.seek(0.5, "set"))).toBe("EINVAL");
  expect(file.position).toBe(5000);
});

test("seek to data and holes: unwritten is a hole, the end of the file is one too", () => {
  const { file, inode } = holey();
  const data = [0, PAGE, 3 * PAGE, 4 * PAGE + 5].map((at) => file.seek(at, "data"));
  expect(data).toEqual([0, 4 * PAGE, 4 * PAGE, 4 * PAGE + 5]);
  const holes = [0, PAGE, 3 * PAGE, 4 * PAGE, inode.size - 1].map((at) => file.seek(at, "hole"));
  expect(holes).toEqual([PAGE, PAGE, 3 * PAGE, 5 * PAGE, inode.size - 1]);
  expect(codeOf(() => file.seek(5 * PAGE, "data"))).toBe("ENXIO");
  expect(codeOf(() => file.seek(inode.size, "hole"))).toBe("ENXIO");
  const { file: whole } = opened(noise(1, 10), "inline");
  expect([whole.seek(3, "data"), whole.seek(3, "hole")]).toEqual([3, 10]);
});

test("extents: neighbours come as one, holes not at all", () => {
  const { file } = holey();
  expect(
    [...file.extents()].map(({ offset, length, unwritten }) => [offset, length, unwritten]),
  ).toEqual([
    [0, PAGE, false],
    [3 * PAGE, PAGE, true],
    [4 * PAGE, PAGE, false],
  ]);
  const { file: two, fs, inode } = opened(new Uint8Array(0));
  fs.write(inode, 0, noise(1, PAGE));
  fs.write(inode, PAGE, noise(2, 2 * PAGE));
  expect([...two.extents()]).toHaveLength(1);
  const { file: inline } = opened(noise(1, 10), "inline");
  expect([...inline.extents()]).toMatchObject([{ addr: undefined, inline: true, length: 10 }]);
});

test("views alias the media and end where it is not contiguous", () => {
  const bytes = noise(4, 4 * PAGE);
  const { file, fs, inode } = opened(bytes);
  const view = file.view(100, 2 * PAGE);
  expect(view.length).toBe(2 * PAGE);
  fs.toy.bytes[(inode.pieces[0]?.addr ?? 0) + 100] = 0xee;
  expect(view[0]).toBe(0xee);
  expect(file.view(4 * PAGE - 1, 100)).toHaveLength(1);
  expect(file.view(4 * PAGE, 100)).toHaveLength(0);
  const { file: parts } = opened(bytes, "fragmented");
  expect(parts.view(PAGE + 10, 2 * PAGE)).toHaveLength(PAGE - 10);
  expect(same(parts.view(3 * PAGE, PAGE), bytes.subarray(3 * PAGE))).toBe(true);
  expect(same(parts.view(0, PAGE), bytes.subarray(0, PAGE))).toBe(true);
});

test("views of holes, inline bytes and files without dax are private copies", () => {
  const { file } = holey();
  expect(file.view(PAGE, 5)).toEqual(new Uint8Array(5));
  expect(file.view(PAGE, 10 * PAGE)).toHaveLength(2 * PAGE);
  const bytes = noise(5, 300);
  expect(same(opened(bytes, "inline").file.view(10, 50), bytes.subarray(10, 60))).toBe(true);
  const { file: noDax } = opened(bytes, "contiguous", { dax: false });
  expect(same(noDax.view(10, 50), bytes.subarray(10, 60))).toBe(true);
});

test("a view over poison, or of a removed device, is refused", () => {
  const { file, fs, inode } = opened(noise(6, 3 * PAGE));
  const page = (inode.pieces[0]?.addr ?? 0) / PAGE;
  fs.toy.poison.add(page + 1);
  expect(file.view(0, 3 * PAGE)).toHaveLength(PAGE);
  expect(codeOf(() => file.view(PAGE, 1))).toBe("EHWPOISON");
  expect(codeOf(() => file.pread(new Uint8Array(1), PAGE))).toBe("EIO");
  expect(file.view(2 * PAGE, 5)).toHaveLength(5);
  fs.toy.device.kill();
  expect(codeOf(() => file.view(2 * PAGE, 5))).toBe("ENXIO");
});

test("a directory: EISDIR for bytes; entries in order, resumed by cookies", () => {
  const fs = new ToyFilesystem();
  for (let i = 0; i < 10; i++) fs.file(fs.root, `f${i}`, new Uint8Array(0));
  const tree = new FileTree(fs);
  const folder = tree.open("/");
  expect(() => folder.read(new Uint8Array(1))).toThrow(
    "EISDIR: illegal operation on a directory, read",
  );
  expect(codeOf(() => folder.map())).toBe("EISDIR");
  const names = folder.readdir().map(({ name }) => name);
  expect(names).toEqual([".", "..", ...Array.from({ length: 10 }, (_, i) => `f${i}`)]);
  expect(folder.readdir()).toEqual([]);
  folder.seek(0, "set");
  const pieces: string[] = [];
  for (let part = folder.readdir(3); part.length > 0; part = folder.readdir(3)) {
    pieces.push(...part.map(({ name }) => name));
    fs.root.remove("f1");
    fs.file(fs.root, `late-${pieces.length}`, new Uint8Array(0));
    if (pieces.length > 12) break;
  }
  expect(new Set(pieces).size).toBe(pieces.length);
  expect(names.filter((name) => !pieces.includes(name))).toEqual(["f1"]);
});

test("a closed file answers EBADF to everything, and closing twice too", () => {
  const { file, tree } = opened(noise(1, 10));
  file.view(0, 1);
  expect(tree.mounts.root.users).toBe(1);
  file.close();
  expect([file.closed, tree.mounts.root.users]).toEqual([true, 0]);
  const calls: readonly (() => unknown)[] = [
    () => file.pread(new Uint8Array(1), 0),
    () => file.read(new Uint8Array(1)),
    () => file.preadv([new Uint8Array(1)], 0),
    () => file.view(0, 1),
    () => file.map(),
    () => file.extents(),
    () => file.seek(0, "set"),
    () => file.readdir(),
    () => file.attributes(),
    () => file.close(),
  ];
  expect(calls.map(codeOf)).toEqual(calls.map(() => "EBADF"));
});

test("offsets that are none are EINVAL, whoever passes them", () => {
  const { file } = opened(noise(1, 10));
  for (const offset of [-1, Number.NaN, -0.5]) {
    expect(codeOf(() => file.pread(new Uint8Array(1), offset))).toBe("EINVAL");
    expect(codeOf(() => file.view(offset, 1))).toBe("EINVAL");
  }
  expect(codeOf(() => file.view(0, -1))).toBe("EINVAL");
});

test("what open refuses: links by noFollow, files as directories, devices and fifos", () => {
  const fs = new ToyFilesystem();
  fs.file(fs.root, "f", new Uint8Array(0));
  fs.symlink(fs.root, "l", "f");
  fs.special(fs.root, "fifo", { mode: 0o010644 });
  const tree = new FileTree(fs);
  expect(codeOf(() => tree.open("/l", { noFollow: true }))).toBe("ELOOP");
  expect(codeOf(() => tree.open("/f", { directory: true }))).toBe("ENOTDIR");
  expect(codeOf(() => tree.open("/fifo"))).toBe("ENXIO");
  expect(tree.open("/l").path).toBe("/f");
});

test("ten thousand open files, each with its own position", () => {
  const { tree, file: first } = opened(noise(8, 20_000));
  first.close();
  const files = Array.from({ length: 10_000 }, () => tree.open("/f"));
  for (const [i, file] of files.entries()) file.seek(i, "set");
  const bytes = noise(8, 20_000);
  const one = new Uint8Array(1);
  const wrong = files.filter((file, i) => file.read(one) !== 1 || one[0] !== bytes[i]);
  expect(wrong).toHaveLength(0);
  expect(codeOf(() => tree.close())).toBe("EBUSY");
  for (const file of files) file.close();
  expect(codeOf(() => tree.close())).toBe(undefined);
});
