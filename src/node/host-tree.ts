/**
 * A directory of this machine as a tree to fill a filesystem with: everything that lstat, readlink,
 * listxattr and SEEK_DATA tell. Data is read when its turn comes.
 *
 * @module
 */
import * as fs from "node:fs";
import { attributeOf } from "../fs/ext/mkfs-attributes.ts";
import type { NewChild, NewNode } from "../fs/ext/mkfs-tree.ts";
import type { Timespec } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import { decodeUtf8 } from "../lib/utf8.ts";
import { isDevice, isDirectory, isSymlink, majorOf, minorOf } from "../vfs/modes.ts";
import { type Libc, libc } from "./libc.unsafe.ts";
import { systemError, typed } from "./system-error.ts";

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENOTSUP = 95;
const SLASH = Buffer.from("/");
const NUL = Buffer.alloc(1);
/** What a system keeps of one file's attributes, in bytes, at most. */
const MOST_ATTRIBUTES = 65_536;

/**
 * Reads the tree under a directory.
 * @throws ENOTDIR, and whatever the system says of a file that cannot be read
 */
export function hostTree(path: string): NewNode {
  const reader = new Reader();
  const top = Buffer.from(path);
  const root = reader.node(
    top,
    typed(path, () => fs.statSync(path, { bigint: true })),
  );
  if (isDirectory(root.mode)) return root;
  throw new DaxError("ENOTDIR", { syscall: "mkfs", path, detail: "a tree starts at a directory" });
}

function timespec(ns: bigint): Timespec {
  const nsec = Number(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { sec: Number((ns - BigInt(nsec)) / 1_000_000_000n), nsec };
}

class Reader {
  readonly #libc: Libc | undefined = libc();
  readonly #buffer = Buffer.alloc(MOST_ATTRIBUTES);
  /** Files that have more than one name, by device and number. */
  readonly #linked = new Map<string, NewNode>();

  node(path: Buffer, stat: fs.BigIntStats): NewNode {
    const key = `${stat.dev}:${stat.ino}`;
    const several = stat.nlink > 1n && !stat.isDirectory();
    const known = several ? this.#linked.get(key) : undefined;
    if (known !== undefined) return known;
    const made = this.#make(path, stat);
    if (several) this.#linked.set(key, made);
    return made;
  }

  #make(path: Buffer, stat: fs.BigIntStats): NewNode {
    const mode = Number(stat.mode);
    const size = Number(stat.size);
    const base = {
      mode,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      atime: timespec(stat.atimeNs),
      mtime: timespec(stat.mtimeNs),
      ctime: timespec(stat.ctimeNs),
      attributes: this.#attributes(path),
      size: 0,
      data: [],
    };
    const rdev = Number(stat.rdev);
    if (isDirectory(mode)) return { ...base, children: this.#children(path) };
    if (isSymlink(mode)) return { ...base, target: targetOf(path) };
    if (isDevice(mode)) return { ...base, device: { major: majorOf(rdev), minor: minorOf(rdev) } };
    if (!stat.isFile()) return base;
    const holes = Number(stat.blocks) * 512 < size;
    const data = holes ? this.#dataOf(path, size) : [{ start: 0, length: size }];
    return { ...base, size, data, read: fileReader(path) };
  }

  #children(path: Buffer): NewChild[] {
    const shown = decodeUtf8(path);
    const names = typed(shown, () => fs.readdirSync(path, { encoding: "buffer" }));
    return names.map((name) => {
      const own = Buffer.concat([path, SLASH, name]);
      const stat = typed(decodeUtf8(own), () => fs.lstatSync(own, { bigint: true }));
      return { name, node: this.node(own, stat) };
    });
  }

  /** Where data is; everywhere when nobody can tell. */
  #dataOf(path: Buffer, size: number): Range[] {
    const c = this.#libc;
    if (c === undefined) return [{ start: 0, length: size }];
    const fd = typed(decodeUtf8(path), () => fs.openSync(path, "r"));
    try {
      const data: Range[] = [];
      for (let at = 0; at < size;) {
        const start = c.lseek(fd, at, SEEK_DATA);
        if (start < at) break;
        const past = c.lseek(fd, start, SEEK_HOLE);
        if (past <= start) break;
        data.push({ start, length: Math.min(past, size) - start });
        at = past;
      }
      return data;
    } finally {
      fs.closeSync(fd);
    }
  }

  /** None where foreign calls cannot be made, or the file's home has none. */
  #attributes(path: Buffer): NewNode["attributes"] {
    const c = this.#libc;
    if (c === undefined) return [];
    const name = Buffer.concat([path, NUL]);
    const length = c.llistxattr(name, this.#buffer, this.#buffer.length);
    if (length === 0) return [];
    if (length < 0) return this.#absent(c, path);
    const list = Buffer.from(this.#buffer.subarray(0, length)).toString("latin1");
    return list
      .split("\0")
      .filter((each) => each !== "")
      .flatMap((each) => {
        const own = Buffer.from(`${each}\0`, "latin1");
        const got = c.lgetxattr(name, own, this.#buffer, this.#buffer.length);
        if (got < 0) return this.#absent(c, path);
        const value = Uint8Array.from(this.#buffer.subarray(0, got));
        const one = attributeOf(Buffer.from(each, "latin1"), value);
        return one === undefined ? [] : [one];
      });
  }

  #absent(c: Libc, path: Buffer): [] {
    const errno = c.errno();
    if (errno === ENOTSUP) return [];
    throw systemError(errno, { syscall: "llistxattr", path: decodeUtf8(path) });
  }
}

function targetOf(path: Buffer): Buffer {
  return typed(decodeUtf8(path), () => fs.readlinkSync(path, { encoding: "buffer" }));
}

/** Reads what is there; a file that got shorter since reads as zeros. */
function fileReader(path: Buffer): (offset: number, target: Uint8Array) => void {
  return (offset, target) => {
    const fd = typed(decodeUtf8(path), () => fs.openSync(path, "r"));
    try {
      for (let done = 0; done < target.length;) {
        const got = fs.readSync(fd, target, done, target.length - done, offset + done);
        if (got === 0) return;
        done += got;
      }
    } finally {
      fs.closeSync(fd);
    }
  };
}
