/**
 * `daxkit chmod`.
 *
 * @module
 */
import { changeMode } from "../../vfs/attribute-changes.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import { isDirectory, isSymlink } from "../../vfs/modes.ts";
import { walkBelow } from "../below.ts";
import { CHANGE_STATUSES, type Changes, umask, withChanges } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { type ModeChange, adjustMode, modeText, parseMode } from "../mode-words.ts";

export const chmod = command({
  name: "chmod",
  summary: "change permissions of files in an image",
  description: [
    "MODE is octal, or symbolic: u=rwX,go-w, +x, g+s, o+t, g=u. Links named on the command line " +
      "are followed, links met with -R are left alone.",
  ],
  json: "lines",
  operands: [
    { name: "MODE", text: "the permissions; none with --reference", complete: [] },
    { name: "IMAGE:PATH", text: "a file or directory", count: "any" },
  ],
  dashedOperand: /^-[rwxXstugo0-7+=,-]+$/u,
  options: {
    recursive: { type: "flag", short: "R", text: "all that is below as well" },
    reference: { type: "text", value: "IMAGE:PATH", text: "take the mode of this file" },
    changes: { type: "flag", short: "c", text: "as -v, but only what changes" },
    silent: { type: "flag", short: "f", text: "say nothing of what cannot be done" },
    verbose: { type: "flag", short: "v", text: "print what becomes of each file" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit chmod 600 disk.img:/etc/shadow", text: "sets a mode" },
    { line: "daxkit chmod -R u=rwX,go=rX disk.img:/srv", text: "opens a tree to readers" },
    { line: "daxkit chmod -w disk.img:/etc/motd", text: "takes a permission away" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const { reference } = values;
    const words = reference === undefined ? operands.slice(1) : operands;
    if (words.length === 0) throw new UsageError("IMAGE:PATH is missing");
    const given = reference === undefined ? parseMode(operands[0] ?? "") : undefined;
    return withChanges(invocation, (changes) => {
      changes.quiet = values.silent;
      changes.verbose = values.verbose || values.changes;
      const change = given ?? modeOf(changes, reference ?? "");
      const wish = { change, all: values.verbose, image: "" };
      changes.each(words, "cannot access", ({ tree, path, word, image }) => {
        const start = tree.locate(path, { syscall: "chmod" });
        if (!values.recursive) {
          apply(start.inode, word, { ...wish, image }, changes);
          return;
        }
        const trouble = changes.trouble("cannot access");
        for (const { location, word: where, leaving } of walkBelow(tree, start, word, trouble)) {
          if (leaving) continue;
          if (isSymlink(location.inode.mode)) {
            if (values.verbose) changes.tell(leftAlone(where), { image, change: "none" });
            continue;
          }
          apply(location.inode, where, { ...wish, image }, changes);
        }
      });
    });
  },
});

function leftAlone(word: string): string {
  return `neither symbolic link '${word}' nor referent has been changed`;
}

/** @throws ENOENT */
function modeOf(changes: Changes, word: string): ModeChange {
  const { tree, path } = changes.openToRead(word);
  return parseMode((tree.stat(path).mode & 0o7777).toString(8).padStart(5, "0"));
}

interface Wish {
  readonly change: ModeChange;
  /** Tell of what stays as well. */
  readonly all: boolean;
  readonly image: string;
}

function apply(inode: Inode, word: string, { change, all, image }: Wish, changes: Changes): void {
  const before = inode.mode & 0o7777;
  const { mode } = adjustMode(before, isDirectory(inode.mode), umask(), change);
  changes.attempt(`changing permissions of '${word}'`, () => {
    changeMode(inode, mode);
    const text =
      mode === before
        ? `mode of '${word}' retained as ${modeText(before)}`
        : `mode of '${word}' changed from ${modeText(before)} to ${modeText(mode)}`;
    if (mode === before && !all) return;
    changes.tell(text, { image, path: word.slice(image.length + 1), change: "mode", before, mode });
  });
}
