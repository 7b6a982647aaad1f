/**
 * Filling a new filesystem with a tree: what comes back is what went in, and what cannot go in is
 * refused with nothing written.
 */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { attributeOf } from "../../src/fs/ext/mkfs-attributes.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import type { NewNode } from "../../src/fs/ext/mkfs-tree.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { checkVolume, openVolume } from "../../src/node/volume.ts";

const MIB = 2 ** 20;
const time = { sec: 1_000_000_000, nsec: 5 };
const still = { atime: time, mtime: time, ctime: time, uid: 0, gid: 0, attributes: [], data: [] };

function directory(children: Readonly<Record<string, NewNode>>): NewNode {
  const named = Object.entries(children).map(([name, node]) => ({ name: encodeUtf8(name), node }));
  return { ...still, mode: 0o040755, size: 0, children: named };
}

function file(text: string): NewNode {
  const bytes = Buffer.from(text);
  return {
    ...still,
    mode: 0o100644,
    size: bytes.length,
    data: [{ start: 0, length: bytes.length }],
    read: (offset, target) => {
      target.set(bytes.subarray(offset, offset + target.length));
    },
  };
}

function made(tree: NewNode, options: MakeExtOptions = {}, bytes = 16 * MIB): RamMedia {
  const media = new RamMedia(bytes);
  makeVolume(media, { ...options, tree, environment: seededEnvironment(3) });
  return media;
}

function refusal(tree: NewNode, options: MakeExtOptions = {}): string {
  const bytes = new Uint8Array(8 * MIB);
  const device = new RamDisk({ name: "ram0", bytes });
  try {
    makeExt(device, { ...options, tree }, seededEnvironment(3));
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const untouched = Buffer.compare(bytes, Buffer.alloc(bytes.length)) === 0;
    return `${untouched ? "" : "written to, "}${error.code}: ${error.detail}`;
  }
  return "made";
}

function link(length: number): NewNode {
  return { ...still, mode: 0o120777, size: 0, target: new Uint8Array(length).fill(97) };
}

/** A directory of these names, told in this order. */
function ordered(names: readonly string[]): NewNode {
  return directory(Object.fromEntries(names.map((name) => [name, file(name)])));
}

describe("what cannot be in a filesystem", () => {
  const several = directory({});
  const large = attributeOf(encodeUtf8("user.large"), new Uint8Array(5000));
  const cases: readonly (readonly [string, NewNode, RegExp, MakeExtOptions])[] = [
    ["a slash", directory({ "a/b": file("") }), /EINVAL: "a\/b" cannot be a name/u, {}],
    ["the parent", directory({ "..": file("") }), /EINVAL: "\.\." cannot be a name/u, {}],
    ["nothing", directory({ "": file("") }), /EINVAL: "" cannot be a name/u, {}],
    [
      "a long name",
      directory({ ["x".repeat(256)]: file("") }),
      /EINVAL: "x+" cannot be a name/u,
      {},
    ],
    ["a long link", directory({ l: link(1024) }), /EINVAL: a symbolic link of 1024 bytes/u, {}],
    ["an empty link", directory({ l: link(0) }), /EINVAL: a symbolic link of 0 bytes/u, {}],
    [
      "two parents",
      directory({ a: several, b: several }),
      /EINVAL: a directory has two names/u,
      {},
    ],
    ["no type", directory({ a: { ...file(""), mode: 0o644 } }), /EINVAL: "a" has no type/u, {}],
    [
      "large attributes",
      directory({ a: { ...file(""), attributes: large === undefined ? [] : [large] } }),
      /EINVAL: attributes of \d+ bytes do not fit/u,
      {},
    ],
    [
      "a file too long for a block map",
      directory({ a: { ...file(""), size: 2 ** 40, data: [{ start: 2 ** 40 - 10, length: 10 }] } }),
      /EINVAL: a file has data behind its block 16843020/u,
      { features: "^extent,^64bit", blockSize: 1024 },
    ],
    [
      "quota",
      directory({}),
      /EINVAL: quota files are not made with a tree/u,
      { features: "quota" },
    ],
    [
      "too much",
      directory({ a: file("x".repeat(8 * MIB)) }),
      /ENOSPC: the filesystem is full/u,
      {},
    ],
  ];

  test.each(cases)("%s", (_, tree, message, options) => {
    expect(refusal(tree, options)).toMatch(new RegExp(`^${message.source}`, "u"));
  });

  test("more files than inodes", () => {
    const many = Array.from({ length: 40 }, (_, i) => [`f${i}`, file("")] as const);
    expect(refusal(directory(Object.fromEntries(many)), { inodes: 24 })).toMatch(
      /ENOSPC: \d+ inodes/u,
    );
  });
});

