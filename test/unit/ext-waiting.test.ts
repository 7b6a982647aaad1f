/** What waits in memory for its blocks, where it may be lost or show what is not the file's. */
import { expect, test, vi } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { ExtWriting } from "../../src/fs/ext/writing.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { type VolumeFs, makeFacade } from "../../src/node/facade/facade.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { emptyImage } from "../support/ext-cut-work.ts";

const LONG = "long ".repeat(2000);

/** A disk of which single writes fail. */
class FailingDisk extends RamDisk {
  fails: (source: Uint8Array) => boolean = () => false;

  override writeBytes(offset: number, source: Uint8Array): void {
    if (this.fails(source)) throw new DaxError("EIO", { syscall: "write" });
    super.writeBytes(offset, source);
  }
}

interface Rig {
  readonly fs: VolumeFs;
  readonly tree: FileTree;
  readonly disk: FailingDisk;
  readonly bytes: Uint8Array;
}

function rig(megabytes = 4, features = "", delalloc = true): Rig {
  const bytes = emptyImage({ type: "ext4", blockSize: 4096, features }, megabytes);
  const disk = new FailingDisk({ name: "ram0", bytes });
  const tree = new FileTree(ext.mount(disk, { write: true, delalloc }, seededEnvironment(1)));
  return { fs: makeFacade(tree).fs, tree, disk, bytes };
}

/** Files whose contents have blocks. */
function withFiles(...names: string[]): Rig {
  const made = rig();
  for (const name of names) made.fs.writeFileSync(`/${name}`, "o".repeat(9000));
  made.tree.sync();
  return made;
}

/** Where a file shows what is to be seen, first and last. */
const seen = (fs: VolumeFs, path: string) => {
  const text = fs.readFileSync(path, "latin1");
  return `${text.slice(0, 3)} ${text.slice(8192, 8195)}`;
};

function overwrite(fs: VolumeFs, name: string): number {
  const fd = fs.openSync(`/${name}`, "r+");
  for (const at of [0, 8192]) fs.writeSync(fd, "NEW", at);
  return fd;
}

const fillUp = ({ fs }: Rig, bytes: number): number => {
  const piece = new Uint8Array(bytes).fill(7);
  let files = 0;
  const fill = () => {
    for (; ; files++) fs.writeFileSync(`/f${files}`, piece);
  };
  expect(fill).toThrow(/ENOSPC/u);
  return files;
};

test("what was cut off does not come back when the file has grown behind its end", () => {
  const { fs, tree } = withFiles("f");
  fs.truncateSync("/f", 100);
  const fd = fs.openSync("/f", "r+");
  fs.writeSync(fd, "new", 5000);
  const grown = `${"o".repeat(100)}${"\0".repeat(4900)}new`;
  expect(fs.readFileSync("/f", "latin1")).toBe(grown);
  // Both make one run of what is written out: what lies between was read.
  for (const at of [200, 1000]) fs.writeSync(fd, "new", at);
  tree.sync();
  const text = fs.readFileSync("/f", "latin1");
  expect(text.replaceAll("new", "\0\0\0").slice(0, 5000)).toBe(grown.slice(0, 5000));
});

test.each(["", "inline_data"])("times that were set since stay, with '%s'", (features) => {
  const { fs, tree } = rig(4, features);
  for (const [name, text] of Object.entries({ short: "s", long: LONG })) {
    fs.writeFileSync(`/${name}`, text);
    fs.utimesSync(`/${name}`, 1000, 1000);
  }
  tree.sync();
  for (const name of ["short", "long"]) expect(fs.statSync(`/${name}`).mtimeMs).toBe(1e6);
});

test("blocks that are still to be allocated count as if they were", () => {
  const { fs, tree } = rig();
  const before = fs.statfsSync("/").bfree;
  fs.writeFileSync("/f", LONG);
  const told = () => [fs.statSync("/f").blocks, fs.statfsSync("/").bfree];
  expect(told()).toEqual([24, before - 3]);
  tree.sync();
  expect(told()).toEqual([24, before - 3]);
});

