/**
 * `daxkit getfattr`.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { getXattr, listXattrs } from "../../vfs/xattr-rules.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import { ENCODINGS, type ValueEncoding, nameText, valueText } from "../attribute-text.ts";
import { walkBelow } from "../below.ts";
import { CHANGE_STATUSES, withChanges } from "../changes.ts";
import { type Invocation, UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import type { Output } from "../output.ts";

const OPTIONS = {
  dump: { type: "flag", short: "d", text: "print values as well as names" },
  name: { type: "text", short: "n", value: "NAME", text: "print the value of this attribute" },
  match: {
    type: "text",
    short: "m",
    value: "PATTERN",
    text: "names that match; - for all; ^user\\. without it",
  },
  encoding: {
    type: "choice",
    short: "e",
    value: "ENCODING",
    choices: ENCODINGS,
    text: "how values are written",
  },
  "no-dereference": { type: "flag", short: "h", text: "links themselves" },
  recursive: { type: "flag", short: "R", text: "all that is below as well" },
  "absolute-names": { type: "flag", text: "print paths with their leading slash" },
  "only-values": { type: "flag", text: "print values as they are, and nothing else" },
  ...IMAGE_OPTIONS,
} as const;

export const getfattr = command({
  name: "getfattr",
  summary: "print extended attributes of files in an image",
  description: [
    "Prints what getfattr prints, for setfattr --restore to read: paths are those in the image, " +
      "without their leading slash. Nothing is written.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a file or directory", count: "many" }],
  options: OPTIONS,
  exclusive: [...IMAGE_EXCLUSIVE, ["name", "match"]],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit getfattr -d disk.img:/srv/file", text: "prints attributes of users" },
    { line: "daxkit getfattr -dR -m - disk.img:/ > saved", text: "saves all of an image" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const pattern = patternOf(values.match);
    return withChanges(invocation, (changes) => {
      for (const word of operands) {
        changes.attempt(word, () => {
          const { tree, path, image } = changes.openToRead(word);
          const follow = !values["no-dereference"];
          const start = tree.locate(path, { syscall: "getxattr", follow });
          const shown = { ...invocation, pattern, image };
          const print = (inode: Inode, where: string) =>
            changes.attempt(`${image}:${where}`, () => printFile(inode, where, shown));
          if (!values.recursive) {
            print(start.inode, path);
            return;
          }
          const base = path === "/" ? "" : path;
          for (const { location, word: where, leaving } of walkBelow(
            tree,
            start,
            base,
            changes.trouble("cannot read"),
          )) {
            if (!leaving) print(location.inode, where === "" ? "/" : where);
          }
        });
      }
    });
  },
});

interface Shown extends Invocation<typeof OPTIONS> {
  readonly pattern: RegExp;
  readonly image: string;
}

/** @throws UsageError for a pattern that is none */
function patternOf(text: string | undefined): RegExp {
  if (text === undefined) return /^user\./u;
  if (text === "-") return /(?:)/u;
  try {
    return new RegExp(text, "u");
  } catch {
    throw new UsageError(`option '-m' is '${text}', which is no regular expression`);
  }
}

function printFile(inode: Inode, path: string, shown: Shown): void {
  const { values, out, json, pattern, image } = shown;
  const { name } = values;
  const names = name === undefined ? namesOf(inode, pattern) : [name];
  const wanted = values.dump || name !== undefined;
  const found = names.map((each) => {
    const value = wanted ? getXattr(inode, each) : undefined;
    if (wanted && value === undefined)
      throw new DaxError("ENODATA", { syscall: "getxattr", detail: each });
    return { name: each, value };
  });
  if (json) {
    out.json({ image, path, attributes: found.map(recordOf) });
  } else if (values["only-values"]) {
    for (const { value } of found) if (value !== undefined) out.bytes(value);
  } else if (found.length > 0) {
    printText(
      out,
      values["absolute-names"] ? path : path.replace(/^\/+(?=.)/u, ""),
      found,
      values.encoding as ValueEncoding | undefined,
    );
  }
}

interface Pair {
  readonly name: string;
  readonly value: Uint8Array | undefined;
}

function recordOf({ name, value }: Pair): object {
  return value === undefined ? { name } : { name, value: Buffer.from(value).toString("base64") };
}

function printText(
  out: Output,
  path: string,
  pairs: readonly Pair[],
  encoding: ValueEncoding | undefined,
): void {
  out.line(`# file: ${nameText(path)}`);
  for (const { name, value } of pairs) {
    out.line(`${nameText(name)}${value === undefined ? "" : `=${valueText(value, encoding)}`}`);
  }
  out.line();
}

/** Sorted, as getfattr has them. */
function namesOf(inode: Inode, pattern: RegExp): string[] {
  return listXattrs(inode)
    .filter((name) => pattern.test(name))
    .toSorted((a, b) => (a < b ? -1 : 1));
}
