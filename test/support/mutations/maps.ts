/**
 * Damage to extent trees and block maps.
 */
import { Ext4GroupDesc as GD } from "../../../src/format/ext-group.ts";
import type { Mutation } from "./target.ts";

export const maps: readonly Mutation[] = [
  {
    name: "extent header magic",
    code: "ext.extent.header",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(0, 0xf30b, true)),
  },
  {
    name: "extent header entries",
    code: "ext.extent.header",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(2, 5, true)),
  },
  {
    name: "extent header max",
    code: "ext.extent.header",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(4, 9, true)),
  },
  {
    name: "extent header depth",
    code: "ext.extent.",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(6, 1, true)),
  },
  {
    name: "extent header depth far too large",
    code: "ext.extent.depth",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(6, 60, true)),
  },
  {
    name: "extent outside",
    code: "ext.extent.block",
    edit: (t) => t.extentRoot("big", (v) => v.setUint32(20, 0x0fff_ff00, true)),
  },
  {
    name: "extent at block 0",
    code: "ext.extent.block",
    edit: (t) =>
      t.extentRoot("a/f9", (v) => (t.inline ? undefined : v.setUint32(20, 0, true))) && !t.inline,
  },
  {
    name: "extent of no length",
    code: "ext.extent.length",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(16, 0, true)),
  },
  {
    name: "extent past the filesystem",
    code: "ext.extent.block",
    edit: (t) => t.extentRoot("big", (v) => v.setUint16(16, 30_000, true)),
  },
  {
    name: "extent longer than the file",
    code: "ext.",
    edit: (t) =>
      t.extentRoot("a/f9", (v) => (t.inline ? undefined : v.setUint16(16, 4, true))) && !t.inline,
  },
  {
    name: "extent shared with another file",
    code: "ext.block.shared",
    edit: (t) =>
      t.extentRoot("a/f9", (v) =>
        t.inline ? undefined : v.setUint32(20, t.firstBlock(t.ino("big")), true),
      ) && !t.inline,
  },
  {
    name: "extent over the inode table",
    code: "ext.block.shared",
    edit: (t) => t.extentRoot("big", (v) => v.setUint32(20, t.getGroup(0, GD.inodeTableLo), true)),
  },
  {
    name: "second extent before the first",
    code: "ext.extent.order",
    edit: (t) =>
      t.extentRoot("big", (v) => {
        v.setUint16(2, 2, true);
        v.setUint32(24, 0, true);
        v.setUint16(28, 1, true);
        v.setUint32(32, v.getUint32(20, true), true);
      }),
  },
  {
    name: "directory with an unwritten extent",
    code: "ext.directory.unwritten",
    edit: (t) => t.extentRoot("many", (v) => v.setUint16(16, v.getUint16(16, true) + 32768, true)),
  },
  {
    name: "directory with a hole",
    code: "ext.directory.hole",
    edit: (t) => t.extentRoot("many", (v) => v.setUint32(12, 1, true)),
  },
  {
    name: "node magic",
    code: "ext.extent.header",
    edit: (t) => t.node((v) => v.setUint16(0, 1, true)),
  },
  {
    name: "node depth",
    code: "ext.extent.depth",
    edit: (t) => t.node((v) => v.setUint16(6, 3, true)),
  },
  {
    name: "node without entries",
    code: "ext.extent.header",
    edit: (t) => t.node((v) => v.setUint16(2, 0, true)),
  },
  {
    name: "node's first key",
    code: "ext.extent.",
    edit: (t) => t.node((v) => v.setUint32(12, 2, true)),
  },
  {
    name: "node's entries out of order",
    code: "ext.extent.order",
    edit: (t) => t.node((v) => v.setUint32(36, 1, true)),
  },
  {
    name: "node's entry outside",
    code: "ext.extent.block",
    edit: (t) => t.node((v) => v.setUint32(12 + 8, 0xffff_fff0, true)),
  },
  {
    name: "checksum of a node",
    code: "ext.extent.checksum",
    edit: (t) => {
      const node = t.firstNode(t.ino("frag"));
      if (node === undefined || !t.superblock.metadataCsum) return false;
      const block = t.block(node);
      block[block.length - 1] = (block.at(-1) as number) ^ 1;
      return true;
    },
  },
  {
    name: "node of another file",
    code: "ext.",
    edit: (t) => {
      const node = t.firstNode(t.ino("frag"));
      if (node === undefined) return false;
      t.setMapWord(t.ino("frag"), 12 + 4, t.firstBlock(t.ino("big")));
      return true;
    },
  },
  {
    name: "direct block outside",
    code: "ext.map.block",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.setMapWord(t.ino("big"), 4, 0xffff_0000);
      return true;
    },
  },
  {
    name: "indirect block outside",
    code: "ext.map.block",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.setMapWord(t.ino("big"), 48, 0xffff_0000);
      return true;
    },
  },
  {
    name: "indirect block is the inode table",
    code: "ext.block.shared",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.setMapWord(t.ino("big"), 48, t.getGroup(0, GD.inodeTableLo));
      return true;
    },
  },
  {
    name: "double-indirect block is the indirect one",
    code: "ext.",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.setMapWord(t.ino("big"), 52, t.mapWord(t.ino("big"), 48));
      return true;
    },
  },
  {
    name: "direct block twice",
    code: "ext.block.shared",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.setMapWord(t.ino("big"), 4, t.mapWord(t.ino("big"), 0));
      return true;
    },
  },
  {
    name: "pointer in an indirect block",
    code: "ext.map.block",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      const block = t.block(t.mapWord(t.ino("big"), 48));
      new DataView(block.buffer, block.byteOffset).setUint32(8, 0x7fff_ffff, true);
      return true;
    },
  },
  {
    name: "block map lost",
    code: "ext.inode.blocks",
    edit: (t) => {
      if (t.hasExtents(t.ino("big"))) return false;
      t.setMapWord(t.ino("big"), 48, 0);
      return true;
    },
  },
];
