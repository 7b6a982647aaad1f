/**
 * `daxkit truncate`.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import { CHANGE_STATUSES, type ChangedPath, type Changes, umask, withChanges } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { parseSizeRule } from "../relative-size.ts";

export const truncate = command({
  name: "truncate",
  summary: "give files of an image a size",
  description: [
    "Cuts files or makes them longer, with a hole at the end; a file that is not there is made. " +
      "SIZE is a number with K, M, G, T (KB is 1000), with + or - to grow or shrink by, < for at " +
      "most, > for at least, / and % for down and up to a multiple.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a file", count: "many" }],
  options: {
    size: { type: "text", short: "s", value: "SIZE", text: "the size, or how it changes" },
    reference: { type: "text", short: "r", value: "IMAGE:PATH", text: "the size of this file" },
    "no-create": { type: "flag", short: "c", text: "make no files" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit truncate -s 1G disk.img:/swapfile", text: "makes a file of a hole" },
    { line: "daxkit truncate -s -512 disk.img:/log", text: "cuts the last 512 bytes" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const { size: text, reference } = values;
    if (text === undefined && reference === undefined) {
      throw new UsageError("give a size, -s SIZE or -r IMAGE:PATH");
    }
    if (reference !== undefined && text !== undefined && /^\s*\d/u.test(text)) {
      throw new UsageError("with -r, -s changes that size: write +, -, <, >, / or % in front");
    }
    const rule = text === undefined ? (size: number) => size : parseSizeRule(text, "-s");
    return withChanges(invocation, (changes) => {
      const base = reference === undefined ? undefined : sizeOf(changes, reference);
      changes.each(operands, "cannot open for writing", (place) => {
        const before = cut(place, (size) => rule(base ?? size), values["no-create"]);
        if (before === undefined) return;
        const { image, path, tree } = place;
        const { size } = tree.stat(path).attributes();
        changes.tell("", { image, path, change: "size", before, size });
      });
    });
  },
});

function sizeOf(changes: Changes, word: string): number {
  const { tree, path } = changes.openToRead(word);
  return tree.stat(path).attributes().size;
}

/** The size before; undefined for a file that is not there and is not made. */
function cut(
  { tree, path }: ChangedPath,
  rule: (size: number) => number,
  noCreate: boolean,
): number | undefined {
  try {
    const options = { access: "write", create: !noCreate, umask: umask() } as const;
    const file = tree.open(path, options);
    try {
      const { size } = file.attributes();
      file.truncate(rule(size));
      return size;
    } finally {
      file.close();
    }
  } catch (error) {
    if (noCreate && isDaxError(error, "ENOENT")) return undefined;
    throw error;
  }
}
