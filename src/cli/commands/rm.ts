/**
 * `daxkit rm`.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { isDirectory } from "../../vfs/modes.ts";
import {
  CHANGE_STATUSES,
  type ChangedPath,
  type Changes,
  lastName,
  withChanges,
} from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { inodeAt } from "../destinations.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { removeDirectory, removeFile, removeTree } from "../remove-tree.ts";

export const rm = command({
  name: "rm",
  summary: "remove files and directories of an image",
  description: [
    "Removes as rm does, and asks nothing. What cannot be removed is reported; the rest goes. " +
      "The root of an image is never removed.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "what to remove", count: "any" }],
  options: {
    recursive: { type: "flag", short: "r", text: "directories with all that is in them" },
    "recursive-too": { type: "flag", short: "R", text: "the same as -r" },
    directory: { type: "flag", short: "d", text: "directories that are empty" },
    force: { type: "flag", short: "f", text: "what is not there is no error" },
    verbose: { type: "flag", short: "v", text: "print what is removed" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit rm disk.img:/etc/machine-id", text: "removes a file" },
    { line: "daxkit rm -rf disk.img:/var/cache disk.img:/tmp/x", text: "removes directories" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    if (operands.length === 0 && !values.force) throw new UsageError("IMAGE:PATH is missing");
    const recursive = values.recursive || values["recursive-too"];
    return withChanges(invocation, (changes) => {
      changes.verbose = values.verbose;
      changes.each(operands, "cannot remove", (place) => {
        remove(place, { ...values, recursive }, changes);
      });
    });
  },
});

interface RemoveChoices {
  readonly recursive: boolean;
  readonly directory: boolean;
  readonly force: boolean;
}

/** What rm(1) does not do, whatever it is told. */
function isRefused({ path, word }: ChangedPath, changes: Changes): boolean {
  const last = lastName(path);
  if (last === "." || last === "..") {
    changes.refuse(`refusing to remove '.' or '..' directory: skipping '${word}'`);
    return true;
  }
  if (last !== "/") return false;
  changes.refuse(`refusing to remove the root: skipping '${word}' (mkfs empties an image)`);
  return true;
}

function remove(place: ChangedPath, choices: RemoveChoices, changes: Changes): void {
  const mode = modeOf(place, choices.force);
  if (mode === undefined) return;
  if (!choices.recursive && choices.directory && isDirectory(mode)) assertEmpty(place);
  // A directory that is not asked for is one, whatever it is called.
  if ((choices.recursive || choices.directory) && isRefused(place, changes)) return;
  if (!isDirectory(mode)) {
    removeFile(place, changes);
  } else if (choices.recursive) {
    removeTree(place, changes);
  } else if (choices.directory) {
    removeDirectory(place, changes);
  } else {
    changes.refuse(`cannot remove '${place.word}': EISDIR: it is a directory; -r removes it`);
  }
}

/** As with rm -d, that comes before how the directory is called. @throws ENOTEMPTY */
function assertEmpty({ tree, path }: ChangedPath): void {
  const { done = true } = tree.readdir(path).next();
  if (!done) throw new DaxError("ENOTEMPTY", { syscall: "rmdir", path });
}

/** Undefined when `force` lets it be missing. @throws ENOENT, ENOTDIR */
function modeOf(place: ChangedPath, force: boolean): number | undefined {
  if (force) return inodeAt(place, "unlink")?.mode;
  return place.tree.lstat(place.path, { syscall: "unlink" }).mode;
}
