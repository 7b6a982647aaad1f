/** Attribute values that Linux does not hand out. */
import { expect, test } from "vitest";
import { xattrRecord } from "../../src/cli/file-record.ts";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import { Ext4XattrEntry } from "../../src/format/ext-xattr.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { XATTR_SIZE_MAX } from "../../src/vfs/filesystem.ts";
import { writeTar } from "../../src/vfs/tar.ts";
import { codeOf } from "../support/bytes.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { mountBytes } from "../support/ext-images.ts";
import { tinyImage } from "../support/tiny-images.ts";

/**
 * An image in which `user.large` of `/small` is said to have `size` bytes. A list of 1 KiB may name
 * one sparse inode of 16 MiB four dozen times, and an archive held all the values at once.
 */
function imageWith(size: number): Uint8Array<ArrayBuffer> {
  const editor = new ExtEditor(tinyImage("inline"));
  const { ino } = new FileTree(mountBytes(editor.bytes)).stat("/small");
  const base = editor.inodeAt(ino);
  const view = editor.view;
  for (let at = base + 128; at + 16 <= base + 256; at += 4) {
    if (Ext4XattrEntry.valueSize.get(view, at) !== 1024) continue;
    editor.set({ base: at, field: Ext4XattrEntry.valueSize }, size);
    const holder = Ext4XattrEntry.valueInum.get(view, at);
    editor.set({ base: editor.inodeAt(holder), field: Ext4Inode.sizeLo }, size);
    editor.sealInode(holder);
  }
  editor.sealInode(ino);
  return editor.bytes;
}

test("a value above 64 KiB is E2BIG, as for getxattr, and left out by tar with a warning", () => {
  const intact = mountBytes(imageWith(1024));
  expect(new FileTree(intact).stat("/small").getxattr("user.large")).toHaveLength(1024);
  const tree = new FileTree(mountBytes(imageWith(XATTR_SIZE_MAX + 1)));
  const inode = tree.stat("/small");
  expect(inode.listxattr()).toContain("user.large");
  expect(codeOf(() => inode.getxattr("user.large"))).toBe("E2BIG");
  expect(xattrRecord(inode)).toMatchObject({ "user.large": null });
  const warnings: string[] = [];
  writeTar(tree, "/small", () => {}, { onWarning: (text) => void warnings.push(text) });
  expect(warnings).toEqual([
    expect.stringMatching(/^small: attribute user\.large ignored: .* has 65537 bytes/u),
  ]);
  // As many as Linux hands out are read; here the value's hash is no longer right then.
  const whole = new FileTree(mountBytes(imageWith(XATTR_SIZE_MAX)));
  expect(codeOf(() => whole.stat("/small").getxattr("user.large"))).toBe("EBADMSG");
});
