/**
 * `daxkit fallocate`.
 *
 * @module
 */
import { CHANGE_STATUSES, umask, withChanges } from "../changes.ts";
import { type Invocation, UsageError, command } from "../command.ts";
import { digHoles } from "../dig-holes.ts";
import { parseBytes } from "../relative-size.ts";
import { humanSize } from "../size.ts";

const OPTIONS = {
  length: { type: "text", short: "l", value: "BYTES", text: "how long the range is" },
  offset: { type: "text", short: "o", value: "BYTES", text: "where the range starts" },
  "keep-size": { type: "flag", short: "n", text: "the file does not get longer" },
  "punch-hole": { type: "flag", short: "p", text: "take the range's blocks back; implies -n" },
  "zero-range": { type: "flag", short: "z", text: "make the range read as zeros, with blocks" },
  "collapse-range": { type: "flag", short: "c", text: "remove the range, the rest moves up" },
  "insert-range": { type: "flag", short: "i", text: "insert a hole, the rest moves back" },
  "dig-holes": { type: "flag", short: "d", text: "punch holes where blocks hold zeros" },
  posix: { type: "flag", short: "x", text: "as posix_fallocate; the same as without it" },
  verbose: { type: "flag", short: "v", text: "print what was done" },
  partition: { type: "count", value: "N", text: "read partition N of a disk" },
  "image-offset": { type: "size", value: "BYTES", text: "where the filesystem starts" },
} as const;

export const fallocate = command({
  name: "fallocate",
  summary: "set space aside for a file of an image, or give it back",
  description: [
    "Works as fallocate of util-linux: without -c, -d, -i, -p or -z sets blocks aside, in a file " +
      "that is made when it is not there. From 2 MiB on blocks are aligned where they can be, so " +
      "that huge pages map them. Since -o is the range's start here, --image-offset is what " +
      "--offset is elsewhere.",
  ],
  json: "document",
  operands: [{ name: "IMAGE:PATH", text: "a file" }],
  options: OPTIONS,
  exclusive: [
    ["partition", "image-offset"],
    ["punch-hole", "zero-range", "collapse-range", "insert-range", "dig-holes", "posix"],
  ],
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit fallocate -l 64M disk.img:/pool", text: "sets 64 MiB aside" },
    { line: "daxkit fallocate -p -o 1M -l 4K disk.img:/pool", text: "punches a hole" },
    { line: "daxkit fallocate -d disk.img:/sparse", text: "turns zeros into holes" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const range = rangeOf(values);
    const mode = modeOf(values);
    const offset = values["image-offset"];
    const place = { ...invocation, values: { partition: values.partition, offset } };
    return withChanges(place, (changes) => {
      changes.verbose = values.verbose;
      changes.each(operands, "fallocate failed:", ({ tree, path, word, image }) => {
        const makes = mode === "allocate" && !values["keep-size"];
        const create = makes ? { create: true, umask: umask() } : {};
        const file = tree.open(path, { access: "readwrite", ...create });
        try {
          if (mode === "dig") {
            const { start, length } = range ?? { start: 0, length: Number.MAX_SAFE_INTEGER };
            const bytes = digHoles(file, start, length);
            changes.tell(`${word}: ${told(bytes)} converted to sparse holes.`, {
              image,
              path,
              change: "dig",
              bytes,
            });
            return;
          }
          const { start, length } = range as Range;
          file.fallocate(mode, start, length, values["keep-size"] || mode === "punch");
          const record = { image, path, change: mode, offset: start, length };
          changes.tell(`${word}: ${told(length)} ${VERBS[mode]}.`, record);
        } finally {
          file.close();
        }
      });
    });
  },
});

type Values = Invocation<typeof OPTIONS>["values"];

interface Range {
  readonly start: number;
  readonly length: number;
}

const VERBS = {
  allocate: "allocated",
  punch: "hole created",
  zero: "zeroed",
  collapse: "removed",
  insert: "inserted",
} as const;

function told(bytes: number): string {
  return `${humanSize(bytes)} (${bytes} bytes)`;
}

function modeOf(values: Values): keyof typeof VERBS | "dig" {
  if (values["dig-holes"]) return "dig";
  if (values["punch-hole"]) return "punch";
  if (values["zero-range"]) return "zero";
  if (values["collapse-range"]) return "collapse";
  return values["insert-range"] ? "insert" : "allocate";
}

/** @throws UsageError */
function rangeOf(values: Values): Range | undefined {
  const { length: text, offset } = values;
  const start = offset === undefined ? 0 : parseBytes(offset, "-o");
  const moves = values["collapse-range"] || values["insert-range"];
  if (moves && values["keep-size"]) throw new UsageError("-n does not go with -c and -i");
  if (text === undefined) {
    if (!values["dig-holes"]) throw new UsageError("the length is missing: -l BYTES");
    return start === 0 ? undefined : { start, length: Number.MAX_SAFE_INTEGER - start };
  }
  const length = parseBytes(text, "-l");
  if (length > 0) return { start, length };
  throw new UsageError("option '-l' is 0; a range has a length");
}
