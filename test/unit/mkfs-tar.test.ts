/**
 * Archives as trees of new filesystems: members take each other's places as they would on a disk,
 * what leads anywhere else is refused, and contents are never held.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { TarTree } from "../../src/fs/ext/mkfs-tar.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openTarTree } from "../../src/node/tar-tree.ts";
import { type Volume, checkVolume, openVolume } from "../../src/node/volume.ts";
import { TarReader } from "../../src/vfs/tar-reader.ts";
import { same } from "../support/bytes.ts";
import { runLine } from "../support/command-line.ts";
import { archive, file, header, padded, pax } from "../support/tar-archives.ts";

const MIB = 2 ** 20;
const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-mkfs-tar-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const dir = (name: string, mode = "0000755"): Buffer => header({ name, type: "5", mode });
const symlink = (name: string, link: string): Buffer => header({ name, type: "2", link });
const hard = (name: string, link: string): Buffer => header({ name, type: "1", link });

function treeOf(bytes: Buffer, warnings: string[] = []): TarTree {
  const tree = new TarTree({
    environment: seededEnvironment(1),
    read: (position, target) => void bytes.copy(target, 0, position),
    onWarning: (text) => warnings.push(text),
  });
  const reader = new TarReader(tree);
  reader.push(bytes);
  reader.finish();
  return tree;
}

function made(...parts: readonly Uint8Array[]): Volume {
  const media = new RamMedia(8 * MIB);
  const tree = treeOf(archive(...parts)).root;
  makeVolume(media, { tree, environment: seededEnvironment(2) });
  expect([...checkVolume(media)]).toEqual([]);
  return openVolume(media);
}

function refusal(...parts: readonly Uint8Array[]): string {
  try {
    treeOf(archive(...parts));
  } catch (error) {
    if (!isDaxError(error)) throw error;
    return error.message;
  }
  return "taken";
}

describe("members in each other's places", () => {
  test("a later one of the same name wins, and links keep what they had", () => {
    const { fs: disk } = made(
      file("a", "first"),
      hard("b", "a"),
      file("./a", "second"),
      file("d", "a file"),
      dir("d/"),
      dir("e"),
      file("e", "was a directory"),
      symlink("s", "a"),
      file("s", "was a link"),
      dir("k", "0000700"),
      file("k/kept", "kept"),
      dir("k/", "0000711"),
    );
    const text = (path: string): string => disk.readFileSync(path, "utf8");
    expect([text("/a"), text("/b"), text("/e"), text("/s")]).toEqual([
      "second",
      "first",
      "was a directory",
      "was a link",
    ]);
    expect(disk.statSync("/d").isDirectory()).toBe(true);
    expect([text("/k/kept"), disk.statSync("/k").mode & 0o777]).toEqual(["kept", 0o711]);
  });

  test("directories that no member is about are made", () => {
    const { fs: disk } = made(file("deep/er/file", "x"), dir("./", "0001777"));
    expect(disk.statSync("/deep/er")).toMatchObject({ mode: 0o40755, uid: 0, nlink: 2 });
    expect(disk.statSync("/").mode).toBe(0o41777);
  });

  test("hard links: to links, to themselves, in chains", () => {
    const { fs: disk } = made(
      symlink("s", "x"),
      hard("t", "s"),
      file("f"),
      hard("f", "f"),
      hard("g", "/f"),
    );
    expect([disk.lstatSync("/t").nlink, disk.readlinkSync("/t")]).toEqual([2, "x"]);
    expect(disk.statSync("/g").nlink).toBe(2);
  });

  test("lost+found is its own", () => {
    const { fs: disk } = made(dir("lost+found", "0000777"), file("x"));
    expect(disk.statSync("/lost+found").mode).toBe(0o40700);
  });
});

test("names of any bytes, attributes, holes, times, devices", () => {
  const records = {
    path: "\u00ff\u00fe",
    "SCHILY.xattr.user.a": "1",
    "SCHILY.xattr.unknown.a": "1",
    "GNU.sparse.size": "3000000",
    "GNU.sparse.map": "2000000,5",
    mtime: "4000000000.000000007",
  };
  const device = header({ name: "null", type: "3", major: "1", minor: "3" });
  const { tree, fs: disk } = made(pax(records), file("x", "hello"), device);
  const name = Buffer.from([0x2f, 0xff, 0xfe]);
  const { size, blocks, mtimeNs } = disk.statSync(name, { bigint: true });
  expect([size, blocks < 20n, mtimeNs]).toEqual([3_000_000n, true, 4_000_000_000_000_000_007n]);
  expect((disk.readFileSync(name) as Buffer).indexOf("hello")).toBe(2_000_000);
  const [inode] = ["/\u{dcff}\u{dcfe}"].map((path) => tree.lstat(path));
  expect(inode?.listxattr()).toEqual(["user.a"]);
  expect(disk.statSync("/null").rdev).toBe(0x103);
});

const BAD: readonly (readonly [string, readonly Uint8Array[], RegExp])[] = [
  ["..", [file("a/../../etc/passwd")], /EINVAL.*'a\/..\/..\/etc\/passwd'.*leads out by '\.\.'/u],
  ["a link out", [file("a"), hard("b", "../a")], /EINVAL.*'b'.*leads out/u],
  ["through a link", [symlink("a", "/etc"), file("a/passwd")], /ELOOP.*'a\/passwd'.*through 'a'/u],
  ["through a link below", [symlink("d/a", "."), file("d/a/f")], /ELOOP.*'d\/a\/f'/u],
  ["a link through a link", [symlink("a", "."), file("f"), hard("b", "a/f")], /ELOOP.*'b'/u],
  ["through a file", [file("a"), file("a/b")], /ENOTDIR.*'a' came before/u],
  ["over a full directory", [file("a/b"), file("a")], /EISDIR.*'a'.*not empty/u],
  ["a link to nothing", [hard("b", "a")], /ENOENT.*'b'.*link to 'a'/u],
  ["a link to below nothing", [hard("b", "x/y")], /ENOENT.*'b'/u],
  ["a link to a directory", [dir("d"), hard("b", "d")], /EISDIR.*'b'/u],
  ["a link to the top", [hard("b", ".")], /EISDIR.*'b'/u],
  ["a link over a directory", [file("f"), dir("d"), hard("d", "f")], /EISDIR.*'d'/u],
  ["a symbolic link to nothing", [symlink("s", "")], /EINVAL.*'s'/u],
  ["no name", [header({ name: "" })], /EINVAL.*no name/u],
  ["a file as the top", [file("./", "x"), file(".", "x")], /EINVAL.*only be a directory/u],
  [
    "no access list",
    [pax({ "SCHILY.xattr.system.posix_acl_access": "x" }), file("f")],
    /EINVAL.*'f'.*access control list/u,
  ],
];

test.each(BAD)("refused: %s", (_, parts, message) => {
  expect(refusal(...parts)).toMatch(message);
});

test("a slash at the start is left away, and said once", () => {
  const warnings: string[] = [];
  const tree = treeOf(archive(file("/a"), file("//b"), hard("c", "/a")), warnings);
  expect(tree.root.children?.map(({ name }) => Buffer.from(name).toString())).toEqual([
    "a",
    "b",
    "c",
  ]);
  expect(warnings).toEqual(["leading '/' is removed from members' names"]);
});

async function make(source: string): Promise<Buffer> {
  const image = join(folder, "image");
  fs.rmSync(image, { force: true });
  const line = ["mkfs.ext4", "-q", "--seed", "7", "-d", source, image, "16M"];
  expect(await runLine(line)).toEqual({ status: 0, stdout: "", stderr: "" });
  return fs.readFileSync(image);
}

const path = (name: string, bytes: Uint8Array): string => {
  fs.writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

describe("from files", () => {
  const large = Buffer.alloc(3 * MIB, "daxkit");
  const tar = archive(dir("./"), file("small", "abc"), file("large", large), file("last", "z"));

  test("the same bytes, compressed or not", async () => {
    const plain = await make(path("a.tar", tar));
    expect(same(await make(path("a.tar.gz", gzipSync(tar))), plain)).toBe(true);
    const volume = openVolume(join(folder, "image"));
    expect(same(volume.fs.readFileSync("/large") as Buffer, large)).toBe(true);
    expect(volume.fs.readFileSync("/last", "utf8")).toBe("z");
    volume.close();
  });

  const messages: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ["xz", Buffer.from("fd377a585a0000", "hex"), /ENOTSUP.*by xz.*pipe it: xz -dc .*xz \| …/u],
    ["cut", tar.subarray(0, 2 * MIB), /EUCLEAN.*ends too early, near the member "large"/u],
    ["cut.gz", gzipSync(tar).subarray(0, 200), /EUCLEAN.*gzip compressed is damaged or was cut/u],
    ["text", Buffer.alloc(600, "text"), /EBADMSG.*no tar archive/u],
    ["dots", archive(file("../x")), /EINVAL.*leads out by '\.\.'/u],
  ];

  test.each(messages)("%s is refused, and no image is left", async (name, bytes, message) => {
    const image = join(folder, "none");
    const ended = await runLine(["mkfs.ext4", "-d", path(name, bytes), image, "16M"]);
    expect([ended.status, ended.stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(fs.existsSync(image)).toBe(false);
  });

  test("an archive that gets shorter meanwhile is an error, and leaves no filesystem", async () => {
    const source = path("shrinks.tar", tar);
    using tree = await openTarTree(source);
    fs.truncateSync(source, MIB);
    const media = new RamMedia(16 * MIB);
    expect(() => makeVolume(media, { tree: tree.root })).toThrow(/EIO.*got shorter/u);
    expect(() => openVolume(media)).toThrow(/holds no filesystem|EINVAL|ENOTSUP/u);
  });

  test("what is not there is said", async () => {
    const ended = await runLine(["mkfs.ext4", "-d", join(folder, "nothing"), "image", "16M"]);
    expect([ended.status, ended.stderr]).toEqual([2, expect.stringMatching(/ENOENT.*nothing/u)]);
  });
});

test("a file in many pieces is read in each place", () => {
  const pieces = Array.from({ length: 300 }, (_, i) => [i * 8192, 700] as const);
  const map = [300, ...pieces.flat()].join("\n");
  const stored = Buffer.alloc(300 * 700, "0123456789abc");
  const records = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0" };
  const sized = { ...records, "GNU.sparse.realsize": String(300 * 8192) };
  const content = Buffer.concat([padded(`${map}\n`), stored]);
  const { fs: disk } = made(pax(sized), file("f", content));
  const seen = disk.readFileSync("/f") as Buffer;
  const expected = Buffer.alloc(300 * 8192);
  for (const [i, [start]] of pieces.entries()) stored.copy(expected, start, i * 700, i * 700 + 700);
  expect(same(seen, expected)).toBe(true);
});
