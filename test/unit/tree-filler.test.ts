/** Filling a mounted filesystem from archives: as GNU tar would, and never anywhere else. */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { fill } from "../../src/node/fill.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { type FillOptions, TreeFiller } from "../../src/vfs/tree-filler.ts";
import { same } from "../support/bytes.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { type Fields, archive, file, header, long, pax } from "../support/tar-archives.ts";

const MIB = 2 ** 20;
const dir = (name: string, fields: Fields = {}): Buffer =>
  header({ name, type: "5", mode: "0000755", ...fields });
const symlink = (name: string, link: string): Buffer => header({ name, type: "2", link });
const hard = (name: string, link: string): Buffer => header({ name, type: "1", link });

/** A filesystem that is mounted for writing. */
class Disk {
  readonly bytes: Uint8Array;
  readonly tree: FileTree;

  constructor(options: MakeExtOptions = {}, mib = 8) {
    this.bytes = new Uint8Array(mib * MIB);
    makeExt(new RamDisk({ name: "ram0", bytes: this.bytes }), options, seededEnvironment(1));
    this.tree = new FileTree(mountToWrite(this.bytes));
  }

  async unpack(options: FillOptions, ...parts: readonly Uint8Array[]): Promise<this> {
    const bytes = archive(...parts);
    const pieces = [bytes.subarray(0, 700), bytes.subarray(700)];
    await fill({ tree: this.tree }, pieces, options);
    return this;
  }

  async refusal(options: FillOptions, ...parts: readonly Uint8Array[]): Promise<string> {
    try {
      await this.unpack(options, ...parts);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      return error.message;
    }
    return "filled";
  }

  text(path: string): string {
    const open = this.tree.open(path);
    const bytes = Buffer.alloc(open.attributes().size);
    open.pread(bytes, 0);
    open.close();
    return bytes.toString("latin1");
  }

  look(path: string): { mode: string; uid: number; gid: number; mtime: number; nlink: number } {
    const { mode, uid, gid, mtime, nlink } = this.tree.lstat(path).attributes();
    return { mode: mode.toString(8), uid, gid, mtime: mtime.sec, nlink };
  }

  has(path: string): boolean {
    try {
      return this.tree.lstat(path) !== undefined;
    } catch {
      return false;
    }
  }

  /** Closes it. What a check of the image finds. */
  findings(): string[] {
    this.tree.close();
    const disk = new RamDisk({ name: "ram0", bytes: this.bytes });
    return [...ext.check(disk, seededEnvironment(1))].map(({ where, text }) => `${where}: ${text}`);
  }
}

test("every kind of member, with owners, times, permissions, attributes and holes", async () => {
  const owned = { uid: "0001750", gid: "0000144", mtime: "00000000144" };
  const records = { "SCHILY.xattr.user.a": "1", "SCHILY.xattr.security.s": "2", mtime: "99.5" };
  const sparse = { "GNU.sparse.size": "3000000", "GNU.sparse.map": "1000000,5" };
  const disk = await new Disk().unpack(
    {},
    dir("./", { ...owned, mode: "0001777" }),
    dir("d/", { ...owned, mode: "0002750" }),
    pax({ ...records, path: "d/\u00ff" }),
    file("x", "content", { ...owned, mode: "0004755" }),
    hard("d/again", "d/\u00ff"),
    symlink("d/link", "x"),
    header({ name: "d/null", type: "3", mode: "0000666", major: "0000001", minor: "0000003" }),
    header({ name: "d/fifo", type: "6", mode: "0000600" }),
    pax(sparse),
    file("sparse", "hello"),
    file("deep/er/file", "x", owned),
    dir("deep/", { ...owned, mode: "0000700" }),
  );
  expect(disk.look("/")).toMatchObject({ mode: "41777", uid: 1000, mtime: 100 });
  expect(disk.look("/d")).toMatchObject({ mode: "42750", gid: 100, mtime: 100 });
  const name = "/d/\u{dcff}";
  expect(disk.look(name)).toEqual({ mode: "104755", uid: 1000, gid: 100, mtime: 99, nlink: 2 });
  expect(disk.tree.listxattr(name).toSorted()).toEqual(["security.s", "user.a"]);
  expect([disk.text("/d/again"), disk.tree.readlink("/d/link")]).toEqual(["content", "x"]);
  expect(disk.look("/d/null").mode).toBe("20666");
  expect(disk.tree.lstat("/d/null").attributes().rdev).toBe(0x103);
  expect(disk.look("/d/fifo").mode).toBe("10600");
  expect(disk.look("/deep")).toMatchObject({ mode: "40700", uid: 1000, mtime: 100 });
  expect(disk.look("/deep/er")).toMatchObject({ mode: "40755", uid: 0 });
  const { size, blocks } = disk.tree.lstat("/sparse").attributes();
  expect([size, blocks < 20, disk.text("/sparse").indexOf("hello")]).toEqual([
    3_000_000,
    true,
    1_000_000,
  ]);
  expect(disk.findings()).toEqual([]);
});

