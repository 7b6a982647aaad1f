/**
 * `daxkit ls`.
 *
 * @module
 */
import { command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPERAND, IMAGE_OPTIONS, withImages } from "../images.ts";
import type { ListingStart } from "../listing.ts";

export const ls = command({
  name: "ls",
  summary: "list files of an image",
  description: [
    "Lists as ls does in the C locale: directories by their entries, files by themselves, sorted " +
      "by name. Owners are called as this machine calls their numbers.",
    "What cannot be read is reported and shown with question marks; the rest is listed.",
  ],
  json: "lines",
  operands: [IMAGE_OPERAND],
  options: {
    all: { type: "flag", short: "a", text: "list names that start with a dot too" },
    long: { type: "flag", short: "l", text: "show mode, links, owners, size and time" },
    numeric: { type: "flag", short: "n", text: "as -l, with owners as numbers" },
    inode: { type: "flag", short: "i", text: "show inode numbers" },
    human: { type: "flag", short: "h", text: "with -l, show sizes as 1.5M" },
    recursive: { type: "flag", short: "R", text: "list directories below as well" },
    directory: { type: "flag", short: "d", text: "list directories, not what is in them" },
    one: { type: "flag", short: "1", text: "one name a line, also on a terminal" },
    size: { type: "flag", short: "S", text: "sort by size, largest first" },
    time: { type: "flag", short: "t", text: "sort by time, newest first" },
    unsorted: { type: "flag", short: "U", text: "do not sort; the order of the directory" },
    reverse: { type: "flag", short: "r", text: "sort the other way round" },
    ...IMAGE_OPTIONS,
  },
  exclusive: [...IMAGE_EXCLUSIVE, ["size", "time", "unsorted"]],
  examples: [
    { line: "daxkit ls -l disk.img:/etc", text: "lists a directory of an ext4 image" },
    { line: "daxkit ls -R --partition 2 disk.img", text: "lists all of a disk's second partition" },
    { line: "daxkit ls --json disk.img:/bin | jq .size", text: "sizes, for a program" },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const [{ Listing }, { systemEnvironment }] = await Promise.all([
      import("../listing.ts"),
      import("../../node/environment.ts"),
    ]);
    const { size, time, unsorted } = values;
    const sort = size ? "size" : time ? "time" : unsorted ? "none" : "name";
    const long = values.long || values.numeric;
    return withImages(invocation, (images) => {
      const starts: ListingStart[] = [];
      images.each(operands, ({ image, path, volume }) => {
        starts.push({ image, path, tree: volume.tree });
      });
      const now = systemEnvironment.clock.now();
      const onError = images.complain.bind(images);
      const target = { out, terminal, now, width: terminal.width, onError };
      new Listing({ ...values, long, sort, json }, target).run(starts);
    });
  },
});
