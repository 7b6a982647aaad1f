/**
 * Nodes of extent trees: found, checked, and taken apart into their entries; and put together.
 *
 * @module
 */
import {
  EXT4_EXT_MAGIC,
  EXT4_MAX_EXTENT_DEPTH,
  EXT_INIT_MAX_LEN,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4ExtentIdx,
  Ext4ExtentTail,
  Ext4Inode,
} from "../../format/ext-inode.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { I_BLOCK_SIZE, type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import type { Volume } from "./volume.ts";

const HEADER = sizeof(Ext4ExtentHeader);
const ENTRY = sizeof(Ext4Extent);
const TAIL = sizeof(Ext4ExtentTail);
const TWO_32 = 2 ** 32;

/** A run of a file. */
export interface Extent {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
  readonly unwritten: boolean;
}

/** An entry of an index: the node that answers for the blocks from `logical`. */
export interface IndexEntry {
  readonly logical: number;
  readonly node: number;
}

/** What is known of a node before it is read. */
interface NodePlace {
  readonly view: DataView;
  /** Where the header is. */
  readonly base: number;
  /** The block that holds it; 0 for the root, which the inode holds. */
  readonly block: number;
  readonly depth: number;
  /** The logical blocks that the node answers for; the root for all. */
  readonly first: number;
  readonly limit: number;
}

/** A node of a tree, its header checked. */
export class ExtentNode implements NodePlace {
  readonly view: DataView;
  readonly base: number;
  readonly block: number;
  entries = 0;
  /** Entries that it has room for. */
  max = 0;
  readonly depth: number;
  readonly first: number;
  readonly limit: number;
  readonly #ino: number;

  constructor(ino: number, { view, base, block, depth, first, limit }: NodePlace) {
    this.view = view;
    this.base = base;
    this.block = block;
    this.depth = depth;
    this.first = first;
    this.limit = limit;
    this.#ino = ino;
  }

  /** For errors. */
  get where(): string {
    const place = this.block === 0 ? "root" : `block ${this.block}`;
    return `inode ${this.#ino} extent ${place}`;
  }
}

/** Levels below the root of a tree, as its root says. */
export function depthOfRoot({ view }: InodeRecord): number {
  return Ext4ExtentHeader.depth.get(view, Ext4Inode.block.offset);
}

/** The root, in the inode. @throws EUCLEAN */
export function readRoot(record: InodeRecord): ExtentNode {
  const { view } = record;
  const base = Ext4Inode.block.offset;
  const depth = depthOfRoot(record);
  const place = { view, base, block: 0, depth, first: 0, limit: MAX_LOGICAL_BLOCKS };
  const root = new ExtentNode(record.ino, place);
  if (depth > EXT4_MAX_EXTENT_DEPTH) throw corrupt(root.where, "depth", depth, "above 5");
  return checkHeader(root, I_BLOCK_SIZE);
}

/** Checks the header of a node that is known but for its entries. `room` is in bytes. */
function checkHeader(node: ExtentNode, room: number): ExtentNode {
  const { view, base } = node;
  const magic = Ext4ExtentHeader.magic.get(view, base);
  if (magic !== EXT4_EXT_MAGIC) {
    throw corrupt(node.where, "magic", `0x${magic.toString(16)}`, "not 0xf30a");
  }
  const depth = Ext4ExtentHeader.depth.get(view, base);
  if (depth !== node.depth)
    throw corrupt(node.where, "depth", depth, `here it must be ${node.depth}`);
  const max = Ext4ExtentHeader.max.get(view, base);
  const most = Math.floor((room - HEADER) / ENTRY);
  if (max === 0 || max > most) throw corrupt(node.where, "max", max, `not from 1 to ${most}`);
  const entries = Ext4ExtentHeader.entries.get(view, base);
  if (entries > max) throw corrupt(node.where, "entries", entries, `above its max of ${max}`);
  if (entries === 0 && depth > 0)
    throw corrupt(node.where, "entries", 0, "an index is never empty");
  node.entries = entries;
  node.max = max;
  return node;
}

