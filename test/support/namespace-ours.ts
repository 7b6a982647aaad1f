/**
 * Calls of a stream on a filesystem of ours, with the rules of the path walk around them.
 */
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { Timespec } from "../../src/lib/environment.ts";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFMT,
  isDirectory,
  isRegular,
  isSymlink,
} from "../../src/vfs/modes.ts";
import type { AttributeChange } from "../../src/vfs/writing.ts";
import { writingOf } from "./ext-mounted.ts";
import { type Call, isGiven } from "./namespace-stream.ts";

/** A directory, and a name in it. */
interface Place {
  readonly directory: Inode;
  readonly name: string;
  /** The directories on the way, the root first, the last one being `directory`. */
  readonly way: readonly Inode[];
}

/** Files that are open, by slot. */
const opened = new WeakMap<ExtFilesystem, Map<number, Inode>>();

/** Makes a call; what it gives: `ok`, a number of links, or the name of an error. */
export function callOurs(filesystem: ExtFilesystem, call: Call): string {
  try {
    if (call.op === "drop") return drop(filesystem, call.slot);
    run(filesystem, call);
    return "ok";
  } catch (error) {
    if (isDaxError(error)) return error.code === "ENOTSUP" ? "EOPNOTSUPP" : error.code;
    throw error;
  }
}

function fail(code: "ENOENT" | "ENOTDIR" | "ENAMETOOLONG" | "EISDIR" | "EINVAL" | "ENOTEMPTY") {
  return new DaxError(code);
}

function place(filesystem: ExtFilesystem, path: string): Place {
  const names = path.split("/");
  const way: Inode[] = [filesystem.root];
  for (const name of names.slice(0, -1)) {
    const next = lookup(way.at(-1) as Inode, name);
    if (next === undefined || isSymlink(next.mode)) throw fail("ENOENT");
    if (!isDirectory(next.mode)) throw fail("ENOTDIR");
    way.push(next);
  }
  return { directory: way.at(-1) as Inode, name: names.at(-1) as string, way };
}

function lookup(directory: Inode, name: string): Inode | undefined {
  if (encodeUtf8(name).length > 255) throw fail("ENAMETOOLONG");
  return directory.lookup(name);
}

function find(filesystem: ExtFilesystem, path: string): Inode {
  const { directory, name } = place(filesystem, path);
  const found = lookup(directory, name);
  if (found === undefined) throw fail("ENOENT");
  return found;
}

function run(filesystem: ExtFilesystem, call: Exclude<Call, { op: "drop" }>): void {
  switch (call.op) {
    case "make": {
      const { directory, name } = place(filesystem, call.path);
      const { rdev, target } = call;
      // mkdir(2) does not set them.
      const mode = isDirectory(call.mode) ? call.mode & ~0o6000 : call.mode;
      const device = [S_IFCHR, S_IFBLK].includes(mode & S_IFMT);
      const file = { mode, uid: 0, gid: 0, target, rdev: device ? rdev : 0 };
      writingOf(directory).make(name, file);
      return;
    }
    case "link": {
      const target = find(filesystem, call.from);
      const { directory, name } = place(filesystem, call.to);
      writingOf(directory).link(name, target);
      return;
    }
    case "rename":
      rename(filesystem, call);
      return;
    case "hold":
      hold(filesystem, call.slot, find(filesystem, call.path));
      return;
    case "unnamed": {
      const directory = find(filesystem, call.path);
      if (isSymlink(directory.mode)) throw fail("ENOENT");
      const { mode } = call;
      hold(filesystem, call.slot, writingOf(directory).makeUnnamed({ mode, uid: 0, gid: 0 }));
      return;
    }
    case "name": {
      const target = slotsOf(filesystem).get(call.slot);
      if (target === undefined) throw fail("ENOENT");
      const { directory, name } = place(filesystem, call.to);
      lookup(directory, name);
      writingOf(directory).link(name, target);
      return;
    }
    case "empty":
      empty(find(filesystem, call.path));
      return;
    case "unlink":
    case "rmdir": {
      const { directory, name } = place(filesystem, call.path);
      lookup(directory, name);
      writingOf(directory)[call.op](name);
      return;
    }
    default:
      change(find(filesystem, call.path), call);
  }
}

