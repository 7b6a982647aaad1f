/** Damage to what hangs on an inode: attributes, inline data, targets of symbolic links. */
/* oxlint-disable unicorn/consistent-function-scoping -- each damage stands beside what it causes */
import { describe, expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import { Ext4DirEntry2 } from "../../src/format/ext-directory.ts";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import { Ext4XattrEntry, Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { fileAcl } from "../../src/fs/ext/inode-record.ts";
import type { Field } from "../../src/lib/struct.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { editorOf, errorOf, inoOf } from "../support/ext-corruption.ts";
import type { ExtEditor } from "../support/ext-editor.ts";
import { find } from "../support/ext-images.ts";

describe("extended attributes", () => {
  const name = "ext4-default";
  const use = (filesystem: Filesystem): unknown => {
    const inode = find(filesystem, "big");
    return inode.listxattr().map((key) => inode.getxattr(key));
  };
  const block = (): number => {
    const { volume } = editorOf(name);
    return fileAcl(volume.superblock, volume.record(inoOf(name, "big")));
  };
  const change = (at: number, field: Field<number>, value: number) => (editor: ExtEditor) => {
    editor.set({ base: block() * 4096 + at, field }, value);
    editor.sealXattrs(block());
  };

  test.each([
    ["magic", 0, Ext4XattrHeader.magic, 5, /^EUCLEAN .*xattr block \d+: magic is 0x5/u],
    ["blocks", 0, Ext4XattrHeader.blocks, 2, /^EUCLEAN .*xattr block \d+: blocks is 2/u],
    ["header hash", 0, Ext4XattrHeader.hash, 5, /^EBADMSG .*header hash: checksum is 0x5/u],
    ["value offset", 32, Ext4XattrEntry.valueOffs, 4095, /^EUCLEAN .*entry 0: value_offs is 4095/u],
    ["value in the list", 32, Ext4XattrEntry.valueOffs, 40, /^EUCLEAN .*value_offs is 40/u],
    ["value size", 32, Ext4XattrEntry.valueSize, 1e9, /^EUCLEAN .*value_size is 1000000000/u],
    ["value inode", 32, Ext4XattrEntry.valueInum, 12, /^EUCLEAN .*value_inum is 12, the filesys/u],
    ["no name", 32, Ext4XattrEntry.nameLen, 0, /^EUCLEAN/u],
  ] as const)("%s", (_, at, field, value, error) => {
    expect(errorOf(name, change(at, field, value), use)).toMatch(error);
  });

  test("values that overlap", () => {
    const damage = (editor: ExtEditor): void => {
      const first = block() * 4096 + 32;
      const next = first + 16 + ((Ext4XattrEntry.nameLen.get(editor.view, first) + 3) & ~3);
      const offset = Ext4XattrEntry.valueOffs.get(editor.view, first);
      editor.set({ base: next, field: Ext4XattrEntry.valueOffs }, offset);
      editor.sealXattrs(block());
    };
    expect(errorOf(name, damage, use)).toMatch(/^EUCLEAN .*value_offs is \d+, values overlap/u);
  });

  test("a value that is not the hash's, and a block's checksum", () => {
    const at = (editor: ExtEditor): number =>
      block() * 4096 + Ext4XattrEntry.valueOffs.get(editor.view, block() * 4096 + 32);
    const sealed = (editor: ExtEditor): void => {
      editor.write(at(editor), Uint8Array.of(1));
      editor.sealXattrs(block());
    };
    expect(errorOf(name, sealed, use)).toMatch(/^EBADMSG .*entry 0 hash: checksum/u);
    const raw = (editor: ExtEditor): void => editor.write(at(editor), Uint8Array.of(1));
    expect(errorOf(name, raw, use)).toMatch(/^EBADMSG .*xattr block \d+: checksum/u);
  });

  test("a block outside the filesystem", () => {
    const damage = (editor: ExtEditor): void => {
      const ino = inoOf(name, "big");
      editor.set({ base: editor.inodeAt(ino), field: Ext4Inode.fileAclLo }, 5000);
      editor.sealInode(ino);
    };
    expect(errorOf(name, damage, use)).toMatch(/^EUCLEAN .*inode \d+: file_acl is 5000/u);
  });

  test("a list that never ends", () => {
    const damage = (editor: ExtEditor): void => {
      editor.write(block() * 4096 + 32, new Uint8Array(4064).fill(4));
      editor.sealXattrs(block());
    };
    expect(errorOf(name, damage, use)).toMatch(/^EUCLEAN .*entry \d+ is at byte \d+/u);
  });
});

describe("inline data", () => {
  const name = "ext4-inline";

  test("the attribute that holds the rest must be there", () => {
    const damage = (editor: ExtEditor): void => {
      const ino = inoOf(name, "a/f0");
      editor.set({ base: editor.inodeAt(ino) + 160, field: Ext4XattrHeader.magic }, 0);
      editor.sealInode(ino);
    };
    const use = (filesystem: Filesystem): unknown =>
      daxRead(find(filesystem, "a/f0"), new Uint8Array(10), 0);
    expect(errorOf(name, damage, use)).toMatch(/^EUCLEAN .*inline data: xattr is missing/u);
  });

  test("entries of an inline directory tile their room", () => {
    const damage = (editor: ExtEditor): void => {
      const ino = inoOf(name, "a/b/c");
      const base = editor.inodeAt(ino) + Ext4Inode.block.offset + 4;
      editor.set({ base, field: Ext4DirEntry2.recLen }, 52);
      editor.sealInode(ino);
    };
    const use = (filesystem: Filesystem): unknown => [...find(filesystem, "a/b/c").readdir(0)];
    expect(errorOf(name, damage, use)).toMatch(
      /^EUCLEAN .*inline directory entry at byte 56: off/u,
    );
  });
});

describe("symbolic links", () => {
  const name = "ext4-default";
  const change = (path: string, field: Field<number>, value: number) => (editor: ExtEditor) => {
    const ino = inoOf(name, path);
    editor.set({ base: editor.inodeAt(ino), field }, value);
    editor.sealInode(ino);
  };
  const read = (path: string) => (filesystem: Filesystem) => find(filesystem, path).readlink();

  test.each([
    ["a/fast", 0, /^EUCLEAN .*symlink: size is 0/u],
    ["a/fast", 30, /^EUCLEAN .*symlink: size is 30, the target ends after 8/u],
    ["a/fast", 60, /^EUCLEAN .*symlink: size is 60, above 59/u],
    ["a/slow", 4096, /^EUCLEAN .*symlink: size is 4096, not below a block/u],
    ["a/slow", 151, /^EUCLEAN .*symlink: size is 151, the target ends after 150/u],
  ])("%s of %d bytes", (path, size, error) => {
    expect(errorOf(name, change(path, Ext4Inode.sizeLo, size), read(path))).toMatch(error);
  });
});
