/**
 * `daxkit fill`.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import type { FillOptions } from "../../vfs/tree-filler.ts";
import { type Invocation, STATUS_FINDING, STATUS_OK, command } from "../command.ts";
import { oneLine } from "../errors.ts";
import { splitImagePath } from "../image-path.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, inImage } from "../images.ts";
import { shownName } from "../names.ts";

const OPTIONS = {
  directory: { type: "text", short: "C", value: "DIR", text: "unpack into DIR inside the image" },
  "strip-components": {
    type: "count",
    value: "N",
    text: "leave away N leading parts of each name",
  },
  "keep-old-files": { type: "flag", short: "k", text: "keep files that are there; status 1" },
  "skip-old-files": { type: "flag", text: "keep files that are there, and say nothing" },
  overwrite: { type: "flag", text: "write into files that are there, not in their place" },
  "keep-directory-symlink": { type: "flag", text: "follow links to directories that are there" },
  "no-same-owner": { type: "flag", text: "everything belongs to root" },
  "numeric-owner": { type: "flag", text: "owners by number, which is so anyway" },
  verbose: { type: "flag", short: "v", text: "print names as they are made" },
  ...IMAGE_OPTIONS,
} as const;

type FillInvocation = Invocation<typeof OPTIONS>;

export const fill = command({
  name: "fill",
  summary: "unpack a tar archive, or copy a directory, into an image",
  description: [
    "Makes in a filesystem what is in a tar archive (gzip is unpacked, and zstd where Node can), " +
      "in an archive on standard input (-), or in a directory of this machine: with owners, " +
      "modes, times, links, devices, holes, extended attributes and access lists. The image is " +
      "not mounted, and no root is needed.",
    "As with GNU tar, files that are there are replaced and directories are kept. Names with " +
      "'..' in them are refused, and names that lead through a symbolic link. A slash at the " +
      "start of a name is left away.",
    "It ends at the first member that cannot be made: the disk may be full, or the archive cut. " +
      "What came before stays and is told, the file that was being written is removed, and the " +
      "filesystem is consistent.",
  ],
  json: "document",
  operands: [
    { name: "IMAGE[:DIR]", text: "an image, and a directory in it; the root when left out" },
    { name: "SOURCE", text: "a tar archive, a directory, or - for standard input" },
  ],
  options: OPTIONS,
  exclusive: [...IMAGE_EXCLUSIVE, ["keep-old-files", "skip-old-files", "overwrite"]],
  examples: [
    { line: "daxkit fill disk.img root.tar.gz", text: "unpacks an archive" },
    { line: "daxkit fill disk.img:/srv site/", text: "copies a directory into one of the image" },
    {
      line: "xz -dc linux.tar.xz | daxkit fill --strip-components 1 -C /usr/src disk.img -",
      text: "unpacks what Node cannot",
    },
  ],
  statuses: { [STATUS_FINDING]: "some files were kept (-k)" },
  async run(invocation) {
    const { values, operands, json, out } = invocation;
    const [word = "", source = ""] = operands;
    const [{ openVolume }, filling] = await Promise.all([
      import("../../node/volume.ts"),
      import("../../node/fill.ts"),
    ]);
    const { image, path } = splitImagePath(word);
    const { partition, offset } = values;
    const volume = openVolume(image, {
      write: true,
      ...(partition === undefined ? {} : { partition }),
      ...(offset === undefined ? {} : { offset }),
    });
    const run: Run = { invocation, image, status: STATUS_OK };
    try {
      const options = optionsOf(run);
      const directory = joined(path, values.directory);
      const summary = await filling.fill(volume, source, { ...options, directory });
      if (json) out.json({ image, directory, source, ...summary });
    } catch (error) {
      const ofImage = isDaxError(error) && error.path !== source;
      throw ofImage ? inImage(error, image, path) : error;
    } finally {
      volume.close({ revoke: true });
    }
    return run.status;
  },
});

/** One run of the command. */
interface Run {
  readonly invocation: FillInvocation;
  readonly image: string;
  status: number;
}

/** `-C` counts from the directory that is given with the image. */
function joined(path: string, directory: string | undefined): string {
  if (directory === undefined) return path;
  return directory.startsWith("/") ? directory : `${path.replace(/\/$/u, "")}/${directory}`;
}

function optionsOf(run: Run): FillOptions {
  const { values, json, out, terminal } = run.invocation;
  const keeps = values["keep-old-files"] || values["skip-old-files"];
  const existing = keeps ? "keep" : values.overwrite ? "overwrite" : "replace";
  return {
    existing,
    stripComponents: values["strip-components"] ?? 0,
    keepDirectorySymlinks: values["keep-directory-symlink"],
    sameOwner: !values["no-same-owner"],
    onMember: (name) => {
      if (values.verbose && !json) out.line(shownName(out, name));
    },
    onWarning: (text) => terminal.message(text, "warning"),
    onKept: (error) => {
      if (values["skip-old-files"]) return;
      run.status = STATUS_FINDING;
      terminal.message(oneLine(inImage(error, run.image, "/")));
    },
  };
}
