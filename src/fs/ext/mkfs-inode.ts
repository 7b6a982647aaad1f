/**
 * Inodes as they are first written, and the runs of blocks that they map.
 *
 * @module
 */
import {
  EXT4_DIND_BLOCK,
  EXT4_EXTENTS_FL,
  EXT4_EXT_MAGIC,
  EXT4_IND_BLOCK,
  EXT4_N_BLOCKS,
  EXT4_NDIR_BLOCKS,
  Ext4Extent as EX,
  Ext4ExtentHeader as EH,
  Ext4ExtentIdx as EI,
  Ext4ExtentTail,
  Ext4Inode as DI,
  Ext4InodeExtra as DX,
} from "../../format/ext-inode.ts";
import { EXT4_GOOD_OLD_INODE_SIZE } from "../../format/ext-superblock.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";
import type { Space } from "./mkfs-space.ts";
import type { Superblock } from "./superblock.ts";

/** What an inode is given; its times are all the same, its generation is 0. */
export interface NewInode {
  readonly ino: number;
  readonly mode: number;
  readonly links: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes. */
  readonly size: number;
  /** Units of 512 bytes. */
  readonly sectors: number;
  readonly flags: number;
  /** The 60 bytes of the map. */
  readonly block?: Uint8Array;
  /** Seconds since 1970. */
  readonly time: number;
  /** Without fields behind byte 128: the inodes that are reserved and unused. */
  readonly bare?: boolean;
}

const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;

/** The epoch bits of a time behind 2038. */
function epochOf(seconds: number): number {
  return Math.floor((seconds - (seconds | 0)) / 2 ** 32) & 3;
}

/** Where the checksums of an inode of generation 0 and of its blocks start. */
export function inodeSeed(superblock: Superblock, ino: number): number {
  return crc32cLe32(crc32cLe32(superblock.checksumSeed, ino), 0);
}

/** All `inode_size` bytes, with their checksum. */
export function encodeInode(superblock: Superblock, inode: NewInode): Uint8Array {
  const bytes = new Uint8Array(superblock.inodeSize);
  const view = new DataView(bytes.buffer);
  const { time, uid = 0, gid = 0 } = inode;
  DI.mode.set(view, 0, inode.mode);
  DI.uid.set(view, 0, uid & 0xffff);
  DI.uidHigh.set(view, 0, uid >>> 16);
  DI.gid.set(view, 0, gid & 0xffff);
  DI.gidHigh.set(view, 0, gid >>> 16);
  DI.sizeLo.set(view, 0, inode.size >>> 0);
  DI.sizeHigh.set(view, 0, Math.floor(inode.size / 2 ** 32));
  DI.linksCount.set(view, 0, inode.links);
  DI.blocksLo.set(view, 0, inode.sectors >>> 0);
  DI.blocksHigh.set(view, 0, Math.floor(inode.sectors / 2 ** 32));
  DI.flags.set(view, 0, inode.flags);
  if (inode.block !== undefined) DI.block.set(view, 0, inode.block);
  for (const field of [DI.atime, DI.ctime, DI.mtime]) field.set(view, 0, time >>> 0);
  if (inode.bare !== true && bytes.length > EXTRA) encodeExtra(view, time);
  stampInode(superblock, inode.ino, view, inode.bare !== true);
  return bytes;
}

function encodeExtra(view: DataView, time: number): void {
  DX.extraIsize.set(view, EXTRA, sizeof(DX));
  for (const field of [DX.ctimeExtra, DX.mtimeExtra, DX.atimeExtra, DX.crtimeExtra]) {
    field.set(view, EXTRA, epochOf(time));
  }
  DX.crtime.set(view, EXTRA, time >>> 0);
}

function stampInode(superblock: Superblock, ino: number, view: DataView, full: boolean): void {
  if (!superblock.metadataCsum) return;
  const checksum = crc32c(inodeSeed(superblock, ino), new Uint8Array(view.buffer));
  DI.checksumLo.set(view, 0, checksum & 0xffff);
  if (full && view.byteLength > EXTRA) DX.checksumHi.set(view, EXTRA, checksum >>> 16);
}

/** A run of a file: `length` blocks from the file's block `logical` on. */
export interface MappedRun {
  readonly logical: number;
  readonly start: number;
  readonly length: number;
}

