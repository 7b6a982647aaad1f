/**
 * Operations that read directories and links.
 *
 * @module
 */
import type { Dirent } from "node:fs";
import { join, relative, resolve } from "node:path/posix";
import { constants } from "node:fs";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { compareNames } from "../../vfs/names.ts";
import type { DirectoryEntry, Inode } from "../../vfs/filesystem.ts";
import { isDirectory, isSymlink } from "../../vfs/modes.ts";
import {
  type Options,
  checkBoolean,
  checkInteger,
  flagsOf,
  modeOf,
  optionsOf,
} from "./arguments.ts";
import { type CallOptions, type Context, onPath } from "./context.ts";
import { Directory } from "./directory.ts";
import { NEW_FILE_MODE, openFile } from "./opening.ts";
import { type OperationTable, operation } from "./operation.ts";
import { type PathArgument, nameAs, pathOf } from "./paths.ts";
import { direntOf } from "./stats.ts";

/**
 * Entries below links that one recursive listing returns at most: a dozen directories with links to
 * each other have a path for each order of the dozen.
 */
const MOST_BELOW_LINKS = 2 ** 18;
const { O_DIRECTORY } = constants;

/** Entries sorted by their bytes, which is how libuv lists a directory. */
function sorted(context: Context, path: string): DirectoryEntry[] {
  const entries = [...context.tree.readdir(path, "scandir", context.by("scandir"))];
  return entries.toSorted((a, b) => compareNames(a.name, b.name));
}

function modeOfEntry(inode: Inode, { ino, type }: DirectoryEntry): number {
  return type === 0 ? inode.filesystem.inode(ino).mode : type << 12;
}

/** A directory whose turn comes, with the path that its entries get. */
interface Level {
  readonly path: string;
  readonly shown: string;
  /** The inodes on the way to it: a link back to one of them is not followed again. */
  readonly above: readonly Inode[];
  /** Whether a link is on the way to it. */
  readonly linked: boolean;
}

type Listed = string | Buffer | Dirent;

function list(context: Context, path: PathArgument, options: Options): Listed[] {
  const { encoding, withFileTypes } = options;
  const { inode } = context.tree.locate(path.path, context.by("scandir"));
  const parent = path.bytes ? Buffer.from(path.shown) : path.shown;
  return sorted(context, path.path).map((entry) => {
    const name = nameAs(entry.name, encoding);
    return withFileTypes ? direntOf(name, modeOfEntry(inode, entry), parent) : name;
  });
}

/** Breadth first, as Node does it; names are relative to the directory that was asked for. */
function listBelow(context: Context, path: PathArgument, options: Options): Listed[] {
  const found: Listed[] = [];
  const queue: Level[] = [{ path: path.path, shown: path.shown, above: [], linked: false }];
  let belowLinks = 0;
  for (const level of queue) {
    const { inode } = context.tree.locate(level.path, context.by("scandir"));
    for (const entry of sorted(context, level.path)) {
      const inside = join(level.path, entry.name);
      const mode = modeOfEntry(inode, entry);
      found.push(shown(path, level, entry.name, mode, options));
      if (level.linked && ++belowLinks > MOST_BELOW_LINKS) throw endless(level.shown);
      const below = descends(context, inside, mode, Boolean(options.withFileTypes), level);
      if (below) {
        const name = nameAs(entry.name, "utf8") as string;
        queue.push({
          path: inside,
          shown: join(level.shown, name),
          above: [...level.above, inode],
          linked: level.linked || isSymlink(mode),
        });
      }
    }
  }
  return found;
}

function shown(
  path: PathArgument,
  level: Level,
  name: string,
  mode: number,
  { encoding, withFileTypes }: Options,
): Listed {
  if (withFileTypes) return direntOf(nameAs(name, encoding), mode, level.shown);
  return nameAs(relative(path.path, join(level.path, name)), encoding);
}

