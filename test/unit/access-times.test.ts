/** What reading leaves behind: nothing, or an atime as `relatime` and `strictatime` decide. */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { type AccessRule, noteAccess } from "../../src/vfs/access-times.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { bytesOf, makeRamVolume } from "../support/writable-pair.ts";

const FS_NOATIME_FL = 0x80;
const START = 1_700_000_000;
const DAY = 86_400;

/** A tree with a clock that is told the time. */
function treeAt(start: number) {
  const world = { sec: start };
  const environment = {
    ...seededEnvironment(1),
    clock: { now: () => ({ sec: world.sec, nsec: 0 }) },
  };
  const media = new RamMedia(2 ** 23);
  makeVolume(media, { zeroed: true });
  const disk = new RamDisk({ name: "ram0", bytes: bytesOf({ media }) });
  const filesystem = ext.mount(disk, { write: true }, environment) as ExtFilesystem;
  const tree = new FileTree(filesystem);
  tree.open("/file", { create: true, access: "write" }).close();
  tree.mkdir("/dir");
  tree.symlink("file", "/link");
  const pass = (seconds: number): void => void (world.sec += seconds);
  return { tree, filesystem, pass };
}

const RELATIVE: AccessRule = { times: "relative" };
const STRICT: AccessRule = { times: "strict" };

describe("a rule", () => {
  test("relative sets it once after each change, and once a day", () => {
    const { tree, pass } = treeAt(START);
    const inode = tree.lstat("/file");
    pass(10);
    const { ctime } = inode.attributes();
    expect(noteAccess(inode, RELATIVE)).toBe(true);
    expect(inode.attributes()).toMatchObject({ atime: { sec: START + 10, nsec: 0 }, ctime });
    pass(DAY - 1);
    expect(noteAccess(inode, RELATIVE)).toBe(false);
    pass(1);
    expect(noteAccess(inode, RELATIVE)).toBe(true);
    pass(1);
    tree.chmod("/file", 0o600);
    pass(1);
    expect(noteAccess(inode, RELATIVE)).toBe(true);
    expect(noteAccess(inode, RELATIVE)).toBe(false);
    tree.close();
  });

  test("strict sets it whenever the clock has moved, none never", () => {
    const { tree, pass } = treeAt(START);
    const inode = tree.lstat("/file");
    for (const rounds of [1, 2]) {
      pass(1);
      expect(noteAccess(inode, STRICT)).toBe(true);
      expect(noteAccess(inode, STRICT)).toBe(false);
      expect(inode.attributes().atime.sec).toBe(START + rounds);
    }
    pass(10 * DAY);
    expect(noteAccess(inode, { times: "none" })).toBe(false);
    tree.close();
  });

  test("is for directories and links too, unless it says otherwise", () => {
    const { tree, pass } = treeAt(START);
    pass(1);
    expect(noteAccess(tree.lstat("/link"), RELATIVE)).toBe(true);
    const directory = tree.lstat("/dir");
    expect(noteAccess(directory, { times: "strict", directories: false })).toBe(false);
    expect(noteAccess(directory, RELATIVE)).toBe(true);
    tree.close();
  });

  test("a file may say that it wants none", () => {
    const { tree, pass } = treeAt(START);
    const inode = tree.lstat("/file");
    inode.writing!.flags |= FS_NOATIME_FL;
    pass(1);
    expect(noteAccess(inode, STRICT)).toBe(false);
    tree.close();
  });

  test("fsync does not wait for it, and a commit brings it", () => {
    const { tree, filesystem, pass } = treeAt(START);
    const file = tree.open("/file");
    file.sync();
    const { journal } = filesystem.writing!;
    const before = journal.committed;
    pass(1);
    expect(noteAccess(file.inode, STRICT)).toBe(true);
    file.sync();
    expect(journal.committed).toBe(before);
    tree.sync();
    expect(journal.committed).not.toBe(before);
    file.close();
    tree.close();
  });

  test("a filesystem that writes no more is read all the same", () => {
    const { tree, filesystem, pass } = treeAt(START);
    pass(1);
    filesystem.writing!.journal.abort(new Error("pulled") as never);
    expect(noteAccess(tree.lstat("/file"), STRICT)).toBe(false);
    expect(() => tree.close()).toThrow(/EROFS|EIO/u);
  });
});

describe("a volume", () => {
  const old = { atime: { sec: 1, nsec: 0 }, mtime: { sec: 1, nsec: 0 } };

  function readAll(open: object) {
    const { volume } = makeRamVolume({}, open);
    const { fs, tree } = volume;
    fs.mkdirSync("/dir");
    fs.writeFileSync("/dir/file", "abc");
    fs.symlinkSync("dir/file", "/link");
    for (const path of ["/dir/file", "/dir", "/link"]) tree.utimes(path, old, { follow: false });
    expect(fs.readFileSync("/link", "utf8")).toBe("abc");
    expect(fs.readdirSync("/dir")).toEqual(["file"]);
    const seen = ["/dir/file", "/dir", "/link"].map((path) => fs.lstatSync(path).atimeMs > 1000);
    volume.close();
    return seen;
  }

  test("is read without a trace unless asked for", () => {
    expect(readAll({})).toEqual([false, false, false]);
    expect(readAll({ atime: "none" })).toEqual([false, false, false]);
    expect(readAll({ atime: "relative" })).toEqual([true, true, true]);
    expect(readAll({ atime: "strict", nodiratime: true })).toEqual([true, false, true]);
  });

  test("a word that is none is refused, and reading nothing is no access", () => {
    const media = new RamMedia(2 ** 23);
    makeVolume(media, { zeroed: true });
    expect(() => openVolume(media, { atime: "relatime" as "none" })).toThrow(
      /EINVAL.*"relatime".*"relative"/u,
    );
    const { volume } = makeRamVolume({}, { atime: "strict" });
    volume.fs.writeFileSync("/x", "abc");
    volume.tree.utimes("/x", old);
    const file = volume.open("/x");
    file.pread(new Uint8Array(0), 0);
    expect(file.attributes().atime.sec).toBe(1);
    file.pread(new Uint8Array(1), 0);
    expect(file.attributes().atime.sec).toBeGreaterThan(1);
    file.close();
    volume.close();
  });
});
