/**
 * `daxkit extents`.
 *
 * @module
 */
import { command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, type OpenedPath, withImages } from "../images.ts";

export const extents = command({
  name: "extents",
  summary: "show where the bytes of a file lie",
  description: [
    "Shows the table of filefrag -v, in blocks of the filesystem; with --json everything is in " +
      "bytes, from the start of the filesystem. Holes have no extent. The expected column says " +
      "where an extent would start if the file were in one piece.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE:PATH", text: "a file in an image", count: "many" }],
  options: IMAGE_OPTIONS,
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit extents disk.img:/var/lib/db", text: "shows how fragmented a file is" },
    {
      line: "daxkit extents --json disk.img:/swapfile",
      text: "offset, length, physical place and flags of each extent",
    },
  ],
  async run(invocation) {
    const { operands, json, out } = invocation;
    const [{ extentLines, extentRecords }, { extentsIn }, { shownName }] = await Promise.all([
      import("../extent-table.ts"),
      import("../../vfs/extents.ts"),
      import("../names.ts"),
    ]);
    const show = ({ image, path, volume }: OpenedPath): void => {
      const inode = volume.tree.stat(path);
      const { blockSize } = inode.filesystem.statfs();
      // Blocks may be allocated past the end of the file.
      const file = {
        name: shownName(out, `${image}:${path}`),
        size: inode.size,
        blockSize,
        extents: () => extentsIn(inode, 0, Number.MAX_SAFE_INTEGER),
      };
      if (json) for (const record of extentRecords(file)) out.json({ image, path, ...record });
      else for (const line of extentLines(file)) out.line(line);
    };
    return withImages(invocation, (images) => images.each(operands, show));
  },
});
