/**
 * Calls of a stream on a filesystem of ours, made through the tree.
 */
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { Timespec } from "../../src/lib/environment.ts";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import {
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  isDirectory,
  isRegular,
  isSymlink,
} from "../../src/vfs/modes.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { callOnData, sumOfContents } from "./contents-ours.ts";
import type { At, DataCall } from "./contents-stream.ts";
import { type Call, isGiven } from "./namespace-stream.ts";

/** The tree over a filesystem, and files that are open, by slot. */
interface Place {
  readonly tree: FileTree;
  readonly slots: Map<number, OpenFile>;
}

const places = new WeakMap<ExtFilesystem, Place>();

/** The tree through which all calls on a filesystem are made. */
export function placeOf(filesystem: ExtFilesystem): Place {
  const known = places.get(filesystem);
  if (known !== undefined) return known;
  const place = { tree: new FileTree(filesystem), slots: new Map<number, OpenFile>() };
  places.set(filesystem, place);
  return place;
}

/** Makes a call; what it gives: `ok`, a number of links, or the name of an error. */
export function callOurs(filesystem: ExtFilesystem, call: Call | DataCall): string {
  const place = placeOf(filesystem);
  return outcomeOf(() => {
    if (call.op === "drop") return drop(place, call.slot);
    if ("at" in call) return callOnData(place.tree, fileAt(place, call.at), call);
    run(place, call);
    return "ok";
  });
}

/** What a call gives, or the name of its error. */
export function outcomeOf(body: () => string): string {
  try {
    return body();
  } catch (error) {
    if (isDaxError(error)) return error.code === "ENOTSUP" ? "EOPNOTSUPP" : error.code;
    throw error;
  }
}

function fileAt({ slots }: Place, at: At): string | OpenFile {
  if (typeof at === "string") return at;
  const file = slots.get(at);
  if (file === undefined) throw new DaxError("ENOENT");
  return file;
}

function run(place: Place, call: Exclude<Call, { op: "drop" }>): void {
  const { tree } = place;
  switch (call.op) {
    case "make":
      make(tree, call);
      return;
    case "link":
      tree.link(call.from, call.to);
      return;
    case "rename":
      tree.rename(call.from, call.to, {
        exchange: call.how === "exchange",
        noReplace: call.how === "noreplace",
      });
      return;
    case "hold":
      hold(place, call.slot, tree.open(call.path, { path: true, noFollow: true }));
      return;
    case "unnamed": {
      const { path, mode } = call;
      hold(place, call.slot, tree.open(path, { unnamed: true, access: "readwrite", mode }));
      return;
    }
    case "name": {
      const file = place.slots.get(call.slot);
      if (file === undefined) throw new DaxError("ENOENT");
      tree.link(file, call.to);
      return;
    }
    case "empty":
      tree.truncate(call.path, 0);
      return;
    case "unlink":
    case "rmdir":
      tree[call.op](call.path);
      return;
    default:
      change(tree, call);
  }
}

function make(tree: FileTree, { path, mode, rdev, target }: Extract<Call, { op: "make" }>): void {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) tree.mkdir(path, { mode: mode & 0o7777 });
  else if (type === S_IFLNK) tree.symlink(target, path);
  else if (type !== S_IFREG) tree.mknod(path, { mode, rdev });
  else {
    const permissions = mode & 0o7777;
    tree.open(path, { create: true, exclusive: true, access: "write", mode: permissions }).close();
  }
}

function hold(place: Place, slot: number, file: OpenFile): void {
  drop(place, slot);
  place.slots.set(slot, file);
}

function drop({ slots }: Place, slot: number): string {
  const file = slots.get(slot);
  if (file === undefined) return "none";
  const { nlink } = file.attributes();
  slots.delete(slot);
  file.close();
  return `${nlink}`;
}

type Change = Extract<Call, { op: "chmod" | "chown" | "utimes" | "setxattr" | "removexattr" }>;

function change(tree: FileTree, call: Change): void {
  const { path } = call;
  const self = { follow: false };
  switch (call.op) {
    case "chmod":
      tree.chmod(path, call.mode);
      return;
    case "chown":
      tree.chown(path, call.uid, call.gid, self);
      return;
    case "utimes": {
      const times = { atime: toTimespec(call.atime), mtime: toTimespec(call.mtime) };
      tree.utimes(path, times, self);
      return;
    }
    case "setxattr": {
      const value = new Uint8Array(call.length).fill(call.byte);
      const how = call.how === "any" ? {} : { how: call.how };
      tree.setxattr(path, call.name, value, { ...self, ...how });
      return;
    }
    default:
      tree.removexattr(path, call.name, self);
  }
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
    isRegular(mode) ? sumOfContents(inode) : 0,
  ]);
}
