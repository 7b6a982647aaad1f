/**
 * Check of an extent tree: headers, checksums, the order and bounds of entries on every level.
 *
 * @module
 */
import {
  EXT4_EXT_MAGIC,
  EXT4_MAX_EXTENT_DEPTH,
  EXT4_VERITY_FL,
  EXT_INIT_MAX_LEN,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4ExtentIdx,
  Ext4ExtentTail,
  Ext4Inode,
} from "../../format/ext-inode.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { type CheckContext, hex } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import type { MapVisitor } from "./check-map.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";

const HEADER = sizeof(Ext4ExtentHeader);
const ENTRY = sizeof(Ext4Extent);
const TWO_32 = 2 ** 32;

/** A node of the tree and the logical blocks that it may speak of. */
interface Node {
  readonly view: DataView;
  readonly base: number;
  readonly entries: number;
  readonly depth: number;
  readonly name: string;
  readonly first: number;
  readonly limit: number;
}

/** Walks the tree of an inode that has extents. @throws EIO */
export function walkExtents(context: CheckContext, inode: CheckedInode, visitor: MapVisitor): void {
  new ExtentWalk(context, inode, visitor).walk();
}

/**
 * What is wrong with a header that has `room` bytes for itself and its entries; undefined for a
 * good one. `max` may be a little less than fits, as old tools wrote it.
 */
export function extentHeaderProblem(
  view: DataView,
  base: number,
  room: number,
): string | undefined {
  const magic = Ext4ExtentHeader.magic.get(view, base);
  if (magic !== EXT4_EXT_MAGIC) return `magic is ${hex(magic)}, expected 0xf30a`;
  const max = Ext4ExtentHeader.max.get(view, base);
  const most = Math.floor((room - HEADER) / ENTRY);
  if (max > most || max < most - 2) return `max is ${max}, expected ${most}`;
  const entries = Ext4ExtentHeader.entries.get(view, base);
  return entries > max ? `entries is ${entries}, expected at most its max of ${max}` : undefined;
}

class ExtentWalk {
  readonly #context: CheckContext;
  readonly #inode: CheckedInode;
  readonly #visitor: MapVisitor;
  /** The last logical block of the file's size; -1 for an empty file. */
  readonly #lastOfSize: number;
  /** Where the next leaf entry may start, across all leaves. */
  #next = 0;

  constructor(context: CheckContext, inode: CheckedInode, visitor: MapVisitor) {
    this.#context = context;
    this.#inode = inode;
    this.#visitor = visitor;
    this.#lastOfSize = Math.ceil(inode.size / context.superblock.blockSize) - 1;
  }

  walk(): void {
    const { view } = this.#inode;
    const base = Ext4Inode.block.offset;
    const wrong = extentHeaderProblem(view, base, I_BLOCK_SIZE);
    const depth = Ext4ExtentHeader.depth.get(view, base);
    if (wrong !== undefined) {
      this.#visitor.problem("ext.extent.header", `extent root: ${wrong}`);
      return;
    }
    if (depth > EXT4_MAX_EXTENT_DEPTH) {
      const text = `extent root: depth is ${depth}, expected at most ${EXT4_MAX_EXTENT_DEPTH}`;
      this.#visitor.problem("ext.extent.depth", text);
      return;
    }
    const entries = Ext4ExtentHeader.entries.get(view, base);
    this.#node({ view, base, entries, depth, name: "extent root", first: 0, limit: TWO_32 });
  }

