/**
 * Everything below a place of a tree that is open for writing, for commands with -R: no name longer
 * than a path may be has to be written, and a hostile tree cannot trap the walk.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { FileTree } from "../vfs/file-tree.ts";
import { isDirectory } from "../vfs/modes.ts";
import type { Location } from "../vfs/mounts.ts";
import { sortedEntries } from "../vfs/subtree.ts";
import { below } from "./changes.ts";

/** A file that the walk met. */
export interface Met {
  readonly location: Location;
  /** The directory that holds it; undefined for the start. */
  readonly parent: Location | undefined;
  /** In its directory. */
  readonly name: string;
  /** As messages call it. */
  readonly word: string;
  /** Directories are met twice with `both`: before and behind what is in them. */
  readonly leaving: boolean;
}

/** What goes wrong with one file; the walk goes on without it. */
export type OnTrouble = (word: string, error: unknown) => void;

interface Level {
  readonly met: Met;
  readonly names: readonly string[];
  next: number;
}

/**
 * Meets `start` and all below it; links are not followed, and names are read before any is met, so
 * that whoever is met may go.
 */
export function* walkBelow(
  tree: FileTree,
  start: Location,
  word: string,
  onTrouble: OnTrouble,
): Generator<Met, void> {
  const first: Met = { location: start, parent: undefined, name: "", word, leaving: false };
  yield first;
  if (!isDirectory(start.inode.mode)) return;
  const entered = new Set([start.inode.ino]);
  const levels: Level[] = [level(first, onTrouble)];
  for (let top = levels.at(-1); top !== undefined; top = levels.at(-1)) {
    const name = top.names[top.next++];
    if (name === undefined) {
      levels.pop();
      yield { ...top.met, leaving: true };
      continue;
    }
    const met = meet(tree, top.met, name, entered, onTrouble);
    if (met === undefined) continue;
    // Whoever meets it may remove it: what is asked of it is asked before.
    const { mode, ino } = met.location.inode;
    yield met;
    if (!isDirectory(mode)) continue;
    entered.add(ino);
    levels.push(level(met, onTrouble));
  }
}

function level(met: Met, onTrouble: OnTrouble): Level {
  try {
    const names = sortedEntries(met.location.inode).map((entry) => entry.name);
    return { met, names, next: 0 };
  } catch (error) {
    onTrouble(met.word, error);
    return { met, names: [], next: 0 };
  }
}

function meet(
  tree: FileTree,
  { location: from, word: above }: Met,
  name: string,
  entered: ReadonlySet<number>,
  onTrouble: OnTrouble,
): Met | undefined {
  const word = below(above, name);
  try {
    const location = tree.locate(name, { from, follow: false });
    const { inode } = location;
    if (isDirectory(inode.mode) && entered.has(inode.ino)) {
      const detail = `directory inode ${inode.ino} is here for the second time`;
      throw new DaxError("EUCLEAN", { syscall: "scandir", detail });
    }
    return { location, parent: from, name, word, leaving: false };
  } catch (error) {
    onTrouble(word, error);
    return undefined;
  }
}
