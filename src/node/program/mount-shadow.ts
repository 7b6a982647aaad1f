/**
 * What the machine itself has at the path of a mount: a program that goes around `node:fs` writes
 * there.
 *
 * @module
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Entries that are looked at. */
const MOST_ENTRIES = 10_000;

/** Names, sizes and times of all that lies below a directory; empty where there is none. */
export function shadowOf(directory: string): ReadonlyMap<string, string> {
  const seen = new Map<string, string>();
  const visit = (path: string): void => {
    if (seen.size > MOST_ENTRIES) return;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return;
    seen.set(path, `${stats.ino} ${stats.size} ${stats.mtimeMs}`);
    if (stats.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
  };
  try {
    visit(directory);
  } catch {
    // What cannot be read is as it was.
  }
  return seen;
}

/** The first path that is not as it was; undefined: all are. */
export function shadowDifference(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string | undefined {
  const changed = [...after].filter(([path, seen]) => before.get(path) !== seen);
  // The deepest one: a directory has changed because of what is in it.
  return changed.toSorted(([a], [b]) => b.length - a.length)[0]?.[0];
}
