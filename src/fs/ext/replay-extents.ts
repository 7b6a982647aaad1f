/**
 * The extents of a file as a list that can be changed, and the tree that is made of it again.
 *
 * @module
 */
import {
  EXT4_EXT_MAGIC,
  EXT_INIT_MAX_LEN,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4ExtentIdx,
  Ext4Inode as DI,
} from "../../format/ext-inode.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { walkMap } from "./check-map.ts";
import { SparseBits } from "./check-tables.ts";
import { corrupt } from "./corruption.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";
import type { ReplayEditor } from "./replay-editor.ts";

const HEADER = sizeof(Ext4ExtentHeader);
const ENTRY = sizeof(Ext4Extent);
const ROOT_ENTRIES = 4;
const TWO_32 = 2 ** 32;

/** A run of a file. */
export interface Extent {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
  readonly unwritten: boolean;
}

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
    const perNode = Math.floor((editor.superblock.blockSize - HEADER) / ENTRY);
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
    writeEntries(inode.view, base, ROOT_ENTRIES, entries, depth);
    for (const block of old) editor.markBlocks(block, 1, false);
  }
}

/** An entry of a leaf, or of an index. */
type Entry = Extent | { readonly logical: number; readonly node: number };

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
  const most = Math.floor((view.byteLength - HEADER) / ENTRY);
  writeEntries(view, 0, most, entries, depth);
  if (!editor.superblock.metadataCsum) return;
  const at = HEADER + ENTRY * most;
  view.setUint32(at, crc32c(seed, new Uint8Array(view.buffer, 0, at)), true);
}

function writeEntries(
  view: DataView,
  base: number,
  most: number,
  entries: readonly Entry[],
  depth: number,
): void {
  Ext4ExtentHeader.magic.set(view, base, EXT4_EXT_MAGIC);
  Ext4ExtentHeader.entries.set(view, base, entries.length);
  Ext4ExtentHeader.max.set(view, base, most);
  Ext4ExtentHeader.depth.set(view, base, depth);
  for (const [i, entry] of entries.entries()) {
    const at = base + HEADER + i * ENTRY;
    if ("node" in entry) {
      Ext4ExtentIdx.block.set(view, at, entry.logical);
      Ext4ExtentIdx.leafLo.set(view, at, entry.node % TWO_32);
      Ext4ExtentIdx.leafHi.set(view, at, Math.floor(entry.node / TWO_32));
      continue;
    }
    const length = entry.unwritten ? entry.count + EXT_INIT_MAX_LEN : entry.count;
    Ext4Extent.block.set(view, at, entry.logical);
    Ext4Extent.len.set(view, at, length);
    Ext4Extent.startLo.set(view, at, entry.block % TWO_32);
    Ext4Extent.startHi.set(view, at, Math.floor(entry.block / TWO_32));
  }
}
