/**
 * `daxkit resize`.
 *
 * @module
 */
import type { Tracer } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { ResizeVolumeOptions } from "../../node/resize-volume.ts";
import { type Invocation, STATUS_OK, UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { shownName } from "../names.ts";

const OPTIONS = {
  force: { type: "flag", short: "f", text: "without a check, even where one is due" },
  flush: { type: "flag", short: "F", text: "accepted; nothing is read that could be old" },
  progress: { type: "flag", short: "p", text: "accepted; progress is shown on a terminal" },
  minimum: { type: "flag", short: "M", text: "refused: filesystems are not shrunk here" },
  "print-minimum": { type: "flag", short: "P", text: "refused, for the same reason" },
  "to-64bit": { type: "flag", short: "b", text: "refused: descriptors are not rewritten here" },
  "to-32bit": { type: "flag", short: "s", text: "refused, for the same reason" },
  quiet: { type: "flag", short: "q", text: "print nothing" },
  ...IMAGE_OPTIONS,
} as const;

export const resize = command({
  name: "resize",
  summary: "let the filesystem of an image grow",
  description: [
    "Takes resize2fs's words. SIZE is a number of the filesystem's blocks, of sectors with s, or " +
      "of bytes with K, M, G or T; without it the filesystem gets all of its file or device. A " +
      "file that is shorter than SIZE grows first, sparse.",
    "The filesystem must not be mounted. One that was mounted since it was last checked is " +
      "checked before; -f leaves that out. A power cut leaves the old size or the new one: with " +
      "a journal all changes are one transaction, without one e2fsck -f mends what was cut.",
    "Filesystems are not shrunk: resize2fs does that.",
  ],
  json: "document",
  operands: [
    { name: "IMAGE", text: "a file, a block device or an NBD export" },
    { name: "SIZE", text: "blocks, or with s, K, M, G or T", count: "optional", complete: [] },
  ],
  options: OPTIONS,
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit resize disk.img 4G", text: "makes file and filesystem 4 GiB" },
    { line: "daxkit resize disk.img", text: "uses what the file has behind the filesystem" },
    {
      line: "daxkit resize --partition 2 disk.img",
      text: "fills a partition that was made longer",
    },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const [{ resizeVolume }, { systemEnvironment }, { parseBlockCount }] = await Promise.all([
      import("../../node/resize-volume.ts"),
      import("../../node/environment.ts"),
      import("../../fs/ext/mkfs-extended.ts"),
    ]);
    refuseOthers(values);
    const [image = "", size] = operands;
    const progress = terminal.progress(`resizing ${image}`);
    const trace: Tracer = {
      event(_, { done, total }) {
        if (total !== undefined) progress.step(Number(done), Number(total), "blocks");
      },
    };
    const summary = usage(() => {
      const options: ResizeVolumeOptions = {
        force: values.force,
        environment: { ...systemEnvironment, trace },
        ...(size === undefined ? {} : { size: parseBlockCount(size, "SIZE") }),
        ...(values.offset === undefined ? {} : { offset: values.offset }),
        ...(values.partition === undefined ? {} : { partition: values.partition }),
      };
      return resizeVolume(image, options);
    });
    progress.finish();
    const { blocks, blocksBefore, blockSize } = summary;
    if (json) out.json({ image, grown: blocks > blocksBefore, ...summary });
    else if (!values.quiet) {
      const long = `${blocks} (${blockSize / 1024}k) blocks long`;
      const same = blocks === blocksBefore ? "was and is" : "is now";
      out.line(`The filesystem on ${shownName(out, image)} ${same} ${long}.`);
    }
    return STATUS_OK;
  },
});

type Values = Invocation<typeof OPTIONS>["values"];

function refuseOthers(values: Values): void {
  if (values.minimum || values["print-minimum"]) {
    throw new UsageError("filesystems are not shrunk here; resize2fs -M and -P do that");
  }
  if (values["to-64bit"] || values["to-32bit"]) {
    throw new UsageError("descriptors keep their size here; resize2fs -b and -s change it");
  }
}

/** What is wrong with the size as it was written is a matter of usage. */
function usage<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error, "EINVAL") || error.syscall !== "mkfs") throw error;
    throw new UsageError(error.detail ?? error.message);
  }
}
