/** Damaged directories: their entries, and the hash trees over them. */
/* oxlint-disable unicorn/consistent-function-scoping -- each damage stands beside what it causes */
import { describe, expect, test } from "vitest";
import {
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  Ext4DirEntry2,
} from "../../src/format/ext-directory.ts";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import type { Field } from "../../src/lib/struct.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { blockOf, errorOf, inoOf } from "../support/ext-corruption.ts";
import type { ExtEditor } from "../support/ext-editor.ts";
import { find } from "../support/ext-images.ts";

describe("directory entries", () => {
  const name = "ext2-4k";
  const list = (filesystem: Filesystem): unknown => [...find(filesystem, "a").readdir(0)];
  const base = (): number => blockOf(name, "a", 0) * 4096;
  const change = (at: number, field: Field<number>, value: number) => (editor: ExtEditor) =>
    editor.set({ base: base() + at, field }, value);

  test.each([
    ["record length 0", 24, Ext4DirEntry2.recLen, 0, /^EUCLEAN .*at byte 24: rec_len is 0/u],
    ["record too long", 24, Ext4DirEntry2.recLen, 4096, /^EUCLEAN .*rec_len is 4096, only 4072/u],
    ["odd record", 24, Ext4DirEntry2.recLen, 18, /^EUCLEAN .*rec_len is 18/u],
    ["name too long", 24, Ext4DirEntry2.nameLen, 200, /^EUCLEAN .*name_len is 200/u],
    ["no name", 24, Ext4DirEntry2.nameLen, 0, /^EUCLEAN .*name_len is 0/u],
    ["inode", 24, Ext4DirEntry2.inode, 1e9, /^EUCLEAN .*at byte 24: inode is 1000000000/u],
    ["dot", 0, Ext4DirEntry2.inode, 13, /^EUCLEAN .*first entry is not '\.'/u],
    ["dot dot", 12, Ext4DirEntry2.nameLen, 1, /^EUCLEAN .*second entry is not '\.\.'/u],
  ] as const)("%s", (_, at, field, value, error) => {
    expect(errorOf(name, change(at, field, value), list)).toMatch(error);
  });

  test.each([
    ["a slash", 0x2f],
    ["a NUL", 0],
  ])("a name with %s", (_, byte) => {
    const damage = (editor: ExtEditor): void => editor.write(base() + 24 + 8, Uint8Array.of(byte));
    expect(errorOf(name, damage, list)).toMatch(/^EUCLEAN .*name is with byte/u);
  });

  test("an entry that names the root, or its own directory", () => {
    const look = (filesystem: Filesystem): unknown => find(filesystem, "a/b");
    for (const ino of [2, inoOf(name, "a")]) {
      const damage = (editor: ExtEditor): void => {
        const at = entryAt(editor, base(), "b");
        editor.set({ base: at, field: Ext4DirEntry2.inode }, ino);
      };
      expect(errorOf(name, damage, look)).toMatch(
        /^EUCLEAN .*entry inode is \d+, that would be a/u,
      );
    }
  });

  test("an entry that names a reserved inode", () => {
    const damage = (editor: ExtEditor): void => {
      const at = entryAt(editor, base(), "b");
      editor.set({ base: at, field: Ext4DirEntry2.inode }, 8);
    };
    const seen = errorOf(name, damage, (filesystem) => find(filesystem, "a/b"));
    expect(seen).toMatch(/^EUCLEAN .*entry inode is 8, no entry can name/u);
  });

  test("a directory with two parents", () => {
    const damage = (editor: ExtEditor): void => {
      const at = entryAt(editor, blockOf(name, "a/b", 0) * 4096, "c");
      editor.set({ base: at, field: Ext4DirEntry2.inode }, inoOf(name, "dir"));
    };
    const seen = errorOf(name, damage, (filesystem) => find(filesystem, "a/b/c"));
    expect(seen).toMatch(/^EUCLEAN .*directory: '\.\.' is 2, inode \d+ holds it/u);
  });

  test("a hole, and a size that is no number of blocks", () => {
    const hole = (editor: ExtEditor): void =>
      editor.write(editor.inodeAt(inoOf(name, "a")) + Ext4Inode.block.offset, new Uint8Array(4));
    expect(errorOf(name, hole, list)).toMatch(/^EUCLEAN .*block 0: mapping is a hole/u);
    for (const size of [0, 4095, 0xffff_f000]) {
      const resize = (editor: ExtEditor): void => {
        const inode = editor.inodeAt(inoOf(name, "a"));
        editor.set({ base: inode, field: Ext4Inode.sizeLo }, size);
      };
      expect(errorOf(name, resize, list)).toMatch(/^EUCLEAN .*directory: size is/u);
    }
  });

  test("checksum of a leaf, and a leaf without its tail", () => {
    const leaf = (): number => blockOf("ext4-default", "a", 0) * 4096;
    const flip = (editor: ExtEditor): void => editor.write(leaf() + 40, Uint8Array.of(99));
    expect(errorOf("ext4-default", flip, list)).toMatch(/^EBADMSG .*directory block 0: checksum/u);
    const cut = (editor: ExtEditor): void => editor.write(leaf() + 4096 - 5, Uint8Array.of(0));
    expect(errorOf("ext4-default", cut, list)).toMatch(/^EUCLEAN .*tail is no checksum entry/u);
  });
});

