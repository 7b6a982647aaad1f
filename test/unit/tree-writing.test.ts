/**
 * Paths that change things: what a tree remembers, who hears of it, and rules that a stream of
 * random calls seldom meets.
 */
import { describe, expect, test, vi } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { S_IFCHR, S_IFIFO } from "../../src/vfs/modes.ts";
import type { WatchEvent } from "../../src/vfs/watches.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { ToyFilesystem } from "../support/toy-filesystem.ts";

const EXT4 = { type: "ext4", blockSize: 1024, inodes: 4096 } as const;

function treeOf(image = emptyImage(EXT4)): { tree: FileTree; image: Uint8Array } {
  return { tree: new FileTree(mountToWrite(image)), image };
}

function make(tree: FileTree, path: string, bytes: Uint8Array = new Uint8Array(0)): OpenFile {
  const file = tree.open(path, { create: true, access: "readwrite" });
  if (bytes.length > 0) file.write(bytes);
  return file;
}

function names(tree: FileTree, path: string): string[] {
  return [...tree.readdir(path)].map(({ name }) => name).toSorted();
}

describe("names", () => {
  test("what a directory is known to hold follows every change", () => {
    const { tree } = treeOf();
    tree.mkdir("/d");
    tree.mkdir("/e");
    for (let i = 0; i < 60; i++) make(tree, `/d/f${i}`).close();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 60; i++) tree.stat(`/d/f${i}`);
    }
    tree.unlink("/d/f1");
    tree.rename("/d/f2", "/e/g2");
    tree.link("/d/f3", "/d/f3b");
    tree.rename("/d/f4", "/d/f5");
    tree.rename("/d/f6", "/d/f7", { exchange: true });
    const [six, seven] = [tree.stat("/d/f6").ino, tree.stat("/d/f7").ino];
    expect(six).toBeGreaterThan(seven);
    for (const gone of ["/d/f1", "/d/f2", "/d/f4"]) {
      expect(codeOf(() => tree.stat(gone))).toBe("ENOENT");
    }
    expect(tree.stat("/d/f3b").ino).toBe(tree.stat("/d/f3").ino);
    expect(names(tree, "/e")).toEqual(["g2"]);
    expect(codeOf(() => tree.mkdir("/d/f5"))).toBe("EEXIST");
    expect(tree.mkdir("/d/f1").ino).toBe(tree.stat("/d/f1").ino);
  });

  test("a directory that is made where one was removed knows nothing of that one", () => {
    const { tree } = treeOf();
    for (let round = 0; round < 5; round++) {
      tree.mkdir("/d");
      make(tree, `/d/f${round}`).close();
      for (let i = 0; i < 40; i++) tree.stat(`/d/f${round}`);
      expect(codeOf(() => tree.stat(`/d/f${round - 1}`))).toBe("ENOENT");
      tree.unlink(`/d/f${round}`);
      tree.rmdir("/d");
    }
  });

  test("two trees over one filesystem see what the other one does", () => {
    const filesystem = mountToWrite(emptyImage(EXT4));
    const [one, other] = [new FileTree(filesystem), new FileTree(filesystem)];
    one.mkdir("/d");
    make(one, "/d/a").close();
    for (let i = 0; i < 40; i++) other.stat("/d/a");
    one.rename("/d/a", "/d/b");
    expect(codeOf(() => other.stat("/d/a"))).toBe("ENOENT");
    expect(other.stat("/d/b").ino).toBe(one.stat("/d/b").ino);
  });

  test("errors name the call and both paths", () => {
    const { tree } = treeOf();
    tree.mkdir("/a");
    expect(() => tree.rename("/a", "/a/b")).toThrow(
      "EINVAL: invalid argument, rename '/a' -> '/a/b'",
    );
    expect(() => tree.link("/none", "/b")).toThrow(
      "ENOENT: no such file or directory, link '/none' -> '/b'",
    );
    expect(() => tree.mkdir("/a")).toThrow("EEXIST: file already exists, mkdir '/a'");
    expect(() => tree.open("/x/y", { create: true })).toThrow("open '/x/y'");
    expect(() => tree.chmod("/none", 0)).toThrow("chmod '/none'");
    expect(() => tree.setxattr("/a", "odd.b", new Uint8Array(1))).toThrow("setxattr '/a'");
  });

  test("a directory that was moved while it was open does not move into itself", () => {
    const { tree } = treeOf();
    tree.mkdir("/a");
    tree.mkdir("/a/b");
    tree.mkdir("/c");
    // Its location still says that it lies in /a.
    const from = tree.open("/a/b").location;
    tree.rename("/a/b", "/c/b");
    expect(codeOf(() => tree.rename("/c", "x", { toFrom: from }))).toBe("EINVAL");
    tree.rename("/a", "a", { toFrom: from });
    expect(names(tree, "/c/b")).toEqual(["a"]);
  });

  test("relative paths start where they are told, on either side", () => {
    const { tree } = treeOf();
    tree.mkdir("/a");
    tree.mkdir("/b");
    const [a, b] = [tree.locate("/a"), tree.locate("/b")];
    tree.open("f", { create: true, from: a }).close();
    tree.link("f", "g", { from: a, toFrom: b });
    tree.rename("g", "h", { from: b });
    tree.symlink("h", "l", { from: b });
    expect([names(tree, "/a"), names(tree, "/b")]).toEqual([["f"], ["h", "l"]]);
    tree.unlink("f", { from: a });
    expect(tree.stat("l", { from: b }).attributes().nlink).toBe(1);
  });

  test("names are bytes: 255 of them, whatever they say in UTF-8", () => {
    const { tree } = treeOf();
    const odd = "a\udcff\udc80b";
    const longest = "\udcff".repeat(255);
    tree.mkdir(`/${odd}`);
    tree.rename(`/${odd}`, `/${longest}`);
    tree.symlink(longest, "/l");
    make(tree, "/l/f").close();
    expect(names(tree, "/")).toEqual(["l", "lost+found", longest].toSorted());
    expect([tree.realpath("/l/f"), tree.readlink("/l")]).toEqual([`/${longest}/f`, longest]);
    expect(codeOf(() => tree.mkdir(`/${longest}\udcff`))).toBe("ENAMETOOLONG");
    expect(codeOf(() => tree.mkdir(`/${"ü".repeat(128)}`))).toBe("ENAMETOOLONG");
    expect(codeOf(() => tree.mkdir("/a\0b"))).toBe("EINVAL");
  });

  test("nothing is made in a directory that was removed, nor listed", () => {
    const { tree } = treeOf();
    tree.mkdir("/d");
    const file = tree.open("/d");
    tree.rmdir("/d");
    const from = file.location;
    expect(codeOf(() => tree.mkdir("x", { from }))).toBe("ENOENT");
    expect(codeOf(() => tree.open("x", { from, create: true }))).toBe("ENOENT");
    expect(codeOf(() => tree.open(".", { from, access: "write", unnamed: true }))).toBe("ENOENT");
    expect(file.attributes().nlink).toBe(0);
    file.close();
  });

  test("mount points are neither moved, removed nor replaced, and mounts not crossed", () => {
    const { tree } = treeOf();
    const inner = mountToWrite(emptyImage(EXT4));
    tree.mkdir("/m");
    tree.mkdir("/d");
    tree.mount("/m", inner);
    make(tree, "/m/f").close();
    expect(codeOf(() => tree.rmdir("/m"))).toBe("EBUSY");
    expect(codeOf(() => tree.rename("/m", "/n"))).toBe("EBUSY");
    expect(codeOf(() => tree.rename("/d", "/m"))).toBe("EBUSY");
    expect(codeOf(() => tree.rename("/m/f", "/f"))).toBe("EXDEV");
    expect(codeOf(() => tree.link("/m/f", "/f"))).toBe("EXDEV");
    tree.unmount("/m");
    tree.rmdir("/m");
  });

  test("a filesystem that cannot be synced keeps no other from it", () => {
    const { tree } = treeOf();
    tree.mkdir("/m");
    const inner = mountToWrite(emptyImage(EXT4));
    tree.mount("/m", inner);
    const [outer, synced] = [tree.mounts.root.filesystem, vi.spyOn(inner, "sync")];
    vi.spyOn(outer, "sync").mockImplementation(() => {
      throw new DaxError("EIO");
    });
    expect(codeOf(() => tree.sync())).toBe("EIO");
    expect(synced).toHaveBeenCalledOnce();
    tree.sync("/m/.");
    expect(synced).toHaveBeenCalledTimes(2);
  });

  test("what is mounted for reading says EROFS, after what is wrong with the path", () => {
    const fs = new ToyFilesystem();
    fs.file(fs.root, "f", noise(1, 10));
    const tree = new FileTree(fs);
    expect(codeOf(() => tree.mkdir("/f"))).toBe("EEXIST");
    expect(codeOf(() => tree.mkdir("/none/x"))).toBe("ENOENT");
    expect(codeOf(() => tree.mkdir("/x"))).toBe("EROFS");
    expect(codeOf(() => tree.open("/f", { access: "readwrite" }))).toBe("EROFS");
    expect(codeOf(() => tree.open("/f", { truncate: true }))).toBe("EROFS");
    expect(codeOf(() => tree.open("/x", { create: true }))).toBe("EROFS");
    expect(tree.open("/f", { create: true }).pread(new Uint8Array(20), 0)).toBe(10);
    for (const change of [
      () => tree.unlink("/none"),
      () => tree.chmod("/f", 0o600),
      () => tree.chown("/f", 1, 1),
      () => tree.utimes("/f", { mtime: "now" }),
      () => tree.truncate("/f", 0),
      () => tree.setxattr("/f", "user.a", new Uint8Array(1)),
      () => tree.removexattr("/f", "user.a"),
      () => tree.access("/f", 2),
    ]) {
      expect(codeOf(change)).toBe("EROFS");
    }
    tree.access("/f", 4);
  });
});

