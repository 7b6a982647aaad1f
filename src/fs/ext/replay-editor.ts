/**
 * Edits a filesystem in memory, on top of a replayed journal: what fast commits describe, they
 * describe as changes to inodes, files and directories, not as copies of blocks. Edited blocks go
 * over the buffers; nothing is ever written to the media.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  Ext4GroupDesc as GD,
} from "../../format/ext-group.ts";
import { Ext4Inode as DI, Ext4InodeExtra as DX } from "../../format/ext-inode.ts";
import { EXT4_GOOD_OLD_INODE_SIZE } from "../../format/ext-superblock.ts";
import { Ext4XattrHeader } from "../../format/ext-xattr.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { CheckContext, Findings } from "./check-context.ts";
import { readDescriptor } from "./check-groups.ts";
import { CheckedInode } from "./check-inode-record.ts";
import { readInode } from "./check-inode-table.ts";
import { corrupt } from "./corruption.ts";
import { descriptorBlock, groupLength, groupStart } from "./geometry.ts";
import { descriptorChecksum } from "./groups.ts";
import { initialBlockBitmap } from "./initial-bitmap.ts";
import type { Superblock } from "./superblock.ts";

const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;
const TWO_32 = 2 ** 32;

/** Blocks, inodes and bitmaps that may be changed. */
export class ReplayEditor {
  readonly superblock: Superblock;
  readonly buffers: Buffers;
  /** Reads structures without believing them. */
  readonly context: CheckContext;
  readonly #edited = new Map<number, DataView<ArrayBuffer>>();
  /** Groups of which a bitmap was changed. */
  readonly #groups = new Set<number>();
  /** The cluster at which the search for a free block goes on. */
  #goal = 0;

  constructor(superblock: Superblock, buffers: Buffers) {
    this.superblock = superblock;
    this.buffers = buffers;
    const raw = new DataView(new ArrayBuffer(1024));
    const given = { raw, dirty: true, fastCommits: true, findings: new Findings(), now: 0 };
    this.context = new CheckContext(superblock, buffers, given);
  }

  /** A block as a private copy that has gone over the buffers: what is stored in it is seen. */
  edit(block: number, what: string): DataView<ArrayBuffer> {
    let view = this.#edited.get(block);
    if (view === undefined) {
      view = this.context.read(block, what);
      this.#edited.set(block, view);
      this.buffers.overlay(block, new Uint8Array(view.buffer));
    }
    return view;
  }

  /** The same for a block whose contents do not matter any more: zeros. */
  editFresh(block: number, what: string): DataView<ArrayBuffer> {
    const view = this.edit(block, what);
    new Uint8Array(view.buffer).fill(0);
    return view;
  }

  // Inodes.

  /** An inode that is in use; undefined otherwise. */
  inode(ino: number): CheckedInode | undefined {
    const { firstIno } = this.superblock;
    if (ino !== 2 && ino < firstIno) return undefined;
    if (!this.context.isInode(ino) || !this.isInodeUsed(ino)) return undefined;
    const inode = readInode(this.context, ino);
    return inode === undefined || inode.links === 0 ? undefined : inode;
  }

  /** Stores an inode's bytes, its checksum made right. */
  storeInode(inode: CheckedInode): void {
    const { inodesPerGroup, inodeSize, blockSize } = this.superblock;
    const group = Math.floor((inode.ino - 1) / inodesPerGroup);
    const at = ((inode.ino - 1) % inodesPerGroup) * inodeSize;
    const table = readDescriptor(this.context, group).inodeTable;
    const view = this.edit(table + Math.floor(at / blockSize), "inode table");
    this.#sealInode(inode);
    new Uint8Array(view.buffer).set(inode.bytes, at % blockSize);
  }

