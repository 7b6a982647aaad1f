/**
 * `daxkit touch`.
 *
 * @module
 */
import type { Timespec } from "../../lib/environment.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { CHANGE_STATUSES, type Changes, umask, withChanges } from "../changes.ts";
import { type Invocation, command } from "../command.ts";
import { dateTime, stampTime } from "../given-times.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";

const OPTIONS = {
  "access-time": { type: "flag", short: "a", text: "change only when it was read" },
  "modification-time": { type: "flag", short: "m", text: "change only when it was written" },
  "no-create": { type: "flag", short: "c", text: "make no files" },
  "no-dereference": { type: "flag", short: "h", text: "change links themselves" },
  date: {
    type: "text",
    short: "d",
    value: "TIME",
    text: "a time as in ISO 8601, or @SECONDS since 1970",
  },
  stamp: { type: "text", short: "t", value: "STAMP", text: "a time as [[CC]YY]MMDDhhmm[.ss]" },
  reference: { type: "text", short: "r", value: "IMAGE:PATH", text: "the times of this file" },
  ...IMAGE_OPTIONS,
} as const;

export const touch = command({
  name: "touch",
  summary: "set times of files in an image, or make empty files",
  description: ["Sets times to now, or to those that are given; what is not there is made."],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a file", count: "many" }],
  options: OPTIONS,
  exclusive: [...IMAGE_EXCLUSIVE, ["date", "stamp", "reference"]],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit touch disk.img:/etc/.updated", text: "makes a file, or makes it new" },
    { line: "daxkit touch -d 2024-02-29T12:00:00Z disk.img:/a", text: "sets a time" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const given = timeOf(values);
    return withChanges(invocation, (changes) => {
      const times = given ?? referenceTimes(changes, values.reference);
      const both = values["access-time"] === values["modification-time"];
      const now = "now" as const;
      const change = {
        ...(both || values["access-time"] ? { atime: times?.atime ?? now } : {}),
        ...(both || values["modification-time"] ? { mtime: times?.mtime ?? now } : {}),
      };
      const follow = !values["no-dereference"];
      changes.each(operands, "cannot touch", ({ tree, path, image }) => {
        if (!isThere(tree, path, follow)) {
          if (values["no-create"]) return;
          if (!follow) throw new DaxError("ENOENT", { syscall: "utime", path });
          makeFile(tree, path);
        }
        tree.utimes(path, change, { follow });
        changes.tell("", { image, path, change: "times" });
      });
    });
  },
});

/** A name that ends in a slash is no file's: what sets the times says so. */
function makeFile(tree: FileTree, path: string): void {
  try {
    tree.open(path, { access: "write", create: true, umask: umask() }).close();
  } catch (error) {
    if (!isDaxError(error, "EISDIR")) throw error;
  }
}

interface Times {
  readonly atime: Timespec;
  readonly mtime: Timespec;
}

function isThere(tree: FileTree, path: string, follow: boolean): boolean {
  try {
    tree.locate(path, { syscall: "utime", follow });
    return true;
  } catch (error) {
    if (isDaxError(error, "ENOENT")) return false;
    throw error;
  }
}

function referenceTimes(changes: Changes, word: string | undefined): Times | undefined {
  if (word === undefined) return undefined;
  const { tree, path } = changes.openToRead(word);
  return tree.stat(path).attributes();
}

function timeOf({ date, stamp }: Invocation<typeof OPTIONS>["values"]): Times | undefined {
  const time = date === undefined ? stamp && stampTime(stamp) : dateTime(date);
  return time === undefined || time === "" ? undefined : { atime: time, mtime: time };
}