describe("what is there already", () => {
  const old = [
    file("f", "old"),
    hard("other", "f"),
    symlink("s", "other"),
    dir("d"),
    file("full/x"),
  ];

  test("is replaced, links and other names untouched", async () => {
    const disk = await new Disk().unpack({}, ...old);
    await disk.unpack({}, file("f", "new"), file("s", "was a link"), file("d", "was a directory"));
    const texts = ["/f", "/other", "/s", "/d"].map((path) => disk.text(path));
    expect(texts).toEqual(["new", "old", "was a link", "was a directory"]);
    expect(await disk.refusal({}, file("full", "x"))).toMatch(/ENOTEMPTY.*'full'.*0 members/u);
    expect(disk.findings()).toEqual([]);
  });

  test("is written into", async () => {
    const disk = await new Disk().unpack({}, ...old);
    await disk.unpack({ existing: "overwrite" }, file("f", "n"), file("s", "was a link"));
    expect([disk.text("/f"), disk.text("/other"), disk.text("/s")]).toEqual([
      "n",
      "n",
      "was a link",
    ]);
    expect(disk.findings()).toEqual([]);
  });

  test("is kept: an error, or one that is heard of", async () => {
    const disk = await new Disk().unpack({}, ...old);
    const refused = await disk.refusal({ existing: "keep" }, file("g", "g"), file("f", "new"));
    expect(refused).toMatch(/EEXIST.*'f' \(it is there already, and kept; 1 member was made/u);
    const kept: string[] = [];
    const onKept = ({ path }: { path: string | undefined }): void => void kept.push(path ?? "");
    await disk.unpack({ existing: "keep", onKept }, file("f", "new"), dir("d"), file("z", "z"));
    expect([kept, disk.text("/f"), disk.text("/z")]).toEqual([["f"], "old", "z"]);
    expect(disk.findings()).toEqual([]);
  });

  test("the same archive twice, with links to themselves", async () => {
    const parts = [
      dir("a/b"),
      file("a/b/c", "1"),
      hard("a/l", "a/b/c"),
      hard("a/l", "a/l"),
      symlink("s", "a"),
    ];
    const disk = await new Disk().unpack({}, ...parts);
    await disk.unpack({}, ...parts);
    expect([disk.text("/a/l"), disk.look("/a/l").nlink]).toEqual(["1", 2]);
    expect(disk.findings()).toEqual([]);
  });
});

test("a directory that came twice and gives way to a file", async () => {
  const disk = await new Disk().unpack({}, dir("d"), dir("d", { mode: "0000700" }), file("d", "x"));
  expect(disk.text("/d")).toBe("x");
  expect(disk.findings()).toEqual([]);
});

describe("where it goes", () => {
  test("below a directory, without leading parts of names", async () => {
    const disk = await new Disk().unpack({}, dir("to/here"));
    const parts = [dir("./x/"), file("./x/f", "f"), hard("./x/g", "./x/f"), file("top", "t")];
    await disk.unpack({ directory: "/to/here", stripComponents: 2 }, ...parts);
    expect([...disk.tree.readdir("/to/here")].map(({ name }) => name).toSorted()).toEqual([
      "f",
      "g",
    ]);
    expect(disk.look("/to/here/g").nlink).toBe(2);
    expect(await disk.refusal({ directory: "/none" }, file("f"))).toMatch(/ENOENT.*none/u);
    expect(await disk.refusal({ directory: "/to/here/f" }, file("f"))).toMatch(/ENOTDIR/u);
  });

  test("links to directories are followed where that was asked for", async () => {
    const disk = await new Disk().unpack(
      {},
      dir("usr/bin"),
      symlink("bin", "usr/bin"),
      symlink("f", "nowhere"),
    );
    const parts = [dir("bin/"), file("bin/ls", "ls")];
    await disk.unpack({ keepDirectorySymlinks: true }, ...parts);
    expect([disk.text("/usr/bin/ls"), disk.tree.readlink("/bin")]).toEqual(["ls", "usr/bin"]);
    await disk.unpack({}, ...parts);
    expect(disk.look("/bin").mode).toBe("40755");
    const through = await disk.refusal({ keepDirectorySymlinks: true }, file("f/x"));
    expect(through).toMatch(/ENOENT/u);
  });
});

const BAD: readonly (readonly [string, readonly Uint8Array[], RegExp])[] = [
  ["..", [file("../f")], /EINVAL.*'\.\.\/f'.*leads out/u],
  [".. far in", [file(`${"d/".repeat(20)}../../f`)], /EINVAL/u],
  ["a long name with ..", [long("L", "a/../b"), file("x")], /EINVAL/u],
  ["through a link", [symlink("a", "/"), file("a/f")], /ELOOP.*'a\/f'.*through 'a'/u],
  ["a hard link through a link", [symlink("a", "/"), file("f"), hard("g", "a/f")], /ELOOP.*'g'/u],
  ["a hard link out", [hard("g", "../../f")], /EINVAL.*'g'/u],
  ["a hard link to nothing", [hard("g", "f")], /ENOENT.*'g'.*link to 'f'/u],
  ["a hard link to a directory", [dir("d"), hard("g", "d")], /EPERM.*'g'/u],
  ["through a file", [file("f"), file("f/g")], /ENOTDIR.*'f\/g'/u],
  ["the top as a file", [header({ name: "." })], /EINVAL.*only be a directory/u],
  ["a long name", [long("L", "n".repeat(256)), file("x")], /ENAMETOOLONG/u],
  ["a bad list", [pax({ "SCHILY.xattr.system.posix_acl_access": "x" }), file("f")], /EINVAL.*'f'/u],
  ["a cut archive", [header({ name: "f", size: 9999 })], /EUCLEAN.*ends too early/u],
];

test.each(BAD)("refused: %s; what came before stays", async (_, parts, message) => {
  const disk = new Disk();
  const before = [dir("before", { mtime: "00000000144" }), file("before/x", "x")];
  expect(await disk.refusal({}, ...before, ...parts)).toMatch(message);
  expect([disk.text("/before/x"), disk.look("/before").mtime]).toEqual(["x", 100]);
  expect(disk.has("/f") && disk.look("/f").mode === "100600").toBe(false);
  expect(disk.findings()).toEqual([]);
});

describe("a full disk", () => {
  test("ends it with the member's name; the file that is not whole is gone", async () => {
    const disk = new Disk({ reservedPercent: 0 }, 4);
    const large = Buffer.alloc(2.5 * MIB, "x");
    const names = ["one", "two", "three"];
    const message = await disk.refusal({}, ...names.map((name) => file(name, large)));
    expect(message).toMatch(/ENOSPC.*'two' \(.*1 member was made and stays\)/u);
    expect([disk.has("/one"), disk.has("/two")]).toEqual([true, false]);
    expect(same(Buffer.from(disk.text("/one"), "latin1"), large)).toBe(true);
    await disk.unpack({}, file("small", "fits"));
    expect(disk.findings()).toEqual([]);
  });

  test("of inodes", async () => {
    const disk = new Disk({ inodes: 64 }, 4);
    const many = Array.from({ length: 100 }, (_, i) => file(`f${i}`, "x"));
    expect(await disk.refusal({}, ...many)).toMatch(/ENOSPC.*\d+ members were made/u);
    expect(disk.findings()).toEqual([]);
  });
});

describe("for somebody", () => {
  const credentials = { uid: 1000, gid: 100 };

  test("devices are refused, owners not kept, other people's directories closed", async () => {
    const disk = await new Disk().unpack({}, dir("mine", { uid: "0001750" }), dir("root"));
    const options = { credentials, directory: "/mine" };
    await disk.unpack(options, file("f", "x", { uid: "0000005" }));
    expect(disk.look("/mine/f")).toMatchObject({ uid: 1000, gid: 100 });
    const device = header({ name: "null", type: "3", major: "0000001", minor: "0000003" });
    expect(await disk.refusal(options, device)).toMatch(/EPERM.*'null'.*user 0/u);
    expect(await disk.refusal({ credentials, directory: "/root" }, file("f"))).toMatch(
      /EACCES.*'f'/u,
    );
    const given = { ...options, sameOwner: true };
    expect(await disk.refusal(given, file("g", "x", { uid: "0000005" }))).toMatch(/EPERM.*'g'/u);
    expect([disk.has("/mine/g"), disk.has("/mine/null")]).toEqual([false, false]);
    expect(disk.findings()).toEqual([]);
  });

  test("root may leave owners as they come", async () => {
    const disk = await new Disk().unpack({ sameOwner: false }, file("f", "x", { uid: "0000005" }));
    expect(disk.look("/f")).toMatchObject({ uid: 0, gid: 0 });
  });
});

test("an image that is open for reading says so", async () => {
  const disk = new Disk();
  disk.tree.close();
  const mounted = ext.mount(
    new RamDisk({ name: "ram0", bytes: disk.bytes }),
    {},
    seededEnvironment(1),
  );
  const tree = new FileTree(mounted);
  await expect(fill({ tree }, [archive(file("f"))])).rejects.toThrow(/EROFS.*'f'/u);
});

test("attributes that a link cannot have are left out with a warning", async () => {
  const warnings: string[] = [];
  const disk = new Disk();
  const filler = new TreeFiller(disk.tree, { onWarning: (text) => warnings.push(text) });
  const parts = [pax({ "SCHILY.xattr.user.a": "1" }), symlink("/s", "x")];
  await fill({ tree: disk.tree }, [archive(...parts)], {
    onWarning: (text) => warnings.push(text),
  });
  expect(filler.finish()).toEqual({ members: 0, bytes: 0 });
  expect(warnings).toEqual([
    "leading '/' is removed from members' names",
    expect.stringMatching(/^'\/s': attribute user\.a is left out: EPERM/u),
  ]);
  expect(disk.findings()).toEqual([]);
});
