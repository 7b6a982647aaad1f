/**
 * `daxkit cp`.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { STATUS_FAILED, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, type OpenedPath, inImage, withImages } from "../images.ts";
import { shownName } from "../names.ts";

export const cp = command({
  name: "cp",
  summary: "copy files out of an image",
  description: [
    "Copies to DEST, into it when it is a directory, with modes, times, links between files and " +
      "holes; owners too for root. Nothing that is there already is replaced, and no link is " +
      "written through. For extended attributes use 'daxkit tar'.",
    "What cannot be read, or not be made here, such as a device without root, is reported and " +
      "left out, and the status is 2.",
  ],
  json: "lines",
  operands: [
    { name: "IMAGE:PATH", text: "what to copy", count: "many" },
    { name: "DEST", text: "where to, on this machine" },
  ],
  options: {
    recursive: { type: "flag", short: "r", text: "copy directories with all that is in them" },
    verbose: { type: "flag", short: "v", text: "print each file that is copied" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit cp disk.img:/etc/fstab .", text: "copies a file" },
    { line: "daxkit cp -r disk.img:/home ./home", text: "copies a directory" },
    { line: "daxkit cp -r --partition 2 sd.img:/ ./root", text: "copies a whole partition" },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const [{ copyOut }, { isDirectory }] = await Promise.all([
      import("../../node/image/copy-out.ts"),
      import("../../vfs/modes.ts"),
    ]);
    const words = operands.slice(0, -1);
    const target = operands.at(-1) ?? "";
    return withImages(invocation, (images) => {
      const progress = terminal.progress("copying");
      const done = { files: 0, bytes: 0 };
      const show = (bytes: number): void => {
        const mebibytes = Math.floor((done.bytes + bytes) / 2 ** 20);
        progress.step(done.files, 0, `files, ${mebibytes} MiB`);
      };
      const copy = ({ image, path, volume }: OpenedPath): void => {
        if (!values.recursive && isDirectory(volume.tree.lstat(path).mode)) {
          throw new DaxError("EISDIR", { syscall: "cp", path, detail: "-r copies directories" });
        }
        const { bytes } = copyOut(volume, path, target, {
          onFile(file) {
            done.files++;
            show(0);
            if (json) out.json({ image, path: file });
            else if (values.verbose) out.line(shownName(out, file));
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