describe("files", () => {
  test("one without a name is there while it is open, and gets a name", () => {
    const { tree, image } = treeOf();
    const free = tree.statfs().ffree;
    const options = { unnamed: true, access: "readwrite" } as const;
    const file = tree.open("/", { ...options, mode: 0o640 });
    const other = tree.open("/", options);
    file.write(noise(3, 5000));
    expect([file.attributes().nlink, names(tree, "/")]).toEqual([0, ["lost+found"]]);
    tree.link(file, "/named");
    other.close();
    file.close();
    expect(tree.stat("/named").attributes()).toMatchObject({ nlink: 1, size: 5000 });
    const never = tree.open("/", { ...options, exclusive: true });
    expect(codeOf(() => tree.link(never, "/no"))).toBe("ENOENT");
    never.close();
    expect(tree.statfs().ffree).toBe(free - 1);
    tree.close();
    expect(complaints(image)).toEqual([]);
  });

  test("one that lost its name is there until the last of all who have it open lets it go", () => {
    const { tree, image } = treeOf();
    const [a, b] = [make(tree, "/f", noise(1, 30_000)), tree.open("/f")];
    const { bfree } = tree.statfs();
    tree.unlink("/f");
    a.close();
    expect(b.pread(new Uint8Array(40_000), 0)).toBe(30_000);
    expect(codeOf(() => tree.link(b, "/again"))).toBe("ENOENT");
    b.close();
    expect(tree.statfs().bfree).toBeGreaterThan(bfree + 28);
    tree.close();
    expect(complaints(image)).toEqual([]);
  });

  test("a mapping keeps its file as an open file does", () => {
    const { tree } = treeOf();
    const bytes = noise(1, 30_000);
    const file = make(tree, "/f", bytes);
    const mapping = file.map();
    const { bfree } = tree.statfs();
    file.close();
    tree.unlink("/f");
    const read = new Uint8Array(30_000);
    mapping.copyOut(0, read);
    expect([read, tree.statfs().bfree]).toEqual([bytes, bfree]);
    mapping.unmap();
    expect(tree.statfs().bfree).toBeGreaterThan(bfree + 28);
  });

  test("a link that leads nowhere is followed to where the file is made", () => {
    const { tree } = treeOf();
    tree.mkdir("/d");
    tree.symlink("d/there", "/l");
    tree.symlink("/l", "/d/ll");
    make(tree, "/d/ll", noise(1, 7)).close();
    expect(tree.stat("/d/there").size).toBe(7);
    tree.symlink("d/", "/s");
    expect(codeOf(() => tree.open("/s", { create: true }))).toBe("EISDIR");
    tree.symlink("loop", "/loop");
    expect(codeOf(() => tree.open("/loop", { create: true }))).toBe("ELOOP");
    expect(codeOf(() => tree.open("/l", { create: true, exclusive: true }))).toBe("EEXIST");
    expect(codeOf(() => tree.open("/l", { create: true, noFollow: true }))).toBe("ELOOP");
  });

  test("immutable and append-only files are guarded by every call", () => {
    const { tree } = treeOf();
    make(tree, "/i", noise(1, 10)).close();
    make(tree, "/a", noise(1, 10)).close();
    const [i, a] = [tree.stat("/i"), tree.stat("/a")];
    if (i.writing !== undefined) i.writing.flags |= 0x10;
    if (a.writing !== undefined) a.writing.flags |= 0x20;
    for (const call of [
      () => tree.open("/i", { access: "write" }),
      () => tree.unlink("/i"),
      () => tree.link("/i", "/j"),
      () => tree.rename("/i", "/j"),
      () => tree.chmod("/i", 0),
      () => tree.truncate("/i", 0),
      () => tree.open("/a", { access: "write" }),
      () => tree.open("/a", { truncate: true }),
      () => tree.truncate("/a", 0),
      () => tree.utimes("/a", { mtime: { sec: 1, nsec: 0 } }),
      () => tree.unlink("/a"),
    ]) {
      expect(codeOf(call)).toBe("EPERM");
    }
    tree.utimes("/a", { atime: "now", mtime: "now" });
    const file = tree.open("/a", { access: "readwrite", append: true });
    file.pwrite(noise(2, 5), 0);
    expect(codeOf(() => file.truncate(0))).toBe("EPERM");
    expect(codeOf(() => file.map({ access: "write" }))).toBe("EPERM");
    expect(tree.stat("/a").size).toBe(15);
  });

  test("types of nodes: devices keep their number, and are for user 0", () => {
    const { tree } = treeOf();
    const credentials = { uid: 1000, gid: 1000 };
    tree.chmod("/", 0o777);
    tree.mknod("/null", { mode: S_IFCHR | 0o666, rdev: 0x103 });
    expect(tree.stat("/null").attributes()).toMatchObject({ rdev: 0x103, mode: 0o020666 });
    const device = { mode: S_IFCHR, rdev: 0x103, credentials };
    expect(codeOf(() => tree.mknod("/no", device))).toBe("EPERM");
    tree.mknod("/fifo", { mode: S_IFIFO | 0o600, credentials });
    expect(codeOf(() => tree.open("/fifo", { access: "write" }))).toBe("ENXIO");
    expect(codeOf(() => tree.mknod("/dir", { mode: 0o040755 }))).toBe("EPERM");
    const path = tree.open("/null", { path: true });
    expect([path.attributes().rdev, codeOf(() => path.change({ mode: 0 }))]).toEqual([
      0x103,
      "EBADF",
    ]);
    path.close();
  });
});

