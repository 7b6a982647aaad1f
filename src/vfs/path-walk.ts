/**
 * The path walk: from a string to a place in the tree, as path_resolution(7) describes it.
 *
 * Permissions are checked where credentials are given; without them whoever can read an image reads
 * all of it, as its owner could with any other tool. Absolute links start at the root of the tree,
 * never at the host's.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import type { Inode } from "./filesystem.ts";
import { isDirectory, isSymlink } from "./modes.ts";
import type { Location, MountTable } from "./mounts.ts";
import { type Credentials, MAY_EXEC, assertPermitted } from "./permissions.ts";

/** Bytes in one name, at most. */
export const NAME_MAX = 255;
/** Bytes in a path, its closing NUL included, at most. */
export const PATH_MAX = 4096;
/**
 * Characters in the path of a directory that a walk over a tree enters. Linux knows no such bound;
 * without one a small image of directories inside each other costs the square of their number.
 */
export const TREE_PATH_MAX = 4 * PATH_MAX;
/** Symbolic links followed in one walk, at most. */
export const SYMLINK_MAX = 40;

/** How to walk. */
export interface WalkOptions {
  /** Named in errors: `open`, `stat`. */
  readonly syscall: string;
  /** Whether a link in the last place is followed; a trailing slash follows in any case. */
  readonly follow?: boolean | undefined;
  /** Where relative paths start; the root of the tree unless given. */
  readonly from?: Location | undefined;
  /** Who walks: every directory on the way has to let him search it. Unchecked unless given. */
  readonly credentials?: Credentials | undefined;
}

/** The last name of a path, which may lead nowhere yet. */
export interface NamedPlace {
  /** The directory that the name is in, or would be. */
  readonly directory: Location;
  /** `.` and `..` as they are; empty for the root. */
  readonly name: string;
  /** False for `.`, `..` and the root, which can neither be made nor removed. */
  readonly isName: boolean;
  /** Slashes behind the name: it has to be a directory's. */
  readonly slashed: boolean;
}

/** True when `text` takes more than `limit` bytes in UTF-8. */
function isLonger(text: string, limit: number): boolean {
  if (text.length * 3 <= limit) return false;
  return text.length > limit || encodeUtf8(text).length > limit;
}

/**
 * Finds the place that `path` names.
 * @throws ENOENT, ENOTDIR, ELOOP (more than 40 links), ENAMETOOLONG (a name of more than 255 bytes,
 * a path of 4096 or more), EINVAL (a NUL), EACCES (a directory that may not be searched), and
 * whatever the filesystem says of its own structures
 */
export function walk(table: MountTable, path: string, options: WalkOptions): Location {
  return inWalk(path, options, () => new Walk(table, options, path).run(path));
}

/** Finds the directory of the last name of a path, links before it followed. @throws as `walk` */
export function walkToName(table: MountTable, path: string, options: WalkOptions): NamedPlace {
  return inWalk(path, options, () => new Walk(table, options, path).toName(path));
}

/**
 * As {@link walkToName}, with what has the name, links in the last place followed: what is opened,
 * or made when it is not there. @throws as `walk`; EISDIR for a name with a slash behind it
 */
export function walkToNew(
  table: MountTable,
  path: string,
  options: WalkOptions,
): { readonly place: NamedPlace; readonly found: Location | undefined } {
  return inWalk(path, options, () => new Walk(table, options, path).toNew(path));
}

function inWalk<T>(path: string, { syscall }: WalkOptions, body: () => T): T {
  try {
    checkPath(path);
    return body();
  } catch (error) {
    // The filesystem knows its structures, and not by which path they were reached.
    if (error instanceof DaxError && error.path === undefined) throw error.at({ syscall, path });
    throw error;
  }
}

/** @throws ENOENT, EINVAL, ENAMETOOLONG */
export function checkPath(path: string): void {
  if (path === "") throw new DaxError("ENOENT");
  if (path.includes("\0")) throw new DaxError("EINVAL", { detail: "a path has no NUL byte" });
  if (isLonger(path, PATH_MAX - 1)) throw new DaxError("ENAMETOOLONG");
}

/** What has a name in a directory, mounts not crossed. @throws ENAMETOOLONG, EUCLEAN */
export function lookUp(table: MountTable, directory: Inode, name: string): Inode | undefined {
  if (isLonger(name, NAME_MAX)) throw new DaxError("ENAMETOOLONG");
  return table.names.lookup(directory, name);
}