function entryAt(editor: ExtEditor, base: number, name: string): number {
  for (let at = base; ; at += Ext4DirEntry2.recLen.get(editor.view, at)) {
    const length = Ext4DirEntry2.nameLen.get(editor.view, at);
    const bytes = editor.bytes.subarray(at + 8, at + 8 + length);
    if (Buffer.from(bytes).toString() === name) return at;
  }
}

describe("hash tree", () => {
  const name = "ext4-1k";
  const use = (filesystem: Filesystem): unknown =>
    find(filesystem, "dir").lookup("entry_with_a_name_77");
  const change = (at: number, field: Field<number>, value: number) => (editor: ExtEditor) => {
    const block = blockOf(name, "dir", 0);
    editor.set({ base: block * 1024 + at, field }, value);
    editor.sealIndex(inoOf(name, "dir"), block, true);
  };
  const rows = [
    ["hash version", 0x18, DxRootInfo.hashVersion, 9, /^EUCLEAN .*hash_version is 9/u],
    ["info length", 0x18, DxRootInfo.infoLength, 12, /^EUCLEAN .*info_length is 12/u],
    ["flags", 0x18, DxRootInfo.unusedFlags, 1, /^EUCLEAN .*unused_flags is 1/u],
    ["levels", 0x18, DxRootInfo.indirectLevels, 2, /^EUCLEAN .*indirect_levels is 2, above 1/u],
    ["limit", 0x20, DxCountlimit.limit, 100, /^EUCLEAN .*limit is 100, not 123/u],
    ["count", 0x20, DxCountlimit.count, 0, /^EUCLEAN .*count is 0/u],
    ["leaf", 0x20, DxEntry.block, 500, /^EUCLEAN .*directory block 500: block is 500/u],
  ] as const;

  test.each(rows)("%s", (_, at, field, value, error) => {
    const all = (editor: ExtEditor): void => {
      change(at, field, value)(editor);
      if (field !== DxEntry.block) return;
      for (let entry = 1; entry < 27; entry++) change(0x20 + entry * 8, field, value)(editor);
    };
    expect(errorOf(name, all, use)).toMatch(error);
  });

  test("a leaf where a node should be", () => {
    const seen = errorOf(name, change(0x18, DxRootInfo.indirectLevels, 1), use);
    expect(seen).toMatch(/^EUCLEAN .*hash node: rec_len is that of a leaf/u);
  });

  test("checksum", () => {
    const damage = (editor: ExtEditor): void => {
      const block = blockOf(name, "dir", 0);
      editor.set({ base: block * 1024 + 0x28, field: DxEntry.hash }, 2);
    };
    expect(errorOf(name, damage, use)).toMatch(/^EBADMSG .*directory block 0: checksum/u);
  });

  test("without checksums the entries are searched one by one, as Linux does", () => {
    const filesystem = "ext4-gdtcsum";
    const damage = (editor: ExtEditor): void => {
      const base = blockOf(filesystem, "dir", 0) * 1024;
      editor.set({ base: base + 0x20, field: DxCountlimit.limit }, 3);
    };
    const seen = errorOf(filesystem, damage, (fs) => expect(use(fs)).toBeDefined());
    expect(seen).toBe("no error");
  });
});