test.each([
  ["blocks that are kept for maps", 24, ""],
  ["clusters of which one block is used", 16, "bigalloc"],
])("what was taken finds its room: %s", (_, megabytes, features) => {
  const made = rig(megabytes, features);
  const files = fillUp(made, features === "" ? 100_000 : 5000);
  made.tree.sync();
  const size = features === "" ? 100_000 : 5000;
  for (let i = 0; i < files; i++) expect(made.fs.statSync(`/f${i}`).size).toBe(size);
});

test("the room of what waits is given to nobody else, but for what is not needed of it", () => {
  const { fs, tree } = rig();
  fs.writeFileSync("/waits", new Uint8Array(1_000_000).fill(7));
  const { bavail, bsize } = fs.statfsSync("/");
  fs.writeFileSync("/b", "");
  const open = tree.open("/b", { access: "readwrite" });
  expect(() => open.fallocate("allocate", 0, (bavail + 100) * bsize)).toThrow(/ENOSPC/u);
  open.close();
  tree.sync();
  expect(fs.readFileSync("/waits").every((byte) => byte === 7)).toBe(true);
});

test("a disk that is full after all is told, and not from ever deeper below", () => {
  const { fs, tree } = rig();
  for (let i = 0; i < 100; i++) fs.writeFileSync(`/f${i}`, "waits");
  const { writing } = tree.mounts.root.filesystem as ExtFilesystem;
  let deepest = 0;
  vi.spyOn((writing as ExtWriting).editor.allocator, "allocate").mockImplementation(() => {
    deepest = Math.max(deepest, depth());
    throw new DaxError("ENOSPC");
  });
  expect(() => tree.sync()).toThrow(/ENOSPC/u);
  expect(deepest - depth()).toBeLessThan(60);
});

/** Calls that are open. */
function depth(): number {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = Infinity;
  const frames = new Error("here").stack?.split("\n").length ?? 0;
  Error.stackTraceLimit = before;
  return frames;
}

test("a write that fails takes nothing else with it, and is told to who syncs its file", () => {
  const { fs, tree, disk, bytes } = withFiles("a", "b");
  const [a, b] = ["a", "b"].map((name) => overwrite(fs, name)) as [number, number];
  let failed = 0;
  disk.fails = ({ length }) => length === 3 && failed++ === 0;
  fs.mkdirSync("/dir");
  expect(() => tree.sync()).toThrow(/EIO/u);
  const now = new RamDisk({ name: "ram0", bytes: bytes.slice() });
  const left = new FileTree(ext.mount(now, {}, seededEnvironment(1)));
  expect(["/a", "/b"].map((path) => seen(makeFacade(left).fs, path))).toEqual([
    "ooo NEW",
    "NEW NEW",
  ]);
  expect(makeFacade(left).fs.existsSync("/dir")).toBe(true);
  expect(() => fs.fsyncSync(a)).toThrow(/EIO/u);
  for (const fd of [a, b]) fs.fsyncSync(fd);
});

test("an unmounting that cannot write contents does the rest, and says so", () => {
  const { fs, tree, disk } = withFiles("a", "b");
  for (const name of ["a", "b"]) fs.closeSync(overwrite(fs, name));
  fs.mkdirSync("/dir");
  let failed = 0;
  disk.fails = ({ length }) => length === 3 && failed++ === 0;
  expect(() => tree.close()).toThrow(/EIO/u);
  expect([...ext.check(disk, seededEnvironment(1))]).toEqual([]);
  const again = makeFacade(new FileTree(ext.mount(disk, {}, seededEnvironment(1)))).fs;
  expect([seen(again, "/a"), seen(again, "/b")]).toEqual(["ooo NEW", "NEW NEW"]);
  expect(again.existsSync("/dir")).toBe(true);
});

test("a file that was cut to nothing is let go, though closing it cannot write", () => {
  const { fs, disk } = rig();
  const fd = fs.openSync("/f", "w");
  fs.ftruncateSync(fd, 0);
  fs.writeSync(fd, LONG);
  disk.fails = ({ length }) => length === LONG.length;
  fs.closeSync(fd);
  const again = fs.openSync("/f", "r");
  expect(() => fs.fsyncSync(again)).toThrow(/EIO/u);
  fs.closeSync(again);
  const free = fs.statfsSync("/").ffree;
  fs.unlinkSync("/f");
  expect(fs.statfsSync("/").ffree).toBe(free + 1);
});
