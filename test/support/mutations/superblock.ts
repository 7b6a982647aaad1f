/**
 * Damage to the superblock.
 */
import { Ext4Inode as DI } from "../../../src/format/ext-inode.ts";
import { Ext4SuperBlock as SB } from "../../../src/format/ext-superblock.ts";
import { JournalSuperblock } from "../../../src/format/jbd2.ts";
import type { Mutation } from "./target.ts";

export const superblock: readonly Mutation[] = [
  {
    name: "checksum of the superblock",
    code: "ext.super.checksum",
    edit: (t) => {
      if (!t.superblock.metadataCsum) return false;
      SB.checksum.set(t.view, 1024, 1);
      return true;
    },
  },
  {
    name: "free blocks of the superblock",
    code: "ext.super.free",
    edit: (t) => t.setSuper(SB.freeBlocksCountLo, t.getSuper(SB.freeBlocksCountLo) - 16),
  },
  {
    name: "free inodes of the superblock",
    code: "ext.super.free",
    edit: (t) => t.setSuper(SB.freeInodesCount, t.getSuper(SB.freeInodesCount) + 1),
  },
  {
    name: "inodes_count",
    code: "ext.super.value",
    edit: (t) => t.setSuper(SB.inodesCount, t.getSuper(SB.inodesCount) + 8),
  },
  {
    name: "blocks_count beyond the device",
    code: "ext.super.value",
    edit: (t) => t.setSuper(SB.blocksCountLo, t.getSuper(SB.blocksCountLo) + 64),
  },
  {
    name: "first_ino",
    code: "ext.super.value",
    edit: (t) => {
      if (t.getSuper(SB.revLevel) === 0) return false;
      t.setSuper(SB.firstIno, 5);
      return true;
    },
  },
  {
    name: "want_extra_isize",
    code: "ext.super.value",
    edit: (t) => t.setSuper(SB.wantExtraIsize, 7),
  },
  {
    name: "reserved blocks",
    code: "ext.super.value",
    edit: (t) => t.setSuper(SB.rBlocksCountLo, t.getSuper(SB.blocksCountLo) - 1),
  },
  {
    name: "unknown incompat feature",
    code: "ext.super.features",
    edit: (t) => t.setSuper(SB.featureIncompat, t.getSuper(SB.featureIncompat) | 0x4000_0000),
  },
  {
    name: "journal without has_journal",
    code: "ext.inode.reserved",
    edit: (t) => {
      if ((t.getSuper(SB.featureCompat) & 4) === 0) return false;
      t.setSuper(SB.featureCompat, t.getSuper(SB.featureCompat) & ~4);
      t.setSuper(SB.journalInum, 0);
      return true;
    },
  },
  {
    name: "journal inode of nobody",
    code: "ext.journal",
    edit: (t) => {
      if ((t.getSuper(SB.featureCompat) & 4) === 0) return false;
      t.setSuper(SB.journalInum, t.ino("a/f1"));
      return true;
    },
  },
  {
    name: "resize inode without its feature",
    code: "ext.resize",
    edit: (t) => {
      if ((t.getSuper(SB.featureCompat) & 0x10) === 0) return false;
      t.setSuper(SB.featureCompat, t.getSuper(SB.featureCompat) & ~0x10);
      return true;
    },
  },
  {
    name: "64bit without extents",
    code: "ext.super.features",
    edit: (t) => {
      if ((t.getSuper(SB.featureIncompat) & 0x80) === 0) return false;
      t.setSuper(SB.featureIncompat, t.getSuper(SB.featureIncompat) & ~0x40);
      return true;
    },
  },
  {
    name: "dir_index missing",
    code: "ext.htree.root",
    edit: (t) => {
      if ((t.get(t.ino("dir"), DI.flags) & 0x1000) === 0) return false;
      t.setSuper(SB.featureCompat, t.getSuper(SB.featureCompat) & ~0x20);
      return true;
    },
  },
  {
    name: "ext_attr missing",
    code: "ext.xattr.block",
    edit: (t) => {
      if (t.get(t.ino("a/f2"), DI.fileAclLo) === 0) return false;
      t.setSuper(SB.featureCompat, t.getSuper(SB.featureCompat) & ~8);
      return true;
    },
  },
  {
    name: "log_groups_per_flex",
    code: "ext.super.value",
    edit: (t) => t.setSuper(SB.logGroupsPerFlex, 40),
  },
  {
    name: "desc_size without 64bit",
    code: "ext.super.value",
    edit: (t) => {
      if ((t.getSuper(SB.featureIncompat) & 0x80) !== 0) return false;
      t.setSuper(SB.descSize, 48);
      return true;
    },
  },
  {
    name: "a feature that came to nothing",
    code: "ext.super.features",
    edit: (t) => t.setSuper(SB.featureRoCompat, t.getSuper(SB.featureRoCompat) | 0x800),
  },
  {
    name: "metadata_csum_seed without metadata_csum",
    code: "ext.super.features",
    edit: (t) => {
      if (t.superblock.metadataCsum || t.getSuper(SB.revLevel) === 0) return false;
      t.setSuper(SB.featureIncompat, t.getSuper(SB.featureIncompat) | 0x2000);
      return true;
    },
  },
  {
    name: "journal longer than its blocks",
    code: "ext.journal",
    edit: (t) => {
      if ((t.getSuper(SB.featureCompat) & 4) === 0) return false;
      t.setSuper(SB.jnlBackupType, 0);
      t.set(8, DI.sizeLo, t.get(8, DI.sizeLo) * 2);
      return true;
    },
  },
  {
    name: "journal with fields of another version",
    code: "ext.journal",
    edit: (t) => {
      if ((t.getSuper(SB.featureCompat) & 4) === 0) return false;
      const at = t.firstBlock(8) * t.superblock.blockSize;
      if (JournalSuperblock.checksumType.get(t.view, at) !== 0) return false;
      JournalSuperblock.blocktype.set(t.view, at, 3);
      return true;
    },
  },
  {
    name: "orphan list to a live file",
    code: "ext.orphan.pending",
    edit: (t) => t.setSuper(SB.lastOrphan, t.ino("a/f1")),
  },
];
