/**
 * The extent tree of an inode, to be changed: a leaf's extents are replaced, and the tree above
 * follows. Nodes split, go away and grow a level; the key of an index is always the first block of
 * the node below it.
 *
 * All blocks that a change needs are allocated before the first byte changes, so a full disk leaves
 * the tree as it was.
 *
 * @module
 */
import {
  EXT4_MAX_EXTENT_DEPTH,
  EXT_INIT_MAX_LEN,
  Ext4Inode as DI,
} from "../../format/ext-inode.ts";
import { assert } from "../../lib/errno.ts";
import { goalOfInode } from "./block-goal.ts";
import { corrupt } from "./corruption.ts";
import {
  type Extent,
  type ExtentNode,
  type IndexEntry,
  checkIndex,
  depthOfRoot,
  encodeKey,
  encodeNode,
  entriesPerNode,
  extentsOf,
  indexEntriesOf,
  keyOf,
  lastEntryUpTo,
  readChild,
  readRoot,
  sealNode,
} from "./extent-node.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { type MapContext, addClusters, freeNode, takeNode } from "./map-context.ts";
import type { JournaledBlock } from "./transaction.ts";

/** Entries of the root. */
const ROOT_ENTRIES = 4;
const ROOT = DI.block.offset;

type Entry = Extent | IndexEntry;

/** A node on the way down, and the entry that leads on. */
interface Step {
  readonly node: ExtentNode;
  readonly entry: number;
}

/** A leaf with the way to it. It is out of date as soon as the tree changes. */
export interface Leaf {
  readonly path: readonly Step[];
  /** In order. */
  readonly extents: readonly Extent[];
  /** The blocks that the leaf answers for start here, and end before `limit`. */
  readonly first: number;
  readonly limit: number;
}

/** Whether `next` goes on where `last` ends, in the file and on the disk. */
function continues(last: Extent, next: Extent): boolean {
  return (
    last.unwritten === next.unwritten &&
    last.logical + last.count === next.logical &&
    last.block + last.count === next.block
  );
}

/** The most blocks of one extent; its length says in the same 16 bits that it is unwritten. */
export function longestExtent(unwritten: boolean): number {
  return unwritten ? EXT_INIT_MAX_LEN - 1 : EXT_INIT_MAX_LEN;
}

/** Adds an extent to a list, to the last one where that is possible. */
export function pushJoined(list: Extent[], extent: Extent): void {
  const last = list.at(-1);
  const joined = (last?.count ?? 0) + extent.count;
  const fits = joined <= longestExtent(extent.unwritten);
  if (last !== undefined && fits && continues(last, extent)) {
    list[list.length - 1] = { ...last, count: joined };
  } else list.push(extent);
}

/** The part of an extent from `from` to below `to`. */
export function cut(extent: Extent, from: number, to: number): Extent {
  const { block, logical } = extent;
  return { ...extent, logical: from, block: block + from - logical, count: to - from };
}

