/**
 * Check of a directory's hash index: its root and nodes, and that every leaf is referred to once
 * and holds the names that hash into its range.
 *
 * @module
 */
import {
  DX_HASH_SIPHASH,
  DX_HASH_TEA,
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  Ext4DirEntry2,
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  DxTail,
} from "../../format/ext-directory.ts";
import { EXT4_CASEFOLD_FL, EXT4_ENCRYPT_FL } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
} from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { type CheckContext, hex } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";

const ENTRY = sizeof(DxEntry);
const TAIL = sizeof(DxTail);
const BLOCK_MASK = 0x0fff_ffff;
const UNSIGNED = 3;

/** The greatest range that an index can name, and what stands for "no name seen". */
const LAST_HASH = 0xffff_fffe;
const NO_HASH = 0xffff_ffff;

/** What a block of an indexed directory is. */
export type IndexKind = "root" | "node" | "leaf";

function tailSize(context: CheckContext): number {
  return context.superblock.metadataCsum ? TAIL : 0;
}

/** Tells a node from a leaf: one empty entry that fills the block, and the limit of a node. */
export function indexKind(context: CheckContext, logical: number, view: DataView): IndexKind {
  if (logical === 0) return "root";
  const { blockSize } = context.superblock;
  const limit = Math.floor((blockSize - DX_NODE_COUNTLIMIT_OFFSET - tailSize(context)) / ENTRY);
  const recLen = Ext4DirEntry2.recLen.get(view, 0);
  const whole =
    recLen === (blockSize === 65536 ? 65535 : blockSize) || (recLen === 0 && blockSize === 65536);
  const empty = Ext4DirEntry2.inode.get(view, 0) === 0 && Ext4DirEntry2.nameLen.get(view, 0) === 0;
  const found = DxCountlimit.limit.get(view, DX_NODE_COUNTLIMIT_OFFSET);
  return empty && whole && found === limit ? "node" : "leaf";
}

/** What the index says of its blocks, and what is found in them. */
export class HashIndex {
  /** As `hashName` takes it. */
  readonly hashVersion: number;
  readonly #context: CheckContext;
  readonly #inode: CheckedInode;
  /** Levels of nodes above the leaves, the root included. */
  readonly #depth: number;
  readonly #blocks: number;
  /** References to each block, up to 2. */
  readonly #references: Uint8Array;
  readonly #parents: Uint32Array;
  readonly #kinds: Uint8Array;
  /** The range of hashes that the parent gives a block. */
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  /** Whether the block is the first of its parent, whose key is not stored. */
  readonly #first: Uint8Array;
  /** The least and greatest hash of the names in a leaf. */
  readonly #least: Uint32Array;
  readonly #greatest: Uint32Array;

  private constructor(
    context: CheckContext,
    inode: CheckedInode,
    version: number,
    levels: number,
    blocks: number,
  ) {
    this.#context = context;
    this.#inode = inode;
    this.hashVersion = version;
    this.#depth = levels + 1;
    this.#blocks = blocks;
    this.#references = new Uint8Array(blocks);
    this.#parents = new Uint32Array(blocks);
    this.#kinds = new Uint8Array(blocks);
    this.#low = new Uint32Array(blocks);
    this.#high = new Uint32Array(blocks).fill(LAST_HASH);
    this.#first = new Uint8Array(blocks);
    this.#least = new Uint32Array(blocks).fill(NO_HASH);
    this.#greatest = new Uint32Array(blocks);
    this.#references[0] = 1;
  }

  /** Checks the root's header; undefined, with findings, when the index cannot be followed. */
  static open(
    context: CheckContext,
    inode: CheckedInode,
    root: DataView,
    blocks: number,
  ): HashIndex | undefined {
    const at = DX_ROOT_INFO_OFFSET;
    const wrong = rootProblem(context, inode, root);
    if (wrong !== undefined) {
      context.error("ext.htree.root", inode.where, wrong);
      return undefined;
    }
    const version = DxRootInfo.hashVersion.get(root, at);
    const levels = DxRootInfo.indirectLevels.get(root, at);
    const unsigned = context.superblock.unsignedHash && version <= DX_HASH_TEA;
    const hashed = version + (unsigned ? UNSIGNED : 0);
    return new HashIndex(context, inode, hashed, levels, blocks);
  }

