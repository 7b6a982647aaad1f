/**
 * `daxkit put`.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { isDirectory } from "../../vfs/modes.ts";
import { CHANGE_STATUSES, type ChangedPath, umask, withChanges } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { nameOf } from "../copy-into.ts";
import { destinations } from "../destinations.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { adjustMode, parseMode } from "../mode-words.ts";

/** Standard input, as tools name it. */
const STANDARD_INPUT = "-";

export const put = command({
  name: "put",
  summary: "write files into an image",
  description: [
    "Copies files of this machine, or standard input for -, into an image: into DEST when it is " +
      "a directory, over it when it is a file, which keeps its owner, mode and names. New files " +
      "belong to root and are as old as now; -p keeps what the source has. Directories are " +
      "copied by 'daxkit cp -r'.",
  ],
  json: "lines",
  operands: [{ name: "FILE", text: "what to write, and last IMAGE:DEST", count: "many" }],
  options: {
    mode: { type: "text", short: "m", value: "MODE", text: "permissions, as chmod takes them" },
    preserve: { type: "flag", short: "p", text: "keep owner, mode and times" },
    parents: { type: "flag", short: "D", text: "make directories above DEST" },
    "no-clobber": { type: "flag", short: "n", text: "what is there already stays" },
    "no-target-directory": {
      type: "flag",
      short: "T",
      text: "write DEST itself, even when it is a directory",
    },
    "target-directory": {
      type: "text",
      short: "t",
      value: "IMAGE:DIR",
      text: "write all into this directory",
    },
    verbose: { type: "flag", short: "v", text: "print each file that is written" },
    ...IMAGE_OPTIONS,
  },
  exclusive: [...IMAGE_EXCLUSIVE, ["no-target-directory", "target-directory"]],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit put fstab disk.img:/etc/fstab", text: "writes a file" },
    { line: "curl -s URL | daxkit put -m 755 - disk.img:/usr/bin/tool", text: "from a pipe" },
    {
      line: "daxkit put -D *.conf disk.img:/etc/app/",
      text: "writes several, and makes the place",
    },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const [{ copyInto }, { hostSource, streamSource }] = await Promise.all([
      import("../../node/image/copy-in.ts"),
      import("../../node/image/copy-source.ts"),
    ]);
    const bits = values.mode === undefined ? undefined : parseMode(values.mode);
    const mode = bits === undefined ? {} : { mode: adjustMode(0, false, umask(), bits).mode };
    return withChanges(invocation, (changes) => {
      changes.verbose = values.verbose;
      if (values.parents) {
        const word = values["target-directory"] ?? operands.at(-1) ?? "";
        const several = values["target-directory"] !== undefined || operands.length > 2;
        makeAbove(changes.open(word), several);
      }
      for (const { source, target } of destinations(operands, values, changes)) {
        const input = source === STANDARD_INPUT;
        changes.attempt(`cannot write '${source}'`, () => {
          const to = target(input ? STANDARD_INPUT : nameOf(source));
          if (input && to.path.endsWith(`/${STANDARD_INPUT}`)) {
            throw new UsageError("standard input has no name: give the file's, IMAGE:/PATH");
          }
          const from = input ? streamSource(0, "standard input") : hostSource(source, true);
          if (isDirectory(from.mode)) {
            throw new DaxError("EISDIR", { detail: "'daxkit cp -r' copies directories" });
          }
          const bytes = copyInto(to.tree, to.path, from, {
            ...mode,
            keep: values.preserve,
            keepThere: values.preserve,
            umask: umask(),
            noClobber: values["no-clobber"],
            onFile: (path) => {
              const record = { image: to.image, path, change: "written", from: from.shown };
              changes.tell(`'${from.shown}' -> '${to.word}'`, record);
            },
          });
          return bytes;
        });
      }
    });
  },
});

/** Makes the directories above a place, or the place itself, as far as they are not there. */
function makeAbove({ tree, path }: ChangedPath, itself: boolean): void {
  const names = path.split("/").filter((name) => name !== "");
  if (!itself && !path.endsWith("/")) names.pop();
  for (let count = 1; count <= names.length; count++) {
    try {
      tree.mkdir(`/${names.slice(0, count).join("/")}`, { umask: umask() });
    } catch (error) {
      if (!isDaxError(error, "EEXIST")) throw error;
    }
  }
}