function slotsOf(filesystem: ExtFilesystem): Map<number, Inode> {
  const known = opened.get(filesystem) ?? new Map<number, Inode>();
  opened.set(filesystem, known);
  return known;
}

function hold(filesystem: ExtFilesystem, slot: number, inode: Inode): void {
  writingOf(inode).hold();
  drop(filesystem, slot);
  slotsOf(filesystem).set(slot, inode);
}

function drop(filesystem: ExtFilesystem, slot: number): string {
  const inode = slotsOf(filesystem).get(slot);
  if (inode === undefined) return "none";
  const { nlink } = inode.attributes();
  slotsOf(filesystem).delete(slot);
  writingOf(inode).release();
  return `${nlink}`;
}

function rename(filesystem: ExtFilesystem, { from, to, how }: Call & { op: "rename" }): void {
  const [source, target] = [place(filesystem, from), place(filesystem, to)];
  const moved = lookup(source.directory, source.name);
  if (moved === undefined) throw fail("ENOENT");
  const replaced = lookup(target.directory, target.name);
  const exchange = how === "exchange";
  const free = how === "noreplace" && replaced !== undefined;
  if (!free && !(exchange && replaced === undefined)) {
    if (target.way.includes(moved)) throw fail("EINVAL");
    if (replaced !== undefined && source.way.includes(replaced)) {
      throw fail(exchange ? "EINVAL" : "ENOTEMPTY");
    }
  }
  const options = { exchange, noReplace: how === "noreplace" };
  writingOf(source.directory).rename(source.name, target.directory, target.name, options);
}

function empty(inode: Inode): void {
  if (isSymlink(inode.mode)) throw fail("ENOENT");
  if (isDirectory(inode.mode)) throw fail("EISDIR");
  if (!isRegular(inode.mode)) throw fail("EINVAL");
  writingOf(inode).truncate(0);
}

type Change = Extract<Call, { op: "chmod" | "chown" | "utimes" | "setxattr" | "removexattr" }>;

function change(inode: Inode, call: Change): void {
  const writing = writingOf(inode);
  switch (call.op) {
    case "chmod":
      if (isSymlink(inode.mode)) throw fail("ENOENT");
      writing.change({ mode: call.mode });
      return;
    case "chown":
      writing.change({ uid: call.uid, gid: call.gid });
      return;
    case "utimes":
      writing.change(timesOf(call));
      return;
    case "setxattr":
      writing.setxattr(
        call.name,
        new Uint8Array(call.length).fill(call.byte),
        ...(call.how === "any" ? [] : ([call.how] as const)),
      );
      return;
    default:
      writing.removexattr(call.name);
  }
}

function timesOf({ atime, mtime }: Call & { op: "utimes" }): AttributeChange {
  return { atime: toTimespec(atime), mtime: toTimespec(mtime) };
}

function toTimespec([sec, nsec]: readonly [number, number]): Timespec {
  return { sec, nsec };
}

/** Everything in the tree, one line a name. */
export function linesOfOurs(filesystem: ExtFilesystem): string[] {
  return [...linesBelow(filesystem.root, "")].toSorted();
}

function* linesBelow(directory: Inode, path: string): Generator<string> {
  for (const { name } of directory.readdir(0)) {
    if (name === "." || name === ".." || (path === "" && name === "lost+found")) continue;
    const inode = directory.lookup(name);
    if (inode === undefined) throw new Error(`${path}${name} is listed, and not there`);
    yield lineOf(path + name, inode);
    if (isDirectory(inode.mode)) yield* linesBelow(inode, `${path}${name}/`);
  }
}

function lineOf(path: string, inode: Inode): string {
  const { mode, nlink, uid, gid, rdev, size, mtime } = inode.attributes();
  const xattrs = inode.listxattr().toSorted();
  return JSON.stringify([
    path,
    mode,
    nlink,
    uid,
    gid,
    rdev,
    isDirectory(mode) ? -1 : size,
    isGiven(mtime.sec) ? [mtime.sec, mtime.nsec] : [],
    isSymlink(mode) ? inode.readlink() : "",
    xattrs.map((name) => [name, Buffer.from(inode.getxattr(name) ?? []).toString("hex")]),
  ]);
}
