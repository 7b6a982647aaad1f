/**
 * `daxkit tar`.
 *
 * @module
 */
import { closeSync, openSync, statSync } from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import type { Volume } from "../../node/volume.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, inImage, withImages } from "../images.ts";
import { shownName } from "../names.ts";
import { Output, writeAll } from "../output.ts";
import { isOperatingError } from "../errors.ts";

const MIB = 2 ** 20;

export const tar = command({
  name: "tar",
  summary: "print an image, or a part of it, as a tar stream",
  description: [
    "The stream is in pax format, sorted by name, with owners as numbers, modes, times to the " +
      "nanosecond, links, devices and extended attributes. Holes are zeros. The same image gives " +
      "the same bytes.",
    "What cannot be read is reported and left out, the rest of a damaged file is zeros, and the " +
      "status is 2.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE[:PATH]", text: "an image, and a directory or file inside it" }],
  options: {
    file: { type: "file", short: "f", value: "FILE", text: "write to FILE" },
    verbose: { type: "flag", short: "v", text: "print names on standard error" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit tar disk.img | tar -xf - -C out", text: "unpacks an image" },
    { line: "daxkit tar -f etc.tar disk.img:/etc", text: "keeps a directory in a file" },
    { line: "daxkit tar disk.img | docker import - disk", text: "makes a container image of it" },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const { file } = values;
    const toStandard = file === undefined || file === "-";
    if (toStandard && json)
      throw new UsageError("with '--json' the stream goes to a file: -f FILE");
    if (toStandard && out.isTerminal) {
      throw new UsageError("a tar stream is nothing for a terminal: redirect it, or give -f FILE");
    }
    const { tarSubtree } = await import("../../node/image/tar.ts");
    return withImages(invocation, (images) => {
      const { image, path, volume } = images.open(operands[0] ?? "");
      const fd = toStandard ? undefined : openTarget(file, { image, path, volume });
      const stream = fd === undefined ? out : new Output((bytes) => writeAll(fd, bytes), false);
      const progress = terminal.progress("archiving");
      let total = 0;
      const sink = (bytes: Uint8Array): void => {
        stream.bytes(bytes);
        total += bytes.length;
        progress.step(Math.floor(total / MIB), 0, "MiB");
      };
      try {
        tarSubtree(volume, path, sink, {
          onMember(name) {
            if (json) out.json({ image, name });
            else if (values.verbose) terminal.report(`${shownName(out, name)}\n`);
          },
          onDamage: (error) => images.complain(inImage(error, image, path)),
          onWarning: (text) => terminal.message(text, "warning"),
        });
        stream.flush();
      } catch (error) {
        throw isOperatingError(error) ? inImage(error, image, path) : error;
      } finally {
        progress.finish();
        if (fd !== undefined) closeSync(fd);
      }
    });
  },
});

/** What is about to be read. */
interface Source {
  readonly image: string;
  readonly path: string;
  readonly volume: Volume;
}

/** Opening cuts the file to nothing, so all that can be refused is refused before. */
function openTarget(file: string, { image, path, volume }: Source): number {
  const [from, to] = [image, file].map((name) =>
    statSync(name, { throwIfNoEntry: false, bigint: true }),
  );
  if (from !== undefined && from.ino === to?.ino && from.dev === to.dev) {
    const detail = "it is the image itself; give another file";
    throw new DaxError("EINVAL", { syscall: "open", path: file, detail });
  }
  try {
    volume.tree.lstat(path);
  } catch (error) {
    throw isOperatingError(error) ? inImage(error, image, path) : error;
  }
  return openSync(file, "w");
}
