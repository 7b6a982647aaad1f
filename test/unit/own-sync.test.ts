/** An fsync that writes what belongs to its file writes nothing else. */
import { expect, test } from "vitest";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "../support/ext-mounted.ts";

test.each([1024, 4096])("the fsync of a directory leaves the superblock, blocks of %i", (size) => {
  const image = emptyImage({ type: "ext2", blockSize: size });
  const { root } = mountToWrite(image, { ownSyncs: true });
  const superblock = () => image.slice(1024, 2048);
  const before = superblock();
  writingOf(writingOf(root).make("file", plainFile)).sync("all");
  // Open without a name: the superblock heads the list of these.
  writingOf(writingOf(root).make("open", plainFile)).hold();
  writingOf(root).unlink("open");
  writingOf(root).sync("all");
  expect(mountToWrite(image.slice()).root.lookup("file")).toBeDefined();
  expect(superblock()).toEqual(before);
});
