/**
 * Where the blocks of new files lie: runs that are taken one behind the other, and the extent trees
 * or indirect blocks that lead to them.
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
} from "../../format/ext-inode.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import { type Range, RangeSet } from "../../lib/range-set.ts";
import { sizeof } from "../../lib/struct.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";
import { refuse } from "./mkfs-options.ts";
import type { Space } from "./mkfs-space.ts";
import type { Superblock } from "./superblock.ts";

/** Where the checksums of an inode of generation 0 and of its blocks start. */
export function inodeSeed(superblock: Superblock, ino: number): number {
  return crc32cLe32(crc32cLe32(superblock.checksumSeed, ino), 0);
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

/** The top of an extent tree: bytes are made of it where they go, as there may be very many. */
export class ExtentRoot {
  readonly entries: readonly MappedRun[];
  readonly depth: number;

  constructor(entries: readonly MappedRun[], depth: number) {
    this.entries = entries;
    this.depth = depth;
  }

  encode(view: DataView, at: number): void {
    encodeNode(view, at, this.entries, 4, this.depth);
  }
}

/** The map as the bytes of the inode. */
export function mapBytes(block: Uint8Array | ExtentRoot): Uint8Array {
  if (block instanceof Uint8Array) return block;
  const bytes = new Uint8Array(I_BLOCK_SIZE);
  block.encode(new DataView(bytes.buffer), 0);
  return bytes;
}

/** The map of a file. */
export interface FileMap {
  /** The 60 bytes of the inode, or what makes them. */
  readonly block: Uint8Array | ExtentRoot;
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

/**
 * Takes and maps those blocks of a file that are in `pieces`, which are in order and do not touch,
 * from `goal` on. @throws ENOSPC
 */
export function allocatePieces(wishes: MapWishes, goal: number, pieces: readonly Range[]): FileMap {
  return wishes.extents
    ? new ExtentMapper(wishes).map(goal, pieces)
    : new BlockMapper(wishes, new RangeSet(pieces)).map(goal);
}

/** Blocks of a file are counted in 32 bits. */
const MAX_LOGICAL = 2 ** 32;
const HEADER_BYTES = sizeof(EH);
const EXTENT_BYTES = sizeof(EX);
/** Longest written extent, in blocks. */
const LONGEST = 32768;

function encodeHeader(
  view: DataView,
  at: number,
  entries: number,
  max: number,
  depth: number,
): void {
  EH.magic.set(view, at, EXT4_EXT_MAGIC);
  EH.entries.set(view, at, entries);
  EH.max.set(view, at, max);
  EH.depth.set(view, at, depth);
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

  map(goal: number, pieces: readonly Range[]): FileMap {
    const { superblock } = this.#wishes;
    const last = pieces.at(-1);
    if (last !== undefined && last.start + last.length > MAX_LOGICAL) {
      refuse("a file has 2^32 blocks or more; make larger blocks");
    }
    const runs = this.#allocate(goal, pieces);
    let entries: readonly MappedRun[] = runs;
    let depth = 0;
    while (entries.length > 4) entries = this.#level(entries, depth++);
    const block = new ExtentRoot(entries, depth);
    let clusters = this.#nodes.length;
    for (const { length } of runs) clusters += Math.ceil(length / superblock.clusterRatio);
    const sectors = (clusters * superblock.clusterSize) / 512;
    return { block, flags: EXT4_EXTENTS_FL, sectors, runs, nodes: this.#nodes };
  }

  #allocate(goal: number, pieces: readonly Range[]): MappedRun[] {
    const { superblock, space } = this.#wishes;
    const longest = LONGEST - (LONGEST % superblock.clusterRatio);
    const runs: MappedRun[] = [];
    let at = goal;
    for (const piece of pieces) {
      const after = piece.start + piece.length;
      for (let logical = piece.start; logical < after;) {
        const { start, length } = space.take(at, Math.min(after - logical, longest));
        if (this.#isFull(runs.length)) this.#leaves.push(space.takeOne(at - 1));
        runs.push({ logical, start, length });
        logical += length;
        at = start + length;
      }
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
  start: number,
  entries: readonly MappedRun[],
  max: number,
  depth: number,
): void {
  encodeHeader(view, start, entries.length, max, depth);
  const encode = depth === 0 ? encodeExtent : encodeIndex;
  let at = start + HEADER_BYTES;
  for (const run of entries) {
    encode(view, at, run);
    at += EXTENT_BYTES;
  }
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
  encodeNode(view, 0, entries, max, depth);
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
  readonly #pieces: RangeSet;
  #at = 0;

  constructor(wishes: MapWishes, pieces: RangeSet) {
    this.#wishes = wishes;
    this.#pieces = pieces;
    this.#perBlock = wishes.superblock.blockSize / 4;
  }

  map(goal: number): FileMap {
    this.#at = goal;
    this.#fill(this.#words, 0, EXT4_NDIR_BLOCKS);
    let first = EXT4_NDIR_BLOCKS;
    for (let level = 1; level <= 3; level++) {
      this.#words[EXT4_IND_BLOCK + level - 1] = this.#subtree(level, first);
      first += this.#perBlock ** level;
    }
    if (this.#pieces.overlaps(first, MAX_LOGICAL)) {
      refuse(`a file has data behind its block ${first}; such files need the extent feature`);
    }
    const { superblock } = this.#wishes;
    const block = new Uint8Array(I_BLOCK_SIZE);
    const view = new DataView(block.buffer);
    for (const [i, word] of this.#words.entries()) view.setUint32(i * 4, word, true);
    const blocks = this.#pieces.total + this.#nodes.length;
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

  /** The block that maps the file from its block `first` on; 0 where there is only a hole. */
  #subtree(level: number, first: number): number {
    const below = this.#perBlock ** (level - 1);
    if (!this.#pieces.overlaps(first, below * this.#perBlock)) return 0;
    const node: Indirect = { block: this.#takeNode(), words: [] };
    this.#nodes.push(node);
    if (level === 1) {
      this.#fill(node.words, first, this.#perBlock);
      return node.block;
    }
    for (let i = 0; i < this.#perBlock; i++) {
      node.words.push(this.#subtree(level - 1, first + i * below));
    }
    return node.block;
  }

  #takeNode(): number {
    const block = this.#wishes.space.takeOne(this.#at);
    this.#at = block + 1;
    return block;
  }

  #fill(words: number[], first: number, count: number): void {
    for (let i = words.length; i < count; i++) words.push(0);
    for (const piece of this.#pieces.intersect(first, count)) {
      const after = piece.start + piece.length;
      for (let logical = piece.start; logical < after;) {
        const { start, length } = this.#wishes.space.take(this.#at, after - logical);
        for (let i = 0; i < length; i++) words[logical - first + i] = start + i;
        this.#runs.push({ logical, start, length });
        this.#at = start + length;
        logical += length;
      }
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