/** The first logical block of an entry; leaf and index entries keep it in the same place. */
export function keyOf(node: ExtentNode, entry: number): number {
  return Ext4ExtentIdx.block.get(node.view, node.base + HEADER + entry * ENTRY);
}

/** The block of the node below an entry. */
export function childOf(node: ExtentNode, entry: number): number {
  const at = node.base + HEADER + entry * ENTRY;
  return (
    Ext4ExtentIdx.leafLo.get(node.view, at) + Ext4ExtentIdx.leafHi.get(node.view, at) * 2 ** 32
  );
}

/** Keys ascend, start at the parent's key and stay below the next one's; children are inside. */
export function checkIndex(volume: Volume, node: ExtentNode): void {
  checkFirstKey(node);
  let previous = -1;
  for (let entry = 0; entry < node.entries; entry++) {
    const key = keyOf(node, entry);
    if (key <= previous || key >= node.limit) {
      const rule = `not between the neighbours ${previous} and ${node.limit}`;
      throw corrupt(node.where, `entry ${entry} block`, key, rule);
    }
    const child = childOf(node, entry);
    if (!volume.blocks.isInside(child, 1)) {
      throw corrupt(node.where, `entry ${entry} leaf`, child, "outside the filesystem");
    }
    previous = key;
  }
}

function checkFirstKey(node: ExtentNode): void {
  if (node.first === 0 || node.entries === 0) return;
  const key = keyOf(node, 0);
  if (key !== node.first) {
    throw corrupt(node.where, "entry 0 block", key, `its parent says ${node.first}`);
  }
}

/** The last entry that starts at or before `logical`; -1: none. */
export function lastEntryUpTo(node: ExtentNode, logical: number): number {
  let low = 0;
  let high = node.entries;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keyOf(node, middle) <= logical) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The node below an entry of an index. @throws EUCLEAN, EBADMSG, EIO */
export function readChild(
  volume: Volume,
  record: InodeRecord,
  parent: ExtentNode,
  entry: number,
): ExtentNode {
  const number = childOf(parent, entry);
  const { view, bytes } = volume.blocks.get(number, parent.where, `entry ${entry} leaf`);
  const first = keyOf(parent, entry);
  const limit = entry + 1 < parent.entries ? keyOf(parent, entry + 1) : parent.limit;
  const depth = parent.depth - 1;
  const place = { view, base: 0, block: number, depth, first, limit };
  const node = checkHeader(new ExtentNode(record.ino, place), bytes.length);
  checkTail(volume, record, node);
  return node;
}

/** The checksum stands behind the last entry that there is room for. */
function checkTail(volume: Volume, record: InodeRecord, node: ExtentNode): void {
  if (!volume.superblock.metadataCsum) return;
  const { where } = node;
  const block = volume.blocks.get(node.block, where, "block");
  if (block.isProved("extent", record.seed)) return;
  const at = HEADER + ENTRY * Ext4ExtentHeader.max.get(block.view, 0);
  if (at + TAIL > block.bytes.length) {
    throw corrupt(where, "max", Ext4ExtentHeader.max.get(block.view, 0), "no room for a checksum");
  }
  const stored = Ext4ExtentTail.checksum.get(block.view, at);
  const computed = crc32c(record.seed, block.bytes.subarray(0, at));
  if (stored !== computed) throw badChecksum(where, stored, computed);
  block.prove("extent", record.seed);
}

/**
 * Calls `found` for each extent of a leaf, in order; `block` is the physical start.
 * @throws EUCLEAN for one that is empty, out of order, or outside the leaf or the filesystem
 */