  #sealInode({ ino, bytes, view, extraSize }: CheckedInode): void {
    if (!this.superblock.metadataCsum) return;
    const wide = bytes.length > EXTRA && extraSize >= DX.checksumHi.offset + 2;
    DI.checksumLo.set(view, 0, 0);
    if (wide) DX.checksumHi.set(view, EXTRA, 0);
    const { seed } = new CheckedInode(this.context, ino, bytes);
    const sum = crc32c(seed, bytes);
    DI.checksumLo.set(view, 0, sum & 0xffff);
    if (wide) DX.checksumHi.set(view, EXTRA, sum >>> 16);
  }

  isInodeUsed(ino: number): boolean {
    const { inodesPerGroup } = this.superblock;
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const { flags, inodeBitmap } = readDescriptor(this.context, group);
    if (this.context.descriptorsChecked && (flags & EXT4_BG_INODE_UNINIT) !== 0) return false;
    const bit = (ino - 1) % inodesPerGroup;
    const view = this.context.read(inodeBitmap, "inode bitmap");
    return (view.getUint8(bit >> 3) & (1 << (bit & 7))) !== 0;
  }

  /** Marks an inode in use or free; the group's counts follow. */
  markInode(ino: number, used: boolean): void {
    if (this.isInodeUsed(ino) === used) return;
    const { inodesPerGroup } = this.superblock;
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const bit = (ino - 1) % inodesPerGroup;
    const descriptor = readDescriptor(this.context, group);
    const view = this.edit(descriptor.inodeBitmap, "inode bitmap");
    if (this.#clearFlag(group, EXT4_BG_INODE_UNINIT)) {
      new Uint8Array(view.buffer).fill(0);
      setPadding(view, inodesPerGroup);
      this.#setGroup(group, GD.itableUnusedLo, GD.itableUnusedHi, inodesPerGroup);
    }
    flip(view, bit);
    const unused = readDescriptor(this.context, group).itableUnused;
    if (this.context.descriptorsChecked && inodesPerGroup - unused <= bit) {
      this.#setGroup(group, GD.itableUnusedLo, GD.itableUnusedHi, inodesPerGroup - bit - 1);
    }
    this.#groups.add(group);
  }

  /** Counts a directory more or less in its group. */
  countDirectory(ino: number, change: 1 | -1): void {
    const group = Math.floor((ino - 1) / this.superblock.inodesPerGroup);
    const { usedDirs } = readDescriptor(this.context, group);
    const count = Math.max(0, usedDirs + change);
    this.#setGroup(group, GD.usedDirsCountLo, GD.usedDirsCountHi, count);
    this.#groups.add(group);
  }

  // Blocks.

  /** Marks the clusters of some blocks in use or free. */
  markBlocks(block: number, count: number, used: boolean): void {
    const { clusterRatio, clustersPerGroup, firstDataBlock } = this.superblock;
    const first = Math.floor((block - firstDataBlock) / clusterRatio);
    const last = Math.floor((block + count - 1 - firstDataBlock) / clusterRatio);
    for (let cluster = first; cluster <= last;) {
      const group = Math.floor(cluster / clustersPerGroup);
      const end = Math.min(last + 1, (group + 1) * clustersPerGroup);
      const base = group * clustersPerGroup;
      setBits(this.#editBlockBitmap(group), cluster - base, end - base, used);
      cluster = end;
    }
  }

  /** A free block, marked in use, for which `taken` is false. @throws EUCLEAN when there is none */
  allocate(taken: (block: number) => boolean): number {
    const { groups, clusterRatio, clustersPerGroup } = this.superblock;
    const firstGroup = Math.floor(this.#goal / clustersPerGroup);
    // The first group comes up twice: from the goal, and at the end from its start.
    for (let i = 0; i <= groups; i++) {
      const group = (firstGroup + i) % groups;
      const bitmap = this.#blockBitmap(group);
      const start = groupStart(this.superblock, group);
      const from = i === 0 ? this.#goal - firstGroup * clustersPerGroup : 0;
      for (let bit = from; bit < this.#clustersOf(group); bit++) {
        const block = start + bit * clusterRatio;
        if (testBit(bitmap, bit) || taken(block)) continue;
        this.markBlocks(block, 1, true);
        this.#goal = group * clustersPerGroup + bit;
        return block;
      }
    }
    throw corrupt("fast commit", "free blocks", 0, "replay needs one");
  }

  #blockBitmap(group: number): DataView {
    const descriptor = readDescriptor(this.context, group);
    const { flags, blockBitmap } = descriptor;
    if (this.context.descriptorsChecked && (flags & EXT4_BG_BLOCK_UNINIT) !== 0) {
      return new DataView(initialBlockBitmap(this.superblock, descriptor).buffer);
    }
    const known = this.#edited.get(blockBitmap);
    return known ?? this.context.read(blockBitmap, "block bitmap");
  }

  #editBlockBitmap(group: number): DataView {
    const descriptor = readDescriptor(this.context, group);
    this.#groups.add(group);
    const view = this.edit(descriptor.blockBitmap, "block bitmap");
    if (this.#clearFlag(group, EXT4_BG_BLOCK_UNINIT)) {
      new Uint8Array(view.buffer).set(initialBlockBitmap(this.superblock, descriptor));
      setPadding(view, this.#clustersOf(group));
    }
    return view;
  }

  #clustersOf(group: number): number {
    return Math.ceil(groupLength(this.superblock, group) / this.superblock.clusterRatio);
  }

  /** Sets how many inodes share an attribute block. */
  setAttributeReferences(block: number, references: number): void {
    const view = this.edit(block, "attribute block");
    Ext4XattrHeader.refcount.set(view, 0, references);
    const { metadataCsum, checksumSeed } = this.superblock;
    if (!metadataCsum) return;
    Ext4XattrHeader.checksum.set(view, 0, 0);
    const number = new DataView(new ArrayBuffer(8));
    number.setUint32(0, block % TWO_32, true);
    number.setUint32(4, Math.floor(block / TWO_32), true);
    const seeded = crc32c(checksumSeed, new Uint8Array(number.buffer));
    Ext4XattrHeader.checksum.set(view, 0, crc32c(seeded, new Uint8Array(view.buffer)));
  }

  // Descriptors.

  #editDescriptor(group: number): { view: DataView<ArrayBuffer>; at: number } {
    const { descriptorsPerBlock, descSize } = this.superblock;
    const block = descriptorBlock(this.superblock, Math.floor(group / descriptorsPerBlock));
    const view = this.edit(block, "group descriptors");
    return { view, at: (group % descriptorsPerBlock) * descSize };
  }

  #setGroup(group: number, low: Field<number>, high: Field<number>, value: number): void {
    const { view, at } = this.#editDescriptor(group);
    low.set(view, at, value & 0xffff);
    if (this.superblock.descSize >= sizeof(GD)) high.set(view, at, value >>> 16);
  }

  /** Clears a flag of a group; true when it was set and meant something. */
  #clearFlag(group: number, flag: number): boolean {
    const { flags } = readDescriptor(this.context, group);
    if (!this.context.descriptorsChecked || (flags & flag) === 0) return false;
    const { view, at } = this.#editDescriptor(group);
    GD.flags.set(view, at, flags & ~flag);
    return true;
  }

  /** Brings counts and checksums of every changed group up to date. */
  finish(): void {
    for (const group of this.#groups) {
      this.#countBlocks(group);
      this.#countInodes(group);
      this.#sealDescriptor(group);
    }
    this.#groups.clear();
  }

  #countBlocks(group: number): void {
    const bitmap = this.#blockBitmap(group);
    const clusters = this.#clustersOf(group);
    const free = countClear(bitmap, clusters);
    this.#setGroup(group, GD.freeBlocksCountLo, GD.freeBlocksCountHi, free);
    const { flags } = readDescriptor(this.context, group);
    if ((flags & EXT4_BG_BLOCK_UNINIT) !== 0) return;
    const covered = this.superblock.clustersPerGroup / 8;
    this.#setChecksum(group, bitmap, covered, GD.blockBitmapCsumLo, GD.blockBitmapCsumHi);
  }

  #countInodes(group: number): void {
    const { flags, inodeBitmap } = readDescriptor(this.context, group);
    if (this.context.descriptorsChecked && (flags & EXT4_BG_INODE_UNINIT) !== 0) return;
    const { inodesPerGroup } = this.superblock;
    const bitmap = this.context.read(inodeBitmap, "inode bitmap");
    const free = countClear(bitmap, inodesPerGroup);
    this.#setGroup(group, GD.freeInodesCountLo, GD.freeInodesCountHi, free);
    const covered = inodesPerGroup / 8;
    this.#setChecksum(group, bitmap, covered, GD.inodeBitmapCsumLo, GD.inodeBitmapCsumHi);
  }

  #setChecksum(
    group: number,
    bitmap: DataView,
    covered: number,
    low: Field<number>,
    high: Field<number>,
  ): void {
    const { metadataCsum, checksumSeed } = this.superblock;
    if (!metadataCsum) return;
    const bytes = new Uint8Array(bitmap.buffer as ArrayBuffer, bitmap.byteOffset, covered);
    this.#setGroup(group, low, high, crc32c(checksumSeed, bytes));
  }

  #sealDescriptor(group: number): void {
    const { view, at } = this.#editDescriptor(group);
    const bytes = new Uint8Array(view.buffer, at, this.superblock.descSize);
    const sum = descriptorChecksum(this.superblock, group, bytes);
    if (sum !== undefined) GD.checksum.set(view, at, sum);
  }

  /** Whether files may own `count` blocks from `block`. */
  isInside(block: number, count: number): boolean {
    return this.context.isInside(block, count) && block > groupStart(this.superblock, 0);
  }
}

function testBit(view: DataView, bit: number): boolean {
  return (view.getUint8(bit >> 3) & (1 << (bit & 7))) !== 0;
}

function flip(view: DataView, bit: number): void {
  view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
}

/** Sets or clears the bits from `start` to below `end`. */
function setBits(view: DataView, start: number, end: number, value: boolean): void {
  for (let bit = start; bit < end;) {
    if ((bit & 7) === 0 && end - bit >= 8) {
      view.setUint8(bit >> 3, value ? 0xff : 0);
      bit += 8;
      continue;
    }
    if (testBit(view, bit) !== value) flip(view, bit);
    bit++;
  }
}

function setPadding(view: DataView, bits: number): void {
  setBits(view, bits, view.byteLength * 8, true);
}

function countClear(view: DataView, bits: number): number {
  let count = 0;
  for (let bit = 0; bit < bits; bit++) if (!testBit(view, bit)) count++;
  return count;
}
