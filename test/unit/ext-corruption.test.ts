/**
 * What is wrong with an image is named: one damaged field at a time, checksums made good again
 * where the damage shall be found by its meaning.
 */
/* oxlint-disable unicorn/consistent-function-scoping -- each damage stands beside what it causes */
import { describe, expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import {
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4ExtentIdx,
  Ext4Inode,
  Ext4InodeExtra,
} from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import type { Field } from "../../src/lib/struct.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { editorOf, errorOf, inoOf, type Row } from "../support/ext-corruption.ts";
import type { ExtEditor } from "../support/ext-editor.ts";
import { find } from "../support/ext-images.ts";

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
