/**
 * Check of the superblock: is it one, is it intact, do its numbers and features go together?
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import {
  EXT4_COMPAT_NAMES,
  EXT4_DYNAMIC_REV,
  EXT4_ERROR_FS,
  EXT4_FEATURE_COMPAT_EXCLUDE_BITMAP,
  EXT4_FEATURE_COMPAT_EXCLUDE_INODE,
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_LAZY_BG,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_ENCRYPT,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_BTREE_DIR,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  EXT4_FEATURE_RO_COMPAT_REPLICA,
  EXT4_GOOD_OLD_INODE_SIZE,
  EXT4_MAX_DESC_SIZE,
  EXT4_RO_COMPAT_NAMES,
  EXT4_SUPERBLOCK_OFFSET,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import {
  EXT4_MMP_MAGIC,
  EXT4_MMP_SEQ_CLEAN,
  EXT4_MMP_SEQ_FSCK,
  MmpStruct,
} from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { type CheckContext, type Findings, hex } from "./check-context.ts";
import { superblockChecksumOf } from "./recover-flag.ts";
import { type Superblock, parseSuperblock } from "./superblock.ts";

const WHERE = "superblock";
/** `encoding`: UTF-8 by Unicode 12.1, the only one there is. */
const EXT4_ENC_UTF8_12_1 = 1;

/** The superblock's bytes on the media. @throws EIO, EUCLEAN for a device too small */
export function readRawSuperblock(device: BlockDevice): DataView<ArrayBuffer> {
  if (device.sectors * 512 < EXT4_SUPERBLOCK_OFFSET + sizeof(SB)) {
    throw new DaxError("EUCLEAN", { detail: "the device is too small to hold a superblock" });
  }
  const bytes = new Uint8Array(sizeof(SB));
  device.readBytes(EXT4_SUPERBLOCK_OFFSET, bytes);
  return new DataView(bytes.buffer);
}

/**
 * Parses the superblock for a check: a bad checksum is a finding, and the numbers are believed if
 * they are possible. Undefined, with a finding, when they are not.
 */
export function parseForCheck(
  raw: DataView<ArrayBuffer>,
  device: BlockDevice,
  findings: Findings,
): Superblock | undefined {
  const size = device.sectors * 512;
  const featureIncompat = SB.featureIncompat.get(raw, 0);
  const known = withoutUnread(raw);
  try {
    return { ...parseSuperblock(known, 0, size), featureIncompat };
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const kind = error.code === "ENOTSUP" ? "features" : "value";
    const code = error.code === "EBADMSG" ? "ext.super.checksum" : `ext.super.${kind}`;
    findings.error(code, WHERE, error.detail ?? error.message);
    const resealed = error.code === "EBADMSG" ? parseResealed(known, size, findings) : undefined;
    return resealed && { ...resealed, featureIncompat };
  }
}

/**
 * What a mount refuses, because nobody could read the names, can be checked. A copy without these
 * bits, with its checksum right if it was right before.
 */
const UNREAD = EXT4_FEATURE_INCOMPAT_ENCRYPT | EXT4_FEATURE_INCOMPAT_CASEFOLD;

function withoutUnread(raw: DataView<ArrayBuffer>): DataView<ArrayBuffer> {
  const word = SB.featureIncompat.get(raw, 0);
  if ((word & UNREAD) === 0) return raw;
  const bytes = new Uint8Array(raw.buffer).slice(0, sizeof(SB));
  const copy = new DataView(bytes.buffer);
  const intact = superblockChecksumOf(bytes) === SB.checksum.get(raw, 0);
  SB.featureIncompat.set(copy, 0, (word & ~UNREAD) >>> 0);
  if (intact) SB.checksum.set(copy, 0, superblockChecksumOf(bytes));
  return copy;
}