describe("readers of a directory that changes", () => {
  test("who removes what he lists meets every name once", () => {
    const { tree, image } = treeOf();
    tree.mkdir("/d");
    for (let i = 0; i < 700; i++) make(tree, `/d/name-${i}`).close();
    const met = new Set<string>();
    for (const { name } of tree.readdir("/d")) {
      expect(met.has(name)).toBe(false);
      met.add(name);
      tree.unlink(`/d/${name}`);
    }
    expect([met.size, names(tree, "/d")]).toEqual([700, []]);
    tree.close();
    expect(complaints(image)).toEqual([]);
  });

  test.each<[string, MakeExtOptions]>([
    ["an index", EXT4],
    ["lines of entries", { ...EXT4, type: "ext2", features: "^dir_index" }],
    ["entries in the inode first", { ...EXT4, inodeSize: 256, features: "inline_data" }],
  ])("what stays is listed once, whatever comes and goes beside it: %s", (_, options) => {
    const { tree } = treeOf(emptyImage(options));
    tree.mkdir("/d");
    for (let i = 0; i < 300; i++) make(tree, `/d/stays-${i}`).close();
    for (let i = 0; i < 300; i++) make(tree, `/d/goes-${i}`).close();
    const file = tree.open("/d");
    const met: string[] = [];
    let step = 0;
    for (let part = file.readdir(7); part.length > 0; part = file.readdir(7)) {
      met.push(...part.map(({ name }) => name).filter((name) => name.startsWith("stays")));
      for (let i = 0; i < 9; i++, step++) {
        make(tree, `/d/new-${step}-${"x".repeat(60)}`).close();
        if (step < 300) tree.unlink(`/d/goes-${step}`);
      }
      // A directory that grows as fast as it is listed is listed for ever, on Linux too.
      if (step > 2500) break;
    }
    expect(met.length).toBe(new Set(met).size);
    expect(met).toHaveLength(300);
  });
});

