/**
 * The extents of a file as a list that can be changed, and the tree that is made of it again.
 *
 * @module
 */
import { EXT_INIT_MAX_LEN, Ext4Inode as DI } from "../../format/ext-inode.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { walkMap } from "./check-map.ts";
import { SparseBits } from "./check-tables.ts";
import { corrupt } from "./corruption.ts";
import {
  type Extent,
  type IndexEntry,
  encodeNode,
  entriesPerNode,
  sealNode,
} from "./extent-node.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";
import type { ReplayEditor } from "./replay-editor.ts";

const ROOT_ENTRIES = 4;

/** The mapping of one file. */
export class ExtentList {
  /** Sorted, not overlapping. */
  extents: Extent[] = [];
  /** Blocks that hold the tree. */
  nodes: number[] = [];

  /** Reads the map of an inode. @throws EUCLEAN for a map that breaks a rule, EIO */
  static load(editor: ReplayEditor, inode: CheckedInode): ExtentList {
    const list = new ExtentList();
    const walked = new SparseBits(editor.superblock.blocksPerGroup);
    walkMap(editor.context, inode, {
      node: (block) => {
        list.nodes.push(block);
        return walked.add(block);
      },
      data: (logical, block, count, unwritten) =>
        void list.extents.push({ logical, block, count, unwritten }),
      problem: (code, text) => {
        throw corrupt(inode.where, code, text, "a fast commit needs it intact");
      },
    });
    return list;
  }

  /** Blocks behind the last one that is mapped. */
  get end(): number {
    const last = this.extents.at(-1);
    return last === undefined ? 0 : last.logical + last.count;
  }

  /** The block behind a logical one; undefined for a hole. */
  blockOf(logical: number): number | undefined {
    const extent = this.extents[this.#firstBehind(logical)];
    if (extent === undefined || extent.logical > logical) return undefined;
    return extent.block + logical - extent.logical;
  }

  /** Index of the first extent that ends behind `logical`. */
  #firstBehind(logical: number): number {
    let low = 0;
    let high = this.extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { logical: start, count } = this.extents[middle] as Extent;
      if (start + count <= logical) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes away whatever maps the blocks from `logical`, and puts `instead` in its place. */
  remove(logical: number, count: number, instead: readonly Extent[] = []): void {
    const end = logical + count;
    const from = this.#firstBehind(logical);
    let to = from;
    const parts: Extent[] = [...instead];
    for (;;) {
      const extent = this.extents[to];
      if (extent === undefined || extent.logical >= end) break;
      const last = extent.logical + extent.count;
      if (extent.logical < logical) parts.unshift({ ...extent, count: logical - extent.logical });
      if (last > end) {
        const block = extent.block + end - extent.logical;
        parts.push({ ...extent, logical: end, block, count: last - end });
      }
      to++;
    }
    if (to > from || parts.length > 0) this.extents.splice(from, to - from, ...parts);
  }

  /** Maps a run, in place of whatever was there. */
  add(extent: Extent): void {
    this.remove(extent.logical, extent.count, [extent]);
  }

  /** Clusters that the data takes. */
  dataClusters(clusterRatio: number): number {
    let clusters = 0;
    let previous = -1;
    for (const { block, count } of this.extents) {
      const first = Math.floor(block / clusterRatio);
      const last = Math.floor((block + count - 1) / clusterRatio);
      clusters += last - first + (first === previous ? 0 : 1);
      previous = last;
    }
    return clusters;
  }

  /** Neighbours joined, and no longer than an entry can say. */
  #joined(): Extent[] {
    const joined: Extent[] = [];
    for (const extent of this.extents) {
      const last = joined.at(-1);
      const most = extent.unwritten ? EXT_INIT_MAX_LEN - 1 : EXT_INIT_MAX_LEN;
      if (last !== undefined && continues(last, extent) && last.count + extent.count <= most) {
        joined[joined.length - 1] = { ...last, count: last.count + extent.count };
      } else joined.push(extent);
    }
    return joined;
  }

  /**
   * Stores the list as a tree: its root in the inode (which the caller stores), its nodes in blocks
   * of the old tree first, then in ones from `allocate`.
   */
  store(editor: ReplayEditor, inode: CheckedInode, allocate: () => number): void {
    const old = this.nodes;
    this.nodes = [];
    const next = (): number => {
      const block = old.pop() ?? allocate();
      this.nodes.push(block);
      return block;
    };
    const perNode = entriesPerNode(editor.superblock.blockSize);
    let depth = 0;
    let entries: Entry[] = this.#joined();
    while (entries.length > ROOT_ENTRIES) {
      const above: Entry[] = [];
      for (let i = 0; i < entries.length; i += perNode) {
        const some = entries.slice(i, i + perNode);
        const block = next();
        writeNode(editor, inode.seed, block, some, depth);
        above.push({ logical: (some[0] as Entry).logical, node: block });
      }
      entries = above;
      depth++;
    }
    const base = DI.block.offset;
    inode.bytes.fill(0, base, base + I_BLOCK_SIZE);
    encodeNode(inode.view, base, ROOT_ENTRIES, depth, entries);
    for (const block of old) editor.markBlocks(block, 1, false);
  }
}

/** An entry of a leaf, or of an index. */
type Entry = Extent | IndexEntry;

function continues(last: Extent, next: Extent): boolean {
  return (
    last.unwritten === next.unwritten &&
    last.logical + last.count === next.logical &&
    last.block + last.count === next.block
  );
}

function writeNode(
  editor: ReplayEditor,
  seed: number,
  block: number,
  entries: readonly Entry[],
  depth: number,
): void {
  const view = editor.editFresh(block, "extent block");
  encodeNode(view, 0, entriesPerNode(editor.superblock.blockSize), depth, entries);
  if (editor.superblock.metadataCsum) sealNode(view, seed);
}