/** One walk: what is left of the path, and where it has come. */
class Walk {
  readonly #table: MountTable;
  readonly #follow: boolean;
  readonly #from: Location;
  readonly #credentials: Credentials | undefined;
  readonly #syscall: string;
  readonly #path: string;
  #links = 0;

  constructor(table: MountTable, options: WalkOptions, path: string) {
    this.#table = table;
    this.#follow = options.follow ?? true;
    this.#from = options.from ?? table.root.root;
    this.#credentials = options.credentials;
    this.#syscall = options.syscall;
    this.#path = path;
  }

  run(path: string, from = this.#from): Location {
    let rest = path;
    let at = this.#startOf(path, from);
    for (let next = skipSlashes(rest, 0); next < rest.length; next = skipSlashes(rest, next)) {
      const slash = rest.indexOf("/", next);
      const stop = slash === -1 ? rest.length : slash;
      const name = rest.slice(next, stop);
      const child = this.#step(at, name);
      const last = skipSlashes(rest, stop) === rest.length;
      const follow = this.#follow || stop < rest.length;
      if (isSymlink(child.inode.mode) && (!last || follow)) {
        const target = this.#targetOf(child);
        at = this.#startOf(target, at);
        rest = target + rest.slice(stop);
        next = 0;
        continue;
      }
      if (last && stop < rest.length && !isDirectory(child.inode.mode)) throw this.#fail("ENOTDIR");
      at = child;
      next = stop;
    }
    return at;
  }

  toName(path: string, from = this.#from): NamedPlace {
    const stop = beforeSlashes(path);
    const start = path.lastIndexOf("/", stop - 1) + 1;
    const name = path.slice(start, stop);
    const way = path.slice(0, start);
    const directory = way === "" ? from : this.run(way, from);
    if (name === "") return { directory, name, isName: false, slashed: true };
    this.#assertSearchable(directory);
    const isName = name !== "." && name !== "..";
    return { directory, name, isName, slashed: stop < path.length };
  }

  toNew(path: string): { readonly place: NamedPlace; readonly found: Location | undefined } {
    let place = this.toName(path);
    for (;;) {
      // What is made by opening it is no directory.
      if (place.slashed && place.isName) throw this.#fail("EISDIR");
      const found = this.#find(place);
      const link = found !== undefined && isSymlink(found.inode.mode);
      if (!link || !this.#follow) return { place, found };
      const target = this.#targetOf(found);
      place = this.toName(target, this.#startOf(target, place.directory));
    }
  }

  #find({ directory, name, isName }: NamedPlace): Location | undefined {
    if (name === "" || name === ".") return directory;
    if (name === "..") return directory.parent ?? directory;
    const inode = isName ? lookUp(this.#table, directory.inode, name) : undefined;
    if (inode === undefined) return undefined;
    return this.#table.across({ inode, mount: directory.mount, parent: directory, name });
  }

  #startOf(path: string, relativeTo: Location): Location {
    return path.startsWith("/") ? this.#table.root.root : relativeTo;
  }

  #step(at: Location, name: string): Location {
    this.#assertSearchable(at);
    const found = this.#find({ directory: at, name, isName: true, slashed: false });
    if (found === undefined) throw this.#fail("ENOENT");
    return found;
  }

  #assertSearchable({ inode }: Location): void {
    if (!isDirectory(inode.mode)) throw this.#fail("ENOTDIR");
    if (this.#credentials !== undefined) assertPermitted(inode, MAY_EXEC, this.#credentials);
  }

  #targetOf(link: Location): string {
    if (++this.#links > SYMLINK_MAX) throw this.#fail("ELOOP");
    const target = link.inode.readlink();
    link.mount.accessed(link.inode);
    if (target === "") throw this.#fail("ENOENT");
    if (isLonger(target, PATH_MAX - 1)) throw this.#fail("ENAMETOOLONG");
    return target;
  }

  #fail(code: ErrnoCode): DaxError {
    return new DaxError(code, { syscall: this.#syscall, path: this.#path });
  }
}

function skipSlashes(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) === 0x2f) at++;
  return at;
}

/** The length of a path without the slashes at its end. */
function beforeSlashes(path: string): number {
  let stop = path.length;
  while (stop > 0 && path.charCodeAt(stop - 1) === 0x2f) stop--;
  return stop;
}
