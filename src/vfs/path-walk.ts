/**
 * The path walk: from a string to a place in the tree, as path_resolution(7) describes it.
 *
 * Nobody's permissions are checked: whoever can read an image reads all of it, as its owner could
 * with any other tool. Absolute links start at the root of the tree, never at the host's.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { isDirectory, isSymlink } from "./modes.ts";
import type { Location, MountTable } from "./mounts.ts";

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
  readonly follow?: boolean;
  /** Where relative paths start; the root of the tree unless given. */
  readonly from?: Location;
}

/** True when `text` takes more than `limit` bytes in UTF-8. */
function isLonger(text: string, limit: number): boolean {
  if (text.length * 3 <= limit) return false;
  return text.length > limit || encodeUtf8(text).length > limit;
}

/**
 * Finds the place that `path` names.
 * @throws ENOENT, ENOTDIR, ELOOP (more than 40 links), ENAMETOOLONG (a name of more than 255 bytes,
 * a path of 4096 or more), EINVAL (a NUL), and whatever the filesystem says of its own structures
 */
export function walk(table: MountTable, path: string, options: WalkOptions): Location {
  const fail = (code: ErrnoCode, detail?: string): DaxError =>
    new DaxError(code, {
      syscall: options.syscall,
      path,
      ...(detail === undefined ? {} : { detail }),
    });
  if (path === "") throw fail("ENOENT");
  if (path.includes("\0")) throw fail("EINVAL", "a path has no NUL byte");
  if (isLonger(path, PATH_MAX - 1)) throw fail("ENAMETOOLONG");
  try {
    return new Walk(table, options, fail).run(path);
  } catch (error) {
    // The filesystem knows its structures, and not by which path they were reached.
    if (error instanceof DaxError && error.path === undefined) {
      throw error.at({ syscall: options.syscall, path });
    }
    throw error;
  }
}

/** One walk: what is left of the path, and where it has come. */
class Walk {
  readonly #table: MountTable;
  readonly #follow: boolean;
  readonly #from: Location;
  readonly #fail: (code: ErrnoCode, detail?: string) => DaxError;
  #links = 0;

  constructor(
    table: MountTable,
    options: WalkOptions,
    fail: (code: ErrnoCode, detail?: string) => DaxError,
  ) {
    this.#table = table;
    this.#follow = options.follow ?? true;
    this.#from = options.from ?? table.root.root;
    this.#fail = fail;
  }

  run(path: string): Location {
    let rest = path;
    let at = this.#startOf(path, this.#from);
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

  #startOf(path: string, relativeTo: Location): Location {
    return path.startsWith("/") ? this.#table.root.root : relativeTo;
  }

  #step(at: Location, name: string): Location {
    if (!isDirectory(at.inode.mode)) throw this.#fail("ENOTDIR");
    if (name === ".") return at;
    if (name === "..") return at.parent ?? at;
    if (isLonger(name, NAME_MAX)) throw this.#fail("ENAMETOOLONG");
    const inode = this.#table.names.lookup(at.inode, name);
    if (inode === undefined) throw this.#fail("ENOENT");
    return this.#table.across({ inode, mount: at.mount, parent: at, name });
  }

  #targetOf(link: Location): string {
    if (++this.#links > SYMLINK_MAX) throw this.#fail("ELOOP");
    const target = link.inode.readlink();
    if (target === "") throw this.#fail("ENOENT");
    if (isLonger(target, PATH_MAX - 1)) throw this.#fail("ENAMETOOLONG");
    return target;
  }
}

function skipSlashes(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) === 0x2f) at++;
  return at;
}
