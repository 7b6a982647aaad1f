/**
 * `daxkit ln`.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { isDirectory } from "../../vfs/modes.ts";
import {
  CHANGE_STATUSES,
  type ChangedPath,
  type Changes,
  lastName,
  withChanges,
} from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { destinations, modeOf } from "../destinations.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";

export const ln = command({
  name: "ln",
  summary: "make links in an image",
  description: [
    "Gives a file another name: both are IMAGE:PATH, in one image. With -s makes a symbolic " +
      "link, whose TARGET is a text as it shall stand in the link, without an image. DEST may " +
      "be a directory, in which the link gets the target's last name.",
  ],
  json: "lines",
  operands: [{ name: "TARGET", text: "what is linked to, and IMAGE:DEST", count: "many" }],
  options: {
    symbolic: { type: "flag", short: "s", text: "make symbolic links" },
    force: { type: "flag", short: "f", text: "replace what is there" },
    "no-dereference": {
      type: "flag",
      short: "n",
      text: "a link to a directory is not entered but replaced",
    },
    "no-target-directory": {
      type: "flag",
      short: "T",
      text: "make the link as DEST, even when it is a directory",
    },
    "target-directory": {
      type: "text",
      short: "t",
      value: "IMAGE:DIR",
      text: "make all links in this directory",
    },
    logical: { type: "flag", short: "L", text: "follow links when a file gets a name" },
    physical: { type: "flag", short: "P", text: "do not, as without it" },
    verbose: { type: "flag", short: "v", text: "print each link that is made" },
    ...IMAGE_OPTIONS,
  },
  exclusive: [
    ...IMAGE_EXCLUSIVE,
    ["no-target-directory", "target-directory"],
    ["logical", "physical"],
  ],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit ln -s ../run disk.img:/var/run", text: "makes a symbolic link" },
    { line: "daxkit ln disk.img:/bin/vi disk.img:/bin/view", text: "gives a file a second name" },
    { line: "daxkit ln -sfn v2 disk.img:/srv/current", text: "turns a link to another place" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    if (operands.length < 2 && values["target-directory"] === undefined) {
      throw new UsageError("ln takes a target and IMAGE:DEST");
    }
    return withChanges(invocation, (changes) => {
      changes.verbose = values.verbose;
      for (const { source, target } of destinations(operands, values, changes)) {
        if (values.symbolic) {
          const to = target(lastName(source));
          changes.attempt(`failed to create symbolic link '${to.word}'`, () =>
            makeSymbolic(source, to, values.force, changes),
          );
        } else {
          changes.attempt(`failed to create hard link to '${source}'`, () => {
            const file = changes.open(source);
            makeHard(file, target(lastName(file.path)), values, changes);
          });
        }
      }
    });
  },
});

function makeSymbolic(text: string, to: ChangedPath, force: boolean, changes: Changes): void {
  const { tree, path, image, word } = to;
  if (force) clear(to);
  tree.symlink(text, path);
  changes.tell(`'${word}' -> '${text}'`, { image, path, change: "linked", target: text });
}

interface LinkChoices {
  readonly force: boolean;
  readonly logical: boolean;
}

function makeHard(from: ChangedPath, to: ChangedPath, values: LinkChoices, changes: Changes): void {
  const { tree, path, image, word } = to;
  if (from.volume !== to.volume) {
    throw new UsageError(`'${from.word}' and '${word}' are in different images; -s links across`);
  }
  const { inode } = tree.locate(from.path, { syscall: "link", follow: values.logical });
  if (isDirectory(inode.mode)) {
    changes.refuse(`'${from.word}': hard link not allowed for directory`);
    return;
  }
  if (values.force && isSame(to, inode.ino)) {
    changes.refuse(`'${from.word}' and '${word}' are the same file`);
    return;
  }
  if (values.force) clear(to);
  tree.link(from.path, path, { follow: values.logical });
  changes.tell(`'${word}' => '${from.word}'`, { image, path, change: "linked", to: from.path });
}

function isSame({ tree, path }: ChangedPath, ino: number): boolean {
  try {
    return tree.lstat(path).ino === ino;
  } catch {
    return false;
  }
}

/** Takes away what has the name. @throws EISDIR */
function clear(to: ChangedPath): void {
  const mode = modeOf(to, false);
  if (mode === undefined) return;
  if (isDirectory(mode)) {
    const detail = "a directory is not replaced by a link";
    throw new DaxError("EISDIR", { syscall: "unlink", path: to.path, detail });
  }
  try {
    to.tree.unlink(to.path);
  } catch (error) {
    if (!isDaxError(error, "ENOENT")) throw error;
  }
}
