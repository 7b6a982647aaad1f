/**
 * Damage to inodes' own fields.
 */
import { Ext4GroupDesc as GD } from "../../../src/format/ext-group.ts";
import { Ext4Inode as DI, Ext4InodeExtra as DX } from "../../../src/format/ext-inode.ts";
import type { Mutation } from "./target.ts";

export const inodes: readonly Mutation[] = [
  {
    name: "checksum of an inode",
    code: "ext.inode.checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      const ino = t.ino("a/f1");
      DI.checksumLo.set(t.view, t.inodeAt(ino), t.get(ino, DI.checksumLo) ^ 1);
      return true;
    },
  },
  {
    name: "checksum of an unused inode",
    code: "ext.inode.checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      DI.atime.set(t.view, t.inodeAt(6), 99);
      return true;
    },
  },
  {
    name: "mode of nothing",
    code: "ext.inode.mode",
    edit: (t) => t.change("a/f1", DI.mode, (m) => m & 0xfff),
  },
  {
    name: "file as a symbolic link",
    code: "ext.",
    edit: (t) => t.change("a/f9", DI.mode, (m) => (m & 0xfff) | 0xa000),
  },
  {
    name: "file as a directory",
    code: "ext.directory.entry",
    edit: (t) => t.change("a/f9", DI.mode, (m) => (m & 0xfff) | 0x4000),
  },
  {
    name: "directory as a file",
    code: "ext.links",
    edit: (t) => t.change("a/b", DI.mode, (m) => (m & 0xfff) | 0x8000),
  },
  { name: "root as a file", code: "ext.root", edit: (t) => t.set(2, DI.mode, 0x81a4) },
  {
    name: "links too many",
    code: "ext.links",
    edit: (t) => t.change("a/f1", DI.linksCount, (n) => n + 1),
  },
  {
    name: "links too few",
    code: "ext.links",
    edit: (t) => t.change("a", DI.linksCount, (n) => n - 1),
  },
  {
    name: "no links, deleted long ago",
    code: "ext.directory.inode",
    edit: (t) => {
      t.change("a/f1", DI.linksCount, () => 0);
      t.change("a/f1", DI.dtime, () => 1_600_000_000);
    },
  },
  {
    name: "no links, no time",
    code: "ext.inode.dtime",
    edit: (t) => t.change("a/f1", DI.linksCount, () => 0),
  },
  {
    name: "deletion time of a live file",
    code: "ext.inode.dtime",
    edit: (t) => t.change("a/f1", DI.dtime, () => 1_600_000_000),
  },
  {
    name: "low deletion time",
    code: "ext.inode.dtime",
    edit: (t) => t.change("a/f1", DI.dtime, () => 17),
  },
  {
    name: "size of a file too small",
    code: "ext.inode.size",
    edit: (t) => t.change("big", DI.sizeLo, () => 1),
  },
  {
    name: "size of a file larger than its blocks",
    code: "",
    edit: (t) => t.change("a/f9", DI.sizeLo, (n) => n + 100_000),
  },
  {
    name: "size of a directory",
    code: "ext.inode.size",
    edit: (t) => {
      if ((t.get(t.ino("many"), DI.flags) & 0x1000_0000) !== 0) return false;
      t.change("many", DI.sizeLo, (n) => n + t.superblock.blockSize);
      return true;
    },
  },
  {
    name: "odd size of a directory",
    code: "ext.inode.size",
    edit: (t) => {
      if ((t.get(t.ino("many"), DI.flags) & 0x1000_0000) !== 0) return false;
      t.change("many", DI.sizeLo, (n) => n + 4);
      return true;
    },
  },
  {
    name: "size_high of a directory",
    code: "ext.inode.field",
    edit: (t) => {
      if ((t.superblock.featureIncompat & 0x4000) !== 0) return false;
      t.change("many", DI.sizeHigh, () => 1);
      return true;
    },
  },
  {
    name: "i_blocks",
    code: "ext.inode.blocks",
    edit: (t) => t.change("big", DI.blocksLo, (n) => n + 2),
  },
  { name: "blocks_high", code: "ext.inode.", edit: (t) => t.change("big", DI.blocksHigh, () => 1) },
  { name: "faddr", code: "ext.inode.field", edit: (t) => t.change("a/f1", DI.obsoFaddr, () => 5) },
  {
    name: "file_acl outside",
    code: "ext.xattr.block",
    edit: (t) => t.change("a/f9", DI.fileAclLo, () => 0xffff_ff00),
  },
  {
    name: "file_acl in the data",
    code: "ext.xattr.block",
    edit: (t) => t.change("a/f9", DI.fileAclLo, () => t.firstBlock(t.ino("big"))),
  },
  {
    name: "extra_isize",
    code: "ext.inode.extra",
    edit: (t) => {
      if (t.superblock.inodeSize === 128) return false;
      t.setExtra(t.ino("a/f9"), DX.extraIsize, 6);
      return true;
    },
  },
  {
    name: "extra_isize too large",
    code: "ext.inode.extra",
    edit: (t) => {
      if (t.superblock.inodeSize === 128) return false;
      t.setExtra(t.ino("a/f9"), DX.extraIsize, 400);
      return true;
    },
  },
  {
    name: "imagic",
    code: "ext.inode.field",
    edit: (t) => t.change("a/f1", DI.flags, (f) => f | 0x2000),
  },
  {
    name: "casefold on a file",
    code: "ext.inode.flags",
    edit: (t) => t.change("a/f1", DI.flags, (f) => (f | 0x4000_0000) >>> 0),
  },
  {
    name: "index on a file",
    code: "ext.inode.flags",
    edit: (t) => t.change("a/f9", DI.flags, (f) => f | 0x1000),
  },
  {
    name: "inline data without any",
    code: "ext.inode.flags",
    edit: (t) => {
      t.change("a/f9", DI.flags, (f) => (f & ~0x8_0000) | 0x1000_0000);
    },
  },
  {
    name: "inline data and extents",
    code: "ext.inode.flags",
    edit: (t) => {
      if (!t.hasExtents(t.ino("big"))) return false;
      t.change("big", DI.flags, (f) => f | 0x1000_0000);
      return true;
    },
  },
  {
    name: "extents not flagged",
    code: "ext.inode.flags",
    edit: (t) => {
      if (!t.hasExtents(t.ino("big"))) return false;
      t.change("big", DI.flags, (f) => f & ~0x8_0000);
      return true;
    },
  },
  {
    name: "extents flagged on a block map",
    code: "ext.",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.change("big", DI.flags, (f) => f | 0x8_0000);
      return true;
    },
  },
  {
    name: "size of a device",
    code: "ext.special",
    edit: (t) => t.change("a/null", DI.sizeLo, () => 10),
  },
  {
    name: "extents of a pipe",
    code: "ext.special",
    edit: (t) => t.change("a/fifo", DI.flags, (f) => f | 0x8_0000),
  },
  {
    name: "immutable device",
    code: "ext.inode.flags",
    edit: (t) => t.change("a/null", DI.flags, (f) => f | 0x10),
  },
  {
    name: "length of a fast link",
    code: "ext.symlink",
    edit: (t) => t.change("a/fast", DI.sizeLo, (n) => n + 1),
  },
  {
    name: "fast link with extents",
    code: "ext.symlink",
    edit: (t) => {
      if ((t.superblock.featureIncompat & 0x40) === 0) return false;
      t.change("a/fast", DI.flags, (f) => f | 0x8_0000);
      return true;
    },
  },
  {
    name: "length of a slow link",
    code: "ext.symlink",
    edit: (t) => {
      if ((t.get(t.ino("a/slow"), DI.flags) & 0x1000_0000) !== 0) return false;
      t.change("a/slow", DI.sizeLo, (n) => n - 1);
      return true;
    },
  },
  {
    name: "a reserved inode in use",
    code: "ext.inode.reserved",
    edit: (t) => {
      t.set(6, DI.mode, 0x81a4);
      t.set(6, DI.linksCount, 1);
    },
  },
  {
    name: "resize inode",
    code: "ext.resize",
    edit: (t) => {
      if ((t.superblock.featureCompat & 0x10) === 0) return false;
      t.setMapWord(7, 0, 77);
      return true;
    },
  },
  {
    name: "journal inode is no file",
    code: "ext.",
    edit: (t) => {
      if ((t.superblock.featureCompat & 4) === 0) return false;
      t.set(8, DI.mode, 0x41a4);
      return true;
    },
  },
  {
    name: "a bad block where the filesystem itself is",
    code: "ext.inode.reserved",
    edit: (t) => t.setMapWord(1, 0, t.getGroup(0, GD.inodeTableLo)),
  },
  {
    name: "a date after 2310",
    code: "ext.inode.time",
    edit: (t) => {
      if (t.superblock.inodeSize === 128) return false;
      const ino = t.ino("a/f9");
      t.set(ino, DI.atime, 0x9000_0000);
      t.setExtra(ino, DX.atimeExtra, 3);
      return true;
    },
  },
  {
    name: "encrypted without a word how",
    code: "ext.inode.encryption",
    edit: (t) => t.change("a/f9", DI.flags, (flags) => flags | 0x800),
  },
  {
    name: "bad blocks inode with a mode",
    code: "ext.inode.reserved",
    edit: (t) => t.set(1, DI.mode, 0x81a4),
  },
  {
    name: "an inode that nobody lists",
    code: "ext.links",
    edit: (t) => {
      const ino = t.superblock.inodesPerGroup - 3;
      const source = t.inodeAt(t.ino("a/fifo"));
      if (t.superblock.metadataCsum || t.superblock.gdtCsum) return false;
      t.bytes.copyWithin(t.inodeAt(ino), source, source + t.superblock.inodeSize);
      t.flipBit(0, "inode", ino - 1);
      return true;
    },
  },
];