/** Parses a copy of which the checksum was made right. */
function parseResealed(
  raw: DataView<ArrayBuffer>,
  size: number,
  findings: Findings,
): Superblock | undefined {
  const bytes = new Uint8Array(raw.buffer).slice(0, sizeof(SB));
  const copy = new DataView(bytes.buffer);
  SB.checksum.set(copy, 0, crc32c(0xffff_ffff, bytes.subarray(0, SB.checksum.offset)));
  try {
    return parseSuperblock(copy, 0, size);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    findings.error("ext.super.value", WHERE, error.detail ?? error.message);
    return undefined;
  }
}

/** Checks what mounting does not ask: rules that only a repair tool knows. */
export function checkSuperblock(context: CheckContext): void {
  checkRevision(context);
  checkUnknown(context);
  checkStrayJournal(context);
  checkQuotaInodes(context);
  checkNumbers(context);
  checkFeatureSets(context);
  checkExtraSize(context);
  checkState(context);
  checkTimes(context);
  if (context.incompat(EXT4_FEATURE_INCOMPAT_MMP)) checkMmp(context);
}

function report(context: CheckContext, kind: string, text: string): void {
  context.error(`ext.super.${kind}`, WHERE, text);
}

function checkRevision(context: CheckContext): void {
  const { featureCompat, featureIncompat, featureRoCompat, revLevel } = context.superblock;
  if (revLevel > EXT4_DYNAMIC_REV) {
    report(context, "value", `rev_level is ${revLevel}, the highest known is ${EXT4_DYNAMIC_REV}`);
  }
  if (revLevel === EXT4_DYNAMIC_REV) return;
  if (featureCompat === 0 && featureIncompat === 0 && featureRoCompat === 0) return;
  report(context, "features", "feature bits are set, but rev_level is 0, which knows none");
}

/** Bits with names, for plans that came to nothing: no check can judge them either. */
const NOT_JUDGED_COMPAT =
  EXT4_FEATURE_COMPAT_LAZY_BG |
  EXT4_FEATURE_COMPAT_EXCLUDE_INODE |
  EXT4_FEATURE_COMPAT_EXCLUDE_BITMAP;
const NOT_JUDGED_RO_COMPAT =
  EXT4_FEATURE_RO_COMPAT_BTREE_DIR |
  EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT |
  EXT4_FEATURE_RO_COMPAT_REPLICA;

/** Bits that nobody knows do not keep Linux from reading, but no check can judge them. */
function checkUnknown(context: CheckContext): void {
  for (const [word, value, names] of [
    ["compat", context.superblock.featureCompat & NOT_JUDGED_COMPAT, EXT4_COMPAT_NAMES],
    ["ro_compat", context.superblock.featureRoCompat & NOT_JUDGED_RO_COMPAT, EXT4_RO_COMPAT_NAMES],
  ] as const) {
    for (let bit = 0; bit < 32; bit++) {
      const name = ((value >>> bit) & 1) === 0 ? undefined : names[2 ** bit];
      if (name !== undefined) report(context, "features", `${word} feature ${name}: never in use`);
    }
  }
  const words = [
    ["compat", context.superblock.featureCompat, EXT4_COMPAT_NAMES],
    ["ro_compat", context.superblock.featureRoCompat, EXT4_RO_COMPAT_NAMES],
  ] as const;
  for (const [word, value, names] of words) {
    for (let bit = 0; bit < 32; bit++) {
      const mask = 2 ** bit;
      if ((value & mask) === 0 || names[mask] !== undefined) continue;
      report(context, "features", `unknown ${word} feature ${hex(mask)}`);
    }
  }
}

