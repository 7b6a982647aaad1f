/**
 * A small tree on the host with one of everything, the same tree in a toy filesystem, and what must
 * be found in any image of it.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Timespec } from "../../src/lib/environment.ts";
import { decodeUtf8 } from "../../src/lib/utf8.ts";
import { noise } from "./bytes.ts";
import { ToyFilesystem, type ToyAttributes, type ToyInode } from "./toy-filesystem.ts";

/** Runs `body` on a fresh temporary folder, which goes away afterwards. */
export function withFolder<T>(body: (folder: string) => T): T {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "daxkit-test-")));
  try {
    return body(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** A fresh temporary folder for the caller to remove. */
export function makeFolder(): string {
  return fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "daxkit-test-")));
}

/** Bytes of a name that is not UTF-8. */
export const ODD_NAME = Buffer.from([0x6f, 0x64, 0x64, 0xff, 0xc3, 0x2e, 0x62]);

function sparseFile(path: string): void {
  const fd = fs.openSync(path, "w");
  fs.writeSync(fd, noise(3, 5000), 0, 5000, 100_000);
  fs.writeSync(fd, noise(4, 100), 0, 100, 499_901);
  fs.closeSync(fd);
}

/** Fills an empty folder; nothing here needs privileges. */
export function makeHostTree(root: string): void {
  const at = (...parts: string[]): string => join(root, ...parts);
  fs.mkdirSync(at("dir", "deep", "deeper"), { recursive: true });
  fs.mkdirSync(at("empty-dir"));
  fs.mkdirSync(at("many"));
  for (let i = 0; i < 300; i++) fs.writeFileSync(at("many", `file-${i}`), `number ${i}\n`);
  fs.writeFileSync(at("empty"), "");
  fs.writeFileSync(at("tiny"), "tiny\n");
  fs.writeFileSync(at("dir", "page"), noise(1, 4096));
  fs.writeFileSync(at("dir", "deep", "big"), noise(2, 300_000));
  fs.writeFileSync(at("dir", "deep", "deeper", "text.txt"), "first line\nsecond ☃ line\r\nlast");
  sparseFile(at("sparse"));
  fs.writeFileSync(at("tail"), noise(5, 9000));
  fs.truncateSync(at("tail"), 700_007);
  fs.symlinkSync("tiny", at("link"));
  fs.symlinkSync("dir/deep", at("dir-link"));
  fs.symlinkSync("../tiny", at("dir", "up-link"));
  fs.symlinkSync("nowhere", at("dangling"));
  fs.symlinkSync("loop-b", at("loop-a"));
  fs.symlinkSync("loop-a", at("loop-b"));
  fs.symlinkSync("long/".repeat(60), at("long-link"));
  fs.linkSync(at("tiny"), at("dir", "hard"));
  for (const name of ["n".repeat(255), "ünï-☃-𝄞", " space", "new\nline", "-dash"]) {
    fs.writeFileSync(at(name), name);
  }
  fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/`), ODD_NAME]), "odd");
  fs.chmodSync(at("tiny"), 0o4751);
  fs.chmodSync(at("empty"), 0);
  fs.chmodSync(at("empty-dir"), 0o1777);
  fs.utimesSync(at("tiny"), 1e9 + 0.25, -1000.5);
  fs.lutimesSync(at("link"), 4e9, 4e9 + 0.5);
}

/** One file of the tree, as the host shows it. */
export interface HostNode {
  /** Names from the root; a byte that is no UTF-8 stands as in `lib/utf8.ts`. */
  readonly path: readonly string[];
  readonly host: Buffer;
  readonly stat: fs.BigIntStats;
}

/** All files below a folder, the folder itself first, parents before children. */
export function* walkHost(host: Buffer, path: readonly string[] = []): Generator<HostNode> {
  const stat = fs.lstatSync(host, { bigint: true });
  yield { path, host, stat };
  if (!stat.isDirectory()) return;
  for (const name of fs.readdirSync(host, { encoding: "buffer" })) {
    const child = Buffer.concat([host, Buffer.from("/"), name]);
    yield* walkHost(child, [...path, decodeUtf8(name)]);
  }
}

/** Nanoseconds as seconds and the rest, which is never negative. */
export function timespecOf(ns: bigint): Timespec {
  const nsec = Number(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { sec: Number((ns - BigInt(nsec)) / 1_000_000_000n), nsec };
}

function attributesOf(stat: fs.BigIntStats): ToyAttributes {
  return {
    mode: Number(stat.mode),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    rdev: Number(stat.rdev),
    atime: timespecOf(stat.atimeNs),
    mtime: timespecOf(stat.mtimeNs),
    ctime: timespecOf(stat.ctimeNs),
    btime: timespecOf(stat.birthtimeNs),
  };
}

/** Copies a host tree into a toy filesystem; every third file is fragmented, tiny ones inline. */
export function toyOf(root: string): ToyFilesystem {
  const toy = new ToyFilesystem({
    pages: 2048,
    root: attributesOf(fs.lstatSync(root, { bigint: true })),
  });
  const made = new Map<bigint, ToyInode>();
  const places = new Map<string, ToyInode>([["", toy.root]]);
  for (const { path, host, stat } of walkHost(Buffer.from(root))) {
    if (path.length === 0) continue;
    const name = path.at(-1) as string;
    const parent = places.get(path.slice(0, -1).join("/")) as ToyInode;
    const known = made.get(stat.ino);
    if (known !== undefined) {
      toy.link(parent, name, known);
      continue;
    }
    const inode = copyNode(toy, parent, name, { path, host, stat });
    made.set(stat.ino, inode);
    places.set(path.join("/"), inode);
  }
  return toy;
}

function copyNode(toy: ToyFilesystem, parent: ToyInode, name: string, node: HostNode): ToyInode {
  const { host, stat } = node;
  const attributes = attributesOf(stat);
  if (stat.isDirectory()) return toy.directory(parent, name, attributes);
  if (stat.isSymbolicLink()) {
    const target = decodeUtf8(fs.readlinkSync(host, { encoding: "buffer" }));
    return toy.symlink(parent, name, target, attributes);
  }
  if (!stat.isFile()) return toy.special(parent, name, attributes);
  const bytes = fs.readFileSync(host);
  if (bytes.length > 450_000) return sparseCopy(toy, parent, name, bytes, attributes);
  const layout = bytes.length < 50 ? "inline" : stat.ino % 3n === 0n ? "fragmented" : "contiguous";
  return toy.file(parent, name, bytes, layout, attributes);
}

/** Pages of zeros become holes. */
function sparseCopy(
  toy: ToyFilesystem,
  parent: ToyInode,
  name: string,
  bytes: Buffer,
  attributes: ToyAttributes,
): ToyInode {
  const inode = toy.file(parent, name, new Uint8Array(0), "contiguous", attributes);
  for (let at = 0; at < bytes.length; at += 4096) {
    const page = bytes.subarray(at, at + 4096);
    if (page.some((byte) => byte !== 0)) toy.write(inode, at, page);
  }
  inode.size = bytes.length;
  return inode;
}
