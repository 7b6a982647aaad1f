/**
 * `daxkit mkdir`.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { isDirectory } from "../../vfs/modes.ts";
import { CHANGE_STATUSES, type ChangedPath, umask, withChanges } from "../changes.ts";
import { command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { type ModeChange, adjustMode, parseMode } from "../mode-words.ts";

export const mkdir = command({
  name: "mkdir",
  summary: "make directories in an image",
  description: ["Makes directories as mkdir does; they belong to root."],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a directory to make", count: "many" }],
  options: {
    parents: { type: "flag", short: "p", text: "make parents too; what is there is no error" },
    mode: { type: "text", short: "m", value: "MODE", text: "permissions, as chmod takes them" },
    verbose: { type: "flag", short: "v", text: "print each directory that is made" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit mkdir disk.img:/srv", text: "makes a directory" },
    { line: "daxkit mkdir -p -m 750 disk.img:/var/lib/app/data", text: "and its parents" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const mode = values.mode === undefined ? undefined : parseMode(values.mode);
    return withChanges(invocation, (changes) => {
      changes.verbose = values.verbose;
      changes.each(operands, "cannot create directory", (place) => {
        const made = values.parents ? makeAll(place, mode) : makeOne(place, mode);
        for (const path of made) {
          const { image } = place;
          const record = { image, path, change: "created" };
          changes.tell(`created directory '${image}:${path}'`, record);
        }
      });
    });
  },
});

function makeOne(place: ChangedPath, mode: ModeChange | undefined): string[] {
  make(place.tree, place.path, mode);
  return [place.path];
}

/** The directories that were not there; parents can be entered by their owner. */
function makeAll({ tree, path }: ChangedPath, mode: ModeChange | undefined): string[] {
  const names = path.split("/").filter((name) => name !== "");
  const made: string[] = [];
  for (let count = 1; count <= names.length; count++) {
    const prefix = `/${names.slice(0, count).join("/")}`;
    const last = count === names.length;
    try {
      if (last) make(tree, prefix, mode);
      else tree.mkdir(prefix, { mode: (0o777 & ~umask()) | 0o300 });
      made.push(prefix);
    } catch (error) {
      if (!isDaxError(error, "EEXIST")) throw error;
      // A link that leads nowhere is in the way as well.
      const there = found(tree, prefix);
      if (there === undefined || (last && !isDirectory(there))) throw error;
    }
  }
  return made;
}

/** The mode of what is at a path; undefined where nothing is. */
function found(tree: FileTree, path: string): number | undefined {
  try {
    return tree.stat(path).mode;
  } catch (error) {
    if (isDaxError(error, "ENOENT")) return undefined;
    throw error;
  }
}

function make(tree: FileTree, path: string, change: ModeChange | undefined): void {
  const { mode, decided } =
    change === undefined ? { mode: 0o777, decided: 0 } : adjustMode(0o777, true, umask(), change);
  const inode = tree.mkdir(path, change === undefined ? { mode, umask: umask() } : { mode });
  if (change === undefined) return;
  // What the parent passes on stays, unless the mode speaks of it.
  const wanted = mode | (inode.mode & 0o7777 & ~decided);
  if (wanted !== (inode.mode & 0o7777)) tree.chmod(path, wanted);
}
