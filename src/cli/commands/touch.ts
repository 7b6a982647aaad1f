/**
 * `daxkit touch`.
 *
 * @module
 */
import type { Timespec } from "../../lib/environment.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { CHANGE_STATUSES, type Changes, umask, withChanges } from "../changes.ts";
import { type Invocation, UsageError, command } from "../command.ts";
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

/** @throws UsageError */
function dateTime(text: string): Timespec {
  const seconds = /^@(-?\d{1,11})(?:\.(\d{1,9}))?$/u.exec(text);
  if (seconds !== null) {
    const [, whole, fraction = ""] = seconds;
    return { sec: Number(whole), nsec: Number(fraction.padEnd(9, "0")) };
  }
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds)) {
    throw new UsageError(`invalid date '${text}'; write 2024-02-29T12:00:00Z or @1709208000`);
  }
  const sec = Math.floor(milliseconds / 1000);
  return { sec, nsec: (milliseconds - sec * 1000) * 1_000_000 };
}

/** @throws UsageError */
function stampTime(text: string): Timespec {
  const match = /^(\d\d)?(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d\d))?$/u.exec(text);
  const [, first, second, ...rest] = match ?? [];
  const [month = 0, day, hour, minute, seconds] = rest.map((part) => Number(part ?? 0));
  // Two digits alone are a year: from 69 on of the last century.
  const short = first === undefined ? undefined : Number(first);
  const year =
    short === undefined
      ? new Date().getFullYear()
      : second === undefined
        ? short + (short < 69 ? 2000 : 1900)
        : short * 100 + Number(second);
  const date = new Date(year, month - 1, day, hour, minute, seconds);
  if (match !== null && date.getMonth() + 1 === month && date.getDate() === day) {
    return { sec: Math.floor(date.getTime() / 1000), nsec: 0 };
  }
  throw new UsageError(`invalid date format '${text}'; write [[CC]YY]MMDDhhmm[.ss]`);
}