export function eachExtent(
  volume: Volume,
  node: ExtentNode,
  found: (logical: number, block: number, count: number, unwritten: boolean) => void,
): void {
  checkFirstKey(node);
  let next = node.first;
  for (let entry = 0; entry < node.entries; entry++) {
    const at = node.base + HEADER + entry * ENTRY;
    const logical = Ext4Extent.block.get(node.view, at);
    const stored = Ext4Extent.len.get(node.view, at);
    const unwritten = stored > EXT_INIT_MAX_LEN;
    const count = unwritten ? stored - EXT_INIT_MAX_LEN : stored;
    const block =
      Ext4Extent.startLo.get(node.view, at) + Ext4Extent.startHi.get(node.view, at) * TWO_32;
    if (count === 0) throw corrupt(node.where, `entry ${entry} len`, 0, "an extent is never empty");
    if (logical < next || logical + count > node.limit) {
      const rule = `with ${count} blocks it leaves ${next} to ${node.limit - 1}`;
      throw corrupt(node.where, `entry ${entry} block`, logical, rule);
    }
    if (!volume.blocks.isInside(block, count)) {
      const rule = `with ${count} blocks it leaves the filesystem`;
      throw corrupt(node.where, `entry ${entry} start`, block, rule);
    }
    found(logical, block, count, unwritten);
    next = logical + count;
  }
}

/** The extents of a leaf. @throws as {@link eachExtent} */
export function extentsOf(volume: Volume, leaf: ExtentNode): Extent[] {
  const extents: Extent[] = [];
  eachExtent(volume, leaf, (logical, block, count, unwritten) => {
    extents.push({ logical, block, count, unwritten });
  });
  return extents;
}

/** The entries of an index that was checked. */
export function indexEntriesOf(node: ExtentNode): IndexEntry[] {
  return Array.from({ length: node.entries }, (_, entry) => ({
    logical: keyOf(node, entry),
    node: childOf(node, entry),
  }));
}

/** Entries that a node in a block of its own has room for. */
export function entriesPerNode(blockSize: number): number {
  return Math.floor((blockSize - HEADER) / ENTRY);
}

/** Writes header and entries of a node, and zeros over the room behind them. */
export function encodeNode(
  view: DataView,
  base: number,
  max: number,
  depth: number,
  entries: readonly (Extent | IndexEntry)[],
): void {
  Ext4ExtentHeader.magic.set(view, base, EXT4_EXT_MAGIC);
  Ext4ExtentHeader.entries.set(view, base, entries.length);
  Ext4ExtentHeader.max.set(view, base, max);
  Ext4ExtentHeader.depth.set(view, base, depth);
  let at = base + HEADER;
  for (const entry of entries) {
    if ("node" in entry) encodeIndex(view, at, entry);
    else encodeExtent(view, at, entry);
    at += ENTRY;
  }
  const room = base + HEADER + max * ENTRY - at;
  new Uint8Array(view.buffer, view.byteOffset + at, room).fill(0);
}

function encodeIndex(view: DataView, at: number, { logical, node }: IndexEntry): void {
  Ext4ExtentIdx.block.set(view, at, logical);
  Ext4ExtentIdx.leafLo.set(view, at, node % TWO_32);
  Ext4ExtentIdx.leafHi.set(view, at, Math.floor(node / TWO_32));
  Ext4ExtentIdx.unused.set(view, at, 0);
}

function encodeExtent(view: DataView, at: number, extent: Extent): void {
  const { logical, block, count, unwritten } = extent;
  Ext4Extent.block.set(view, at, logical);
  Ext4Extent.len.set(view, at, unwritten ? count + EXT_INIT_MAX_LEN : count);
  Ext4Extent.startLo.set(view, at, block % TWO_32);
  Ext4Extent.startHi.set(view, at, Math.floor(block / TWO_32));
}

/** Changes where an entry of an index says that it starts. */
export function encodeKey(view: DataView, base: number, entry: number, logical: number): void {
  Ext4ExtentIdx.block.set(view, base + HEADER + entry * ENTRY, logical);
}

/** Makes the checksum of a node good that fills a block of its own. */
export function sealNode(view: DataView, seed: number): void {
  const at = HEADER + ENTRY * Ext4ExtentHeader.max.get(view, 0);
  Ext4ExtentTail.checksum.set(
    view,
    at,
    crc32c(seed, new Uint8Array(view.buffer, view.byteOffset, at)),
  );
}
