/**
 * `daxkit setfattr`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { parseName, parseValue } from "../attribute-text.ts";
import { CHANGE_STATUSES, type ChangedPath, type Changes, withChanges } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";

const NOTHING = new Uint8Array(0);

export const setfattr = command({
  name: "setfattr",
  summary: "set extended attributes of files in an image",
  description: [
    "Values are text, hexadecimal behind 0x or base64 behind 0s, as setfattr takes them. With " +
      "--restore reads what getfattr printed, and IMAGE:PATH is the directory in which its paths " +
      "start.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a file or directory", count: "many" }],
  options: {
    name: { type: "text", short: "n", value: "NAME", text: "set this attribute" },
    value: { type: "text", short: "v", value: "VALUE", empty: true, text: "to this value" },
    remove: { type: "text", short: "x", value: "NAME", text: "remove this attribute" },
    restore: { type: "file", value: "FILE", text: "set what a dump says; - for standard input" },
    "no-dereference": { type: "flag", short: "h", text: "links themselves" },
    ...IMAGE_OPTIONS,
  },
  exclusive: [...IMAGE_EXCLUSIVE, ["name", "remove", "restore"]],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit setfattr -n user.origin -v build disk.img:/app", text: "sets an attribute" },
    { line: "daxkit setfattr -x user.origin disk.img:/app", text: "removes it" },
    { line: "daxkit setfattr --restore=saved disk.img:/", text: "sets what was saved" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const { name, remove, restore } = values;
    if ((name ?? remove ?? restore) === undefined) {
      throw new UsageError("give -n NAME -v VALUE, -x NAME or --restore FILE");
    }
    if (values.value !== undefined && name === undefined) {
      throw new UsageError("-v is the value of -n NAME");
    }
    const value = values.value === undefined ? NOTHING : parseValue(values.value);
    const follow = !values["no-dereference"];
    return withChanges(invocation, (changes) => {
      if (restore !== undefined && operands.length > 1) {
        throw new UsageError("--restore takes one IMAGE:PATH, where its paths start");
      }
      changes.each(operands, "cannot change attributes of", (place) => {
        const { tree, path, image } = place;
        if (restore !== undefined) {
          restoreAll(place, textOf(restore), follow, changes);
          return;
        }
        if (remove !== undefined) tree.removexattr(path, remove, { follow });
        else tree.setxattr(path, name as string, value, { follow });
        changes.tell("", { image, path, change: "attribute", name: name ?? remove });
      });
    });
  },
});

function textOf(file: string): string {
  return decodeUtf8(readFileSync(file === "-" ? 0 : file));
}

/** Sets what a dump says, file by file; what fails is reported. @throws UsageError */
function restoreAll(place: ChangedPath, dump: string, follow: boolean, changes: Changes): void {
  const { tree, image } = place;
  const base = place.path.replace(/\/+$/u, "");
  let path: string | undefined;
  for (const [index, line] of dump.split("\n").entries()) {
    if (line.startsWith("# file: ")) {
      path = `${base}/${parseName(line.slice("# file: ".length)).replace(/^\/+/u, "")}`;
    } else if (line !== "" && !line.startsWith("#")) {
      const equals = line.indexOf("=");
      const name = parseName(equals === -1 ? line : line.slice(0, equals));
      const value = equals === -1 ? NOTHING : parseValue(line.slice(equals + 1));
      if (path === undefined) {
        throw new UsageError(`line ${index + 1} of the dump stands before any '# file: ' line`);
      }
      const target = path;
      changes.attempt(`cannot set ${name} of '${image}:${target}'`, () => {
        tree.setxattr(target, name, value, { follow });
        changes.tell("", { image, path: target, change: "attribute", name });
      });
    }
  }
}