/** Content of a block that is still to be written; made when its turn comes. */
export interface PlannedBlock {
  readonly block: number;
  readonly bytes: () => Uint8Array;
}

/** The map of a file. */
export interface FileMap {
  /** The 60 bytes of the inode. */
  readonly block: Uint8Array;
  readonly flags: number;
  readonly sectors: number;
  readonly runs: readonly MappedRun[];
  /** Nodes of the extent tree, or indirect blocks. */
  readonly nodes: readonly PlannedBlock[];
}

/** Whose blocks are mapped, and how. */
export interface MapWishes {
  readonly superblock: Superblock;
  readonly space: Space;
  readonly ino: number;
  readonly extents: boolean;
  /** Where nodes of an extent tree go. */
  readonly nodeGoal: number;
}

/** Takes `count` blocks from `goal` on and maps them from the file's block 0 on. @throws ENOSPC */
export function allocateFile(wishes: MapWishes, goal: number, count: number): FileMap {
  return wishes.extents
    ? new ExtentMapper(wishes).map(goal, count)
    : new BlockMapper(wishes).map(goal, count);
}

/** Longest written extent, in blocks. */
const LONGEST = 32768;

function encodeHeader(view: DataView, entries: number, max: number, depth: number): void {
  EH.magic.set(view, 0, EXT4_EXT_MAGIC);
  EH.entries.set(view, 0, entries);
  EH.max.set(view, 0, max);
  EH.depth.set(view, 0, depth);
}

function encodeExtent(view: DataView, at: number, run: MappedRun): void {
  EX.block.set(view, at, run.logical);
  EX.len.set(view, at, run.length);
  EX.startLo.set(view, at, run.start >>> 0);
  EX.startHi.set(view, at, Math.floor(run.start / 2 ** 32));
}

function encodeIndex(view: DataView, at: number, run: MappedRun): void {
  EI.block.set(view, at, run.logical);
  EI.leafLo.set(view, at, run.start >>> 0);
  EI.leafHi.set(view, at, Math.floor(run.start / 2 ** 32));
}

class ExtentMapper {
  readonly #wishes: MapWishes;
  readonly #nodes: PlannedBlock[] = [];
  /** Entries of a node outside the inode. */
  readonly #max: number;
  /** Blocks of leaves, taken when the runs before them had no more room. */
  readonly #leaves: number[] = [];

  constructor(wishes: MapWishes) {
    this.#wishes = wishes;
    this.#max = Math.floor((wishes.superblock.blockSize - sizeof(EH)) / sizeof(EX));
  }

