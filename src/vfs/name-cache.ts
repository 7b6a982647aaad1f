/**
 * Names of directories that are walked through again and again: what the dentry cache of a kernel
 * is for. A linear directory costs a search of all its blocks for every name otherwise.
 *
 * Whoever adds, removes or renames entries says so: {@link NameCache.added},
 * {@link NameCache.removed}, or {@link NameCache.forget} when he cannot say what.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { Inode } from "./filesystem.ts";

/** Lookups in a directory before its names are worth reading all at once. */
const PATIENCE = 12;
/** Names kept at most, over all directories; a directory of more is never kept. */
const CAPACITY = 100_000;

/** What is known of one directory. */
interface Known {
  lookups: number;
  /** Undefined until it is worth it. */
  names: Map<string, number> | undefined;
}

/** Names of the directories of a tree, the least recently read ones dropped first. */
export class NameCache {
  #directories = new WeakMap<Inode, Known>();
  readonly #kept = new Set<Known>();
  #size = 0;

  /** As `directory.lookup(name)`, from memory where that pays. @throws what the lookup throws */
  lookup(directory: Inode, name: string): Inode | undefined {
    const known = this.#directories.get(directory);
    if (known?.names !== undefined) {
      const ino = known.names.get(name);
      return ino === undefined ? undefined : inodeOf(directory, name, ino);
    }
    if (known === undefined) {
      this.#directories.set(directory, { lookups: 1, names: undefined });
    } else if (++known.lookups === PATIENCE) this.#read(directory, known);
    return directory.lookup(name);
  }

  /** A directory has a name, which may have led elsewhere before. */
  added(directory: Inode, name: string, ino: number): void {
    const known = this.#directories.get(directory);
    if (known?.names === undefined) return;
    const before = known.names.size;
    known.names.set(name, ino);
    this.#size += known.names.size - before;
    if (this.#size > CAPACITY) this.#dropOldest();
  }

  /** A directory has a name less. */
  removed(directory: Inode, name: string): void {
    if (this.#directories.get(directory)?.names?.delete(name) === true) this.#size--;
  }

  /** Forgets everything, or what it knows of one directory. */
  forget(directory?: Inode): void {
    if (directory !== undefined) {
      const known = this.#directories.get(directory);
      if (known !== undefined) this.#drop(known);
      return;
    }
    this.#directories = new WeakMap();
    this.#kept.clear();
    this.#size = 0;
  }

  #read(directory: Inode, known: Known): void {
    const names = namesOf(directory);
    if (names === undefined) return;
    known.names = names;
    this.#kept.add(known);
    this.#size += names.size;
    this.#dropOldest();
  }

  #dropOldest(): void {
    for (const oldest of this.#kept) {
      if (this.#size <= CAPACITY) break;
      this.#drop(oldest);
    }
  }

  #drop(known: Known): void {
    this.#kept.delete(known);
    this.#size -= known.names?.size ?? 0;
    known.names = undefined;
    known.lookups = 0;
  }
}

function inodeOf(directory: Inode, name: string, ino: number): Inode | undefined {
  try {
    return directory.filesystem.inode(ino);
  } catch (error) {
    // An entry for no inode: the directory's own lookup knows how to call it.
    if (isDaxError(error, "ESTALE")) return directory.lookup(name);
    throw error;
  }
}

/** All names; undefined where they are too many, or where the directory is damaged somewhere. */
function namesOf(directory: Inode): Map<string, number> | undefined {
  const names = new Map<string, number>();
  try {
    for (const { name, ino } of directory.readdir(0)) {
      // Of two entries with one name a search finds the first.
      if (!names.has(name)) names.set(name, ino);
      if (names.size > CAPACITY) return undefined;
    }
  } catch (error) {
    // A search may end in front of the damage: it must go on doing so.
    if (isDaxError(error)) return undefined;
    throw error;
  }
  return names;
}