  #node(node: Node): void {
    let next = node.first;
    for (let i = 0; i < node.entries; i++) {
      const at = node.base + HEADER + i * ENTRY;
      next = node.depth === 0 ? this.#leaf(node, at, next) : this.#index(node, at, i, next);
    }
  }

  /** Checks an entry of a leaf; answers where the next one may start. */
  #leaf(node: Node, at: number, next: number): number {
    const logical = Ext4Extent.block.get(node.view, at);
    const stored = Ext4Extent.len.get(node.view, at);
    const unwritten = stored > EXT_INIT_MAX_LEN;
    const count = unwritten ? stored - EXT_INIT_MAX_LEN : stored;
    const lo = Ext4Extent.startLo.get(node.view, at);
    const block = lo + Ext4Extent.startHi.get(node.view, at) * TWO_32;
    const wrong = this.#leafProblem(node, { logical, count, block, unwritten }, next);
    if (wrong !== undefined) {
      const [code, text] = wrong;
      this.#visitor.problem(code, `${node.name}: extent of ${count} at ${logical} ${text}`);
      return next;
    }
    this.#visitor.data(logical, block, count, unwritten);
    this.#next = Math.max(this.#next, logical + count);
    return logical + count;
  }

  #leafProblem(
    node: Node,
    extent: { logical: number; count: number; block: number; unwritten: boolean },
    next: number,
  ): readonly [code: string, text: string] | undefined {
    const { logical, count, block, unwritten } = extent;
    if (count === 0) return ["ext.extent.length", "is empty"];
    if (!this.#context.isInside(block, count)) {
      return ["ext.extent.block", `lies at block ${block}, outside the filesystem`];
    }
    if (logical < next || logical < this.#next) {
      return ["ext.extent.order", `should start at ${Math.max(next, this.#next)} or behind it`];
    }
    const last = logical + count - 1;
    if (last >= node.limit) return ["ext.extent.bounds", `should end before ${node.limit}`];
    const beyond = node.name !== "extent root" && last > this.#lastOfSize && !unwritten;
    if (beyond && !this.#inode.has(EXT4_VERITY_FL) && node.limit === TWO_32) {
      return ["ext.extent.bounds", `is written, but the size ends at block ${this.#lastOfSize}`];
    }
    return undefined;
  }

  /** Checks an entry of an index and what is below it; answers where the next one may start. */
  #index(node: Node, at: number, i: number, next: number): number {
    const { view, entries, name } = node;
    const logical = Ext4ExtentIdx.block.get(view, at);
    const lo = Ext4ExtentIdx.leafLo.get(view, at);
    const block = lo + Ext4ExtentIdx.leafHi.get(view, at) * TWO_32;
    if (!this.#context.isInside(block)) {
      const text = `${name}: node for ${logical} at block ${block}, outside the filesystem`;
      this.#visitor.problem("ext.extent.block", text);
      return next;
    }
    if (logical < next || logical >= node.limit) {
      const text = `${name}: node for ${logical}, expected from ${next} to below ${node.limit}`;
      this.#visitor.problem("ext.extent.order", text);
      return next;
    }
    const following = i + 1 < entries ? Ext4ExtentIdx.block.get(view, at + ENTRY) : node.limit;
    const limit = Math.min(Math.max(following, logical + 1), node.limit);
    if (this.#visitor.node(block, node.depth)) this.#child(block, node.depth - 1, logical, limit);
    return logical + 1;
  }

  #child(block: number, depth: number, first: number, limit: number): void {
    const name = `extent block ${block}`;
    const view = this.#context.read(block, "extent block");
    const wrong = extentHeaderProblem(view, 0, view.byteLength);
    if (wrong !== undefined) {
      this.#visitor.problem("ext.extent.header", `${name}: ${wrong}`);
      return;
    }
    this.#checkChecksum(name, view);
    const found = Ext4ExtentHeader.depth.get(view, 0);
    if (found !== depth) {
      const text = `${name}: depth is ${found}, expected ${depth}`;
      this.#visitor.problem("ext.extent.depth", text);
      return;
    }
    const entries = Ext4ExtentHeader.entries.get(view, 0);
    if (entries === 0) {
      this.#visitor.problem("ext.extent.header", `${name}: it has no entries`);
      return;
    }
    const key = Ext4ExtentIdx.block.get(view, HEADER);
    if (key !== first) {
      const text = `${name}: starts at ${key}, its parent says ${first}`;
      this.#visitor.problem("ext.extent.key", text);
    }
    this.#node({ view, base: 0, entries, depth, name, first: Math.min(first, key), limit });
  }

  #checkChecksum(name: string, view: DataView): void {
    if (!this.#context.superblock.metadataCsum) return;
    const at = HEADER + ENTRY * Ext4ExtentHeader.max.get(view, 0);
    const stored = Ext4ExtentTail.checksum.get(view, at);
    const bytes = new Uint8Array(view.buffer as ArrayBuffer, 0, at);
    const computed = crc32c(this.#inode.seed, bytes);
    if (stored === computed) return;
    const text = `${name}: checksum is ${hex(stored)}, expected ${hex(computed)}`;
    this.#visitor.problem("ext.extent.checksum", text);
  }
}
