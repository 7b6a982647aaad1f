/**
 * `daxkit sync`.
 *
 * @module
 */
import { CHANGE_STATUSES, withChanges } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";

export const sync = command({
  name: "sync",
  summary: "replay the journal of an image, and leave it clean",
  description: [
    "Mounts the image for writing and unmounts it: its journal is replayed, files that were " +
      "deleted while open are freed, and all is durable. An image that was unmounted needs none " +
      "of it; every command that changes images does so when it ends.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE", text: "an image", count: "many" }],
  options: { ...IMAGE_OPTIONS },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [{ line: "daxkit sync crashed.img", text: "replays the journal" }],
  async run(invocation) {
    return withChanges(invocation, (changes) => {
      changes.each(invocation.operands, "cannot sync", ({ image, path, word }) => {
        if (path !== "/") throw new UsageError(`'${word}': give the image without a path in it`);
        // Opening it for writing has replayed its journal, and closing it does the rest.
        changes.tell("", { image, change: "synced" });
      });
    });
  },
});
