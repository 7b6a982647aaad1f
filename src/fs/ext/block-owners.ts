/**
 * What a block of the device holds: the way back from a place that failed to the file that had it,
 * or to what of the filesystem itself. ext keeps no such index (XFS has one, rmapbt), so every
 * inode in use is looked at, until all that was asked for is found.
 *
 * @module
 */
import type { BytesOwner } from "../../dax/media-failures.ts";
import { EXT4_JOURNAL_INO, EXT4_RESIZE_INO } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_MMP } from "../../format/ext-superblock.ts";
import { isDaxError } from "../../lib/errno.ts";
import { type Range, RangeSet } from "../../lib/range-set.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../vfs/modes.ts";
import { hasIncompat } from "./features.ts";
import {
  descriptorBlocksOf,
  fixedBlocks,
  hasSuper,
  inodeTableBlocks,
  superBlockNumber,
} from "./geometry.ts";
import { type InodeBlocks, blocksOf } from "./inode-blocks.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";

type Named = Pick<BytesOwner, "kind" | "what" | "ino">;

/**
 * What ranges of bytes of the device hold, in their order and without gaps. `held` are inodes that
 * have lost their names and not their blocks. What cannot be read on the way is passed over, so its
 * blocks may be called free.
 */
export function ownersOf(
  volume: Volume,
  ranges: readonly Range[],
  held: ReadonlySet<number>,
): BytesOwner[] {
  const search = new OwnerSearch(volume, ranges);
  search.lookAtTables();
  search.lookAtInodes(held);
  return search.finish();
}

class OwnerSearch {
  readonly #volume: Volume;
  /** Bytes that are asked for. */
  readonly #bytes: RangeSet;
  /** Blocks of which nobody knows yet. */
  readonly #wanted: RangeSet;
  readonly #found: BytesOwner[] = [];

  constructor(volume: Volume, ranges: readonly Range[]) {
    const { blockSize, blocks } = volume.superblock;
    this.#volume = volume;
    this.#bytes = new RangeSet(ranges);
    this.#wanted = new RangeSet();
    for (const { start, length } of this.#bytes) {
      const first = Math.floor(start / blockSize);
      const limit = Math.min(Math.ceil((start + length) / blockSize), blocks);
      if (limit > first) this.#wanted.add(first, limit - first);
    }
  }

  /** What the filesystem keeps of itself outside inodes. */
  lookAtTables(): void {
    const { superblock } = this.#volume;
    const { groups, firstDataBlock, mmpBlock } = superblock;
    if (firstDataBlock > 0) this.#take(0, 1, { kind: "metadata", what: "boot block" });
    if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_MMP)) {
      this.#take(mmpBlock, 1, { kind: "metadata", what: "multi-mount block" });
    }
    for (let group = 0; group < groups && this.#wanted.total > 0; group++) {
      this.#takeFixed(group);
      attempt(() => this.#takeGroup(group));
    }
  }

  lookAtInodes(held: ReadonlySet<number>): void {
    const { groups, inodesPerGroup, firstIno } = this.#volume.superblock;
    for (let group = 0; group < groups; group++) {
      let used = inodesPerGroup;
      attempt(() => (used -= this.#volume.groups.read(group).itableUnused));
      for (let slot = 0; slot < used && this.#wanted.total > 0; slot++) {
        const ino = group * inodesPerGroup + slot + 1;
        attempt(() => {
          const record = this.#volume.record(ino);
          const own = ino < firstIno && record.mode !== 0;
          if (record.links > 0 || own || held.has(ino)) this.#takeInode(record);
        });
      }
    }
  }

  finish(): BytesOwner[] {
    for (const { start, length } of Array.from(this.#wanted)) {
      this.#take(start, length, { kind: "free", what: "free blocks" });
    }
    return this.#found.toSorted((a, b) => a.start - b.start);
  }

  #takeFixed(group: number): void {
    const { superblock } = this.#volume;
    const { start, count } = fixedBlocks(superblock, group);
    const copy = hasSuper(superblock, group) ? 1 : 0;
    const primary = group === 0;
    const at = primary ? Math.max(start, superBlockNumber(superblock)) : start;
    const what = primary ? "superblock" : `group ${group} copy of the superblock`;
    if (copy > 0) this.#take(at, 1, { kind: "metadata", what });
    const descriptors = descriptorBlocksOf(superblock, group);
    const named = `group ${group} ${primary ? "" : "copy of the "}group descriptors`;
    this.#take(at + copy, descriptors, { kind: "metadata", what: named });
    const behind = at + copy + descriptors;
    const reserved = `group ${group} blocks reserved for group descriptors`;
    this.#take(behind, start + count - behind, { kind: "metadata", what: reserved });
  }

  #takeGroup(group: number): void {
    const { superblock, groups } = this.#volume;
    const { blockBitmap, inodeBitmap, inodeTable } = groups.read(group);
    this.#take(blockBitmap, 1, { kind: "metadata", what: `group ${group} block bitmap` });
    this.#take(inodeBitmap, 1, { kind: "metadata", what: `group ${group} inode bitmap` });
    const table = inodeTableBlocks(superblock);
    this.#take(inodeTable, table, { kind: "metadata", what: `group ${group} inode table` });
  }

  /** A map that goes in circles ends where it has named more blocks than there are. */
  #takeInode(record: InodeRecord): void {
    let met = 0;
    for (const run of blocksOf(this.#volume, record)) {
      const named = nameOf(record, run);
      const offset = run.logical * this.#volume.superblock.blockSize;
      this.#take(run.block, run.count, named, named.kind === "file" ? offset : undefined);
      met += run.count;
      if (met > this.#volume.superblock.blocks || this.#wanted.total === 0) return;
    }
  }

  #take(block: number, count: number, named: Named, offset?: number): void {
    if (count <= 0) return;
    const { blockSize } = this.#volume.superblock;
    for (const { start, length } of Array.from(this.#wanted.intersect(block, count))) {
      this.#wanted.remove(start, length);
      for (const bytes of this.#bytes.intersect(start * blockSize, length * blockSize)) {
        const place =
          offset === undefined ? {} : { offset: offset + bytes.start - block * blockSize };
        this.#found.push({ ...named, ...bytes, ...place });
      }
    }
  }
}

function nameOf({ ino, type }: InodeRecord, { kind }: InodeBlocks): Named {
  const named = (what: string): Named => ({ kind: "metadata", what, ino });
  if (ino === EXT4_JOURNAL_INO) return named("journal");
  if (ino === EXT4_RESIZE_INO) return named("blocks reserved for group descriptors");
  if (kind !== "contents") return named(`inode ${ino} ${kind}`);
  if (type === S_IFDIR) return named(`inode ${ino} directory`);
  if (type === S_IFLNK) return named(`inode ${ino} link target`);
  if (type === S_IFREG) return { kind: "file", what: `inode ${ino}`, ino };
  return named(`inode ${ino}`);
}

/** What cannot be read, or is no map, leads nowhere. */
function attempt(body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
  }
}