  map(goal: number, count: number): FileMap {
    const { superblock } = this.#wishes;
    const runs = this.#allocate(goal, count);
    let entries: readonly MappedRun[] = runs;
    let depth = 0;
    while (entries.length > 4) entries = this.#level(entries, depth++);
    const block = new Uint8Array(I_BLOCK_SIZE);
    encodeNode(new DataView(block.buffer), entries, 4, depth);
    const clusters = runs.reduce(
      (sum, { length }) => sum + Math.ceil(length / superblock.clusterRatio),
      this.#nodes.length,
    );
    const sectors = (clusters * superblock.clusterSize) / 512;
    return { block, flags: EXT4_EXTENTS_FL, sectors, runs, nodes: this.#nodes };
  }

  #allocate(goal: number, count: number): MappedRun[] {
    const { superblock, space } = this.#wishes;
    const longest = LONGEST - (LONGEST % superblock.clusterRatio);
    const runs: MappedRun[] = [];
    let at = goal;
    for (let logical = 0; logical < count;) {
      const { start, length } = space.take(at, Math.min(count - logical, longest));
      if (this.#isFull(runs.length)) this.#leaves.push(space.takeOne(at - 1));
      runs.push({ logical, start, length });
      logical += length;
      at = start + length;
    }
    return runs;
  }

  /** Whether so many runs fill the inode, or all leaves. */
  #isFull(runs: number): boolean {
    return runs === 4 || (runs > 4 && runs % this.#max === 0);
  }

  /** Puts the entries of one level into blocks, and returns the entries of the level above. */
  #level(entries: readonly MappedRun[], depth: number): MappedRun[] {
    const { superblock, space, nodeGoal, ino } = this.#wishes;
    const max = this.#max;
    const above: MappedRun[] = [];
    for (let first = 0; first < entries.length; first += max) {
      const here = entries.slice(first, first + max);
      const start = (depth === 0 ? this.#leaves.shift() : undefined) ?? space.takeOne(nodeGoal);
      this.#nodes.push({ block: start, bytes: () => nodeBlock(superblock, ino, here, max, depth) });
      above.push({ logical: (here[0] as MappedRun).logical, start, length: 0 });
    }
    return above;
  }
}

function encodeNode(
  view: DataView,
  entries: readonly MappedRun[],
  max: number,
  depth: number,
): void {
  encodeHeader(view, entries.length, max, depth);
  const encode = depth === 0 ? encodeExtent : encodeIndex;
  for (const [i, run] of entries.entries()) encode(view, sizeof(EH) + i * sizeof(EX), run);
}

function nodeBlock(
  superblock: Superblock,
  ino: number,
  entries: readonly MappedRun[],
  max: number,
  depth: number,
): Uint8Array {
  const bytes = new Uint8Array(superblock.blockSize);
  const view = new DataView(bytes.buffer);
  encodeNode(view, entries, max, depth);
  const tail = sizeof(EH) + max * sizeof(EX);
  if (superblock.metadataCsum && tail + sizeof(Ext4ExtentTail) <= bytes.length) {
    const checksum = crc32c(inodeSeed(superblock, ino), bytes.subarray(0, tail));
    Ext4ExtentTail.checksum.set(view, tail, checksum);
  }
  return bytes;
}

/** An indirect block while it fills. */
interface Indirect {
  readonly block: number;
  readonly words: number[];
}

/** Direct and indirect blocks; every indirect block lies just before what it maps. */
class BlockMapper {
  readonly #wishes: MapWishes;
  readonly #perBlock: number;
  readonly #nodes: Indirect[] = [];
  readonly #runs: MappedRun[] = [];
  readonly #words: number[] = Array.from({ length: EXT4_N_BLOCKS }, () => 0);
  #at = 0;
  #logical = 0;

  constructor(wishes: MapWishes) {
    this.#wishes = wishes;
    this.#perBlock = wishes.superblock.blockSize / 4;
  }

  map(goal: number, count: number): FileMap {
    this.#at = goal;
    this.#fill(this.#words, Math.min(count, EXT4_NDIR_BLOCKS));
    for (let level = 1; level <= 3 && this.#logical < count; level++) {
      this.#words[EXT4_IND_BLOCK + level - 1] = this.#subtree(level, count);
    }
    const { superblock } = this.#wishes;
    const block = new Uint8Array(I_BLOCK_SIZE);
    const view = new DataView(block.buffer);
    for (const [i, word] of this.#words.entries()) view.setUint32(i * 4, word, true);
    const blocks = this.#logical + this.#nodes.length;
    return {
      block,
      flags: 0,
      sectors: (blocks * superblock.blockSize) / 512,
      runs: this.#runs,
      nodes: this.#nodes.map(({ block: at, words }) => ({
        block: at,
        bytes: () => wordsBlock(superblock.blockSize, words),
      })),
    };
  }

  #subtree(level: number, count: number): number {
    const node: Indirect = { block: this.#takeNode(), words: [] };
    this.#nodes.push(node);
    if (level === 1) this.#fill(node.words, Math.min(count - this.#logical, this.#perBlock));
    else {
      while (this.#logical < count && node.words.length < this.#perBlock) {
        node.words.push(this.#subtree(level - 1, count));
      }
    }
    return node.block;
  }

  #takeNode(): number {
    const block = this.#wishes.space.takeOne(this.#at);
    this.#at = block + 1;
    return block;
  }

  #fill(words: number[], count: number): void {
    for (let done = 0; done < count;) {
      const { start, length } = this.#wishes.space.take(this.#at, count - done);
      for (let i = 0; i < length; i++) words[done + i] = start + i;
      this.#runs.push({ logical: this.#logical, start, length });
      this.#at = start + length;
      this.#logical += length;
      done += length;
    }
  }
}

/** A block of block numbers. */
export function wordsBlock(blockSize: number, words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(blockSize);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setUint32(i * 4, word, true);
  return bytes;
}

/** Only a double indirect block. */
export function doubleIndirectOnly(block: number): Uint8Array {
  const bytes = new Uint8Array(I_BLOCK_SIZE);
  new DataView(bytes.buffer).setUint32(EXT4_DIND_BLOCK * 4, block, true);
  return bytes;
}
