/**
 * Removing a file, or a directory with all that is in it, and telling of it.
 *
 * @module
 */
import { isDirectory } from "../vfs/modes.ts";
import { walkBelow } from "./below.ts";
import type { ChangedPath, Changes } from "./changes.ts";
import { isOperatingError } from "./errors.ts";

/** Removes a name that is no directory. @throws as `FileTree.unlink` */
export function removeFile({ tree, path, word, image }: ChangedPath, changes: Changes): void {
  tree.unlink(path);
  changes.tell(`removed '${word}'`, { image, path, change: "removed" });
}

/** Removes a directory that is empty. @throws as `FileTree.rmdir` */
export function removeDirectory({ tree, path, word, image }: ChangedPath, changes: Changes): void {
  tree.rmdir(path);
  changes.tell(`removed directory '${word}'`, { image, path, change: "removed" });
}

/**
 * Removes what a path names; what cannot be removed is reported, and the directories that hold it
 * stay. True when all of it is gone.
 */
export function removeTree(place: ChangedPath, changes: Changes): boolean {
  const { tree, path, word, image } = place;
  let left = 0;
  const trouble = (where: string, error: unknown): void => {
    if (!isOperatingError(error)) throw error;
    left++;
    changes.complain(`cannot remove '${where}'`, error);
  };
  /** How much was left when each directory was entered: one with leavings is not empty. */
  const before: number[] = [];
  const start = tree.locate(path, { syscall: "unlink", follow: false });
  for (const { location, parent, name, word: where, leaving } of walkBelow(
    tree,
    start,
    word,
    trouble,
  )) {
    const directory = isDirectory(location.inode.mode);
    if (directory && !leaving) before.push(left);
    if (directory && !leaving) continue;
    if (directory && (before.pop() as number) !== left) continue;
    const from = parent === undefined ? {} : { from: parent };
    const target = parent === undefined ? path : name;
    try {
      if (directory) tree.rmdir(target, from);
      else tree.unlink(target, from);
      const what = directory ? "removed directory" : "removed";
      changes.tell(`${what} '${where}'`, { image, path: inImage(where, image), change: "removed" });
    } catch (error) {
      trouble(where, error);
    }
  }
  return left === 0;
}

/** The path that a word names. */
function inImage(word: string, image: string): string {
  const path = word.slice(image.length + 1);
  return path.startsWith("/") ? path : `/${path}`;
}