  /** Notes the hash of a name in block `logical`. */
  note(logical: number, hash: number): void {
    if (logical === 0) return;
    if (hash < (this.#least[logical] as number)) this.#least[logical] = hash;
    if (hash > (this.#greatest[logical] as number)) this.#greatest[logical] = hash;
  }

  /** Checks the root (`logical` 0) or a node, and follows its entries. */
  node(logical: number, view: DataView<ArrayBuffer>): void {
    this.#kinds[logical] = 1;
    const info = DxRootInfo.infoLength.get(view, DX_ROOT_INFO_OFFSET);
    const at = logical === 0 ? DX_ROOT_INFO_OFFSET + info : DX_NODE_COUNTLIMIT_OFFSET;
    const { blockSize } = this.#context.superblock;
    const most = Math.floor((blockSize - at - tailSize(this.#context)) / ENTRY);
    const limit = DxCountlimit.limit.get(view, at);
    const stored = DxCountlimit.count.get(view, at);
    if (limit !== most) this.#report(logical, `limit is ${limit}, expected ${most}`);
    if (stored > most || stored === 0) {
      this.#report(logical, `count is ${stored}, expected 1 to ${most}`);
    }
    const count = Math.min(stored, most);
    if (limit === most && stored <= most) this.#checkChecksum(logical, view, at, count);
    this.#entries(logical, view, at, count);
  }

  #report(logical: number, text: string): void {
    const where = `directory ${this.#inode.ino} index block ${logical}`;
    this.#context.error("ext.htree.node", where, text);
  }

  #checkChecksum(logical: number, view: DataView<ArrayBuffer>, at: number, count: number): void {
    if (!this.#context.superblock.metadataCsum) return;
    const tail = at + ENTRY * DxCountlimit.limit.get(view, at);
    if (tail + TAIL > view.byteLength) return;
    const bytes = new Uint8Array(view.buffer);
    let crc = crc32c(this.#inode.seed, bytes.subarray(0, at + ENTRY * count));
    crc = crc32c(crc, bytes.subarray(tail, tail + 4));
    crc = crc32c(crc, new Uint8Array(4));
    const stored = DxTail.checksum.get(view, tail);
    if (stored === crc) return;
    const where = `directory ${this.#inode.ino} index block ${logical}`;
    const text = `checksum is ${hex(stored)}, expected ${hex(crc)}`;
    this.#context.error("ext.htree.checksum", where, text);
  }

  #entries(parent: number, view: DataView, at: number, count: number): void {
    let previous = 0;
    for (let i = 0; i < count; i++) {
      const here = at + i * ENTRY;
      const hash = i === 0 ? 0 : (DxEntry.hash.get(view, here) & ~1) >>> 0;
      const block = DxEntry.block.get(view, here) & BLOCK_MASK;
      if (block >= this.#blocks) {
        this.#report(parent, `entry ${i} leads to block ${block} of ${this.#blocks}`);
        continue;
      }
      if (hash < previous) this.#report(parent, `entry ${i} is out of order`);
      previous = hash;
      const seen = this.#references[block] as number;
      this.#references[block] = Math.min(seen + 1, 2);
      if (seen === 0) this.#parents[block] = parent;
      this.#low[block] = hash;
      this.#first[block] = i === 0 ? 1 : 0;
      const next = i + 1 < count ? (DxEntry.hash.get(view, here + ENTRY) & ~1) >>> 0 : LAST_HASH;
      this.#high[block] = next;
    }
  }

  /** After all blocks: every block referred to once, at the right depth, with the right names. */
  finish(): void {
    for (let block = 0; block < this.#blocks; block++) {
      const wrong = this.#blockProblem(block);
      if (wrong === undefined) continue;
      const where = `directory ${this.#inode.ino} block ${block}`;
      this.#context.error("ext.htree.leaf", where, wrong);
    }
  }

  #blockProblem(block: number): string | undefined {
    const references = this.#references[block] as number;
    if (references === 0) return "the hash index does not refer to it";
    if (references > 1) return "the hash index refers to it more than once";
    if (this.#kinds[block] === 1) return undefined;
    const depth = this.#depthOf(block);
    if (depth !== this.#depth)
      return `it is ${depth} levels below the root, expected ${this.#depth}`;
    const least = this.#least[block] as number;
    if (least === NO_HASH) return undefined;
    const { low, high } = this.#range(block);
    const greatest = this.#greatest[block] as number;
    if (least < low) return `a name in it hashes to ${hex(least)}, below the index's ${hex(low)}`;
    return greatest > high
      ? `a name in it hashes to ${hex(greatest)}, above the index's ${hex(high)}`
      : undefined;
  }

  #depthOf(block: number): number {
    let depth = 0;
    for (let at = block; at !== 0 && depth < 8; at = this.#parents[at] as number) depth++;
    return depth;
  }

  /** A first or last child has the bound of its parent. */
  #range(block: number): { low: number; high: number } {
    let low = this.#low[block] as number;
    let high = this.#high[block] as number;
    let at = block;
    for (let step = 0; step < 8 && at !== 0; step++) {
      const parent = this.#parents[at] as number;
      if (parent !== 0) {
        if (this.#first[at] === 1 && low === 0) low = this.#low[parent] as number;
        if (high === LAST_HASH) high = this.#high[parent] as number;
      }
      at = parent;
    }
    return { low, high };
  }
}

function rootProblem(
  context: CheckContext,
  inode: CheckedInode,
  root: DataView,
): string | undefined {
  const at = DX_ROOT_INFO_OFFSET;
  if (!context.compat(EXT4_FEATURE_COMPAT_DIR_INDEX)) {
    return "it has a hash index, but the filesystem lacks dir_index";
  }
  const zero = DxRootInfo.reservedZero.get(root, at);
  if (zero !== 0) return `the index's root has reserved_zero ${hex(zero)}, expected 0`;
  const length = DxRootInfo.infoLength.get(root, at);
  if (length < 8) return `the index's root has info_length ${length}, expected 8`;
  const version = DxRootInfo.hashVersion.get(root, at);
  const sip = inode.has(EXT4_CASEFOLD_FL) && inode.has(EXT4_ENCRYPT_FL);
  if (sip ? version !== DX_HASH_SIPHASH : version > DX_HASH_TEA) {
    return `the index's hash version is ${version}, expected ${sip ? "6" : "0 to 2"}`;
  }
  const flags = DxRootInfo.unusedFlags.get(root, at);
  if ((flags & 1) !== 0) return `the index's flags are ${flags}, which nobody knows`;
  const levels = DxRootInfo.indirectLevels.get(root, at);
  const most = context.incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
  if (levels > most) return `the index has ${levels} levels of nodes, expected at most ${most}`;
  return undefined;
}
