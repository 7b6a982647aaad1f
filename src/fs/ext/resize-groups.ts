/**
 * Descriptors and bitmaps of a filesystem that grows: those of new groups, and those of old groups
 * that get longer or take in tables of new ones.
 *
 * @module
 */
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  Ext4GroupDesc as GD,
} from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { RangeSet } from "../../lib/range-set.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { descriptorBlock, groupLength, groupStart } from "./geometry.ts";
import { type StoredGroup, descriptorChecksum } from "./groups.ts";
import { initialBlockBitmap } from "./initial-bitmap.ts";
import { firstGroupFor } from "./resize-tables.ts";
import type { NewGroups } from "./resize-tables.ts";
import type { Superblock } from "./superblock.ts";
import type { Volume } from "./volume.ts";

/** Runs of blocks that are in use in groups `[first, groups)` of a filesystem. @throws EIO */
export function* usedRuns(
  volume: Volume,
  first: number,
): Generator<{ readonly start: number; readonly length: number }> {
  const { superblock } = volume;
  const start = groupStart(superblock, first);
  const before = start - superblock.firstDataBlock;
  if (before > 0) yield { start: superblock.firstDataBlock, length: before };
  for (let group = first; group < superblock.groups; group++) {
    yield* runsOf(superblock, group, storedBitmap(volume, group));
  }
}

