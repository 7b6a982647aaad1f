/**
 * `daxkit cp`.
 *
 * @module
 */
import { statSync } from "node:fs";
import { posix } from "node:path";
import { DaxError } from "../../lib/errno.ts";
import { isNbdUri } from "../../nbd/uri.ts";
import { type Invocation, STATUS_FAILED, STATUS_OK, UsageError, command } from "../command.ts";
import { splitImagePath } from "../image-path.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, type OpenedPath, inImage, withImages } from "../images.ts";
import { copyIntoImage, isInImage } from "../copy-into.ts";
import { shownName } from "../names.ts";

export const cp = command({
  name: "cp",
  summary: "copy files into, out of and between images, or whole images over NBD",
  description: [
    "Copies to DEST, into it when it is a directory, with modes, times, links between files and " +
      "holes; with -a extended attributes too. In an image, DEST is IMAGE:PATH and the sources " +
      "are files of this machine, or of images; owners are kept, and files that are there are " +
      "written anew, as cp does.",
    "On this machine, owners are kept for root. Nothing that is there already is replaced, and " +
      "no link is written through.",
    "With an NBD URI as DEST, IMAGE is copied to that export byte by byte, holes as zeros that " +
      "are not sent, and flushed; an export that is read-only or too small is refused before " +
      "anything is written. With a URI instead of IMAGE:PATH and without -r, the whole export is " +
      "fetched to the new file DEST, sparse where the server says so.",
    "What cannot be read, or not be made here, such as a device without root, is reported and " +
      "left out, and the status is 2.",
  ],
  json: "lines",
  operands: [
    { name: "SOURCE", text: "IMAGE:PATH, or FILE into an image; and last, DEST", count: "many" },
  ],
  options: {
    recursive: { type: "flag", short: "r", text: "copy directories with all that is in them" },
    "recursive-too": { type: "flag", short: "R", text: "the same as -r" },
    archive: { type: "flag", short: "a", text: "as -r, with extended attributes" },
    "no-clobber": { type: "flag", short: "n", text: "in an image: what is there stays" },
    "no-target-directory": {
      type: "flag",
      short: "T",
      text: "in an image: DEST is the new name, even of a directory",
    },
    preserve: {
      type: "flag",
      short: "p",
      text: "in an image: files that are there get owner and mode as well",
    },
    "no-dereference": { type: "flag", short: "d", text: "copy links that are named, too" },
    force: { type: "flag", short: "f", text: "the same as without it" },
    "target-directory": {
      type: "text",
      short: "t",
      value: "DIR",
      text: "copy all into this directory, here or in an image",
    },
    verbose: { type: "flag", short: "v", text: "print each file that is copied" },
    ...IMAGE_OPTIONS,
  },
  exclusive: [...IMAGE_EXCLUSIVE, ["no-target-directory", "target-directory"]],
  statuses: { 1: "something could not be copied into an image" },
  examples: [
    { line: "daxkit cp disk.img:/etc/fstab .", text: "copies a file" },
    { line: "daxkit cp -r disk.img:/home ./home", text: "copies a directory" },
    { line: "daxkit cp -a ./site/. disk.img:/srv", text: "copies what is in a directory, into it" },
    { line: "daxkit cp -r a.img:/etc b.img:/", text: "copies from image to image" },
    { line: "daxkit cp disk.img nbd://localhost/disk", text: "copies an image to an NBD export" },
    {
      line: "daxkit cp 'nbd+unix:///?socket=/run/nbd.sock' disk.img",
      text: "fetches a whole export",
    },
    { line: "daxkit cp -r --partition 2 sd.img:/ ./root", text: "copies a whole partition" },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const [{ copyOut }, { isDirectory }] = await Promise.all([
      import("../../node/image/copy-out.ts"),
      import("../../vfs/modes.ts"),
    ]);
    const directory = values["target-directory"];
    const words = directory === undefined ? operands.slice(0, -1) : operands;
    const target = directory ?? operands.at(-1) ?? "";
    if (words.length === 0) throw new UsageError("DEST is missing");
    const recursive = values.recursive || values["recursive-too"] || values.archive;
    if (isInImage(target))
      return copyIntoImage({ ...invocation, values: { ...values, recursive } });
    if (values["no-clobber"] || values["no-target-directory"]) {
      throw new UsageError("-n and -T are for copies into an image; here nothing is replaced");
    }
    const whole = wholeCopy(words, target, { ...values, recursive });
    if (whole !== undefined) return copyImage(whole, invocation);
    checkTarget(target, directory === undefined ? words.length : 2);
    return withImages(invocation, (images) => {
      const progress = terminal.progress("copying");
      const done = { files: 0, bytes: 0 };
      const show = (bytes: number): void => {
        progress.step(done.files, 0, `files, ${mebibytes(done.bytes + bytes)} MiB`);
      };
      const copy = ({ image, path, volume }: OpenedPath): void => {
        if (!recursive && isDirectory(volume.tree.lstat(path).mode)) {
          throw new DaxError("EISDIR", { syscall: "cp", path, detail: "-r copies directories" });
        }
        const { bytes } = copyOut(volume, path, target, {
          xattrs: values.archive,
          onFile(file) {
            done.files++;
            show(0);
            const inside = file === "" ? path : posix.join(path, file);
            if (json) out.json({ image, path: inside });
            else if (values.verbose) out.line(shownName(out, inside));
          },
          onBytes: show,
          onDamage: (error) => images.complain(inImage(error, image, path)),
          onWarning(text) {
            images.status = STATUS_FAILED;
            terminal.message(text, "warning");
          },
        });
        done.bytes += bytes;
      };
      try {
        images.each(words, copy);
      } finally {
        progress.finish();
      }
    });
  },
});

