/**
 * Names that appear: mkdir, mknod, symlink and link, in the order in which Linux asks
 * (`filename_create`, `may_create`).
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import {
  type CallOptions,
  type FollowOptions,
  type FileOwner,
  type TwoPathOptions,
} from "./calls.ts";
import { inCall, walkOptions, writingOf } from "./calls.ts";
import type { Inode } from "./filesystem.ts";
import { S_IFCHR, S_IFBLK, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from "./modes.ts";
import { S_IFSOCK, isDirectory } from "./modes.ts";
import { type Location, type MountTable, pathOf } from "./mounts.ts";
import type { OpenFile } from "./open-file.ts";
import {
  type NamedPlace,
  type WalkOptions,
  checkPath,
  lookUp,
  walk,
  walkToName,
} from "./path-walk.ts";
import {
  type Credentials,
  FS_APPEND_FL,
  FS_IMMUTABLE_FL,
  MAY_EXEC,
  MAY_WRITE,
  assertPermitted,
  denied,
  isPrivileged,
  modeOfNew,
} from "./permissions.ts";
import { subjectOf } from "./watches.ts";
import type { InodeWriting, NewFile } from "./writing.ts";

/** Options of calls that make files. */
export interface MakeOptions extends CallOptions {
  /** Permission bits. */
  readonly mode?: number;
  /** Bits that are taken from `mode`; of no effect in directories with a default ACL. */
  readonly umask?: number;
}

/** Options of mknod. */
export interface MknodOptions extends MakeOptions {
  /** Device nodes: the number as Linux's 64-bit `makedev`. */
  readonly rdev?: number;
}

const PERMISSIONS = 0o7777;
/** What mkdir(2) takes of a mode: setuid and setgid are not among it. */
const DIRECTORY_BITS = 0o1777;
const SPECIAL: ReadonlySet<number> = new Set([S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK]);

/** A file to be made, without its owner. */
type Wanted = Pick<NewFile, "mode" | "rdev" | "target">;

/** Makes a directory. */
export function makeDirectory(table: MountTable, path: string, options: MakeOptions): Inode {
  const { mode = 0o777, syscall = "mkdir" } = options;
  const wanted = { mode: S_IFDIR | (mode & DIRECTORY_BITS) };
  return make(table, path, wanted, options, syscall);
}

/** Makes a regular file, a device, a fifo or a socket. */
export function makeNode(table: MountTable, path: string, options: MknodOptions): Inode {
  const { mode = 0o666, rdev = 0, syscall = "mknod" } = options;
  const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
  if (!SPECIAL.has(type)) {
    throw new DaxError(type === S_IFDIR ? "EPERM" : "EINVAL", { syscall, path });
  }
  const isDevice = type === S_IFCHR || type === S_IFBLK;
  const wanted = { mode: type | (mode & PERMISSIONS), rdev: isDevice ? rdev : 0 };
  return make(table, path, wanted, options, syscall);
}

/** Makes a symbolic link. */
export function makeSymlink(
  table: MountTable,
  target: string,
  path: string,
  options: CallOptions,
): Inode {
  const { syscall = "symlink" } = options;
  return inCall({ syscall, path: target, dest: path }, () => {
    checkPath(target);
    return make(table, path, { mode: S_IFLNK | 0o777, target }, options, syscall);
  });
}

/** Gives a file another name. */
export function makeLink(
  table: MountTable,
  existing: string | OpenFile | Location,
  path: string,
  options: FollowOptions & TwoPathOptions,
): void {
  const { syscall = "link", follow = false, credentials } = options;
  const source = nameOf(existing);
  inCall({ syscall, path: source, dest: path }, () => {
    const { inode, mount } = sourceOf(table, existing, walkOptions(options, syscall, follow));
    const place = placeForNew(table, path, secondOptions(options), syscall);
    const writing = writingFor(table, place, false);
    if (mount !== place.directory.mount) throw denied("EXDEV", "the two are on different mounts");
    assertMayCreate(place, credentials);
    assertMayLink(inode);
    writing.link(place.name, inode);
    appeared(table, place, inode);
  });
}

