/**
 * What a volume held after each call of a workload, as far as a program can see it: names, kinds,
 * modes and contents, but no times.
 *
 * @module
 */
import type { VolumeFs } from "../facade/facade.ts";

/** What is where: a path leads to what can be seen of it. */
export type Sight = ReadonlyMap<string, string>;

/** What a volume held, after the first so many calls. */
export interface History {
  /** After setup, after each call that may change something, in order. */
  readonly sights: readonly Sight[];
  /** How many sights there were at each promise: the last of them is what was promised. */
  readonly promised: readonly number[];
}

/** Entries of a tree that are kept. */
const MOST_ENTRIES = 10_000;

/** All that a program can see of a volume. */
export function sightOf(fs: VolumeFs): Sight {
  const sight = new Map<string, string>();
  const visit = (path: string): void => {
    for (const name of fs.readdirSync(path === "" ? "/" : path)) {
      if (path === "" && name === "lost+found") continue;
      const child = `${path}/${name}`;
      if (sight.size > MOST_ENTRIES) throw new Error("the volume holds too much to be compared");
      sight.set(child, seenAt(fs, child));
      if (fs.lstatSync(child).isDirectory()) visit(child);
    }
  };
  visit("");
  return sight;
}

/** What can be seen at one path; `absent` where nothing is. */
export function seenAt(fs: VolumeFs, path: string): string {
  const stats = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return "absent";
  const mode = stats.mode.toString(8);
  if (stats.isFile()) return `file ${mode} ${fs.readFileSync(path, "latin1")}`;
  if (stats.isSymbolicLink()) return `link ${fs.readlinkSync(path)}`;
  return stats.isDirectory() ? `directory ${mode}` : `other ${mode}`;
}
