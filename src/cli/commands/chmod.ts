/**
 * `daxkit chmod`.
 *
 * @module
 */
import { changeMode } from "../../vfs/attribute-changes.ts";
import { isDirectory, isSymlink } from "../../vfs/modes.ts";
import { type ChangedFile, SAYING_OPTIONS, changeAttributes } from "../change-attributes.ts";
import { CHANGE_STATUSES, type Changes, umask } from "../changes.ts";
import { command } from "../command.ts";
import { IMAGE_EXCLUSIVE } from "../images.ts";
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
    ...SAYING_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit chmod 600 disk.img:/etc/shadow", text: "sets a mode" },
    { line: "daxkit chmod -R u=rwX,go=rX disk.img:/srv", text: "opens a tree to readers" },
    { line: "daxkit chmod -w disk.img:/etc/motd", text: "takes a permission away" },
  ],
  run(invocation) {
    return changeAttributes<ModeChange>(invocation, {
      syscall: "chmod",
      follow: true,
      parse: parseMode,
      take: ({ mode }) => parseMode((mode & 0o7777).toString(8).padStart(5, "0")),
      apply(file, change, changes) {
        const all = invocation.values.verbose;
        // Only -R meets a link: what is named was followed.
        if (!isSymlink(file.inode.mode)) apply(file, change, all, changes);
        else if (all) changes.tell(leftAlone(file.word), { image: file.image, change: "none" });
      },
    });
  },
});

function leftAlone(word: string): string {
  return `neither symbolic link '${word}' nor referent has been changed`;
}

/** With `all`, what stays is told of as well. */
function apply(file: ChangedFile, change: ModeChange, all: boolean, changes: Changes): void {
  const { inode, word, image } = file;
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