function nameOf(existing: string | OpenFile | Location): string {
  if (typeof existing === "string") return existing;
  return "path" in existing ? existing.path : pathOf(existing);
}

function sourceOf(
  table: MountTable,
  existing: string | OpenFile | Location,
  options: WalkOptions,
): Pick<Location, "inode" | "mount"> {
  if (typeof existing === "string") return walk(table, existing, options);
  if ("assertLinkable" in existing) existing.assertLinkable();
  return existing;
}

function assertMayLink(inode: Inode): void {
  const flags = inode.writing?.flags ?? 0;
  if ((flags & (FS_APPEND_FL | FS_IMMUTABLE_FL)) !== 0) {
    throw denied("EPERM", `inode ${inode.ino} is immutable or append-only`);
  }
  if (isDirectory(inode.mode)) throw denied("EPERM", "a directory has one name");
}

/** The options of a second path. */
export function secondOptions({ from, toFrom = from, credentials }: TwoPathOptions): CallOptions {
  return { from: toFrom, credentials };
}

function make(
  table: MountTable,
  path: string,
  wanted: Wanted,
  options: MakeOptions,
  syscall: string,
): Inode {
  return inCall({ syscall, path }, () => {
    const { credentials, owner, umask = 0 } = options;
    const place = placeForNew(table, path, options, syscall);
    const writing = writingFor(table, place, isDirectory(wanted.mode));
    assertMayCreate(place, credentials);
    if (isRealDevice(wanted) && !isPrivileged(credentials)) {
      throw denied("EPERM", "device nodes are made by user 0");
    }
    return makeIn(table, place, writing, wanted, { credentials, owner, umask });
  });
}

/** A device; character device 0 is none, but what overlays put where something was removed. */
function isRealDevice({ mode, rdev }: Wanted): boolean {
  const type = mode & S_IFMT;
  return type === S_IFBLK || (type === S_IFCHR && rdev !== 0);
}

/** The directory and the name of what is to be made. */
function placeForNew(
  table: MountTable,
  path: string,
  options: CallOptions,
  syscall: string,
): NamedPlace {
  const place = walkToName(table, path, walkOptions(options, syscall));
  if (!place.isName) throw denied("EEXIST");
  return place;
}

/** What makes the name. @throws EEXIST, ENOENT for a name with a slash behind it, EROFS */
function writingFor(table: MountTable, place: NamedPlace, directory: boolean): InodeWriting {
  const { inode } = place.directory;
  if (lookUp(table, inode, place.name) !== undefined) throw denied("EEXIST");
  if (place.slashed && !directory) throw denied("ENOENT");
  return writingOf(inode);
}

/** @throws EPERM, EACCES */
export function assertMayCreate({ directory }: NamedPlace, credentials?: Credentials): void {
  assertPermitted(directory.inode, MAY_WRITE | MAY_EXEC, credentials);
}

/** For whom a file is made. */
interface Maker {
  readonly credentials: Credentials | undefined;
  readonly owner: FileOwner | undefined;
  readonly umask: number;
}

/** Makes a file at a place where nothing is, for whom may do that. */
export function makeIn(
  table: MountTable,
  place: NamedPlace,
  writing: InodeWriting,
  wanted: Wanted,
  maker: Maker,
): Inode {
  const inode = writing.make(place.name, newFile(place.directory.inode, wanted, maker));
  appeared(table, place, inode);
  return inode;
}

/** What the filesystem is told to make. */
export function newFile(directory: Inode, wanted: Wanted, maker: Maker): NewFile {
  const { mode, rdev, target } = wanted;
  const { credentials, umask, owner = credentials } = maker;
  const isLink = (mode & S_IFMT) === S_IFLNK;
  return {
    mode: isLink ? mode : modeOfNew(directory, mode, umask, credentials),
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    rdev,
    target,
  };
}

/** A name has come: the tree knows it, and so does whoever watches. */
function appeared(table: MountTable, { directory, name }: NamedPlace, inode: Inode): void {
  table.names.added(directory.inode, name, inode.ino);
  if (!table.watches.isEmpty) table.watches.tellName("create", directory, name, subjectOf(inode));
}