/** Node follows links to directories here, unless it is asked for types. */
function descends(
  context: Context,
  path: string,
  mode: number,
  typed: boolean,
  level: Level,
): boolean {
  if (isDirectory(mode)) return true;
  if (typed || !isSymlink(mode)) return false;
  try {
    const target = context.tree.stat(path, context.by("stat"));
    return isDirectory(target.mode) && !level.above.includes(target);
  } catch (error) {
    if (isDaxError(error, "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG")) return false;
    throw error;
  }
}

function endless(path: string): DaxError {
  const detail = `more than ${MOST_BELOW_LINKS} entries behind links; list without recursive`;
  return new DaxError("EOVERFLOW", { syscall: "scandir", path, detail });
}

/** `realpath` as Node's own JavaScript does it: `lstat` on every part, so errors name that part. */
function realpath(context: Context, path: PathArgument): string {
  const { tree } = context;
  const by = (syscall: string): CallOptions => context.by(syscall);
  let rest = resolve(context.workingDirectory, path.path).split("/").slice(1);
  let done = "";
  while (rest.length > 0 && rest[0] !== "") {
    const [name, ...more] = rest as [string, ...string[]];
    const here = `${done}/${name}`;
    if (isSymlink(tree.lstat(here, by("lstat")).mode)) {
      // Tells loops and dangling links by the name of the link.
      tree.stat(here, by("stat"));
      rest = resolve(done === "" ? "/" : done, tree.readlink(here, by("readlink")), ...more)
        .split("/")
        .slice(1);
      done = "";
    } else {
      done = here;
      rest = more;
    }
  }
  return done === "" ? "/" : done;
}

function opendir(context: Context, path: PathArgument, options: Options): Directory {
  const { encoding, recursive } = options;
  const bufferSize =
    options.bufferSize === undefined
      ? 32
      : checkInteger(options.bufferSize, "options.bufferSize", 1, 2 ** 32 - 1);
  const file = onPath(path, "opendir", () => openFile(context, path, O_DIRECTORY));
  const openBelow = (below: string): ReturnType<typeof openFile> =>
    openFile(context, pathOf(below), O_DIRECTORY);
  return new Directory(path.shown, file, {
    encoding,
    bufferSize,
    recursive: recursive === true,
    openBelow,
  });
}

/** What lists. */
export const LISTING: OperationTable = {
  open: operation((context, [value, flags, mode]) => {
    const path = pathOf(value);
    const bits = flagsOf(flags);
    const permissions = modeOf(mode, "mode", NEW_FILE_MODE);
    return () =>
      onPath(path, "open", () => context.add(openFile(context, path, bits, permissions)));
  }),
  readdir: operation((context, [value, given]) => {
    const options = optionsOf(given);
    const path = pathOf(value);
    const { recursive } = options;
    const deep =
      recursive === undefined || recursive === null
        ? false
        : checkBoolean(recursive, "options.recursive");
    return () => onPath(path, "scandir", () => (deep ? listBelow : list)(context, path, options));
  }),
  opendir: operation((context, [value, given]) => {
    const path = pathOf(value);
    const options = optionsOf(given);
    return () => opendir(context, path, options);
  }),
  readlink: operation((context, [value, given]) => {
    const { encoding } = optionsOf(given);
    const path = pathOf(value, "oldPath");
    return () =>
      onPath(path, "readlink", () =>
        nameAs(context.tree.readlink(path.path, context.by("readlink")), encoding),
      );
  }),
  realpath: operation((context, [value, given]) => {
    const { encoding } = optionsOf(given);
    const path = pathOf(value instanceof URL || typeof value === "string" ? value : String(value));
    return () => nameAs(realpath(context, path), encoding);
  }),
};

/** `realpath.native`, and what `promises.realpath` is: one call that names the whole path. */
export const NATIVE_REALPATH = operation((context, [value, given]) => {
  const { encoding } = optionsOf(given);
  const path = pathOf(value);
  return () => onPath(path, "realpath", () => nameAs(context.tree.realpath(path.path), encoding));
});
