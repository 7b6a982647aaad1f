/**
 * Making an empty ext2, ext3 or ext4 filesystem, as mke2fs 1.47 would: planned in memory to the
 * last block, then written.
 *
 * Whoever is interrupted leaves nothing that claims to be a filesystem: the old superblock goes
 * first, everything else comes next, and the magic number of the new one is stored last, each
 * behind a flush.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_SUPERBLOCK_OFFSET,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { holdAlone } from "../../block/device-users.ts";
import type { Environment } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import { formatUuid } from "../../lib/uuid.ts";
import { type Features, typeName } from "./features.ts";
import { groupStart, inodeTableBlocks, superGroups } from "./geometry.ts";
import { featureNames } from "./mkfs-features.ts";
import { type Contents, type DataRun, planContents } from "./mkfs-files.ts";
import { type Fitted, fit } from "./mkfs-fit.ts";
import { forgetMarks } from "./mkfs-signature.ts";
import { GroupMaker } from "./mkfs-groups.ts";
import { type NewInode, encodeInode } from "./mkfs-inode.ts";
import type { MakeExtOptions } from "./mkfs-options.ts";
import { settle } from "./mkfs-settle.ts";
import type { Space } from "./mkfs-space.ts";
import { SuperblockMaker, type Totals, identify } from "./mkfs-super.ts";
import { type Tables, headOf, placeTables } from "./mkfs-tables.ts";
import { labelOf } from "./name-bytes.ts";
import type { Superblock } from "./superblock.ts";

/** What a plan comes to, for people and programs. */
export interface ExtSummary {
  readonly type: "ext2" | "ext3" | "ext4";
  readonly uuid: string;
  readonly label: string;
  /** Bytes. */
  readonly blockSize: number;
  readonly clusterSize: number;
  readonly inodeSize: number;
  readonly blocks: number;
  readonly reservedBlocks: number;
  readonly freeBlocks: number;
  readonly inodes: number;
  readonly groups: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  /** 0 without a journal. */
  readonly journalBlocks: number;
  /** In the order of dumpe2fs. */
  readonly features: readonly string[];
  /** Blocks that hold copies of the superblock. */
  readonly backups: readonly number[];
}

/** A filesystem planned to the last block; nothing is written yet. */
export class ExtPlan {
  readonly superblock: Superblock;
  readonly options: MakeExtOptions;
  readonly #fitted: Fitted;
  readonly #maker: SuperblockMaker;
  readonly #tables: Tables;
  readonly #contents: Contents;
  readonly #groups: GroupMaker;
  readonly #freeBlocks: number;
  readonly #lazy: boolean;

  /** @throws EINVAL for options that cannot be obeyed, ENOSPC for too little room */
  constructor(deviceBytes: number, options: MakeExtOptions, environment: Environment) {
    const settled = settle(options, deviceBytes);
    const fitted = fit(settled);
    const identity = identify(options, environment);
    this.options = options;
    this.#fitted = fitted;
    this.#maker = new SuperblockMaker(settled, fitted, options, identity);
    const planned = this.#maker.parsed(fitted, settled.blockSize);
    const { space, tables } = placeTables(fitted, {
      blockSize: settled.blockSize,
      logGroupsPerFlex: settled.logGroupsPerFlex,
      stride: options.stride ?? 0,
      packed: options.packedMetaBlocks ?? false,
    });
    const tableClusters = Math.ceil(space.used.total / fitted.clusterRatio);
    const before = [...space.used];
    const { quotaTypes } = settled;
    const { time } = identity;
    const contents = planContents({ superblock: planned, space, options, quotaTypes, time });
    this.superblock = { ...planned, ...finalFeatures(planned, contents) };
    this.#tables = tables;
    this.#contents = contents;
    this.#lazy = options.lazyItableInit ?? true;
    const wishes = { superblock: this.superblock, space, tables, contents };
    const touched = touchedGroups(this.superblock, space, before);
    // As Linux does when it takes the first inode of a group.
    for (const ino of contents.used) touched.add(Math.floor((ino - 1) / fitted.inodesPerGroup));
    const itablesZeroed = !this.#lazy || options.zeroed === true;
    this.#groups = new GroupMaker({ ...wishes, touched, itablesZeroed });
    const totals = this.#totals(tableClusters);
    this.#freeBlocks = totals.freeBlocks;
    this.#maker.finish(totals, this.superblock);
  }