/** Without has_journal, nothing may name a journal. */
function checkStrayJournal(context: CheckContext): void {
  if (context.compat(EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return;
  const inum = SB.journalInum.get(context.raw, 0);
  const uuid = SB.journalUuid.get(context.raw, 0).some((byte) => byte !== 0);
  if (inum === 0 && !uuid) return;
  const text = `journal_inum is ${inum}, or a journal's uuid is set`;
  context.error("ext.journal.stray", WHERE, `${text}, but has_journal is not`);
}

/** Quota files keep to their own inodes. */
function checkQuotaInodes(context: CheckContext): void {
  const { usrQuotaInum, grpQuotaInum, prjQuotaInum } = context.superblock;
  const taken = new Set([1, 2, 5, 6, 7, 8, 9, 10]);
  const fields = [
    ["usr_quota_inum", usrQuotaInum],
    ["grp_quota_inum", grpQuotaInum],
    ["prj_quota_inum", prjQuotaInum],
  ] as const;
  for (const [field, ino] of fields) {
    if (ino === 0 || (context.isInode(ino) && !taken.has(ino))) continue;
    report(context, "value", `${field} is ${ino}, which is no inode for a quota file`);
  }
}

function checkNumbers(context: CheckContext): void {
  const { superblock: sb } = context;
  const flex = SB.logGroupsPerFlex.get(context.raw, 0);
  if (flex > 31) report(context, "value", `log_groups_per_flex is ${flex}, expected at most 31`);
  const size = SB.descSize.get(context.raw, 0);
  if (size > EXT4_MAX_DESC_SIZE || (size & (size - 1)) !== 0) {
    const rule = `expected 0 or a power of two up to ${EXT4_MAX_DESC_SIZE}`;
    report(context, "value", `desc_size is ${size}, ${rule}`);
  }
  const clusters = SB.clustersPerGroup.get(context.raw, 0);
  if (clusters !== sb.clustersPerGroup) {
    report(context, "value", `clusters_per_group is ${clusters}, expected ${sb.clustersPerGroup}`);
  }
  const numbers: readonly (readonly [string, number, number, number])[] = [
    ["r_blocks_count", sb.reservedBlocks, 0, sb.blocks / 2],
    ["free_blocks_count", sb.freeBlocks, 0, sb.blocks],
    ["free_inodes_count", sb.freeInodes, 0, sb.inodes],
    ["first_ino", sb.firstIno, 11, sb.inodes],
    ["blocks_per_group", sb.blocksPerGroup, 8, 8 * sb.blockSize * sb.clusterRatio],
    ["inodes_per_group", sb.inodesPerGroup, 8, mostInodes(sb)],
  ];
  for (const [field, value, low, high] of numbers) {
    if (value < low || value > high) {
      report(context, "value", `${field} is ${value}, expected ${low} to ${Math.floor(high)}`);
    }
  }
  const expected = sb.blockSize === 1024 && sb.clusterRatio === 1 ? 1 : 0;
  if (sb.firstDataBlock !== expected) {
    report(context, "value", `first_data_block is ${sb.firstDataBlock}, expected ${expected}`);
  }
}

/** A group needs room for more than its inode table. */
function mostInodes(sb: Superblock): number {
  const inBlocks = (sb.blockSize / sb.inodeSize) * (sb.blocksPerGroup - 4);
  return Math.min(inBlocks, sb.blockSize * 8);
}

function checkFeatureSets(context: CheckContext): void {
  const { superblock: sb } = context;
  const both = EXT4_FEATURE_RO_COMPAT_GDT_CSUM | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  if (context.roCompat(both)) {
    report(context, "features", "metadata_csum supersedes uninit_bg, but both are set");
  }
  const encoding = SB.encoding.get(context.raw, 0);
  if (context.incompat(EXT4_FEATURE_INCOMPAT_CASEFOLD) && encoding !== EXT4_ENC_UTF8_12_1) {
    report(context, "value", `encoding is ${encoding}, expected ${EXT4_ENC_UTF8_12_1} (UTF-8)`);
  }
  const seed = context.incompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED);
  if (seed && !context.roCompat(EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) {
    report(context, "features", "metadata_csum_seed is set, but metadata_csum is not");
  }
  if (
    context.incompat(EXT4_FEATURE_INCOMPAT_64BIT) &&
    !context.incompat(EXT4_FEATURE_INCOMPAT_EXTENTS)
  ) {
    report(context, "features", "64bit needs extents to reach all blocks, but extents are off");
  }
  const resize = context.compat(EXT4_FEATURE_COMPAT_RESIZE_INODE);
  if (resize && context.incompat(EXT4_FEATURE_INCOMPAT_META_BG)) {
    report(context, "features", "resize_inode and meta_bg exclude each other, but both are set");
  }
  if (!resize && sb.reservedGdtBlocks !== 0) {
    const found = `reserved_gdt_blocks is ${sb.reservedGdtBlocks}`;
    report(context, "value", `${found}, expected 0 without resize_inode`);
  }
  const orphanFile = context.compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE);
  if (orphanFile && !context.compat(EXT4_FEATURE_COMPAT_HAS_JOURNAL)) {
    report(context, "features", "orphan_file needs a journal, but there is none");
  }
  if (!orphanFile && context.roCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT)) {
    report(context, "features", "orphan_present is set, but orphan_file is not");
  }
  if (
    context.incompat(EXT4_FEATURE_INCOMPAT_RECOVER) &&
    !context.compat(EXT4_FEATURE_COMPAT_HAS_JOURNAL)
  ) {
    report(context, "features", "needs_recovery is set, but there is no journal");
  }
}