const SHAPES: readonly MakeExtOptions[] = [
  { type: "ext4", blockSize: 1024 },
  { type: "ext4", blockSize: 4096, features: "^metadata_csum,^64bit" },
  { type: "ext2", blockSize: 1024, inodeSize: 128 },
  { type: "ext3", blockSize: 2048 },
  { type: "ext4", features: "bigalloc", clusterSize: 8192, inodes: 4096 },
];

describe.each(SHAPES.map((options) => [JSON.stringify(options), options] as const))(
  "%s",
  (_title, options) => {
    test("a directory of many names is found by hash, and clean", () => {
      const names = Array.from({ length: 1500 }, (_, i) => `name-${"x".repeat(i % 90)}-${i}`);
      const tree = directory({ d: directory(Object.fromEntries(names.map((n) => [n, file(n)]))) });
      const media = made(tree, { ...options, inodes: 4096 }, 24 * MIB);
      const volume = openVolume(media);
      expect(volume.fs.readdirSync("/d").toSorted()).toEqual(names.toSorted());
      for (const name of names.slice(0, 50)) {
        expect(volume.fs.readFileSync(`/d/${name}`, "utf8")).toBe(name);
      }
      volume.close();
      expect([...checkVolume(media)]).toEqual([]);
    });

    test("holes stay holes", () => {
      const at = [0, 3 * MIB, 70 * MIB];
      const sparse: NewNode = {
        ...file(""),
        size: 80 * MIB,
        data: at.map((start) => ({ start, length: 10 })),
        read: (offset, target) => {
          for (const start of at)
            if (start >= offset) target.fill(1, start - offset, start - offset + 10);
        },
      };
      const volume = openVolume(made(directory({ sparse }), options));
      const { size, blocks } = volume.fs.statSync("/sparse");
      expect(size).toBe(80 * MIB);
      expect(blocks * 512).toBeLessThan(128 * 1024);
      const seen = Buffer.alloc(20);
      const fd = volume.fs.openSync("/sparse", "r");
      for (const start of at) {
        volume.fs.readSync(fd, seen, 0, 20, start);
        expect(seen.equals(Buffer.concat([Buffer.alloc(10, 1), Buffer.alloc(10)]))).toBe(true);
      }
      volume.fs.closeSync(fd);
      volume.close();
    });
  },
);

test("one file under two names, owners, times and the root's own", () => {
  const node = { ...file("same"), uid: 70_000, gid: 3, mtime: { sec: 4_000_000_000, nsec: 7 } };
  const volume = openVolume(made({ ...directory({ a: node, b: node }), mode: 0o041777 }));
  const [a, b] = ["/a", "/b"].map((path) => volume.fs.statSync(path, { bigint: true }));
  expect(a).toMatchObject({
    nlink: 2n,
    uid: 70_000n,
    gid: 3n,
    mtimeNs: 4_000_000_000_000_000_007n,
  });
  expect(b?.ino).toBe(a?.ino);
  expect(volume.fs.statSync("/").mode).toBe(0o041777);
  volume.close();
});

test("the same tree makes the same bytes, in whatever order it is told", () => {
  const one = made(ordered(["a", "b", "c"]));
  const two = made(ordered(["c", "a", "b"]));
  const [x, y] = [one, two].map((media) => {
    const { memory } = media.window(0);
    return Array.from({ length: 65_536 }, (_, i) => memory.getUint32(i * 256));
  });
  expect(x).toEqual(y);
});
