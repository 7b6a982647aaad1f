import { expect, test } from "vitest";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { writeTar } from "../../src/vfs/tar.ts";
import { type Member, encodeMember } from "../../src/vfs/tar-format.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { ToyFilesystem, type ToyInode } from "../support/toy-filesystem.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const file: Member = {
  type: "0",
  name: bytes("./f"),
  link: undefined,
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { sec: 0, nsec: 0 },
  major: 0,
  minor: 0,
  xattrs: [],
};

/** The records of the extended header, or nothing. */
function recordsOf(member: Partial<Member>): string {
  const blocks = encodeMember({ ...file, ...member });
  if (blocks.length === 1) return "";
  const size = Number.parseInt(
    Buffer.from(blocks[0] as Uint8Array).toString("latin1", 124, 135),
    8,
  );
  return Buffer.from(blocks[1] as Uint8Array).toString("latin1", 0, size);
}

test("fields hold what they can, records the rest", () => {
  expect(
    recordsOf({ size: 8 ** 11 - 1, uid: 8 ** 7 - 1, mtime: { sec: 8 ** 11 - 1, nsec: 0 } }),
  ).toBe("");
  expect(recordsOf({ size: 8 ** 11, uid: 8 ** 7, gid: 2 ** 32 - 2 })).toBe(
    "15 uid=2097152\n18 gid=4294967294\n19 size=8589934592\n",
  );
  expect(recordsOf({ mtime: { sec: 8 ** 11, nsec: 0 } })).toBe("20 mtime=8589934592\n");
});

function time(sec: number, nsec: number): string {
  return recordsOf({ mtime: { sec, nsec } });
}

test("times: fractions without trailing zeros, also before 1970", () => {
  expect(time(5, 100_000_000)).toBe("13 mtime=5.1\n");
  expect(time(-2, 500_000_000)).toBe("14 mtime=-1.5\n");
  expect(time(-1, 999_999_999)).toBe("22 mtime=-0.000000001\n");
  expect(time(-5, 0)).toBe("12 mtime=-5\n");
});

test("the length of a record counts its own digits", () => {
  for (const length of [86, 87, 88, 89, 90, 985, 986, 987, 988, 989, 990]) {
    const text = recordsOf({ name: bytes("n".repeat(Math.max(101, length))) });
    expect(Number.parseInt(text, 10)).toBe(text.length);
  }
});

test("attributes keep any bytes in names and values", () => {
  const xattrs = [
    [bytes("user.a=b%"), bytes("\0\n=")],
    [bytes("user.\xff"), bytes("")],
  ] as const;
  expect(recordsOf({ xattrs })).toBe(
    "34 SCHILY.xattr.user.a%3Db%25=\0\n=\n24 SCHILY.xattr.user.\xff=\n",
  );
});

test("names that are long or not ASCII are records; headers are whole blocks with sums", () => {
  expect(recordsOf({ name: bytes("./\xc3\xa9") })).toBe("13 path=./\xc3\xa9\n");
  expect(recordsOf({ name: bytes("x".repeat(100)) })).toBe("");
  expect(recordsOf({ type: "2", link: bytes("x".repeat(101)) })).toMatch(/^115 linkpath=x+\n$/);
  for (const block of encodeMember({ ...file, name: bytes("y".repeat(600)) })) {
    expect(block.length % 512).toBe(0);
  }
  const [header = new Uint8Array(0)] = encodeMember(file);
  const text = Buffer.from(header).toString("latin1");
  const sum = [...header].reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
  expect(Number.parseInt(text.slice(148, 154), 8)).toBe(sum);
});

function treeWith(make: (fs: ToyFilesystem) => void): FileTree {
  const fs = new ToyFilesystem();
  make(fs);
  return new FileTree(fs);
}

test("sockets are left out with a warning, large files come in pieces", () => {
  const tree = treeWith((fs) => {
    fs.special(fs.root, "sock", { mode: 0o140755 });
    fs.file(fs.root, "f", noise(1, 2_500_000));
  });
  const warnings: string[] = [];
  let largest = 0;
  const { members, bytes: total } = writeTar(
    tree,
    "/",
    (piece) => {
      largest = Math.max(largest, piece.length);
    },
    { onWarning: (text) => warnings.push(text) },
  );
  expect([warnings, members, largest]).toEqual([["./sock: socket ignored"], 2, 2 ** 20]);
  expect(total % 10_240).toBe(0);
});

const hostile: Readonly<Record<string, (fs: ToyFilesystem) => void>> = {
  "a directory inside itself": (fs) => fs.root.add("again", fs.root),
  "a directory with two names": (fs) => fs.root.add("b", fs.directory(fs.root, "a")),
  "a name with a slash": (fs) => fs.file(fs.root, "../../etc/passwd", new Uint8Array(0)),
  "an empty name": (fs) => fs.file(fs.root, "", new Uint8Array(0)),
  "a name with a NUL": (fs) => fs.file(fs.root, "a\0b", new Uint8Array(0)),
  "an entry for nothing": (fs) => fs.root.add("ghost", { ino: 999, mode: 0o100644 } as ToyInode),
};

test.each(Object.entries(hostile))("%s is EUCLEAN", (_, make) => {
  expect(codeOf(() => writeTar(treeWith(make), "/", () => {}))).toBe("EUCLEAN");
});

test("an unreadable file ends the stream with its path", () => {
  const fs = new ToyFilesystem();
  const inode = fs.file(fs.directory(fs.root, "d"), "f", noise(1, 5000));
  fs.toy.poison.add((inode.pieces[0]?.addr ?? 0) / 4096);
  expect(() => writeTar(new FileTree(fs), "/", () => {})).toThrow(/^EIO.*'\/d\/f'/);
});

test("with onDamage what cannot be read is told, and the rest is there", () => {
  const fs = new ToyFilesystem();
  const folder = fs.directory(fs.root, "d");
  const bad = fs.file(folder, "f", noise(1, 5000));
  fs.root.add("ghost", { ino: 999, mode: 0o100644 } as ToyInode);
  fs.file(fs.root, "z", Buffer.from("the last"));
  fs.toy.poison.add((bad.pieces[0]?.addr ?? 0) / 4096);
  const told: string[] = [];
  const pieces: Buffer[] = [];
  const { members } = writeTar(new FileTree(fs), "/", (piece) => pieces.push(Buffer.from(piece)), {
    onDamage: ({ code, path }) => told.push(`${code} ${path}`),
  });
  expect(told).toEqual(["EIO /d/f", "EUCLEAN /ghost"]);
  expect(members).toBe(4);
  const archive = Buffer.concat(pieces);
  const start = archive.indexOf("./d/f\0");
  expect(Number.parseInt(archive.toString("latin1", start + 124, start + 135), 8)).toBe(5000);
  expect(archive.indexOf("./z\0") % 512).toBe(0);
  expect(archive.includes("the last")).toBe(true);
});
