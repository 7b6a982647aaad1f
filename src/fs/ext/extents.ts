/**
 * Extent trees: from a logical block to the decoded leaf that answers for it.
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
import { MAPPED, type Segment, SegmentBuilder, UNWRITTEN } from "./runs.ts";
import type { Volume } from "./volume.ts";

const HEADER = sizeof(Ext4ExtentHeader);
const ENTRY = sizeof(Ext4Extent);
const TAIL = sizeof(Ext4ExtentTail);

/** A node of the tree, its header checked. */
interface Node {
  readonly view: DataView;
  /** Where the header is. */
  readonly base: number;
  entries: number;
  readonly depth: number;
  /** For errors. */
  readonly where: string;
  /** The logical blocks that the node answers for; the root for all. */
  readonly first: number;
  readonly limit: number;
}

/**
 * The part of the mapping that holds `logical`: a whole leaf, up to where its neighbours start.
 * @throws EUCLEAN for a tree that breaks a rule, EBADMSG, EIO
 */
export function extentSegment(volume: Volume, record: InodeRecord, logical: number): Segment {
  let node = readRoot(record);
  while (node.depth > 0) {
    checkIndex(volume, node);
    const entry = lastEntryUpTo(node, logical);
    if (entry < 0) {
      return new SegmentBuilder(node.first, keyOf(node, 0), volume.buffers).finish();
    }
    node = readChild(volume, record, node, entry);
  }
  return decodeLeaf(volume, node);
}

function readRoot(record: InodeRecord): Node {
  const { view } = record;
  const base = Ext4Inode.block.offset;
  const depth = Ext4ExtentHeader.depth.get(view, base);
  const where = `inode ${record.ino} extent root`;
  if (depth > EXT4_MAX_EXTENT_DEPTH) throw corrupt(where, "depth", depth, "above 5");
  const limit = MAX_LOGICAL_BLOCKS;
  return checkHeader({ view, base, entries: 0, depth, first: 0, limit, where }, I_BLOCK_SIZE);
}

/** Checks the header of a node that is known but for its entries. `room` is in bytes. */
function checkHeader(node: Node, room: number): Node {
  const { view, base, where } = node;
  const magic = Ext4ExtentHeader.magic.get(view, base);
  if (magic !== EXT4_EXT_MAGIC) {
    throw corrupt(where, "magic", `0x${magic.toString(16)}`, "not 0xf30a");
  }
  const depth = Ext4ExtentHeader.depth.get(view, base);
  if (depth !== node.depth) throw corrupt(where, "depth", depth, `here it must be ${node.depth}`);
  const max = Ext4ExtentHeader.max.get(view, base);
  const most = Math.floor((room - HEADER) / ENTRY);
  if (max === 0 || max > most) throw corrupt(where, "max", max, `not from 1 to ${most}`);
  const entries = Ext4ExtentHeader.entries.get(view, base);
  if (entries > max) throw corrupt(where, "entries", entries, `above its max of ${max}`);
  if (entries === 0 && depth > 0) throw corrupt(where, "entries", 0, "an index is never empty");
  node.entries = entries;
  return node;
}

/** The first logical block of an entry; leaf and index entries keep it in the same place. */
function keyOf(node: Node, entry: number): number {
  return Ext4ExtentIdx.block.get(node.view, node.base + HEADER + entry * ENTRY);
}

function childOf(node: Node, entry: number): number {
  const at = node.base + HEADER + entry * ENTRY;
  return (
    Ext4ExtentIdx.leafLo.get(node.view, at) + Ext4ExtentIdx.leafHi.get(node.view, at) * 2 ** 32
  );
}

/** Keys ascend, start at the parent's key and stay below the next one's; children are inside. */
function checkIndex(volume: Volume, node: Node): void {
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

function checkFirstKey(node: Node): void {
  if (node.first === 0 || node.entries === 0) return;
  const key = keyOf(node, 0);
  if (key !== node.first) {
    throw corrupt(node.where, "entry 0 block", key, `its parent says ${node.first}`);
  }
}

function lastEntryUpTo(node: Node, logical: number): number {
  let low = 0;
  let high = node.entries;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keyOf(node, middle) <= logical) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function readChild(volume: Volume, record: InodeRecord, parent: Node, entry: number): Node {
  const number = childOf(parent, entry);
  const where = `inode ${record.ino} extent block ${number}`;
  const { view, bytes } = volume.blocks.get(number, parent.where, `entry ${entry} leaf`);
  const first = keyOf(parent, entry);
  const limit = entry + 1 < parent.entries ? keyOf(parent, entry + 1) : parent.limit;
  const known = { view, base: 0, entries: 0, depth: parent.depth - 1, first, limit, where };
  const node = checkHeader(known, bytes.length);
  checkTail(volume, record, number, where);
  return node;
}

/** The checksum stands behind the last entry that there is room for. */
function checkTail(volume: Volume, record: InodeRecord, number: number, where: string): void {
  if (!volume.superblock.metadataCsum) return;
  const block = volume.blocks.get(number, where, "block");
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

function decodeLeaf(volume: Volume, node: Node): Segment {
  checkFirstKey(node);
  const builder = new SegmentBuilder(node.first, node.limit, volume.buffers);
  let next = node.first;
  for (let entry = 0; entry < node.entries; entry++) {
    const at = node.base + HEADER + entry * ENTRY;
    const logical = Ext4Extent.block.get(node.view, at);
    const stored = Ext4Extent.len.get(node.view, at);
    const unwritten = stored > EXT_INIT_MAX_LEN;
    const length = unwritten ? stored - EXT_INIT_MAX_LEN : stored;
    const physical =
      Ext4Extent.startLo.get(node.view, at) + Ext4Extent.startHi.get(node.view, at) * 2 ** 32;
    if (length === 0)
      throw corrupt(node.where, `entry ${entry} len`, 0, "an extent is never empty");
    if (logical < next || logical + length > node.limit) {
      const rule = `with ${length} blocks it leaves ${next} to ${node.limit - 1}`;
      throw corrupt(node.where, `entry ${entry} block`, logical, rule);
    }
    if (!volume.blocks.isInside(physical, length)) {
      const rule = `with ${length} blocks it leaves the filesystem`;
      throw corrupt(node.where, `entry ${entry} start`, physical, rule);
    }
    builder.add(logical, physical, length, unwritten ? UNWRITTEN : MAPPED);
    next = logical + length;
  }
  return builder.finish();
}
