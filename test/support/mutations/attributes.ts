/**
 * Damage to extended attributes.
 */
import { Ext4Inode as DI } from "../../../src/format/ext-inode.ts";
import { Ext4XattrEntry, Ext4XattrHeader } from "../../../src/format/ext-xattr.ts";
import type { Mutation } from "./target.ts";

export const attributes: readonly Mutation[] = [
  {
    name: "attribute block magic",
    code: "ext.xattr.block",
    edit: (t) => t.attributes((v) => Ext4XattrHeader.magic.set(v, 0, 1)),
  },
  {
    name: "attribute block count",
    code: "ext.xattr.block",
    edit: (t) => t.attributes((v) => Ext4XattrHeader.blocks.set(v, 0, 2)),
  },
  {
    name: "attribute block references",
    code: "ext.xattr.refcount",
    edit: (t) => t.attributes((v) => Ext4XattrHeader.refcount.set(v, 0, 3)),
  },
  {
    name: "attribute value outside",
    code: "ext.xattr.entry",
    edit: (t) => t.attributes((v) => Ext4XattrEntry.valueOffs.set(v, 32, v.byteLength - 4)),
  },
  {
    name: "attribute value too long",
    code: "ext.xattr.entry",
    edit: (t) => t.attributes((v) => Ext4XattrEntry.valueSize.set(v, 32, 70_000)),
  },
  {
    name: "attribute value over the names",
    code: "ext.xattr.entry",
    edit: (t) => t.attributes((v) => Ext4XattrEntry.valueOffs.set(v, 32, 40)),
  },
  {
    name: "attribute hash",
    code: "ext.xattr.entry",
    edit: (t) => t.attributes((v) => Ext4XattrEntry.hash.set(v, 32, 12345)),
  },
  {
    name: "attribute name index",
    code: "ext.xattr.entry",
    edit: (t) => t.attributes((v) => Ext4XattrEntry.nameIndex.set(v, 32, 0)),
  },
  {
    name: "attribute name changed",
    code: "ext.xattr.entry",
    edit: (t) => t.attributes((v) => v.setUint8(32 + 16, 0x7a)),
  },
  {
    name: "attribute block checksum",
    code: "ext.xattr.checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      const number = t.get(t.ino("a/f2"), DI.fileAclLo);
      if (number === 0) return false;
      const block = t.block(number);
      block[0x10] = (block[0x10] as number) ^ 1;
      return true;
    },
  },
  {
    name: "attribute in an inode: value size",
    code: "ext.xattr.entry",
    edit: (t) => {
      const at = t.inodeAt(t.ino("a/f1")) + 160;
      if (t.superblock.inodeSize === 128 || t.view.getUint32(at, true) !== 0xea02_0000)
        return false;
      Ext4XattrEntry.valueSize.set(t.view, at + 4, 300);
      t.sealInode(t.ino("a/f1"));
      return true;
    },
  },
  {
    name: "attribute in an inode: value offset",
    code: "ext.xattr.entry",
    edit: (t) => {
      const at = t.inodeAt(t.ino("a/f1")) + 160;
      if (t.superblock.inodeSize === 128 || t.view.getUint32(at, true) !== 0xea02_0000)
        return false;
      Ext4XattrEntry.valueOffs.set(t.view, at + 4, 4);
      t.sealInode(t.ino("a/f1"));
      return true;
    },
  },
];
