/**
 * `daxkit df`.
 *
 * @module
 */
import { command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, withImages } from "../images.ts";
import type { Space } from "../space-table.ts";

export const df = command({
  name: "df",
  summary: "show how full an image is",
  description: ["Shows what df shows of a mount, in KiB unless told otherwise."],
  json: "lines",
  operands: [{ name: "IMAGE", text: "an image", count: "many" }],
  options: {
    human: { type: "flag", short: "h", text: "show sizes as 1.5M" },
    inodes: { type: "flag", short: "i", text: "show inodes instead of space" },
    type: { type: "flag", short: "T", text: "show the kind of filesystem" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit df -hT disk.img", text: "shows size, use and kind of the filesystem" },
    { line: "daxkit df -i a.img b.img", text: "shows how many inodes are in use" },
  ],
  async run(invocation) {
    const { values, operands, json, out } = invocation;
    const [{ spaceLines, spaceRecord }, { shownName }] = await Promise.all([
      import("../space-table.ts"),
      import("../names.ts"),
    ]);
    return withImages(invocation, (images) => {
      const spaces: Space[] = [];
      images.each(operands, ({ image, volume }) => {
        const { filesystem } = volume.tree.mounts.root;
        const { type } = filesystem;
        spaces.push({ image: shownName(out, image), type, statfs: filesystem.statfs() });
      });
      if (json) for (const space of spaces) out.json(spaceRecord(space));
      else if (spaces.length > 0) for (const line of spaceLines(spaces, values)) out.line(line);
    });
  },
});
