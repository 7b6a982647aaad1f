/**
 * Check of every inode: its numbers, flags and times, what it may be at its place, and its blocks.
 *
 * @module
 */
import {
  EXT4_BAD_INO,
  EXT4_BOOT_LOADER_INO,
  EXT4_GRP_QUOTA_INO,
  EXT4_INLINE_DATA_FL,
  EXT4_JOURNAL_INO,
  EXT4_RESIZE_INO,
  EXT4_ROOT_INO,
  EXT4_USR_QUOTA_INO,
  Ext4Inode as DI,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { checkBlocks } from "./check-blocks.ts";
import { checkEncryption } from "./check-encryption.ts";
import { type CheckContext, hex } from "./check-context.ts";
import {
  checkExtraSize,
  checkExtraTimes,
  checkFields,
  checkFlags,
  checkKind,
} from "./check-inode-fields.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { allInodes } from "./check-inode-table.ts";
import { walkMap } from "./check-map.ts";
import { NO_VALUES, checkInodeAttributes } from "./check-xattr.ts";

/** Checks all inodes, and notes which are in use. */
export function* checkInodes(context: CheckContext): Generator<Finding> {
  const pass = new InodePass(context);
  const { groups, inodesPerGroup } = context.superblock;
  let group = -1;
  for (const inode of allInodes(context)) {
    const next = Math.floor((inode.ino - 1) / inodesPerGroup);
    if (next !== group) {
      group = next;
      context.trace.event("ext.check", { pass: "inode tables", done: group, total: groups });
    }
    pass.check(inode);
    yield* context.findings.take();
  }
  if (context.largeFiles > 0 && !context.roCompat(EXT4_FEATURE_RO_COMPAT_LARGE_FILE)) {
    const text = `${context.largeFiles} files of 2 GiB or more, but large_file is not set`;
    context.error("ext.super.features", "superblock", text);
  }
  if (!context.inodesUsed.has(EXT4_ROOT_INO - 1)) {
    context.error("ext.root", `inode ${EXT4_ROOT_INO}`, "the root directory is not in use");
  }
  yield* context.findings.take();
}

class InodePass {
  readonly #context: CheckContext;
  /** Deletion times below the number of inodes are links of the orphan list, not times. */
  readonly #lowTimes: boolean;

  constructor(context: CheckContext) {
    this.#context = context;
    const { inodes } = context.superblock;
    const times = [SB.wtime, SB.mtime, SB.mkfsTime].map((field) => field.get(context.raw, 0));
    this.#lowTimes = times.every((time) => time === 0 || time >= inodes);
  }

  check(inode: CheckedInode): void {
    const context = this.#context;
    const orphan = context.orphans.has(inode.ino - 1);
    this.#checkChecksum(inode);
    if (inode.dtime !== 0 && this.#lowTimes && inode.dtime < context.superblock.inodes && !orphan) {
      const text = `dtime is ${inode.dtime}, a link of an orphan list that does not hold the inode`;
      context.error("ext.inode.dtime", inode.where, text);
    }
    if (inode.links === 0 && !orphan && this.#isOrdinary(inode.ino)) {
      this.#checkDeleted(inode);
      return;
    }
    checkFlags(context, inode);
    if (!this.#checkSpecial(inode)) return;
    if (inode.links === 0 && !orphan) return;
    this.#checkLive(inode, orphan);
  }

  #checkChecksum(inode: CheckedInode): void {
    if (inode.checksumHolds) return;
    const { stored, computed } = inode.checksums();
    const text = `checksum is ${hex(stored)}, expected ${hex(computed)}`;
    this.#context.error("ext.inode.checksum", inode.where, text);
  }

  #isOrdinary(ino: number): boolean {
    return ino >= this.#context.superblock.firstIno && !this.#isQuota(ino);
  }

  #isQuota(ino: number): boolean {
    const { prjQuotaInum } = this.#context.superblock;
    return (
      ino === EXT4_USR_QUOTA_INO ||
      ino === EXT4_GRP_QUOTA_INO ||
      (prjQuotaInum !== 0 && ino === prjQuotaInum)
    );
  }

  #checkDeleted(inode: CheckedInode): void {
    if (inode.dtime !== 0 || inode.mode === 0) return;
    const text = "it has no links, but dtime is 0, expected the time of its deletion";
    this.#context.error("ext.inode.dtime", inode.where, text);
  }

  /** Inodes with a role of their own. Answers whether the ordinary checks are to follow. */
  #checkSpecial(inode: CheckedInode): boolean {
    const { superblock } = this.#context;
    const { ino } = inode;
    if (ino === EXT4_BAD_INO) return this.#checkBadBlocks(inode);
    if (ino === EXT4_ROOT_INO) return this.#checkRoot(inode);
    if (ino === EXT4_JOURNAL_INO) {
      return this.#checkHidden(inode, superblock.journalInum === ino, "journal");
    }
    if (this.#isQuota(ino)) {
      return this.#checkHidden(inode, this.#isQuotaInUse(ino), "quota");
    }
    if (ino === SB.orphanFileInum.get(this.#context.raw, 0)) {
      const used = this.#context.compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE);
      return this.#checkHidden(inode, used, "orphan file");
    }
    if (ino < superblock.firstIno) return this.#checkReserved(inode);
    return true;
  }

  #isQuotaInUse(ino: number): boolean {
    const { usrQuotaInum, grpQuotaInum, prjQuotaInum } = this.#context.superblock;
    const known = ino === usrQuotaInum || ino === grpQuotaInum || ino === prjQuotaInum;
    return known && this.#context.roCompat(EXT4_FEATURE_RO_COMPAT_QUOTA);
  }

  /** The list of bad blocks: blocks, and nothing else. */
  #checkBadBlocks(inode: CheckedInode): false {
    const context = this.#context;
    const owner = inode.view.getUint16(2, true) + inode.view.getUint16(0x18, true);
    const used = inode.mode !== 0 || owner !== 0 || inode.links !== 0 || inode.fileAcl !== 0;
    if (used || inode.has(EXT4_INLINE_DATA_FL)) {
      const text = "the list of bad blocks has mode, owner, links or attributes, expected none";
      context.error("ext.inode.reserved", inode.where, text);
    }
    const claim = (block: number, count: number): boolean => {
      if (context.claim(block, count)) return true;
      const text = `bad blocks from ${block} on (${count}) are in use, by the filesystem or twice`;
      context.error("ext.inode.reserved", inode.where, text);
      return false;
    };
    walkMap(context, inode, {
      node: (block) => claim(block, 1),
      data: (_logical, block, count) => void claim(block, count),
      problem: (code, text) => context.error(code, inode.where, text),
    });
    context.inodesUsed.add(inode.ino - 1);
    return false;
  }

  #checkRoot(inode: CheckedInode): true {
    if (!inode.isDirectory) {
      const text = `mode is 0${inode.mode.toString(8)}, expected a directory`;
      this.#context.error("ext.root", inode.where, text);
    }
    return true;
  }

  /** A file that no directory lists: a regular file when it is used, else nothing at all. */
  #checkHidden(inode: CheckedInode, used: boolean, what: string): boolean {
    this.#context.inodesUsed.add(inode.ino - 1);
    if (used) {
      if (!inode.isRegular) {
        const text = `the ${what} has mode 0${inode.mode.toString(8)}, expected a regular file`;
        this.#context.error("ext.inode.reserved", inode.where, text);
      }
      checkBlocks(this.#context, inode, NO_VALUES, false);
      return false;
    }
    const sectors = DI.blocksLo.get(inode.view, 0);
    if (inode.links !== 0 || sectors !== 0 || inode.blockWord(0) !== 0) {
      const text = `no ${what} is in use, but its inode is not empty`;
      this.#context.error("ext.inode.reserved", inode.where, text);
    }
    return true;
  }

  #checkReserved(inode: CheckedInode): false {
    this.#context.inodesUsed.add(inode.ino - 1);
    const { mode } = inode;
    const fine =
      inode.ino === EXT4_BOOT_LOADER_INO
        ? !inode.isDirectory
        : inode.ino === EXT4_RESIZE_INO
          ? mode === 0 || inode.isRegular
          : mode === 0;
    if (!fine) {
      const text = `a reserved inode has mode 0${mode.toString(8)}`;
      this.#context.error("ext.inode.reserved", inode.where, text);
    }
    checkBlocks(this.#context, inode, NO_VALUES, false);
    return false;
  }

  #checkLive(inode: CheckedInode, orphan: boolean): void {
    const context = this.#context;
    const index = inode.ino - 1;
    if (inode.dtime !== 0 && !orphan) {
      const text = `dtime is ${inode.dtime}, expected 0 for an inode in use`;
      context.error("ext.inode.dtime", inode.where, text);
    }
    context.inodesUsed.add(index);
    checkFields(context, inode);
    const believed = checkExtraSize(context, inode);
    const values = believed ? checkInodeAttributes(context, inode) : NO_VALUES;
    if (believed) checkExtraTimes(context, inode);
    checkEncryption(context, inode);
    if (inode.isSymlink) context.inodesSymlink.add(index);
    if (inode.isDirectory) {
      context.inodesDirectory.add(index);
      context.directories.push(inode.ino);
    } else if (inode.isRegular) context.inodesRegular.add(index);
    else checkKind(context, inode);
    if (inode.isSymlink && inode.has(EXT4_INLINE_DATA_FL)) return;
    checkBlocks(context, inode, values, orphan);
  }
}