test("bytes in an inode are written over, whatever was asked of it before", () => {
  const { tree, image } = treeOf(emptyImage({ ...EXT4, inodeSize: 256, features: "inline_data" }));
  const file = make(tree, "/f", noise(1, 100));
  expect(file.listxattr()).toEqual([]);
  const later = noise(2, 12);
  expect(file.pwrite(later, 0)).toBe(12);
  const found = new Uint8Array(100);
  expect(file.pread(found, 0)).toBe(100);
  expect(found).toEqual(new Uint8Array([...later, ...noise(1, 100).subarray(12)]));
  file.close();
  tree.close();
  expect(complaints(image)).toEqual([]);
});

function heard(recursive: boolean): { tree: FileTree; events: string[]; close: () => void } {
  const { tree } = treeOf();
  tree.mkdir("/d");
  tree.mkdir("/d/sub");
  const events: string[] = [];
  const listener = ({ kind, name, isDirectory }: WatchEvent): void => {
    events.push(`${kind} ${name ?? "-"}${isDirectory ? "/" : ""}`);
  };
  const watch = tree.watch("/d", { recursive }, listener);
  return { tree, events, close: () => watch.close() };
}

describe("watches", () => {
  test("of a directory: names in it, and what happens to itself", () => {
    const { tree, events, close } = heard(false);
    const file = make(tree, "/d/f", noise(1, 3));
    file.truncate(1);
    file.change({ mode: 0o600 });
    tree.chmod("/d/f", 0o644);
    tree.rename("/d/f", "/d/g");
    tree.rename("/d/g", "/g");
    tree.link("/g", "/d/h");
    tree.mkdir("/d/e");
    tree.rmdir("/d/e");
    make(tree, "/d/sub/deep").close();
    tree.chmod("/d", 0o700);
    close();
    tree.unlink("/d/h");
    expect(events).toEqual([
      "create f",
      "modify f",
      "modify f",
      "attributes f",
      "attributes f",
      "rename f",
      "rename g",
      "rename g",
      "create h",
      "create e/",
      "delete e/",
      "attributes -/",
    ]);
  });

  test("recursive: with the path from there", () => {
    const { tree, events } = heard(true);
    make(tree, "/d/sub/deep", noise(1, 1)).close();
    tree.rename("/d/sub", "/d/below");
    tree.unlink("/d/below/deep");
    expect(events).toEqual([
      "create sub/deep",
      "modify sub/deep",
      "rename sub/",
      "rename below/",
      "delete below/deep",
    ]);
  });

  test("of a file: by whatever name it is changed", () => {
    const { tree } = treeOf();
    make(tree, "/f").close();
    tree.link("/f", "/g");
    const kinds: string[] = [];
    tree.watch("/f", {}, ({ kind, name }) => kinds.push(`${kind} ${name}`));
    tree.truncate("/g", 5);
    tree.utimes("/g", { mtime: "now" });
    tree.unlink("/g");
    expect(kinds).toEqual(["modify undefined", "attributes undefined", "delete undefined"]);
  });
});
