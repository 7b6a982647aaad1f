/**
 * Damage to group descriptors and bitmaps.
 */
import { Ext4GroupDesc as GD } from "../../../src/format/ext-group.ts";
import type { Mutation } from "./target.ts";

export const groups: readonly Mutation[] = [
  {
    name: "checksum of a descriptor",
    code: "ext.group.checksum",
    edit: (t) => {
      const sums = t.superblock.metadataCsum || t.superblock.gdtCsum;
      if (!sums) return false;
      GD.checksum.set(t.view, t.descriptorAt(0), t.getGroup(0, GD.checksum) ^ 0x55);
      return true;
    },
  },
  {
    name: "free blocks of a group",
    code: "ext.group.free",
    edit: (t) => t.setGroup(0, GD.freeBlocksCountLo, t.getGroup(0, GD.freeBlocksCountLo) + 1),
  },
  {
    name: "free inodes of a group",
    code: "ext.group.free",
    edit: (t) => t.setGroup(0, GD.freeInodesCountLo, t.getGroup(0, GD.freeInodesCountLo) + 1),
  },
  {
    name: "directories of a group",
    code: "ext.group.free",
    edit: (t) => t.setGroup(0, GD.usedDirsCountLo, t.getGroup(0, GD.usedDirsCountLo) + 1),
  },
  {
    name: "block bitmap elsewhere",
    code: "ext.bitmap.block",
    edit: (t) => t.setGroup(0, GD.blockBitmapLo, t.getGroup(0, GD.inodeTableLo) + 3),
  },
  {
    name: "block bitmap outside",
    code: "ext.group.place",
    edit: (t) => t.setGroup(0, GD.blockBitmapLo, 0x00ff_0000),
  },
  {
    name: "inode bitmap is the block bitmap",
    code: "ext.group.overlap",
    edit: (t) => t.setGroup(0, GD.inodeBitmapLo, t.getGroup(0, GD.blockBitmapLo)),
  },
  {
    name: "inode table outside",
    code: "ext.group.place",
    edit: (t) => t.setGroup(0, GD.inodeTableLo, 0x00ff_0000),
  },
  {
    name: "unused inodes of a group",
    code: "ext.group.flags",
    edit: (t) => {
      if (!t.superblock.metadataCsum && !t.superblock.gdtCsum) return false;
      t.setGroup(0, GD.itableUnusedLo, t.superblock.inodesPerGroup - 5);
      return true;
    },
  },
  {
    name: "inode table flagged uninitialised",
    code: "ext.",
    edit: (t) => {
      if (!t.superblock.metadataCsum && !t.superblock.gdtCsum) return false;
      t.setGroup(0, GD.flags, t.getGroup(0, GD.flags) | 1);
      return true;
    },
  },
  {
    name: "block bitmap flagged uninitialised",
    code: "ext.bitmap.block",
    edit: (t) => {
      if (!t.superblock.metadataCsum && !t.superblock.gdtCsum) return false;
      t.setGroup(0, GD.flags, t.getGroup(0, GD.flags) | 2);
      return true;
    },
  },
  {
    name: "flags without descriptor checksums",
    code: "ext.group.flags",
    edit: (t) => {
      if (t.superblock.metadataCsum || t.superblock.gdtCsum) return false;
      t.setGroup(0, GD.flags, 1);
      return true;
    },
  },
  {
    name: "a used block marked free",
    code: "ext.bitmap.block",
    edit: (t) => t.flipBit(0, "block", 1),
  },
  {
    name: "a free block marked used",
    code: "ext.bitmap.block",
    edit: (t) => {
      const bitmap = t.block(t.getGroup(0, GD.blockBitmapLo));
      const byte = bitmap.indexOf(0);
      if (byte < 0) return false;
      t.flipBit(0, "block", byte * 8);
      return true;
    },
  },
  {
    name: "padding of a block bitmap",
    code: "ext.bitmap.block-padding",
    edit: (t) => {
      const { blocks, blocksPerGroup, firstDataBlock, clustersPerGroup } = t.superblock;
      const last = t.superblock.groups - 1;
      const bitmap = t.block(t.getGroup(last, GD.blockBitmapLo));
      const short = (last + 1) * blocksPerGroup > blocks - firstDataBlock;
      if ((t.getGroup(last, GD.flags) & 2) !== 0) return false;
      if (!short && clustersPerGroup === bitmap.length * 8) return false;
      bitmap[bitmap.length - 1] = (bitmap.at(-1) as number) & 0x7f;
      t.sealBitmap(last, "block");
      return true;
    },
  },
  {
    name: "padding of an inode bitmap",
    code: "ext.bitmap.inode-padding",
    edit: (t) => {
      const bitmap = t.block(t.getGroup(0, GD.inodeBitmapLo));
      if (t.superblock.inodesPerGroup === bitmap.length * 8) return false;
      bitmap[bitmap.length - 1] = 0;
      return true;
    },
  },
  {
    name: "checksum of a block bitmap",
    code: "ext.bitmap.block-checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      t.setGroup(0, GD.blockBitmapCsumLo, t.getGroup(0, GD.blockBitmapCsumLo) ^ 1);
      return true;
    },
  },
  {
    name: "checksum of an inode bitmap",
    code: "ext.bitmap.inode-checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      t.setGroup(0, GD.inodeBitmapCsumLo, t.getGroup(0, GD.inodeBitmapCsumLo) ^ 1);
      return true;
    },
  },
  {
    name: "a used inode marked free",
    code: "ext.bitmap.inode",
    edit: (t) => t.flipBit(0, "inode", 10),
  },
  {
    name: "a free inode marked used",
    code: "ext.bitmap.inode",
    edit: (t) => t.flipBit(0, "inode", t.superblock.inodesPerGroup - 1),
  },
];