  #totals(tableClusters: number): Totals {
    const { groups, clusterRatio, firstDataBlock } = this.superblock;
    let [freeClusters, freeInodes] = [0, 0];
    for (let group = 0; group < groups; group++) {
      freeClusters += this.#groups.freeClusters(group);
      freeInodes += this.#groups.freeInodes(group);
    }
    const { journal, quotaInums, orphanFileInum, mmpBlock, mmpUpdateInterval } = this.#contents;
    const journalBlocks = this.#journalBlocks();
    return {
      freeBlocks: freeClusters * clusterRatio,
      freeInodes,
      overheadClusters: tableClusters + Math.ceil(journalBlocks / clusterRatio) + firstDataBlock,
      journalInum: journal === undefined ? 0 : 8,
      journalBackup: journal?.backup,
      usrQuotaInum: quotaInums.usr,
      grpQuotaInum: quotaInums.grp,
      prjQuotaInum: quotaInums.prj,
      orphanFileInum,
      mmpBlock,
      mmpUpdateInterval: mmpUpdateInterval || (this.options.mmpUpdateInterval ?? 0),
    };
  }

  #journalBlocks(): number {
    const { journal } = this.#contents;
    return journal === undefined ? 0 : journal.size.logBlocks + journal.size.fastCommitBlocks;
  }

  /** Bytes of the device that the filesystem covers. */
  get bytes(): number {
    return this.superblock.blocks * this.superblock.blockSize;
  }

  /** What it comes to. */
  summary(): ExtSummary {
    const sb = this.superblock;
    const backups = [...superGroups(sb)].filter((group) => group > 0).toSorted((a, b) => a - b);
    return {
      type: typeName(sb),
      uuid: formatUuid(sb.uuid),
      label: labelOf(sb),
      blockSize: sb.blockSize,
      clusterSize: sb.clusterSize,
      inodeSize: sb.inodeSize,
      blocks: sb.blocks,
      reservedBlocks: sb.reservedBlocks,
      freeBlocks: this.#freeBlocks,
      inodes: sb.inodes,
      groups: sb.groups,
      blocksPerGroup: sb.blocksPerGroup,
      inodesPerGroup: sb.inodesPerGroup,
      journalBlocks: this.#journalBlocks(),
      features: featureNames(sb),
      backups: backups.map((group) => groupStart(sb, group)),
    };
  }

  /**
   * Writes it. Nothing before the last store is a filesystem; after it, all of it is there.
   * @throws EBUSY while somebody has the device, ENOSPC when it is smaller than the plan, EROFS,
   *   with nothing written; EIO
   */
  write(device: BlockDevice): void {
    holdAlone(device, "mkfs", () => this.#write(device));
  }

  #write(device: BlockDevice): void {
    if (device.sectors * SECTOR_SIZE < this.bytes) {
      const detail = `it has ${device.sectors * SECTOR_SIZE} bytes, the filesystem ${this.bytes}`;
      throw new DaxError("ENOSPC", { syscall: "mkfs", path: device.name, detail });
    }
    const writer = new Writer(device, this.superblock.blockSize, this.options.zeroed ?? false);
    writer.forget();
    this.#zero(writer);
    this.#writeContents(writer);
    for (const run of this.#contents.data) writer.data(run);
    writer.endData();
    this.#writeGroups(writer);
    this.#writeDescriptors(writer);
    writer.superblock(this.#maker.bytes(0));
  }

  /** What must read as zeros: unused parts of the tables, the journal, the end of the device. */
  #zero(writer: Writer): void {
    const { blockSize, blocks, groups, inodeSize, inodesPerGroup } = this.superblock;
    const reserve = 65536 / blockSize;
    let tail = blocks - (blocks % reserve);
    if (tail > reserve) tail -= reserve;
    if (tail > 0) writer.zero(tail, blocks - tail);
    const whole = inodeTableBlocks(this.superblock);
    for (let group = 0; group < groups; group++) {
      const used = inodesPerGroup - this.#groups.unusedInodes(group);
      const count = this.#lazy ? Math.ceil((used * inodeSize) / blockSize) : whole;
      writer.zero(this.#tables.inodeTable[group] as number, count);
    }
    if (this.options.lazyJournalInit === true) return;
    for (const { start, length } of this.#contents.zeroes) writer.zero(start, length);
  }

  #writeContents(writer: Writer): void {
    const byNumber = new Map<number, NewInode>();
    // The same number may come twice: as a reserved inode, and then as what it is used for.
    for (const inode of this.#contents.inodes) {
      const before = byNumber.get(inode.ino);
      if (before === undefined || before.mode <= inode.mode) byNumber.set(inode.ino, inode);
    }
    this.#writeInodes(
      writer,
      [...byNumber.values()].toSorted((a, b) => a.ino - b.ino),
    );
    for (const { block, bytes } of this.#contents.blocks) writer.block(block, bytes());
  }

  /** Runs of inodes that lie next to each other are written at once. */
  #writeInodes(writer: Writer, inodes: readonly NewInode[]): void {
    const { inodeSize, inodesPerGroup, blockSize } = this.superblock;
    const chunk = new Uint8Array(Math.max(INODES_AT_ONCE, inodeSize));
    const view = new DataView(chunk.buffer);
    for (let next = 0; next < inodes.length;) {
      const { ino } = inodes[next] as NewInode;
      const group = Math.floor((ino - 1) / inodesPerGroup);
      const within = (ino - 1) % inodesPerGroup;
      const most = Math.min(chunk.length / inodeSize, inodesPerGroup - within);
      let count = 0;
      chunk.fill(0);
      for (; count < most && inodes[next]?.ino === ino + count; count++) {
        const inode = inodes[next++] as NewInode;
        encodeInode(this.superblock, inode, chunk, view, count * inodeSize);
      }
      const table = (this.#tables.inodeTable[group] as number) * blockSize;
      writer.bytes(table + within * inodeSize, chunk.subarray(0, count * inodeSize));
    }
  }

  #writeGroups(writer: Writer): void {
    for (let group = 0; group < this.superblock.groups; group++) {
      const blocks = this.#groups.blockBitmap(group);
      const inodes = this.#groups.inodeBitmap(group);
      if (blocks !== undefined) writer.block(this.#tables.blockBitmap[group] as number, blocks);
      if (inodes !== undefined) writer.block(this.#tables.inodeBitmap[group] as number, inodes);
    }
  }

  /** Each block of descriptors to all its places, and the copies of the superblock. */
  #writeDescriptors(writer: Writer): void {
    const { blockSize, groups, descriptorsPerBlock, descriptorBlocks } = this.superblock;
    const heads = [...superGroups(this.superblock)].map((group) => ({
      group,
      head: headOf(this.#fitted, blockSize, group),
    }));
    for (let index = 0; index < descriptorBlocks; index++) {
      const first = index * descriptorsPerBlock;
      const after = Math.min(first + descriptorsPerBlock, groups);
      const bytes = this.#descriptorBlock(first, after);
      for (const { head } of heads) {
        if (head.descriptors !== undefined) writer.block(head.descriptors.start + index, bytes);
      }
      for (const group of new Set([first, first + 1, first + descriptorsPerBlock - 1])) {
        if (group >= after) continue;
        const { metaDescriptor } = headOf(this.#fitted, blockSize, group);
        if (metaDescriptor !== undefined) writer.block(metaDescriptor, bytes);
      }
    }
    for (const { group, head } of heads) {
      if (group === 0 || head.superBlock === undefined) continue;
      writer.bytes(head.superBlock * blockSize, this.#maker.bytes(group));
    }
  }

  #descriptorBlock(first: number, after: number): Uint8Array {
    const { blockSize, descSize } = this.superblock;
    const bytes = new Uint8Array(blockSize);
    for (let group = first; group < after; group++) {
      this.#groups.descriptor(group, bytes, (group - first) * descSize);
    }
    return bytes;
  }
}

/** A filesystem too small for a journal goes without, and large files of its own have a flag. */
function finalFeatures(superblock: Superblock, contents: Contents): Features {
  let { featureCompat, featureRoCompat } = superblock;
  if (contents.journal === undefined) {
    featureCompat &= ~(EXT4_FEATURE_COMPAT_HAS_JOURNAL | EXT4_FEATURE_COMPAT_ORPHAN_FILE);
  }
  const large = contents.inodes.some(({ size }) => size >= 2 ** 31);
  if (large) featureRoCompat |= EXT4_FEATURE_RO_COMPAT_LARGE_FILE;
  return { ...superblock, featureCompat: featureCompat >>> 0, featureRoCompat };
}

/** Groups that hold blocks of files: what is in use now and was not `before`. */
function touchedGroups(
  { firstDataBlock, blocksPerGroup }: Superblock,
  { used }: Space,
  before: readonly { readonly start: number; readonly length: number }[],
): Set<number> {
  const touched = new Set<number>();
  const mark = (start: number, after: number): void => {
    const last = Math.floor((after - 1 - firstDataBlock) / blocksPerGroup);
    for (
      let group = Math.floor((start - firstDataBlock) / blocksPerGroup);
      group <= last;
      group++
    ) {
      touched.add(group);
    }
  };
  let next = 0;
  for (const { start, length } of used) {
    let at = start;
    for (; next < before.length; next++) {
      const old = before[next] as { start: number; length: number };
      if (old.start >= start + length) break;
      if (old.start > at) mark(at, old.start);
      at = old.start + old.length;
    }
    if (at < start + length) mark(at, start + length);
  }
  return touched;
}

/** Bytes that are zeroed first: a boot sector, a partition table, the old superblock. */
const FORGOTTEN = 4096;
const INODES_AT_ONCE = 2 ** 16;
const DATA_AT_ONCE = 2 ** 20;
const ZEROES_AT_ONCE = 2 ** 31;

class Writer {
  readonly #device: BlockDevice;
  readonly #blockSize: number;
  readonly #zeroed: boolean;
  readonly #buffer = new Uint8Array(DATA_AT_ONCE);
  /** Blocks in the buffer: from which on, and how many. */
  #first = 0;
  #count = 0;

  constructor(device: BlockDevice, blockSize: number, zeroed: boolean) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#zeroed = zeroed;
  }

  /** Whatever filesystem is there is one no longer. */
  forget(): void {
    this.#device.writeZeroes(0, FORGOTTEN / SECTOR_SIZE);
    forgetMarks(this.#device);
    this.#device.flush();
  }

  zero(block: number, count: number): void {
    if (this.#zeroed) return;
    const per = this.#blockSize / SECTOR_SIZE;
    const most = ZEROES_AT_ONCE / this.#blockSize;
    for (let done = 0; done < count; done += most) {
      const length = Math.min(most, count - done);
      this.#device.writeZeroes((block + done) * per, length * per);
    }
  }

  block(block: number, bytes: Uint8Array): void {
    this.#device.write((block * this.#blockSize) / SECTOR_SIZE, bytes);
  }

  /** Data through a buffer of bounded size, in which runs that lie side by side are collected. */
  data({ start, length, node, offset, bytes }: DataRun): void {
    const most = Math.floor(DATA_AT_ONCE / this.#blockSize);
    for (let done = 0; done < length;) {
      if (start + done !== this.#first + this.#count || this.#count === most) this.endData();
      if (this.#count === 0) this.#first = start + done;
      const count = Math.min(most - this.#count, length - done);
      const from = this.#count * this.#blockSize;
      const until = from + count * this.#blockSize;
      const at = done * this.#blockSize;
      const data = Math.min(until, from + Math.max(0, bytes - at));
      this.#buffer.fill(0, from, until);
      if (data > from) node.read?.(offset + at, this.#buffer.subarray(from, data));
      this.#count += count;
      done += count;
    }
  }

  /** Writes what is collected. */
  endData(): void {
    if (this.#count === 0) return;
    const bytes = this.#buffer.subarray(0, this.#count * this.#blockSize);
    this.#device.write((this.#first * this.#blockSize) / SECTOR_SIZE, bytes);
    this.#count = 0;
  }

  bytes(at: number, bytes: Uint8Array): void {
    this.#device.writeBytes(at, bytes);
  }

  /** The magic number makes it a filesystem: it is stored when the rest cannot be lost. */
  superblock(bytes: Uint8Array): void {
    const { offset, size } = SB.magic;
    const body = bytes.slice();
    body.fill(0, offset, offset + size);
    this.#device.writeBytes(EXT4_SUPERBLOCK_OFFSET, body);
    this.#device.flush();
    const magic = bytes.subarray(offset, offset + size);
    this.#device.writeBytes(EXT4_SUPERBLOCK_OFFSET + offset, magic);
    this.#device.flush();
  }
}

/**
 * Plans a filesystem for a device of `deviceBytes`; {@link ExtPlan.write} is what writes it.
 * @throws EINVAL for options that cannot be obeyed, ENOSPC for too little room
 */
export function planExt(
  deviceBytes: number,
  options: MakeExtOptions,
  environment: Environment,
): ExtPlan {
  return new ExtPlan(deviceBytes, options, environment);
}

/**
 * Makes an empty filesystem on a device. The same options, size and environment give the same
 * bytes; whatever was there is lost.
 * @throws EINVAL, ENOSPC, EBUSY while it is mounted or otherwise in use, with nothing written;
 *   EROFS, EIO
 */
export function makeExt(
  device: BlockDevice,
  options: MakeExtOptions,
  environment: Environment,
): ExtSummary {
  const plan = planExt(device.sectors * SECTOR_SIZE, options, environment);
  plan.write(device);
  return plan.summary();
}
