/**
 * `daxkit umount`.
 *
 * @module
 */
import { STATUS_FAILED, STATUS_OK, command } from "../command.ts";
import { isOperatingError, oneLine } from "../errors.ts";
import { printable } from "../output.ts";

/** Exit status when a mount could not be taken away, and all others were. */
const STATUS_PART = 1;

export const umount = command({
  name: "umount",
  summary: "unmount what daxkit mounted, and wait until its image is closed",
  description: [
    "Unmounts directories, or whatever is mounted on them, and returns when the process behind " +
      "each has written all of it and closed the image: 'e2fsck -fn' finds it clean right after.",
    "What is in use is not unmounted; the error says by whom. '--lazy' takes it out of sight at " +
      "once, and it ends with its last user. '--force' ends it for those who use it, and waits " +
      "for no answer; what the kernel still kept of a mount with writeback_cache is lost then, " +
      "as it would be with the power.",
  ],
  json: "lines",
  operands: [{ name: "DIR|IMAGE", text: "what to unmount", count: "many" }],
  options: {
    lazy: {
      type: "flag",
      short: "l",
      text: "take it out of sight now, end it when nobody uses it",
    },
    force: {
      type: "flag",
      short: "f",
      text: "end it for those who use it, and wait for no answer",
    },
    verbose: { type: "flag", short: "v", text: "say what was unmounted" },
  },
  examples: [
    { line: "daxkit umount /mnt", text: "unmounts, and waits until the image is closed" },
    { line: "daxkit umount -f /mnt", text: "unmounts although somebody uses it" },
  ],
  statuses: {
    [STATUS_PART]: "something could not be unmounted; the reason is on standard error",
    [STATUS_FAILED]: "the command line is wrong",
  },
  async run({ operands, values, json, out, terminal }) {
    const { findMount, unmount } = await import("../unmounting.ts");
    let status: number = STATUS_OK;
    for (const word of operands) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one may lie on the other
        const found = await findMount(word);
        // oxlint-disable-next-line no-await-in-loop
        await unmount(found, values);
        const { source, mountPoint: directory } = found.entry;
        if (json) out.json({ event: "unmounted", source, directory });
        else if (values.verbose) out.line(`${printable(directory)} unmounted`);
      } catch (error) {
        if (!isOperatingError(error)) throw error;
        status = STATUS_PART;
        terminal.message(oneLine(error));
      }
    }
    return status;
  },
});
