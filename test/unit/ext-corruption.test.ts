/**
 * What is wrong with an image is named: one damaged field at a time, checksums made good again
 * where the damage shall be found by its meaning.
 */
/* oxlint-disable unicorn/consistent-function-scoping -- each damage stands beside what it causes */
import { describe, expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import {
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  Ext4DirEntry2,
} from "../../src/format/ext-directory.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import {
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4ExtentIdx,
  Ext4Inode,
  Ext4InodeExtra,
} from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { Ext4XattrEntry, Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { fileAcl } from "../../src/fs/ext/inode-record.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Field } from "../../src/lib/struct.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { type ExtFixture, find, fixtureImage, mountBytes } from "../support/ext-images.ts";

const editors = new Map<ExtFixture, ExtEditor>();

function editorOf(name: ExtFixture): ExtEditor {
  let editor = editors.get(name);
  if (editor === undefined) editors.set(name, (editor = new ExtEditor(fixtureImage(name))));
  return editor;
}

/** The error that `use` meets on the damaged image, as code and message. */
function errorOf(
  name: ExtFixture,
  damage: (editor: ExtEditor) => void,
  use: (filesystem: Filesystem) => unknown,
): string {
  const editor = editorOf(name);
  try {
    damage(editor);
    use(mountBytes(editor.bytes));
    return "no error";
  } catch (error) {
    if (!(error instanceof DaxError)) throw error;
    return `${error.code} ${error.message}`;
  } finally {
    editor.restore();
  }
}

const intact = new Map<ExtFixture, Filesystem>();

/** Looked up in an image that nobody damages. */
function inoOf(name: ExtFixture, path: string): number {
  let filesystem = intact.get(name);
  if (filesystem === undefined) intact.set(name, (filesystem = mountBytes(fixtureImage(name))));
  return find(filesystem, path).ino;
}

function blockOf(name: ExtFixture, path: string, index: number): number {
  const { volume } = editorOf(name);
  const map = new FileMap(volume, volume.record(inoOf(name, path)));
  const block = map.blockOf(index);
  if (block === undefined) throw new Error(`block ${index} of ${path} is a hole`);
  return block;
}

type Row = readonly [what: string, field: Field<number>, value: number, error: RegExp];

describe("superblock", () => {
  const rows: readonly Row[] = [
    ["magic", Ext4SuperBlock.magic, 0xef54, /^EUCLEAN .*superblock: magic is 0xef54/u],
    ["block size", Ext4SuperBlock.logBlockSize, 7, /^EUCLEAN .*log_block_size is 7/u],
    ["cluster size", Ext4SuperBlock.logClusterSize, 3, /^EUCLEAN .*log_cluster_size is 3/u],
    ["inode size", Ext4SuperBlock.inodeSize, 250, /^EUCLEAN .*inode_size is 250/u],
    ["inode above a block", Ext4SuperBlock.inodeSize, 8192, /^EUCLEAN .*inode_size is 8192/u],
    ["first inode", Ext4SuperBlock.firstIno, 10, /^EUCLEAN .*first_ino is 10/u],
    ["descriptor size", Ext4SuperBlock.descSize, 32, /^EUCLEAN .*desc_size is 32/u],
    ["huge descriptor", Ext4SuperBlock.descSize, 2048, /^EUCLEAN .*desc_size is 2048/u],
    ["blocks", Ext4SuperBlock.blocksCountLo, 5000, /^EUCLEAN .*blocks_count is 5000, the device/u],
    ["blocks, high", Ext4SuperBlock.blocksCountHi, 1, /^EUCLEAN .*blocks_count is 4294971392/u],
    ["first block", Ext4SuperBlock.firstDataBlock, 4096, /^EUCLEAN .*first_data_block is 4096/u],
    [
      "blocks per group",
      Ext4SuperBlock.blocksPerGroup,
      8,
      /^EUCLEAN .*blocks_per_group is 8, its/u,
    ],
    ["empty group", Ext4SuperBlock.clustersPerGroup, 0, /^EUCLEAN .*clusters_per_group is 0/u],
    [
      "large group",
      Ext4SuperBlock.clustersPerGroup,
      32776,
      /^EUCLEAN .*clusters_per_group is 327/u,
    ],
    ["inodes per group", Ext4SuperBlock.inodesPerGroup, 8, /^EUCLEAN .*inodes_per_group is 8/u],
    ["inodes", Ext4SuperBlock.inodesCount, 7, /^EUCLEAN .*inodes_count is 7/u],
    ["reserved", Ext4SuperBlock.reservedGdtBlocks, 1025, /^EUCLEAN .*reserved_gdt_blocks is 1025/u],
    ["checksum type", Ext4SuperBlock.checksumType, 2, /^EUCLEAN .*checksum_type is 2/u],
  ];

  test.each(rows)("%s", (_, field, value, error) => {
    const seen = errorOf(
      "ext4-default",
      (editor) => {
        editor.set({ base: 1024, field }, value);
        editor.sealSuperblock();
      },
      () => undefined,
    );
    expect(seen).toMatch(error);
    expect(seen).toMatch(/run e2fsck/u);
  });

  test("checksum", () => {
    const damage = (editor: ExtEditor): void => editor.write(1024 + 0x78, Uint8Array.of(7));
    const seen = errorOf("ext4-default", damage, () => undefined);
    expect(seen).toMatch(/^EBADMSG .*superblock: checksum is 0x[0-9a-f]+, the bytes give 0x/u);
  });

  test("clusters of bigalloc", () => {
    const set = (field: Field<number>, value: number) => (editor: ExtEditor) => {
      editor.set({ base: 1024, field }, value);
      editor.sealSuperblock();
    };
    const clusters = set(Ext4SuperBlock.clustersPerGroup, 8200);
    expect(errorOf("ext4-bigalloc", clusters, () => undefined)).toMatch(
      /clusters_per_group is 82/u,
    );
    const blocks = set(Ext4SuperBlock.blocksPerGroup, 8192);
    expect(errorOf("ext4-bigalloc", blocks, () => undefined)).toMatch(/blocks_per_group is 8192/u);
  });
});

describe("group descriptor", () => {
  const rows: readonly Row[] = [
    ["block bitmap", Ext4GroupDesc.blockBitmapLo, 0, /^EUCLEAN .*descriptor: block_bitmap is 0/u],
    ["inode bitmap", Ext4GroupDesc.inodeBitmapLo, 4096, /^EUCLEAN .*inode_bitmap is 4096/u],
    ["inode table", Ext4GroupDesc.inodeTableLo, 4090, /^EUCLEAN .*inode_table is 4090/u],
    ["inode table, high", Ext4GroupDesc.inodeTableHi, 1, /^EUCLEAN .*inode_table is 42949/u],
    ["unused inodes", Ext4GroupDesc.itableUnusedLo, 65535, /^EUCLEAN .*itable_unused is 65535/u],
    ["table on the descriptors", Ext4GroupDesc.inodeTableLo, 1, /^EUCLEAN .*inode_table is 1, wh/u],
  ];

  test.each(rows)("%s", (_, field, value, error) => {
    const damage = (editor: ExtEditor): void => {
      editor.set({ base: editor.descriptorAt(0), field }, value);
      editor.sealDescriptor(0);
    };
    expect(errorOf("ext4-default", damage, () => undefined)).toMatch(error);
  });

  test.each(["ext4-default", "ext4-gdtcsum"] as const)("checksum of %s", (name) => {
    const damage = (editor: ExtEditor): void =>
      editor.set({ base: editor.descriptorAt(0), field: Ext4GroupDesc.usedDirsCountLo }, 77);
    const seen = errorOf(name, damage, () => undefined);
    expect(seen).toMatch(/^EBADMSG .*group 0 descriptor: checksum/u);
  });
});

describe("inode", () => {
  const use = (filesystem: Filesystem): unknown => find(filesystem, "big").attributes();
  const change =
    (field: Field<number>, value: number, extra = 0) =>
    (editor: ExtEditor) => {
      const ino = inoOf("ext4-default", "big");
      editor.set({ base: editor.inodeAt(ino) + extra, field }, value);
      editor.sealInode(ino);
    };

  test.each([
    ["type", Ext4Inode.mode, 0o644, 0, /^EUCLEAN .*inode \d+: mode is 0o644/u],
    ["flags", Ext4Inode.flags, 0x1008_0000, 0, /^EUCLEAN .*flags is inline_data and extents/u],
    ["inline without", Ext4Inode.flags, 0x1000_0000, 0, /^EUCLEAN .*flags is inline_data, the/u],
    ["encrypted", Ext4Inode.flags, 0x800, 0, /^EUCLEAN .*flags is encrypt/u],
    ["folded", Ext4Inode.flags, 0x4000_0000, 0, /^EUCLEAN .*flags is casefold/u],
    ["an attribute's", Ext4Inode.flags, 0x20_0000, 0, /^EUCLEAN .*holds an attribute's value/u],
    ["deleted", Ext4Inode.linksCount, 0, 0, /^EUCLEAN .*that inode was deleted/u],
    ["size", Ext4Inode.sizeHigh, 0x7fff_ffff, 0, /^EUCLEAN .*size is \d+, more than 2\^32/u],
    ["extra size", Ext4InodeExtra.extraIsize, 132, 128, /^EUCLEAN .*extra_isize is 132/u],
    ["odd extra size", Ext4InodeExtra.extraIsize, 30, 128, /^EUCLEAN .*extra_isize is 30/u],
  ] as const)("%s", (_, field, value, extra, error) => {
    expect(errorOf("ext4-default", change(field, value, extra), use)).toMatch(error);
  });

  test("checksum", () => {
    const damage = (editor: ExtEditor): void => {
      const base = editor.inodeAt(inoOf("ext4-default", "big"));
      editor.set({ base, field: Ext4Inode.uid }, 5);
    };
    expect(errorOf("ext4-default", damage, use)).toMatch(/^EBADMSG .*ext inode \d+: checksum/u);
  });
});

describe("extents", () => {
  const name = "ext4-gdtcsum";
  const use = (filesystem: Filesystem): unknown => {
    const inode = find(filesystem, "frag");
    for (let at = 0; at < inode.size; at += 1024) inode.iomapBegin(at, 1, "read");
    return inode;
  };
  const root = (): number => editorOf(name).inodeAt(inoOf(name, "frag")) + Ext4Inode.block.offset;
  const leaf = (): number => Ext4ExtentIdx.leafLo.get(editorOf(name).view, root() + 12) * 1024;

  test.each([
    ["root magic", root, 0, Ext4ExtentHeader.magic, 1, /^EUCLEAN .*extent root: magic is 0x1/u],
    ["root depth", root, 0, Ext4ExtentHeader.depth, 6, /^EUCLEAN .*extent root: depth is 6/u],
    ["root max", root, 0, Ext4ExtentHeader.max, 5, /^EUCLEAN .*extent root: max is 5/u],
    ["root entries", root, 0, Ext4ExtentHeader.entries, 5, /^EUCLEAN .*entries is 5/u],
    ["empty index", root, 0, Ext4ExtentHeader.entries, 0, /^EUCLEAN .*entries is 0, an index/u],
    ["no room", root, 0, Ext4ExtentHeader.max, 0, /^EUCLEAN .*extent root: max is 0/u],
    ["order", root, 24, Ext4ExtentIdx.block, 0, /^EUCLEAN .*entry 1 block is 0, not between/u],
    ["child", root, 12, Ext4ExtentIdx.leafLo, 99999, /^EUCLEAN .*entry 0 leaf is 99999/u],
    ["child, high", root, 12, Ext4ExtentIdx.leafHi, 9, /^EUCLEAN .*entry 0 leaf is 3865/u],
    ["leaf depth", leaf, 0, Ext4ExtentHeader.depth, 1, /^EUCLEAN .*extent block \d+: depth is 1/u],
    ["leaf max", leaf, 0, Ext4ExtentHeader.max, 85, /^EUCLEAN .*: max is 85, not from 1 to 84/u],
    ["empty extent", leaf, 12, Ext4Extent.len, 0, /^EUCLEAN .*entry 0 len is 0/u],
    ["overlap", leaf, 24, Ext4Extent.block, 1, /^EUCLEAN .*entry 1 block is 1, with/u],
    ["length", leaf, 12, Ext4Extent.len, 30000, /^EUCLEAN .*entry 0 block is 0, with 30000/u],
    ["start", leaf, 12, Ext4Extent.startLo, 16384, /^EUCLEAN .*entry 0 start is 16384/u],
    ["start, high", leaf, 12, Ext4Extent.startHi, 1, /^EUCLEAN .*entry 0 start is 42949/u],
    ["superblock", leaf, 12, Ext4Extent.startLo, 1, /^EUCLEAN .*entry 0 start is 1, with/u],
  ] as const)("%s", (_, base, at, field, value, error) => {
    const damage = (editor: ExtEditor): void => editor.set({ base: base() + at, field }, value);
    expect(errorOf(name, damage, use)).toMatch(error);
  });

  test("the first key of a child is its parent's", () => {
    const damage = (editor: ExtEditor): void => {
      const second = Ext4ExtentIdx.leafLo.get(editor.view, root() + 24) * 1024;
      const key = Ext4Extent.block.get(editor.view, second + 12);
      editor.set({ base: second + 12, field: Ext4Extent.block }, key + 1);
    };
    expect(errorOf(name, damage, use)).toMatch(/^EUCLEAN .*entry 0 block is \d+, its parent says/u);
  });

  test("a node that is its own child", () => {
    const damage = (editor: ExtEditor): void => {
      editor.set({ base: leaf(), field: Ext4ExtentHeader.depth }, 1);
      editor.set({ base: root(), field: Ext4ExtentHeader.depth }, 2);
      editor.set({ base: leaf() + 12, field: Ext4ExtentIdx.leafHi }, 0);
      editor.set({ base: leaf() + 12, field: Ext4ExtentIdx.leafLo }, leaf() / 1024);
    };
    expect(errorOf(name, damage, use)).toMatch(/^EUCLEAN .*extent block \d+/u);
  });

  test("checksum of a block", () => {
    const damage = (editor: ExtEditor): void => {
      const base = editor.inodeAt(inoOf("ext4-default", "frag")) + Ext4Inode.block.offset;
      const block = Ext4ExtentIdx.leafLo.get(editor.view, base + 12);
      editor.set({ base: block * 4096 + 12, field: Ext4Extent.startLo }, 77);
    };
    const seen = errorOf("ext4-default", damage, use);
    expect(seen).toMatch(/^EBADMSG .*inode \d+ extent block \d+: checksum/u);
  });
});

describe("block map", () => {
  const use = (filesystem: Filesystem): unknown =>
    daxRead(find(filesystem, "frag"), new Uint8Array(100), 12 * 4096);
  const word = (index: number, value: number) => (editor: ExtEditor) => {
    const base = editor.inodeAt(inoOf("ext3-4k", "frag"));
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    editor.write(base + Ext4Inode.block.offset + index * 4, bytes);
  };

  test("a direct pointer past the end", () => {
    const seen = errorOf("ext3-4k", word(0, 4096), (fs) =>
      find(fs, "frag").iomapBegin(0, 1, "read"),
    );
    expect(seen).toMatch(/^EUCLEAN .*inode \d+ block map: entry 0 is 4096/u);
  });

  test("an indirect block past the end", () => {
    expect(errorOf("ext3-4k", word(12, 70000), use)).toMatch(/^EUCLEAN .*block\[12\] is 70000/u);
  });

  test("a pointer in an indirect block", () => {
    const damage = (editor: ExtEditor): void => {
      const ino = inoOf("ext3-4k", "frag");
      const block = editor.volume.record(ino).blockWord(12);
      editor.write(block * 4096, Uint8Array.of(0, 0, 0, 1));
    };
    expect(errorOf("ext3-4k", damage, use)).toMatch(
      /^EUCLEAN .*indirect block \d+: entry 0 is 167/u,
    );
  });
});

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
