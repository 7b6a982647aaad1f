/**
 * One step of growth, planned in memory to the last block: what is written where nobody looks yet,
 * what changes in blocks that the filesystem uses, and which copies follow.
 *
 * @module
 */
import { Ext4Inode as DI } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_VALID_FS,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Timespec } from "../../lib/environment.ts";
import { RangeSet } from "../../lib/range-set.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { hasCompat } from "./features.ts";
import {
  descriptorBlock,
  fixedBlocks,
  groupLength,
  groupStart,
  hasSuper,
  inodeTableBlocks,
  plainDescriptorBlocks,
  superBlockNumber,
  superGroups,
} from "./geometry.ts";
import { superblockChecksumOf } from "./recover-flag.ts";
import { GrownGroups, type NewBlock, usedRuns } from "./resize-groups.ts";
import { type ChangedBlocks, blockIn, changeReserve } from "./resize-reserve.ts";
import { type DescriptorRoom, grownBackups, groupsIn } from "./resize-size.ts";
import { NewGroups, firstGroupFor } from "./resize-tables.ts";
import { type Superblock, parseSuperblock } from "./superblock.ts";
import type { Volume } from "./volume.ts";

/** What a step of growth is planned from. */
export interface Growth {
  /** Blocks of the filesystem after it; a size that it can have. */
  readonly blocks: number;
  readonly room: DescriptorRoom;
  /** Blocks for the superuser only, after it. */
  readonly reservedBlocks: number;
  readonly now: Timespec;
}

/** Blocks of zeros. */
export interface ZeroRun {
  readonly start: number;
  readonly length: number;
}

/** A plan for one step. Nothing is written by it. */
export class GrowthPlan {
  /** The filesystem as it will be. */
  readonly after: Superblock;
  /** Blocks that the filesystem uses now, as they will be; all of them have to change at once. */
  readonly changes: ChangedBlocks = new Map();
  /** Before all else the superblock has to say something that means nothing yet. */
  readonly announces: boolean;
  readonly #volume: Volume;
  readonly #raw: Uint8Array<ArrayBuffer>;
  readonly #groups: GrownGroups;
  readonly #new: NewGroups;

