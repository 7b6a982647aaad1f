/** Files that map more than there is. */
import { expect, test } from "vitest";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { extentsIn } from "../../src/vfs/extents.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf } from "../support/bytes.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { mountBytes, still } from "../support/ext-images.ts";
import { tinyImage } from "../support/tiny-images.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";

/**
 * A file whose triple indirect block names itself 256 times over: 16 GiB of an image of 1 MiB. Each
 * answer about it was right, and listing its extents or mapping it took all of time and memory.
 */
function endlessFile(): Uint8Array<ArrayBuffer> {
  const editor = new ExtEditor(tinyImage("ext2"));
  const { ino } = new FileTree(mountBytes(editor.bytes)).stat("/zz-far");
  const own = editor.volume.record(ino).blockWord(14);
  const base = editor.inodeAt(ino);
  for (let at = 0; at < editor.blockSize; at += 4) {
    editor.view.setUint32(own * editor.blockSize + at, own, true);
  }
  editor.set({ base, field: Ext4Inode.sizeHigh }, 4);
  return editor.bytes;
}

test("a mapping that uses blocks again and again ends in an error, and a check says so", () => {
  const bytes = endlessFile();
  const tree = new FileTree(mountBytes(bytes));
  const inode = tree.stat("/zz-far");
  expect(inode.size).toBeGreaterThan(2 ** 34);
  expect(() => [...extentsIn(inode, 0, inode.size)]).toThrow(
    /EUCLEAN.*maps more than the 1048576/u,
  );
  const file = tree.open("/zz-far");
  // A mapping asks page by page, and about all of it when all of its memory is wanted.
  const mapping = file.map();
  expect(mapping.getUint8(2 ** 32)).toBe(mapping.getUint8(2 ** 33));
  expect(codeOf(() => mapping.bytes)).toBe("EUCLEAN");
  expect(codeOf(() => mapping.spans)).toBe("EUCLEAN");
  expect(codeOf(() => file.seek(2 ** 32, "hole"))).toBe("EUCLEAN");
  // A part of it can be read as Linux reads it.
  expect(file.pread(new Uint8Array(4096), 2 ** 32)).toBe(4096);
  const findings = [...ext.check(new RamDisk({ name: "ram0", bytes }), still)];
  expect(findings.map(({ text }) => text).join("\n")).toMatch(/blocks belong to something else/u);
});
