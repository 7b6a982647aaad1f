/**
 * `daxkit stat`.
 *
 * @module
 */
import { command } from "../command.ts";
import {
  IMAGE_EXCLUSIVE,
  IMAGE_OPERAND,
  IMAGE_OPTIONS,
  type OpenedPath,
  withImages,
} from "../images.ts";

export const stat = command({
  name: "stat",
  summary: "show what an image knows of a file",
  description: [
    "Shows what stat(1) shows, times to the nanosecond, and the names of extended attributes. " +
      "With --json also their values, in base64.",
  ],
  json: "lines",
  operands: [IMAGE_OPERAND],
  options: {
    dereference: { type: "flag", short: "L", text: "follow links" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit stat disk.img:/etc/passwd", text: "shows size, owner, mode and times" },
    { line: "daxkit stat --json -L disk.img:/bin/sh | jq .ino", text: "of what a link leads to" },
  ],
  async run(invocation) {
    const { values, operands, json, out } = invocation;
    const [{ fileRecord, xattrRecord }, { statLines }, { OwnerNames }, { shownName }] =
      await Promise.all([
        import("../file-record.ts"),
        import("../stat-text.ts"),
        import("../owners.ts"),
        import("../names.ts"),
      ]);
    const owners = new OwnerNames();
    const shown = (text: string): string => shownName(out, text);
    const show = ({ image, path, volume }: OpenedPath): void => {
      const inode = values.dereference ? volume.tree.stat(path) : volume.tree.lstat(path);
      if (json) {
        const { generation } = inode;
        const xattrs = xattrRecord(inode);
        out.json({ image, path, ...fileRecord(inode), generation, xattrs });
        return;
      }
      const lines = statLines(inode, {
        name: shown(`${image}:${path}`),
        image: shown(image),
        blockSize: inode.filesystem.statfs().blockSize,
        owners,
        shownTarget: shown,
      });
      for (const line of lines) out.line(line);
    };
    return withImages(invocation, (images) => images.each(operands, show));
  },
});