/** Index of the first extent that ends behind `logical`. */
export function firstBehind(extents: readonly Extent[], logical: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { logical: start, count } = extents[middle] as Extent;
    if (start + count <= logical) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The tree of one inode within one handle. */
export class ExtentTree {
  readonly #context: MapContext;
  readonly #handle: Handle;
  readonly #record: InodeRecord;
  /** Blocks for new nodes, allocated ahead. */
  #spare: number[] = [];

  constructor(context: MapContext, handle: Handle, record: InodeRecord) {
    this.#context = context;
    this.#handle = handle;
    this.#record = record;
  }

  /** Levels below the root. */
  get depth(): number {
    return depthOfRoot(this.#record);
  }

  /** The leaf that answers for a block, or the first one. @throws EUCLEAN, EBADMSG, EIO */
  leaf(logical: number): Leaf {
    const { volume } = this.#context;
    const path: Step[] = [];
    let node = readRoot(this.#record);
    while (node.depth > 0) {
      checkIndex(volume, node);
      const entry = Math.max(0, lastEntryUpTo(node, logical));
      path.push({ node, entry });
      node = readChild(volume, this.#record, node, entry);
    }
    path.push({ node, entry: -1 });
    return { path, extents: extentsOf(volume, node), first: node.first, limit: node.limit };
  }

  /** Whether any of `count` blocks from `logical` is mapped. @throws EUCLEAN, EBADMSG, EIO */
  maps(logical: number, count: number): boolean {
    const limit = logical + count;
    for (let at = logical; at < limit;) {
      const leaf = this.leaf(at);
      const found = leaf.extents.some((e) => e.logical < limit && e.logical + e.count > logical);
      if (found) return true;
      at = leaf.limit;
    }
    return false;
  }

  /**
   * Puts `pieces` in the place of whatever the leaf maps from `from` to below `to`; extents that
   * cross the borders are cut. Afterwards the leaf is out of date.
   * @throws ENOSPC, EFBIG with nothing changed; EIO
   */
  replace(leaf: Leaf, from: number, to: number, pieces: readonly Extent[]): void {
    const { extents } = leaf;
    const end = extents.at(-1);
    const covers =
      end === undefined || (from <= extents[0]!.logical && end.logical + end.count <= to);
    if (covers && pieces.length < 2 && (end === undefined || pieces.length === 0)) {
      this.write(leaf, pieces);
      return;
    }
    // The neighbours take part, for they may join what is new.
    const first = Math.max(0, firstBehind(extents, from) - 1);
    let last = first;
    while (last < extents.length && (extents[last] as Extent).logical <= to) last++;
    const middle: Extent[] = [];
    const touched = extents.slice(first, last);
    for (const extent of touched) {
      const { logical, count } = extent;
      if (logical < from) pushJoined(middle, cut(extent, logical, Math.min(logical + count, from)));
    }
    for (const piece of pieces) pushJoined(middle, piece);
    for (const extent of touched) {
      const { logical, count } = extent;
      if (logical + count > to) {
        pushJoined(middle, cut(extent, Math.max(logical, to), logical + count));
      }
    }
    this.write(leaf, [...extents.slice(0, first), ...middle, ...extents.slice(last)]);
  }

  /** Gives the leaf these extents, which are in order. @throws as {@link replace} */
  write(leaf: Leaf, extents: readonly Extent[]): void {
    const { path } = leaf;
    const bottom = path.length - 1;
    this.#prepare(path, this.#newNodes(path, bottom, extents.length));
    this.#store(path, bottom, extents);
    assert(this.#spare.length === 0, () => `${this.#spare.length} nodes were not needed`);
  }

  /** How many blocks a change takes that leaves `count` entries at a level. */
  #newNodes(path: readonly Step[], level: number, count: number): number {
    const { node } = path[level] as Step;
    if (count <= node.max) return 0;
    if (level > 0)
      return 1 + this.#newNodes(path, level - 1, (path[level - 1] as Step).node.entries + 1);
    if (node.depth >= EXT4_MAX_EXTENT_DEPTH) {
      throw corrupt(node.where, "depth", node.depth, "it cannot grow; its nodes are far from full");
    }
    return 1;
  }

  #prepare(path: readonly Step[], count: number): void {
    if (count === 0) return;
    const { superblock } = this.#context.volume;
    const goal =
      (path.at(-1) as Step).node.block || goalOfInode(superblock, this.#record.ino, false);
    try {
      while (this.#spare.length < count) {
        this.#spare.push(takeNode(this.#context, this.#handle, goal));
      }
      addClusters(this.#context, this.#record, count);
    } catch (error) {
      // They never held anything, so there is nothing to revoke.
      const { allocator } = this.#context;
      for (const block of this.#spare) allocator.free(this.#handle, block, 1, { metadata: false });
      this.#spare = [];
      throw error;
    }
  }

  #store(path: readonly Step[], level: number, entries: readonly Entry[]): void {
    const { node } = path[level] as Step;
    if (entries.length === 0 && level > 0) this.#drop(path, level);
    else if (entries.length <= node.max) {
      this.#fill(node, entries);
      const first = entries[0]?.logical;
      if (level > 0 && first !== node.first) this.#setKey(path, level - 1, first as number);
    } else if (level === 0) this.#grow(node, entries);
    else this.#split(path, level, entries);
  }

  /** Writes a node in its place. */
  #fill(node: ExtentNode, entries: readonly Entry[]): void {
    if (node.block !== 0) {
      this.#encode(this.#handle.get(node.block, node.where), node.max, node.depth, entries);
      return;
    }
    // A root without entries is a leaf: an index is never empty.
    const depth = entries.length === 0 ? 0 : node.depth;
    encodeNode(this.#record.view, ROOT, ROOT_ENTRIES, depth, entries);
  }

  #encode(copy: JournaledBlock, max: number, depth: number, entries: readonly Entry[]): void {
    encodeNode(copy.memory, 0, max, depth, entries);
    this.#seal(copy);
  }

  #seal(copy: JournaledBlock): void {
    const { volume } = this.#context;
    const { seed } = this.#record;
    if (volume.superblock.metadataCsum) sealNode(copy.memory, seed);
    volume.blocks.put(copy, "extent", seed);
  }

  /** What the node below the way starts with; first entries pass it on upwards. */
  #setKey(path: readonly Step[], level: number, logical: number): void {
    const { node, entry } = path[level] as Step;
    if (node.block === 0) {
      encodeKey(this.#record.view, ROOT, entry, logical);
      return;
    }
    const copy = this.#handle.get(node.block, node.where);
    encodeKey(copy.memory, 0, entry, logical);
    this.#seal(copy);
    if (entry === 0) this.#setKey(path, level - 1, logical);
  }

  /** A node without entries goes away. */
  #drop(path: readonly Step[], level: number): void {
    const { node } = path[level] as Step;
    this.#free(node.block);
    const { entry } = path[level - 1] as Step;
    this.#store(path, level - 1, parentOf(path, level).toSpliced(entry, 1));
  }

  #free(block: number): void {
    freeNode(this.#context, this.#handle, block);
    addClusters(this.#context, this.#record, -1);
  }

  /** The root's entries move to a node below it. */
  #grow(root: ExtentNode, entries: readonly Entry[]): void {
    const block = this.#create(root.depth, entries);
    const { logical } = entries[0] as Entry;
    const index = [{ logical, node: block }];
    encodeNode(this.#record.view, ROOT, ROOT_ENTRIES, root.depth + 1, index);
  }

  /** A node of its own for entries; the block that it is in. */
  #create(depth: number, entries: readonly Entry[]): number {
    const block = this.#spare.pop() as number;
    const max = entriesPerNode(this.#context.volume.superblock.blockSize);
    this.#encode(this.#handle.create(block), max, depth, entries);
    return block;
  }

  /**
   * Entries that are too many for their node go on in a new one behind it. At the end of the file
   * the old one stays full: files are mostly written forwards.
   */
  #split(path: readonly Step[], level: number, entries: readonly Entry[]): void {
    const { node } = path[level] as Step;
    const atEnd = path.slice(0, level).every((step) => step.entry === step.node.entries - 1);
    const keep = atEnd && addsToEnd(node, entries) ? node.max : Math.ceil(entries.length / 2);
    const before = entries.slice(0, keep);
    const behind = entries.slice(keep);
    this.#fill(node, before);
    const block = this.#create(node.depth, behind);
    const { entry } = path[level - 1] as Step;
    const halves = [
      { logical: (before[0] as Entry).logical, node: node.block },
      { logical: (behind[0] as Entry).logical, node: block },
    ];
    this.#store(path, level - 1, parentOf(path, level).toSpliced(entry, 1, ...halves));
  }

  /** Takes levels away that the root does not need. To be called when blocks were unmapped. */
  shrink(): void {
    for (;;) {
      const root = readRoot(this.#record);
      if (root.depth === 0 || root.entries > 1) return;
      const { volume } = this.#context;
      checkIndex(volume, root);
      const child = readChild(volume, this.#record, root, 0);
      if (child.entries > ROOT_ENTRIES) return;
      const entries = child.depth > 0 ? indexEntriesOf(child) : extentsOf(volume, child);
      encodeNode(this.#record.view, ROOT, ROOT_ENTRIES, child.depth, entries);
      this.#free(child.block);
    }
  }
}

function parentOf(path: readonly Step[], level: number): IndexEntry[] {
  return indexEntriesOf((path[level - 1] as Step).node);
}

/** Whether what is new among the entries comes behind all that the node holds. */
function addsToEnd(node: ExtentNode, entries: readonly Entry[]): boolean {
  return (entries.at(-2) as Entry).logical >= keyOf(node, node.entries - 1);
}
