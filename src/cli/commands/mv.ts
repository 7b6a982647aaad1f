/**
 * `daxkit mv`.
 *
 * @module
 */
import { statSync } from "node:fs";
import { isNbdUri } from "../../nbd/uri.ts";
import type { copyInto as CopyInto } from "../../node/image/copy-in.ts";
import type { volumeSource as VolumeSource } from "../../node/image/copy-source.ts";
import { isDirectory } from "../../vfs/modes.ts";
import {
  CHANGE_STATUSES,
  type ChangedPath,
  type Changes,
  lastName,
  withChanges,
} from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { isInImage } from "../copy-into.ts";
import { destinations, inodeAt } from "../destinations.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { removeFile, removeTree } from "../remove-tree.ts";

export const mv = command({
  name: "mv",
  summary: "rename or move files in an image, or between images",
  description: [
    "Moves as mv does, and asks nothing: into DEST when it is a directory, in place of it when " +
      "it is a file. Within an image a move is one step, which a power cut leaves done or not " +
      "begun; into another image it is a copy with everything, and the source goes last.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "what to move, and where to", count: "many" }],
  options: {
    "no-clobber": { type: "flag", short: "n", text: "what is there already stays" },
    force: { type: "flag", short: "f", text: "replace what is there, as without it" },
    exchange: { type: "flag", text: "swap the two" },
    "no-target-directory": {
      type: "flag",
      short: "T",
      text: "take the place of DEST, even of a directory",
    },
    "target-directory": {
      type: "text",
      short: "t",
      value: "IMAGE:DIR",
      text: "move all into this directory",
    },
    verbose: { type: "flag", short: "v", text: "print what is moved" },
    ...IMAGE_OPTIONS,
  },
  exclusive: [
    ...IMAGE_EXCLUSIVE,
    ["no-target-directory", "target-directory"],
    ["exchange", "no-clobber"],
  ],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit mv disk.img:/a disk.img:/b", text: "renames a file" },
    { line: "daxkit mv -t disk.img:/old disk.img:/a disk.img:/b", text: "moves two" },
    { line: "daxkit mv --exchange disk.img:/new disk.img:/live", text: "swaps two directories" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    refuseHostPaths(operands, values["target-directory"]);
    const { copyInto } = await import("../../node/image/copy-in.ts");
    const { volumeSource } = await import("../../node/image/copy-source.ts");
    return withChanges(invocation, (changes) => {
      changes.verbose = values.verbose;
      if (values.exchange && operands.length !== 2) {
        throw new UsageError("--exchange takes two paths");
      }
      const choices = {
        ...values,
        "no-target-directory": values["no-target-directory"] || values.exchange,
      };
      for (const { source, target } of destinations(operands, choices, changes)) {
        changes.attempt(`cannot move '${source}'`, () => {
          const from = changes.open(source);
          // What is to be moved is asked for before the place that it goes to.
          from.tree.lstat(from.path, { syscall: "rename" });
          const to = target(lastName(from.path));
          if (from.volume === to.volume) {
            rename(from, to, values, changes);
            return;
          }
          if (values.exchange) throw new UsageError("--exchange works within one image");
          if (values["no-clobber"] && inodeAt(to, "rename") !== undefined) return;
          move(from, to, changes, { copyInto, volumeSource });
        });
      }
    });
  },
});

/** `mv a.img:/log .` is a thing to try. @throws UsageError that says what does it */
function refuseHostPaths(operands: readonly string[], directory: string | undefined): void {
  const sources = directory === undefined ? operands.slice(0, -1) : operands;
  const target = directory ?? operands.at(-1) ?? "";
  const strange = sources.find((word) => !isInImage(word)) ?? (isHost(target) ? target : undefined);
  if (sources.length === 0 || strange === undefined) return;
  const remedy = "mv works in images and between them; 'daxkit cp' copies to and from this machine";
  throw new UsageError(`'${strange}' is no IMAGE:PATH: ${remedy}`);
}

/** Whether a word can be no image, whose root would be meant by its name alone. */
function isHost(word: string): boolean {
  if (isInImage(word) || isNbdUri(word)) return false;
  const found = statSync(word, { throwIfNoEntry: false });
  return found === undefined || found.isDirectory();
}

interface Copier {
  readonly copyInto: typeof CopyInto;
  readonly volumeSource: typeof VolumeSource;
}

/** Into another image: what was copied is durable there before it goes here. */
function move(from: ChangedPath, to: ChangedPath, changes: Changes, copier: Copier): void {
  let left = 0;
  copier.copyInto(to.tree, to.path, copier.volumeSource(from.tree, from.path), {
    recursive: true,
    keep: true,
    xattrs: true,
    onFile(path, { shown }) {
      const record = { image: to.image, path, change: "copied", from: `${from.image}:${shown}` };
      changes.tell(`copied '${from.image}:${shown}' -> '${to.image}:${path}'`, record);
    },
    onTrouble(path, error) {
      left++;
      changes.complain(`cannot move to '${to.image}:${path}'`, error);
    },
  });
  if (left > 0) return;
  to.volume.sync();
  remove(from, changes);
}

interface MoveChoices {
  readonly exchange: boolean;
  readonly "no-clobber": boolean;
}

function rename(from: ChangedPath, to: ChangedPath, values: MoveChoices, changes: Changes): void {
  const { tree } = from;
  if (values.exchange) {
    tree.rename(from.path, to.path, { exchange: true });
    told(from, to, changes, "exchanged");
    return;
  }
  const there = inodeAt(to, "rename");
  if (there !== undefined && values["no-clobber"]) {
    tree.lstat(from.path, { syscall: "rename" });
    return;
  }
  if (there !== undefined && there.ino === tree.lstat(from.path, { syscall: "rename" }).ino) {
    moveOntoItself(from, to, changes);
    return;
  }
  tree.rename(from.path, to.path);
  told(from, to, changes, "renamed");
}

/** Of two names of one file the first goes; rename(2) would leave both. */
function moveOntoItself(from: ChangedPath, to: ChangedPath, changes: Changes): void {
  const [one, other] = [from, to].map(({ tree, path }) => {
    const { parent, name } = tree.locate(path, { follow: false });
    return { directory: parent?.inode.ino, name };
  });
  if (one?.directory === other?.directory && one?.name === other?.name) {
    changes.refuse(`'${from.word}' and '${to.word}' are the same file`);
    return;
  }
  removeFile(from, changes);
}

function remove(from: ChangedPath, changes: Changes): void {
  if (isDirectory(from.tree.lstat(from.path).mode)) removeTree(from, changes);
  else removeFile(from, changes);
}

function told(from: ChangedPath, to: ChangedPath, changes: Changes, change: string): void {
  const record = { image: to.image, path: to.path, change, from: `${from.image}:${from.path}` };
  const arrow = change === "exchanged" ? "<->" : "->";
  changes.tell(`${change} '${from.word}' ${arrow} '${to.word}'`, record);
}
