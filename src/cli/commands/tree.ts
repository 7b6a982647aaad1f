/**
 * `daxkit tree`.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { isDirectory } from "../../vfs/modes.ts";
import { command } from "../command.ts";
import {
  IMAGE_EXCLUSIVE,
  IMAGE_OPERAND,
  IMAGE_OPTIONS,
  type OpenedPath,
  inImage,
  withImages,
} from "../images.ts";
import type { TreeOptions } from "../tree-drawing.ts";

function many(count: number, one: string, more: string): string {
  return `${count} ${count === 1 ? one : more}`;
}

export const tree = command({
  name: "tree",
  summary: "draw the files of an image as a tree",
  description: ["Draws as tree(1) does, sorted by name, and counts directories and files."],
  json: "document",
  operands: [IMAGE_OPERAND],
  options: {
    all: { type: "flag", short: "a", text: "show names that start with a dot too" },
    directories: { type: "flag", short: "d", text: "show directories only" },
    level: { type: "count", short: "L", value: "N", text: "go down N levels" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit tree disk.img", text: "draws everything" },
    { line: "daxkit tree -d -L 2 disk.img:/usr", text: "draws two levels of directories" },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const [{ treeJson, treeLines, treeVisits, modeOf }, { linkTarget }, names] = await Promise.all([
      import("../tree-drawing.ts"),
      import("../descend.ts"),
      import("../names.ts"),
    ]);
    const { all, directories, level = Number.POSITIVE_INFINITY } = values;
    return withImages(invocation, (images) => {
      const total = { directories: 0, files: 0 };
      let drawn = false;
      const draw = ({ image, path, volume }: OpenedPath): void => {
        const onError = (error: DaxError): void => images.complain(inImage(error, image, path));
        const options: TreeOptions = { all, directories, level, onError };
        const start = volume.tree.stat(path);
        if (!isDirectory(start.mode)) throw new DaxError("ENOTDIR", { syscall: "scandir", path });
        drawn = true;
        const count = json ? { directories: 0, files: 0 } : total;
        const visits = treeVisits(start, path, options, count);
        const title = `${image}:${path}`;
        if (json) {
          for (const piece of treeJson(title, visits, count, onError)) out.text(piece);
          return;
        }
        out.line(names.colouredName(terminal, out, title, start.mode));
        for (const { branch, visit } of treeLines(visits)) {
          const target = linkTarget(visit.inode, visit.path, onError);
          const arrow = target === undefined ? "" : ` -> ${names.shownName(out, target)}`;
          const name = names.colouredName(terminal, out, visit.entry.name, modeOf(visit));
          out.line(`${branch}${name}${arrow}`);
        }
      };
      images.each(operands, draw);
      if (json || !drawn) return;
      const folders = many(total.directories, "directory", "directories");
      out.line();
      out.line(directories ? folders : `${folders}, ${many(total.files, "file", "files")}`);
    });
  },
});