function checkExtraSize(context: CheckContext): void {
  const { inodeSize } = context.superblock;
  if (inodeSize === EXT4_GOOD_OLD_INODE_SIZE) return;
  const most = inodeSize - EXT4_GOOD_OLD_INODE_SIZE;
  const fields = [
    ["min_extra_isize", SB.minExtraIsize.get(context.raw, 0)],
    ["want_extra_isize", SB.wantExtraIsize.get(context.raw, 0)],
  ] as const;
  for (const [field, value] of fields) {
    if (value === 0 || (value >= 4 && value <= most && value % 4 === 0)) continue;
    report(context, "value", `${field} is ${value}, expected 0 or a multiple of 4 up to ${most}`);
  }
}

function checkState(context: CheckContext): void {
  if ((context.superblock.state & EXT4_ERROR_FS) === 0) return;
  const text = "Linux noted errors while it was mounted (state has the error bit)";
  context.findings.warning("ext.super.state", WHERE, text);
}

/** What a clock that was never set shows is no time to compare with: 1980. */
const SANE_TIME = 315_532_800;

/** Linux mounts it all the same, but checks that are due by time are not made. */
function checkTimes(context: CheckContext): void {
  const now = context.now % 2 ** 32;
  if (now < SANE_TIME) return;
  const times = [
    ["mtime", SB.mtime.get(context.raw, 0)],
    ["wtime", SB.wtime.get(context.raw, 0)],
  ] as const;
  for (const [field, time] of times) {
    if (time > now) report(context, "time", `${field} is ${time}, in the future (now is ${now})`);
  }
}

function checkMmp(context: CheckContext): void {
  const { mmpBlock, checksumSeed, metadataCsum } = context.superblock;
  if (!context.isInside(mmpBlock)) {
    report(context, "mmp", `mmp_block is ${mmpBlock}, outside the filesystem`);
    return;
  }
  const view = context.read(mmpBlock, "multi-mount block");
  const magic = MmpStruct.magic.get(view, 0);
  if (magic !== EXT4_MMP_MAGIC) {
    report(context, "mmp", `multi-mount block ${mmpBlock}: magic is ${hex(magic)}, not 0x4d4d50`);
    return;
  }
  const sequence = MmpStruct.seq.get(view, 0);
  if (sequence !== EXT4_MMP_SEQ_CLEAN) {
    const who = sequence === EXT4_MMP_SEQ_FSCK ? "e2fsck is at work" : "it may be mounted";
    const text = `multi-mount block ${mmpBlock} says ${hex(sequence)}: ${who}, or did not end`;
    context.findings.warning("ext.super.mmp", WHERE, text);
  }
  if (!metadataCsum) return;
  const stored = MmpStruct.checksum.get(view, 0);
  const bytes = new Uint8Array(view.buffer, 0, MmpStruct.checksum.offset);
  const computed = crc32c(checksumSeed, bytes);
  if (stored !== computed) {
    const text = `checksum is ${hex(stored)}, expected ${hex(computed)}`;
    report(context, "mmp", `multi-mount block ${mmpBlock}: ${text}`);
  }
}
