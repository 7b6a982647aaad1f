/**
 * Names of directories that are walked through again and again: what the dentry cache of a kernel
 * is for. A linear directory costs a search of all its blocks for every name otherwise.
 *
 * Whoever adds, removes or renames entries through the tree says so ({@link NameCache.added},
 * {@link NameCache.removed}), which keeps what is known. A filesystem that others change too says
 * by `namesGeneration` that a directory is another than before.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { Filesystem, Inode } from "./filesystem.ts";

/** Lookups in a directory before its names are worth reading all at once. */
const PATIENCE = 12;
/** Names kept at most, over all directories; a directory of more is never kept. */
const CAPACITY = 100_000;

/** Directories that are remembered without their names, at most. */
const MOST_DIRECTORIES = 16_384;

/** What is known of one directory. */
interface Known {
  lookups: number;
  /** What the directory said of itself when this was true. */
  generation: number | undefined;
  /** Undefined until it is worth it. */
  names: Map<string, number> | undefined;
}

/** Names of the directories of a tree, the least recently read ones dropped first. */
export class NameCache {
  #filesystems = new WeakMap<Filesystem, Map<number, Known>>();
  readonly #kept = new Set<Known>();
  #size = 0;

  /** As `directory.lookup(name)`, from memory where that pays. @throws what the lookup throws */
  lookup(directory: Inode, name: string): Inode | undefined {
    const known = this.#knownOf(directory);
    if (known.generation !== directory.namesGeneration) {
      this.#drop(known);
      known.generation = directory.namesGeneration;
    }
    if (known.names === undefined && ++known.lookups === PATIENCE) this.#read(directory, known);
    else if (known.names !== undefined) {
      const ino = known.names.get(name);
      return ino === undefined ? undefined : inodeOf(directory, name, ino);
    }
    return directory.lookup(name);
  }

  /** A directory that was just searched has a name, which may have led elsewhere before. */
  added(directory: Inode, name: string, ino: number): void {
    const known = this.#knownOf(directory);
    known.generation = directory.namesGeneration;
    if (known.names === undefined) return;
    const before = known.names.size;
    known.names.set(name, ino);
    this.#size += known.names.size - before;
    this.#dropOldest();
  }

  /** A directory that was just searched has a name less. */
  removed(directory: Inode, name: string): void {
    const known = this.#knownOf(directory);
    known.generation = directory.namesGeneration;
    if (known.names?.delete(name) === true) this.#size--;
  }

  /** Forgets everything. */
  forget(): void {
    this.#filesystems = new WeakMap();
    this.#kept.clear();
    this.#size = 0;
  }

  #knownOf({ filesystem, ino, namesGeneration: generation }: Inode): Known {
    let directories = this.#filesystems.get(filesystem);
    if (directories === undefined) {
      this.#filesystems.set(filesystem, (directories = new Map<number, Known>()));
    }
    let known = directories.get(ino);
    if (known === undefined) {
      if (directories.size >= MOST_DIRECTORIES) forgetNameless(directories);
      directories.set(ino, (known = { lookups: 0, generation, names: undefined }));
    }
    return known;
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

/** Those whose names are kept are few, since each has some. */
function forgetNameless(directories: Map<number, Known>): void {
  for (const [ino, { names }] of directories) if (names === undefined) directories.delete(ino);
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
