/**
 * A walk over everything below a directory, sorted by name, that a broken tree can neither stop nor
 * trap: what cannot be read is reported, and no directory is entered twice.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { DirectoryEntry, Inode } from "../vfs/filesystem.ts";
import { isDirectory, isSymlink } from "../vfs/modes.ts";
import { TREE_PATH_MAX } from "../vfs/path-walk.ts";
import { tooDeep } from "../vfs/subtree.ts";
import { compareNames } from "../vfs/names.ts";

/** A file that the walk has come to. */
export interface Visit {
  readonly entry: DirectoryEntry;
  /** Undefined where it cannot be read; then `onError` was told. */
  readonly inode: Inode | undefined;
  /** From the root of the image. */
  readonly path: string;
  /** 0 directly below the start. */
  readonly depth: number;
  /** The last of its directory. */
  readonly last: boolean;
}

/** How to walk. */
export interface DescendOptions {
  /** Hears of what cannot be read; the error names the path. */
  readonly onError: (error: DaxError) => void;
  /** Whether to go into a directory; all of them unless given. */
  readonly enter?: (visit: Visit) => boolean;
  /** Which names count; all but `.` and `..` unless given. */
  readonly keep?: (entry: DirectoryEntry, directory: Inode) => boolean;
}

interface Level {
  readonly directory: Inode;
  readonly path: string;
  readonly entries: readonly DirectoryEntry[];
  next: number;
}

/** Visits everything below `start`, a directory at `path`, parents before their children. */
export function* descend(
  start: Inode,
  path: string,
  options: DescendOptions,
): Generator<Visit, void> {
  const levels = [open(start, path, options)];
  // A directory has one name. In a broken tree it may have many, and walking it each time could
  // take for ever.
  const entered = new Set([start.ino]);
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const visit = visitNext(level, levels.length - 1, options);
    if (visit === undefined) {
      levels.pop();
      continue;
    }
    yield visit;
    const { inode } = visit;
    if (inode === undefined || !isDirectory(inode.mode)) continue;
    if (options.enter?.(visit) === false) continue;
    if (entered.has(inode.ino)) {
      options.onError(manyNames(inode, visit.path));
      continue;
    }
    if (visit.path.length > TREE_PATH_MAX) {
      options.onError(tooDeep(visit.path));
      continue;
    }
    entered.add(inode.ino);
    levels.push(open(inode, visit.path, options));
  }
}

function open(directory: Inode, path: string, options: DescendOptions): Level {
  const entries = byName(readEntries(directory, path, options.onError)).filter(
    (entry) =>
      entry.name !== "." && entry.name !== ".." && options.keep?.(entry, directory) !== false,
  );
  return { directory, path, entries, next: 0 };
}

function visitNext(level: Level, depth: number, { onError }: DescendOptions): Visit | undefined {
  const { directory, entries } = level;
  const entry = entries[level.next++];
  if (entry === undefined) return undefined;
  const path = joinPath(level.path, entry.name);
  const inode = inodeOf(directory, entry, path, onError);
  return { entry, inode, path, depth, last: level.next === entries.length };
}

/** The entries of a directory in its own order; those before damage where there is any. */
export function readEntries(
  directory: Inode,
  path: string,
  onError: (error: DaxError) => void,
): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  tolerate(path, onError, () => {
    for (const entry of directory.readdir(0)) entries.push(entry);
  });
  return entries;
}

/** Sorts by the bytes of the names. */
export function byName<T extends { readonly name: string }>(entries: readonly T[]): T[] {
  return entries.toSorted((a, b) => compareNames(a.name, b.name));
}

/** The inode of an entry, or undefined where it cannot be read. */
export function inodeOf(
  directory: Inode,
  entry: DirectoryEntry,
  path: string,
  onError: (error: DaxError) => void,
): Inode | undefined {
  return tolerate(path, onError, () => directory.filesystem.inode(entry.ino));
}

/** The target of a symbolic link; undefined for anything else, and where it cannot be read. */
export function linkTarget(
  inode: Inode | undefined,
  path: string,
  onError: (error: DaxError) => void,
): string | undefined {
  if (inode === undefined || !isSymlink(inode.mode)) return undefined;
  return tolerate(path, onError, () => inode.readlink());
}

/** A name below a directory. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

/** What the image gets wrong is reported and passed over; anything else is a mistake of ours. */
function tolerate<T>(
  path: string,
  onError: (error: DaxError) => void,
  body: () => T,
): T | undefined {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
    onError(error.path === undefined ? error.at({ path }) : error);
    return undefined;
  }
}

/** What is wrong with a directory that is reached a second time. */
export function manyNames({ ino }: Inode, path: string): DaxError {
  const detail = `directory inode ${ino} has more than one name; 'daxkit check' shows more`;
  return new DaxError("EUCLEAN", { path, detail });
}