/** Refuses what cannot be meant before anything is made. @throws ENOENT, ENOTDIR */
function checkTarget(target: string, sources: number): void {
  const found = statSync(target, { throwIfNoEntry: false });
  if (sources < 2 || found?.isDirectory()) return;
  const detail = "several files are copied into a directory, which must be there";
  const code = found === undefined ? "ENOENT" : "ENOTDIR";
  throw new DaxError(code, { syscall: "cp", path: target, detail });
}

/** A copy of all bytes. */
interface WholeCopy {
  readonly from: string;
  readonly to: string;
}

/** The options that do not go with one. */
interface Choices {
  readonly recursive: boolean;
  readonly partition: number | undefined;
  readonly offset: number | undefined;
}

/** Whether the words mean whole images, and which. @throws UsageError for what cannot be meant */
function wholeCopy(
  words: readonly string[],
  target: string,
  { recursive, partition, offset }: Choices,
): WholeCopy | undefined {
  const [word = ""] = words;
  const fetching = !recursive && isNbdUri(word) && splitImagePath(word).image === word;
  if (!isNbdUri(target) && !fetching) return undefined;
  if (words.length > 1) throw new UsageError("one whole image is copied at a time");
  if (recursive || partition !== undefined || offset !== undefined) {
    throw new UsageError("an export is copied whole: leave -r, --partition and --offset out");
  }
  const { image, path } = splitImagePath(word);
  if (path !== "/") throw new UsageError(`'${word}': an export takes an image, not a path in it`);
  return { from: image, to: target };
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 2 ** 20);
}

/** Copies it, and shows how far it is. */
async function copyImage(
  { from, to }: WholeCopy,
  { values, json, out, terminal }: Invocation<{ readonly verbose: { type: "flag"; text: string } }>,
): Promise<number> {
  const { copyWhole } = await import("../../node/image/whole-copy.ts");
  const progress = terminal.progress("copying");
  try {
    const { size, written, zeroes } = copyWhole(from, to, {
      onBytes: (done, total) => progress.step(mebibytes(done), mebibytes(total), "MiB"),
      onWarning: (text) => terminal.message(text, "warning"),
    });
    if (json) out.json({ from, to, size, written, zeroes });
    else if (values.verbose) {
      out.line(`${shownName(out, from)}: ${size} bytes, ${zeroes} of them zeros not sent`);
    }
    return STATUS_OK;
  } finally {
    progress.finish();
  }
}
