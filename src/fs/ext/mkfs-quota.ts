/**
 * A quota file that knows one id, 0, who owns everything in a new filesystem.
 *
 * @module
 */
import {
  QT_BLKSIZE,
  QT_TREEDEPTH,
  QT_TREEOFF,
  QtDiskDqdbheader as DH,
  V2DiskDqheader as QH,
  V2_INITQMAGICS,
  V2_VERSION_R1,
  V2r1DiskDqblk as DQ,
} from "../../format/quota.ts";
import { sizeof } from "../../lib/struct.ts";
import type { QuotaType } from "./mkfs-options.ts";

/** What an id uses. */
export interface Usage {
  readonly id: number;
  readonly inodes: number;
  /** Bytes. */
  readonly space: number;
}

/** Seconds for which a soft limit may be passed. */
const GRACE = 604_800;

const INDEX: Readonly<Record<QuotaType, number>> = { usr: 0, grp: 1, prj: 2 };

/**
 * The file: its header, the tree's root, and for every id of `usages` the way down to one block
 * with all entries. Ids must be few enough for one block.
 */
export function quotaFile(type: QuotaType, usages: readonly Usage[]): Uint8Array {
  const tree = new QuotaTree(usages);
  const bytes = tree.bytes();
  const view = new DataView(bytes.buffer);
  QH.magic.set(view, 0, V2_INITQMAGICS[INDEX[type]] as number);
  QH.version.set(view, 0, V2_VERSION_R1);
  QH.bgrace.set(view, 0, GRACE);
  QH.igrace.set(view, 0, GRACE);
  QH.blocks.set(view, 0, bytes.length / QT_BLKSIZE);
  QH.freeEntry.set(view, 0, tree.leaf);
  return bytes;
}

class QuotaTree {
  /** Words of tree blocks: where each byte of an id leads. */
  readonly #nodes = new Map<number, Map<number, number>>();
  /** The block that holds the entries. */
  readonly leaf: number;
  readonly #usages: readonly Usage[];
  #next = QT_TREEOFF + 1;

  constructor(usages: readonly Usage[]) {
    this.#usages = usages;
    this.#nodes.set(QT_TREEOFF, new Map());
    let leaf = 0;
    for (const { id } of usages) {
      const bottom = this.#descend(id);
      if (leaf === 0) leaf = this.#next++;
      bottom.set(id & 0xff, leaf);
    }
    this.leaf = leaf;
  }

  /** The lowest tree block on the way to an id: a level for each byte, the top one first. */
  #descend(id: number): Map<number, number> {
    let node = this.#nodes.get(QT_TREEOFF) as Map<number, number>;
    for (let level = 0; level < QT_TREEDEPTH - 1; level++) {
      const byte = (id >>> (8 * (QT_TREEDEPTH - 1 - level))) & 0xff;
      const block = node.get(byte) ?? this.#next++;
      node.set(byte, block);
      const below = this.#nodes.get(block) ?? new Map<number, number>();
      this.#nodes.set(block, below);
      node = below;
    }
    return node;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#next * QT_BLKSIZE);
    const view = new DataView(bytes.buffer);
    for (const [block, words] of this.#nodes) {
      for (const [byte, to] of words) view.setUint32(block * QT_BLKSIZE + byte * 4, to, true);
    }
    const at = this.leaf * QT_BLKSIZE;
    DH.entries.set(view, at, this.#usages.length);
    for (const [i, { id, inodes, space }] of this.#usages.entries()) {
      const entry = at + sizeof(DH) + i * sizeof(DQ);
      DQ.id.set(view, entry, id);
      DQ.curinodes.set(view, entry, inodes);
      DQ.curspace.set(view, entry, space);
    }
    return bytes;
  }
}