function* runsOf(
  superblock: Superblock,
  group: number,
  bitmap: Uint8Array,
): Generator<{ readonly start: number; readonly length: number }> {
  const { clusterRatio } = superblock;
  const [start, length] = [groupStart(superblock, group), groupLength(superblock, group)];
  const clusters = Math.ceil(length / clusterRatio);
  let from = -1;
  for (let bit = 0; bit <= clusters; bit++) {
    const set = bit < clusters && ((bitmap[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
    if (set && from < 0) from = bit;
    if (set || from < 0) continue;
    const count = Math.min((bit - from) * clusterRatio, length - from * clusterRatio);
    yield { start: start + from * clusterRatio, length: count };
    from = -1;
  }
}

/** A group's bitmap of blocks as it counts now. @throws EUCLEAN, EBADMSG, EIO */
function storedBitmap(volume: Volume, group: number): Uint8Array<ArrayBuffer> {
  const { superblock, groups, buffers } = volume;
  const descriptor = groups.read(group);
  if ((descriptor.flags & EXT4_BG_BLOCK_UNINIT) !== 0) {
    return initialBlockBitmap(superblock, descriptor);
  }
  const bytes = new Uint8Array(superblock.blockSize);
  buffers.read(descriptor.blockBitmap, bytes, "block bitmap");
  return bytes;
}

/** A block that is to be written. */
export interface NewBlock {
  readonly block: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Computes what each group stores, and the blocks of descriptors. */
export class GrownGroups {
  /** Blocks of descriptors that change, by their number among them. */
  readonly descriptors = new Map<number, Uint8Array<ArrayBuffer>>();
  /** Bitmaps of old groups that change. */
  readonly bitmaps: NewBlock[] = [];
  freeClusters = 0;
  freeInodes = 0;
  readonly #volume: Volume;
  readonly #after: Superblock;
  readonly #new: NewGroups;
  readonly #checked: boolean;

  /** `freed`: runs of old groups that nothing uses any more. @throws EUCLEAN, EBADMSG, EIO */
  constructor(volume: Volume, after: Superblock, added: NewGroups, freed: RangeSet) {
    this.#volume = volume;
    this.#after = after;
    this.#new = added;
    this.#checked = after.metadataCsum || after.gdtCsum;
    const { groups } = volume.superblock;
    const nearest = firstGroupFor(after, groups);
    for (let group = 0; group < groups; group++) {
      const { freeClusters, freeInodes } = volume.groups.read(group);
      this.freeInodes += freeInodes;
      const [start, length] = [groupStart(after, group), groupLength(after, group)];
      const longer = length !== groupLength(volume.superblock, group);
      const taken = group >= nearest && added.taken.overlap(start, length) > 0;
      if (longer || taken || freed.overlaps(start, length)) this.#changeOld(group, freed);
      else this.freeClusters += freeClusters;
    }
    for (let group = groups; group < after.groups; group++) this.#addNew(group);
  }

  /** What new groups store in bitmaps: nothing where it follows from the layout. */
  *newBitmaps(): Generator<NewBlock> {
    const { tables } = this.#new;
    for (let group = this.#volume.superblock.groups; group < this.#after.groups; group++) {
      const flags = this.#newFlags(group);
      if ((flags & EXT4_BG_BLOCK_UNINIT) === 0) {
        yield { block: tables.blockBitmap.get(group) as number, bytes: this.#newBitmap(group) };
      }
      if ((flags & EXT4_BG_INODE_UNINIT) === 0) {
        yield { block: tables.inodeBitmap.get(group) as number, bytes: this.#emptyInodes() };
      }
    }
  }

  #changeOld(group: number, freed: RangeSet): void {
    const { superblock: before, groups } = this.#volume;
    const after = this.#after;
    const descriptor = groups.read(group);
    const bytes = storedBitmap(this.#volume, group);
    const clusters = this.#clusters(group);
    const old = Math.ceil(groupLength(before, group) / after.clusterRatio);
    setBits(bytes, old, clusters, false);
    setBits(bytes, clusters, bytes.length * 8, true);
    this.#take(bytes, group, freed, false);
    this.#take(bytes, group, this.#new.taken, true);
    this.bitmaps.push({ block: descriptor.blockBitmap, bytes });
    const free = clusters - countBits(bytes, clusters);
    this.freeClusters += free;
    const { raw, at } = this.#descriptor(group);
    store(raw, at, after, GD.freeBlocksCountLo, GD.freeBlocksCountHi, free);
    if (this.#checked) GD.flags.set(raw, at, descriptor.flags & ~EXT4_BG_BLOCK_UNINIT);
    this.#seal(raw, at, group, bytes, undefined);
  }

  #addNew(group: number): void {
    const after = this.#after;
    const { tables, space } = this.#new;
    const [start, length] = [groupStart(after, group), groupLength(after, group)];
    const free = this.#clusters(group) - space.clustersIn(start, length);
    this.freeClusters += free;
    this.freeInodes += after.inodesPerGroup;
    const { raw, at } = this.#descriptor(group);
    const set = (lo: Field<number>, hi: Field<number>, value: number): void =>
      store(raw, at, after, lo, hi, value);
    set(GD.blockBitmapLo, GD.blockBitmapHi, tables.blockBitmap.get(group) as number);
    set(GD.inodeBitmapLo, GD.inodeBitmapHi, tables.inodeBitmap.get(group) as number);
    set(GD.inodeTableLo, GD.inodeTableHi, tables.inodeTable.get(group) as number);
    set(GD.freeBlocksCountLo, GD.freeBlocksCountHi, free);
    set(GD.freeInodesCountLo, GD.freeInodesCountHi, after.inodesPerGroup);
    if (this.#checked) set(GD.itableUnusedLo, GD.itableUnusedHi, after.inodesPerGroup);
    const flags = this.#newFlags(group);
    GD.flags.set(raw, at, flags);
    const blocks = (flags & EXT4_BG_BLOCK_UNINIT) === 0 ? this.#newBitmap(group) : undefined;
    const inodes = (flags & EXT4_BG_INODE_UNINIT) === 0 ? this.#emptyInodes() : undefined;
    this.#seal(raw, at, group, blocks, inodes);
  }

  /** The last group's bitmap is stored, for its padding. */
  #newFlags(group: number): number {
    if (!this.#checked) return 0;
    const own = group < this.#after.groups - 1 && !this.#new.tables.stored.has(group);
    return EXT4_BG_INODE_UNINIT | (own ? EXT4_BG_BLOCK_UNINIT : 0);
  }

  #clusters(group: number): number {
    return Math.ceil(groupLength(this.#after, group) / this.#after.clusterRatio);
  }

  #newBitmap(group: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#after.blockSize);
    this.#take(bytes, group, this.#new.taken, true);
    setBits(bytes, this.#clusters(group), bytes.length * 8, true);
    return bytes;
  }

  #emptyInodes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#after.blockSize);
    setBits(bytes, this.#after.inodesPerGroup, bytes.length * 8, true);
    return bytes;
  }

  #take(bytes: Uint8Array, group: number, runs: RangeSet, value: boolean): void {
    const { clusterRatio } = this.#after;
    const [start, length] = [groupStart(this.#after, group), groupLength(this.#after, group)];
    for (const run of runs.intersect(start, length)) {
      const first = Math.floor((run.start - start) / clusterRatio);
      const past = Math.ceil((run.start + run.length - start) / clusterRatio);
      setBits(bytes, first, past, value);
    }
  }

  /** The bytes of a descriptor within its block, which is kept to be written. */
  #descriptor(group: number): { raw: DataView; at: number } {
    const { descriptorsPerBlock, descSize, blockSize } = this.#after;
    const { superblock: before, buffers } = this.#volume;
    const index = Math.floor(group / descriptorsPerBlock);
    let bytes = this.descriptors.get(index);
    if (bytes === undefined) {
      bytes = new Uint8Array(blockSize);
      if (index < before.descriptorBlocks) {
        buffers.read(descriptorBlock(before, index), bytes, "group descriptors");
        // Nobody has said what stands behind the last descriptor.
        const known = before.groups - index * descriptorsPerBlock;
        if (known < descriptorsPerBlock) bytes.fill(0, known * descSize);
      }
      this.descriptors.set(index, bytes);
    }
    return { raw: new DataView(bytes.buffer), at: (group % descriptorsPerBlock) * descSize };
  }

  /** Bitmaps first, then the descriptor that holds their checksums. */
  #seal(
    raw: DataView,
    at: number,
    group: number,
    blocks: Uint8Array | undefined,
    inodes: Uint8Array | undefined,
  ): void {
    const after = this.#after;
    const { metadataCsum, checksumSeed, clustersPerGroup, inodesPerGroup, descSize } = after;
    if (metadataCsum && blocks !== undefined) {
      const sum = crc32c(checksumSeed, blocks.subarray(0, clustersPerGroup / 8));
      store(raw, at, after, GD.blockBitmapCsumLo, GD.blockBitmapCsumHi, sum);
    }
    if (metadataCsum && inodes !== undefined) {
      const sum = crc32c(checksumSeed, inodes.subarray(0, inodesPerGroup / 8));
      store(raw, at, after, GD.inodeBitmapCsumLo, GD.inodeBitmapCsumHi, sum);
    }
    const bytes = new Uint8Array(raw.buffer as ArrayBuffer, at, descSize);
    const sum = descriptorChecksum(after, group, bytes);
    if (sum !== undefined) GD.checksum.set(raw, at, sum);
  }

  /** The last old group's tables, next to which those of new groups go. @throws EUCLEAN, EIO */
  static lastTables(volume: Volume): StoredGroup {
    return volume.groups.read(volume.superblock.groups - 1);
  }
}

/** The upper half is cut off with descriptors of 32 bytes. */
function store(
  raw: DataView,
  at: number,
  { descSize }: Superblock,
  lo: Field<number>,
  hi: Field<number>,
  value: number,
): void {
  const unit = 2 ** (lo.size * 8);
  lo.set(raw, at, value % unit);
  if (descSize >= sizeof(GD)) hi.set(raw, at, Math.floor(value / unit));
}

/** Sets or clears bits `[from, to)`. */
function setBits(bytes: Uint8Array, from: number, to: number, value: boolean): void {
  for (let at = from; at < to;) {
    if (at % 8 === 0 && to - at >= 8) {
      const whole = Math.floor((to - at) / 8);
      bytes.fill(value ? 0xff : 0, at / 8, at / 8 + whole);
      at += whole * 8;
      continue;
    }
    const mask = 1 << (at & 7);
    const byte = bytes[at >> 3] as number;
    bytes[at >> 3] = value ? byte | mask : byte & ~mask;
    at++;
  }
}

function countBits(bytes: Uint8Array, bits: number): number {
  let count = 0;
  for (let bit = 0; bit < bits; bit++) {
    if (((bytes[bit >> 3] as number) & (1 << (bit & 7))) !== 0) count++;
  }
  return count;
}
