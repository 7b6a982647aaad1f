/**
 * `daxkit cat`.
 *
 * @module
 */
import { command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, type OpenedPath, withImages } from "../images.ts";

/** Bytes read at once. */
const CHUNK = 1 << 20;
/** Bytes in a line of JSON: a multiple of 3, so that no line needs padding but the last. */
const JSON_CHUNK = 48 << 10;

export const cat = command({
  name: "cat",
  summary: "print files of an image",
  description: ["Prints the bytes of each file, one after the other; links are followed."],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a file in an image", count: "many" }],
  options: IMAGE_OPTIONS,
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit cat disk.img:/etc/fstab", text: "prints a file" },
    {
      line: "daxkit cat --offset 1M disk.img:/var/log/syslog | tail",
      text: "from the filesystem that starts 1 MiB into the file",
    },
  ],
  async run(invocation) {
    const { operands, json, out, terminal } = invocation;
    const buffer = new Uint8Array(json ? JSON_CHUNK : CHUNK);
    const print = ({ image, path, volume }: OpenedPath): void => {
      const file = volume.tree.open(path);
      const { size } = file.inode;
      const progress = terminal.progress(path);
      try {
        for (let offset = 0; offset < size;) {
          const count = file.pread(buffer, offset);
          if (count === 0) break;
          const bytes = buffer.subarray(0, count);
          if (json)
            out.json({ image, path, offset, base64: Buffer.from(bytes).toString("base64") });
          else out.bytes(bytes);
          offset += count;
          progress.step(offset, size, "bytes");
        }
      } finally {
        progress.finish();
        file.close();
      }
    };
    return withImages(invocation, (images) => images.each(operands, print));
  },
});
