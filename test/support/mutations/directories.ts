/**
 * Damage to directories and their indexes.
 */
import { Ext4DirEntry2 } from "../../../src/format/ext-directory.ts";
import { Ext4Inode as DI } from "../../../src/format/ext-inode.ts";
import type { Mutation } from "./target.ts";

const { inode: entryIno, recLen, nameLen, fileType } = Ext4DirEntry2;

export const directories: readonly Mutation[] = [
  {
    name: "checksum of a leaf",
    code: "ext.directory.checksum",
    edit: (t) => {
      const ino = t.ino("a");
      if (!t.superblock.metadataCsum || (t.get(ino, DI.flags) & 0x1000_0000) !== 0) return false;
      const block = t.block(t.firstBlock(ino));
      block[block.length - 1] = (block.at(-1) as number) ^ 1;
      return true;
    },
  },
  {
    name: "tail of a leaf lost",
    code: "ext.directory.checksum",
    edit: (t) => {
      const ino = t.ino("a");
      if (!t.superblock.metadataCsum || (t.get(ino, DI.flags) & 0x1000_0000) !== 0) return false;
      const block = t.block(t.firstBlock(ino));
      block[block.length - 5] = 0;
      return true;
    },
  },
  {
    name: "entry to an unused inode",
    code: "ext.directory.inode",
    edit: (t) =>
      t.entry("a", "f1", (at) => entryIno.set(t.view, at, t.superblock.inodesPerGroup - 1)),
  },
  {
    name: "entry to an impossible inode",
    code: "ext.directory.inode",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, 0xffff_ffff)),
  },
  {
    name: "entry to a reserved inode",
    code: "ext.directory.inode",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, 8)),
  },
  {
    name: "entry to the root",
    code: "ext.directory.entry",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, 2)),
  },
  {
    name: "entry to itself",
    code: "ext.directory.entry",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, t.ino("a"))),
  },
  {
    name: "entry to another file",
    code: "ext.links",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, t.ino("a/f9"))),
  },
  {
    name: "second entry to a directory",
    code: "ext.directory.parent",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, t.ino("many"))),
  },
  {
    name: "entry removed",
    code: "ext.links",
    edit: (t) => t.entry("a", "f1", (at) => entryIno.set(t.view, at, 0)),
  },
  {
    name: "directory without an entry",
    code: "ext.directory.unconnected",
    edit: (t) => t.entry("a", "b", (at) => entryIno.set(t.view, at, 0)),
  },
  {
    name: "file type",
    code: "ext.directory.type",
    edit: (t) => {
      if ((t.superblock.featureIncompat & 2) === 0) return false;
      return t.entry("a", "f1", (at) => fileType.set(t.view, at, 2));
    },
  },
  {
    name: "file type unknown",
    code: "",
    edit: (t) => {
      if ((t.superblock.featureIncompat & 2) === 0) return false;
      return t.entry("a", "f1", (at) => fileType.set(t.view, at, 0));
    },
  },
  {
    name: "name empty",
    code: "ext.directory.",
    edit: (t) => t.entry("a", "f1", (at) => nameLen.set(t.view, at, 0)),
  },
  {
    name: "name too long for its entry",
    code: "ext.directory.entry",
    edit: (t) => t.entry("a", "f1", (at) => nameLen.set(t.view, at, 200)),
  },
  {
    name: "slash in a name",
    code: "ext.directory.name",
    edit: (t) => t.entry("a", "f1", (at) => t.view.setUint8(at + 8, 47)),
  },
  {
    name: "zero in a name",
    code: "ext.directory.name",
    edit: (t) => t.entry("a", "f1", (at) => t.view.setUint8(at + 9, 0)),
  },
  {
    name: "name twice",
    code: "ext.directory.name",
    edit: (t) => t.entry("a", "f1", (at) => t.view.setUint8(at + 9, 0x32)),
  },
  {
    name: "length of an entry",
    code: "ext.directory.entry",
    edit: (t) => t.entry("a", "f1", (at) => recLen.set(t.view, at, recLen.get(t.view, at) + 2)),
  },
  {
    name: "length of an entry past the block",
    code: "ext.directory.entry",
    edit: (t) => t.entry("a", "f1", (at) => recLen.set(t.view, at, 60_000)),
  },
  {
    name: "length of an entry zero",
    code: "ext.directory.entry",
    edit: (t) => t.entry("a", "f1", (at) => recLen.set(t.view, at, 0)),
  },
  {
    name: ". elsewhere",
    code: "ext.directory.dot",
    edit: (t) => t.entry("a", ".", (at) => entryIno.set(t.view, at, t.ino("many"))),
  },
  {
    name: ". renamed",
    code: "ext.directory.dot",
    edit: (t) => t.entry("a", ".", (at) => t.view.setUint8(at + 8, 0x78)),
  },
  {
    name: ".. elsewhere",
    code: "ext.directory.dotdot",
    edit: (t) => t.entry("a", "..", (at) => entryIno.set(t.view, at, t.ino("many"))),
  },
  {
    name: ".. removed",
    code: "ext.directory.dot",
    edit: (t) => t.entry("a", "..", (at) => entryIno.set(t.view, at, 0)),
  },
  {
    name: ".. to a file",
    code: "ext.directory.",
    edit: (t) => t.entry("a", "..", (at) => entryIno.set(t.view, at, t.ino("a/f1"))),
  },
  {
    name: "index: hash version",
    code: "ext.htree.root",
    edit: (t) => t.index((_b, v) => v.setUint8(28, 9)),
  },
  {
    name: "index: other hash",
    code: "ext.htree.leaf",
    edit: (t) => t.index((_b, v) => v.setUint8(28, 2)),
  },
  {
    name: "index: info length",
    code: "ext.htree.root",
    edit: (t) => t.index((_b, v) => v.setUint8(29, 4)),
  },
  { name: "index: levels", code: "ext.htree.", edit: (t) => t.index((_b, v) => v.setUint8(30, 1)) },
  {
    name: "index: too many levels",
    code: "ext.htree.root",
    edit: (t) => t.index((_b, v) => v.setUint8(30, 3)),
  },
  {
    name: "index: flags",
    code: "ext.htree.root",
    edit: (t) => t.index((_b, v) => v.setUint8(31, 1)),
  },
  {
    name: "index: limit",
    code: "ext.htree.node",
    edit: (t) => t.index((_b, v) => v.setUint16(32, v.getUint16(32, true) - 1, true)),
  },
  {
    name: "index: count too large",
    code: "ext.htree.node",
    edit: (t) => t.index((_b, v) => v.setUint16(34, v.getUint16(32, true) + 1, true)),
  },
  {
    name: "index: count too small",
    code: "ext.htree.leaf",
    edit: (t) => t.index((_b, v) => v.setUint16(34, v.getUint16(34, true) - 1, true)),
  },
  {
    name: "index: leaf outside",
    code: "ext.htree.node",
    edit: (t) => t.index((_b, v) => v.setUint32(36, 0x7000, true)),
  },
  {
    name: "index: leaf twice",
    code: "ext.htree.leaf",
    edit: (t) => t.index((_b, v) => v.setUint32(36, v.getUint32(44, true), true)),
  },
  {
    name: "index: hash of a leaf",
    code: "ext.htree.",
    edit: (t) => t.index((_b, v) => v.setUint32(40, 0xffff_ff00, true)),
  },
  {
    name: "index: checksum",
    code: "ext.htree.checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      let [at, block] = [0, new Uint8Array(0)];
      const done = t.index((bytes, view) => {
        at = 32 + 8 * view.getUint16(32, true) + 4;
        block = bytes;
      });
      block[at] = (block[at] as number) ^ 1;
      return done;
    },
  },
];