  /** @throws ENOSPC without room for tables; EUCLEAN, EBADMSG, EIO */
  constructor(volume: Volume, growth: Growth) {
    this.#volume = volume;
    this.#raw = rawSuperblock(volume);
    const before = volume.superblock;
    const { descriptorBlocks, firstMetaBg } = before;
    this.announces = growth.room.becomesMetaBg && firstMetaBg !== descriptorBlocks;
    editGeometry(this.#raw, before, growth);
    const draft = parsed(volume, this.#raw);
    this.#new = placeGroups(volume, draft);
    const freed = new RangeSet();
    const double = changeReserve(volume, draft, growth.now, this.changes);
    if (double !== undefined) freed.add(double, 1);
    const copy = leftBackup(before, draft);
    if (copy !== undefined) freed.add(copy.start, copy.count);
    this.#groups = new GrownGroups(volume, draft, this.#new, freed);
    editTotals(this.#raw, draft, this.#groups, growth.now);
    this.#editJournalBackup();
    this.after = parsed(volume, this.#raw);
    this.#collect();
  }

  /** A copy of the journal's map in the superblock, as e2fsck wants it. */
  #editJournalBackup(): void {
    const { superblock } = this.#volume;
    const { journalInum } = superblock;
    if (!hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL) || journalInum === 0) return;
    const { view, bytes } = this.#volume.record(journalInum);
    const raw = new DataView(this.#raw.buffer);
    const at = SB.jnlBlocks.offset;
    this.#raw.set(bytes.subarray(DI.block.offset, DI.block.offset + DI.block.size), at);
    raw.setUint32(at + 60, DI.sizeHigh.get(view, 0), true);
    raw.setUint32(at + 64, DI.sizeLo.get(view, 0), true);
    SB.jnlBackupType.set(raw, 0, 1);
    seal(this.#raw, superblock);
  }

  #collect(): void {
    for (const { block, bytes } of this.#groups.bitmaps) this.changes.set(block, bytes);
    for (const [index, bytes] of this.#groups.descriptors) {
      const block = descriptorBlock(this.after, index);
      if (this.#isOld(block)) this.changes.set(block, bytes);
    }
    const block = superBlockNumber(this.after);
    const bytes = blockIn(this.#volume, this.changes, block, "superblock");
    bytes.set(this.#raw, EXT4_SUPERBLOCK_OFFSET % this.after.blockSize);
  }

  #isOld(block: number): boolean {
    return block < this.#volume.superblock.blocks;
  }

  /** The superblock as it is, but for the number that meta_bg will need. */
  announcement(): ChangedBlocks {
    const { superblock } = this.#volume;
    const raw = rawSuperblock(this.#volume);
    SB.firstMetaBg.set(new DataView(raw.buffer), 0, superblock.descriptorBlocks);
    seal(raw, superblock);
    const changes: ChangedBlocks = new Map();
    const bytes = blockIn(this.#volume, changes, this.superBlock, "superblock");
    bytes.set(raw, EXT4_SUPERBLOCK_OFFSET % superblock.blockSize);
    return changes;
  }

  /** The block with the superblock, which says how large the filesystem is. */
  get superBlock(): number {
    return superBlockNumber(this.after);
  }

  /** Inode tables that have to read as zeros; with checksums of descriptors none has to. */
  *zeroes(): Generator<ZeroRun> {
    const { metadataCsum, gdtCsum } = this.after;
    if (metadataCsum || gdtCsum) return;
    const length = inodeTableBlocks(this.after);
    for (const start of this.#new.tables.inodeTable.values()) {
      if (this.#new.taken.has(start)) yield { start, length };
    }
  }

  /** What lies where the filesystem uses nothing yet: to be durable before the changes. */
  *fresh(): Generator<NewBlock> {
    yield* this.#groups.newBitmaps();
    yield* this.#copies((group) => group >= this.#volume.superblock.groups);
  }

  /** Copies in old groups: good for emergencies only, so they follow the changes. */
  *backups(): Generator<NewBlock> {
    yield* this.#copies((group) => group < this.#volume.superblock.groups);
  }

  *#copies(wanted: (group: number) => boolean): Generator<NewBlock> {
    const { after } = this;
    const plain = plainDescriptorBlocks(after);
    for (const group of superGroups(after)) {
      if (group === 0 || !wanted(group)) continue;
      const { start } = fixedBlocks(after, group);
      // Groups behind those of the plain blocks have no copies of them.
      const behind = Math.floor(group / after.descriptorsPerBlock) >= plain;
      const count = behind ? 0 : Math.min(plain, after.descriptorBlocks);
      for (let index = 0; index < count; index++) {
        const bytes = this.#descriptorsFor(group, index);
        if (bytes !== undefined) yield { block: start + 1 + index, bytes };
      }
      yield { block: start, bytes: this.#superblockFor(group) };
    }
    for (const [index, bytes] of this.#groups.descriptors) {
      if (index >= plain) yield* this.#metaCopies(index, bytes, wanted);
    }
  }

  /** A block of descriptors for the copy in a group; undefined where it has it already. */
  #descriptorsFor(group: number, index: number): Uint8Array<ArrayBuffer> | undefined {
    const changed = this.#groups.descriptors.get(index);
    const known = changed !== undefined || group < this.#volume.superblock.groups;
    if (known && !this.#isNewBackup(group)) return changed;
    if (changed !== undefined) return changed;
    const bytes = new Uint8Array(this.after.blockSize);
    this.#volume.buffers.read(descriptorBlock(this.after, index), bytes, "group descriptors");
    return bytes;
  }

  /** With sparse_super2 a group that was there may get the copy. */
  #isNewBackup(group: number): boolean {
    return !hasSuper(this.#volume.superblock, group);
  }

  *#metaCopies(
    index: number,
    bytes: Uint8Array<ArrayBuffer>,
    wanted: (group: number) => boolean,
  ): Generator<NewBlock> {
    const { groups, descriptorsPerBlock } = this.after;
    const first = index * descriptorsPerBlock;
    for (const group of new Set([first, first + 1, first + descriptorsPerBlock - 1])) {
      if (group >= groups || !wanted(group)) continue;
      const copy = hasSuper(this.after, group) ? 1 : 0;
      const block =
        group === first ? descriptorBlock(this.after, index) : groupStart(this.after, group) + copy;
      if (!this.changes.has(block)) yield { block, bytes };
    }
  }

  /** The superblock for a group's copy, which does not call itself whole. */
  #superblockFor(group: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.after.blockSize);
    bytes.set(this.#raw);
    const own = bytes.subarray(0, sizeof(SB));
    const view = new DataView(bytes.buffer);
    SB.blockGroupNr.set(view, 0, Math.min(group, 0xffff));
    SB.state.set(view, 0, SB.state.get(view, 0) & ~EXT4_VALID_FS);
    const word = SB.featureIncompat.get(view, 0) & ~EXT4_FEATURE_INCOMPAT_RECOVER;
    SB.featureIncompat.set(view, 0, word >>> 0);
    seal(own, this.after);
    return bytes;
  }
}

/** The 1024 bytes of the superblock as stored. */
function rawSuperblock({ superblock, buffers }: Volume): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeof(SB));
  const at = EXT4_SUPERBLOCK_OFFSET % superblock.blockSize;
  buffers.read(superBlockNumber(superblock), bytes, "superblock", at);
  return bytes;
}

function parsed({ buffers }: Volume, raw: Uint8Array<ArrayBuffer>): Superblock {
  return parseSuperblock(new DataView(raw.buffer), 0, buffers.blocks * buffers.blockSize);
}

function seal(raw: Uint8Array<ArrayBuffer>, { metadataCsum }: Superblock): void {
  if (!metadataCsum) return;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  SB.checksum.set(view, 0, superblockChecksumOf(raw));
}

function setWide(view: DataView, lo: Field<number>, hi: Field<number>, value: number): void {
  lo.set(view, 0, value >>> 0);
  hi.set(view, 0, Math.floor(value / 2 ** 32));
}

function editGeometry(raw: Uint8Array<ArrayBuffer>, before: Superblock, growth: Growth): void {
  const { blocks, room, reservedBlocks } = growth;
  const view = new DataView(raw.buffer);
  const groups = groupsIn(before, blocks);
  setWide(view, SB.blocksCountLo, SB.blocksCountHi, blocks);
  setWide(view, SB.rBlocksCountLo, SB.rBlocksCountHi, reservedBlocks);
  SB.inodesCount.set(view, 0, groups * before.inodesPerGroup);
  SB.reservedGdtBlocks.set(view, 0, room.reservedGdtBlocks);
  const [first, second] = grownBackups(before, groups, room);
  SB.backupBgs0.set(view, 0, first);
  SB.backupBgs1.set(view, 0, second);
  if (room.becomesMetaBg) {
    const compat = SB.featureCompat.get(view, 0) & ~EXT4_FEATURE_COMPAT_RESIZE_INODE;
    SB.featureCompat.set(view, 0, compat >>> 0);
    const incompat = SB.featureIncompat.get(view, 0) | EXT4_FEATURE_INCOMPAT_META_BG;
    SB.featureIncompat.set(view, 0, incompat >>> 0);
    SB.firstMetaBg.set(view, 0, before.descriptorBlocks);
  }
  seal(raw, before);
}

function editTotals(
  raw: Uint8Array<ArrayBuffer>,
  draft: Superblock,
  { freeClusters, freeInodes }: GrownGroups,
  { sec }: Timespec,
): void {
  const view = new DataView(raw.buffer);
  const free = freeClusters * draft.clusterRatio;
  setWide(view, SB.freeBlocksCountLo, SB.freeBlocksCountHi, free);
  SB.freeInodesCount.set(view, 0, freeInodes);
  // Whoever mounts counts it anew; a stale number would be believed.
  SB.overheadClusters.set(view, 0, 0);
  SB.wtime.set(view, 0, sec >>> 0);
  SB.wtimeHi.set(view, 0, Math.floor(sec / 2 ** 32) & 0xff);
  seal(raw, draft);
}

function placeGroups(volume: Volume, after: Superblock): NewGroups {
  const { groups } = volume.superblock;
  const first = firstGroupFor(after, groups);
  const used = groups < after.groups ? usedRuns(volume, Math.min(first, groups)) : [];
  const added = new NewGroups(after, groups, used);
  const last = GrownGroups.lastTables(volume);
  added.tables.blockBitmap.set(groups - 1, last.blockBitmap);
  added.tables.inodeBitmap.set(groups - 1, last.inodeBitmap);
  added.tables.inodeTable.set(groups - 1, last.inodeTable);
  added.place();
  return added;
}

/** The copy of the superblock that a group loses with sparse_super2, with its descriptors. */
function leftBackup(
  before: Superblock,
  after: Superblock,
): { readonly start: number; readonly count: number } | undefined {
  const last = before.groups - 1;
  if (last === 0 || !hasSuper(before, last) || hasSuper(after, last)) return undefined;
  const { start, count } = fixedBlocks(before, last);
  return { start, count: Math.min(count, groupLength(before, last)) };
}
