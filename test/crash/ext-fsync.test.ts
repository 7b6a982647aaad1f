/**
 * fsync of what was only just made: the names that this mount gave it are durable, too.
 */
import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "../support/ext-mounted.ts";

/** What a mount finds after the power went. */
function afterCut(image: Uint8Array): string[] {
  const bytes = image.slice();
  const disk = new RamDisk({ name: "ram0", bytes });
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(2)));
  const names = Array.from(tree.readdir("/"), ({ name }) => name);
  return names.filter((name) => name !== "lost+found").toSorted();
}

test.each(["ext2", "ext4"] as const)("%s: an empty file, a directory", (type) => {
  const image = emptyImage({ type, blockSize: 1024 });
  const tree = new FileTree(mountToWrite(image));
  tree.sync();
  tree.open("/file", { create: true, access: "write" }).close();
  tree.open("/file").sync();
  expect(afterCut(image)).toEqual(["file"]);
  tree.mkdir("/directory");
  tree.open("/directory").sync("data");
  expect(afterCut(image)).toEqual(["directory", "file"]);
});

test("an inode that was changed, forgotten and read again", () => {
  const image = emptyImage({ type: "ext4", blockSize: 1024, inodes: 8192 });
  const filesystem = mountToWrite(image);
  const root = writingOf(filesystem.root);
  root.make("file", plainFile);
  for (let i = 0; i < 5000; i++) root.make(`other${i}`, plainFile);
  filesystem.sync();
  const file = filesystem.root.lookup("file");
  writingOf(file ?? filesystem.root).change({ mode: 0o600 });
  for (let i = 0; i < 5000; i++) filesystem.root.lookup(`other${i}`);
  const again = filesystem.root.lookup("file");
  expect(again).not.toBe(file);
  writingOf(again ?? filesystem.root).sync("all");
  const recovered = mountToWrite(image.slice());
  expect((recovered.root.lookup("file")?.mode ?? 0) & 0o777).toBe(0o600);
});
