/**
 * What is copied into an image: files of this machine, or of an image that is open.
 *
 * @module
 */
import * as fs from "node:fs";
import { daxRead } from "../../dax/file-io.ts";
import type { Timespec } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import type { Range } from "../../lib/range-set.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import { extentsIn } from "../../vfs/extents.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { isDirectory } from "../../vfs/modes.ts";
import type { Location } from "../../vfs/mounts.ts";
import { sortedEntries } from "../../vfs/subtree.ts";
import { xattrsOf } from "../../vfs/xattrs.ts";
import { type HostXattr, readHostXattrs } from "../host-xattrs.ts";
import { libc } from "../libc.unsafe.ts";
import { typed } from "../system-error.ts";

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const SLASH = Buffer.from("/");

/** A file to be copied, and all below it. */
export interface CopySource {
  /** As messages call it. */
  readonly shown: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Device nodes: the number as Linux's 64-bit `makedev`. */
  readonly rdev: number;
  /** Bytes. */
  readonly size: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  /** The same for all names of a file that has several. */
  readonly key: string | undefined;
  /** Whether it is the file with this number in this tree: nothing is copied onto itself. */
  isIn(tree: FileTree, ino: number): boolean;
  /** Directories: names, in order. */
  names(): readonly string[];
  /** What has a name in a directory; links are themselves. */
  child(name: string): CopySource;
  /** Links: the target. */
  target(): string;
  /** Regular files: what is behind them while it is copied. */
  open(): OpenSource;
  /** Extended attributes and ACLs, by their full names. */
  xattrs(): Iterable<HostXattr>;
}

/** A regular file that is read. */
export interface OpenSource {
  /** Where data is, in order; what is between is a hole. */
  data(): Iterable<Range>;
  /** Bytes, holes at the end included; undefined where only reading tells. */
  size(): number | undefined;
  /** Copies from a place; 0 at the end. */
  read(target: Uint8Array, offset: number): number;
  /** Lets go of it. */
  close(): void;
}

/**
 * A file of an image, called by its path unless told otherwise. Links are themselves unless
 * followed. @throws as `FileTree.locate`
 */
export function volumeSource(
  tree: FileTree,
  path: string,
  follow = false,
  shown = path,
): CopySource {
  return atLocation(tree, tree.locate(path, { syscall: "stat", follow }), shown);
}

function atLocation(tree: FileTree, location: Location, shown: string): CopySource {
  const { inode } = location;
  const attributes = inode.attributes();
  const several = attributes.nlink > 1 && !isDirectory(inode.mode);
  return {
    ...attributes,
    shown,
    key: several ? String(inode.ino) : undefined,
    isIn: (other, ino) => other === tree && ino === inode.ino,
    names: () => sortedEntries(inode).map((entry) => entry.name),
    child: (name) =>
      atLocation(
        tree,
        tree.locate(name, { syscall: "stat", from: location, follow: false }),
        shown.endsWith("/") ? `${shown}${name}` : `${shown}/${name}`,
      ),
    target: () => inode.readlink(),
    open: () => ({
      *data() {
        for (const { offset, length, unwritten } of extentsIn(inode, 0, inode.size)) {
          if (!unwritten) yield { start: offset, length: Math.min(length, inode.size - offset) };
        }
      },
      size: () => inode.size,
      read: (target, offset) => daxRead(inode, target, offset),
      close: () => {},
    }),
    *xattrs() {
      for (const { name, value } of xattrsOf(inode)) if (value !== undefined) yield [name, value];
    },
  };
}

/** A file of this machine. Links are themselves unless followed. @throws what lstat says */
export function hostSource(path: string, follow = false): CopySource {
  return atPath(Buffer.from(encodeUtf8(path)), follow);
}

function atPath(path: Buffer, follow: boolean): CopySource {
  const shown = decodeUtf8(path);
  const look = follow ? fs.statSync : fs.lstatSync;
  const stat = typed(shown, () => look(path, { bigint: true }));
  const mode = Number(stat.mode);
  return {
    shown,
    mode,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    rdev: Number(stat.rdev),
    size: Number(stat.size),
    atime: timespec(stat.atimeNs),
    mtime: timespec(stat.mtimeNs),
    key: stat.nlink > 1n && !stat.isDirectory() ? `${stat.dev}:${stat.ino}` : undefined,
    isIn: () => false,
    names: () =>
      typed(shown, () => fs.readdirSync(path, { encoding: "buffer" }))
        .toSorted((a, b) => Buffer.compare(a, b))
        .map((name) => decodeUtf8(name)),
    child: (name) => atPath(Buffer.concat([path, SLASH, encodeUtf8(name)]), false),
    target: () => decodeUtf8(typed(shown, () => fs.readlinkSync(path, { encoding: "buffer" }))),
    open: () => openHost(path, shown),
    xattrs: () => readHostXattrs(path),
  };
}

function timespec(ns: bigint): Timespec {
  const nsec = Number(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { sec: Number((ns - BigInt(nsec)) / 1_000_000_000n), nsec };
}

function openHost(path: Buffer, shown: string): OpenSource {
  const fd = typed(shown, () => fs.openSync(path, "r"));
  return {
    data: () => hostData(fd),
    size: () => fs.fstatSync(fd).size,
    read: (target, offset) => typed(shown, () => fs.readSync(fd, target, 0, target.length, offset)),
    close: () => fs.closeSync(fd),
  };
}

/** Where data is; everywhere when nobody can tell, and in files whose size says nothing. */
function* hostData(fd: number): Generator<Range> {
  const { size, blocks } = fs.fstatSync(fd);
  const c = libc();
  if (c === undefined || blocks * 512 >= size) {
    yield { start: 0, length: Number.MAX_SAFE_INTEGER };
    return;
  }
  for (let at = 0; at < size;) {
    const start = c.lseek(fd, at, SEEK_DATA);
    if (start < at) return;
    const past = c.lseek(fd, start, SEEK_HOLE);
    if (past <= start) return;
    yield { start, length: past - start };
    at = past;
  }
}

/** Standard input, or whatever else is open, as a file without a name. */
export function streamSource(fd: number, shown: string): CopySource {
  const refuse = (): never => {
    throw new DaxError("EINVAL", { path: shown, detail: "a stream is a file and nothing else" });
  };
  const now = { sec: 0, nsec: 0 };
  return {
    shown,
    mode: 0o100666,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    atime: now,
    mtime: now,
    key: undefined,
    isIn: () => false,
    names: refuse,
    child: refuse,
    target: refuse,
    open: () => ({
      data: () => [{ start: 0, length: Number.MAX_SAFE_INTEGER }],
      size: () => undefined,
      read: (target) => readStream(fd, target, shown),
      close: () => {},
    }),
    xattrs: () => [],
  };
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Pipes that are not ready say EAGAIN, terminals that end EOF. */
function readStream(fd: number, target: Uint8Array, shown: string): number {
  for (;;) {
    try {
      return fs.readSync(fd, target, 0, target.length, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EOF") return 0;
      if (code !== "EAGAIN") {
        return typed(shown, () => {
          throw error;
        });
      }
      Atomics.wait(sleeper, 0, 0, 5);
    }
  }
}
