/**
 * A walk over everything below a place, sorted by name, that a hostile tree can neither trap nor
 * lead astray: no directory is entered twice, and no name is more than a name.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { DirectoryEntry, Inode } from "./filesystem.ts";
import { isDirectory } from "./modes.ts";
import { compareNames } from "./names.ts";
import { TREE_PATH_MAX } from "./path-walk.ts";

/** Where the walk is. */
export interface Visit {
  readonly inode: Inode;
  /** From the start, without a leading slash: `a/b`; empty for the start itself. */
  readonly path: string;
  /** 0 for the start. */
  readonly depth: number;
  /** Directories are visited twice: before their entries, and behind them with `leaving`. */
  readonly leaving: boolean;
}

/** Hears of what cannot be read, with its path; the walk goes on without it. */
export type OnDamage = (error: DaxError) => void;

interface Level {
  readonly visit: Visit;
  readonly entries: readonly DirectoryEntry[];
  next: number;
}

function corrupt(path: string, detail: string): DaxError {
  return new DaxError("EUCLEAN", { syscall: "scandir", path: `/${path}`, detail });
}

/** What is wrong with a directory whose path has more than TREE_PATH_MAX characters. */
export function tooDeep(path: string): DaxError {
  return new DaxError("ENAMETOOLONG", {
    syscall: "scandir",
    path: `${path.slice(0, 64)}…`,
    detail: `directories inside each other, with a path of ${path.length} characters`,
  });
}

/** Entries as strcmp(3) sorts their names. @throws EUCLEAN for a name that is none */
export function sortedEntries(directory: Inode, path = ""): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (const entry of directory.readdir(0)) {
    const { name, ino } = entry;
    if (name === "." || name === "..") continue;
    if (name === "" || /[/\0]/u.test(name)) {
      throw corrupt(path, `entry for inode ${ino} has the name ${JSON.stringify(name)}`);
    }
    entries.push(entry);
  }
  return entries.toSorted((a, b) => compareNames(a.name, b.name));
}

/**
 * Visits `start` and all below it; mount points are not crossed. Entries come as in an archive of
 * `tar --sort=name`. With `onDamage` it goes on past what the filesystem cannot give.
 * @throws EUCLEAN for names that are none, a directory with two names, an entry for no inode;
 *   ENAMETOOLONG for directories nested beyond TREE_PATH_MAX; what the filesystem throws, with the
 *   path
 */
export function* walkSubtree(start: Inode, onDamage?: OnDamage): Generator<Visit, void> {
  const first: Visit = { inode: start, path: "", depth: 0, leaving: false };
  yield first;
  if (!isDirectory(start.mode)) return;
  const entered = new Set([start.ino]);
  const levels = [tolerate(onDamage, first.path, () => open(first)) ?? empty(first)];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const entry = level.entries[level.next++];
    if (entry === undefined) {
      yield { ...level.visit, leaving: true };
      levels.pop();
      continue;
    }
    const visit = tolerate(onDamage, level.visit.path, () => {
      const found = visitOf(level.visit, entry);
      refuseSecond(found, entered);
      return found;
    });
    if (visit === undefined) continue;
    yield visit;
    if (!isDirectory(visit.inode.mode)) continue;
    entered.add(visit.inode.ino);
    levels.push(tolerate(onDamage, visit.path, () => open(visit)) ?? empty(visit));
  }
}

/** What `body` gives; damage is told to `onDamage` when there is one, and thrown otherwise. */
export function tolerate<T>(
  onDamage: OnDamage | undefined,
  path: string,
  body: () => T,
): T | undefined {
  try {
    return body();
  } catch (thrown) {
    const error = located(thrown, path);
    if (onDamage === undefined || !isDaxError(error, ...DAMAGE)) throw error;
    onDamage(error);
    return undefined;
  }
}

/** What is wrong with one file, and leaves the others readable. */
const DAMAGE = ["EUCLEAN", "EBADMSG", "EIO", "EHWPOISON", "ESTALE", "ENAMETOOLONG"] as const;

function refuseSecond({ inode, path }: Visit, entered: ReadonlySet<number>): void {
  if (!isDirectory(inode.mode) || !entered.has(inode.ino)) return;
  throw corrupt(path, `directory inode ${inode.ino} is here for the second time`);
}

function empty(visit: Visit): Level {
  return { visit, entries: [], next: 0 };
}

function open(visit: Visit): Level {
  if (visit.path.length > TREE_PATH_MAX) throw tooDeep(visit.path);
  try {
    return { visit, entries: sortedEntries(visit.inode, visit.path), next: 0 };
  } catch (error) {
    throw located(error, visit.path);
  }
}

function visitOf({ inode, path, depth }: Visit, { name, ino }: DirectoryEntry): Visit {
  const below = path === "" ? name : `${path}/${name}`;
  try {
    const child = inode.filesystem.inode(ino);
    return { inode: child, path: below, depth: depth + 1, leaving: false };
  } catch (error) {
    if (isDaxError(error, "ESTALE")) throw corrupt(below, `its inode ${ino} is not in use`);
    throw located(error, below);
  }
}

/** An error of the filesystem, with the place where it was met. */
export function located(error: unknown, path: string): unknown {
  if (!isDaxError(error) || error.path !== undefined) return error;
  return error.at({ path: `/${path}` });
}
