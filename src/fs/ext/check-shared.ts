/**
 * Names the inodes that claim the same blocks: a second walk over all maps, when the first one met
 * blocks that were claimed before.
 *
 * @module
 */
import type { Finding } from "../../vfs/filesystem.ts";
import { EXT4_RESIZE_INO } from "../../format/ext-inode.ts";
import type { CheckContext } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { allInodes } from "./check-inode-table.ts";
import { walkMap } from "./check-map.ts";
import { SparseBits } from "./check-tables.ts";

/** Reports every inode that has a block which something else has too. @throws EIO */
export function* checkShared(context: CheckContext): Generator<Finding> {
  if (context.shared.isEmpty) return;
  const walked = new SparseBits(context.superblock.blocksPerGroup);
  for (const inode of allInodes(context)) {
    if (!context.inodesUsed.has(inode.ino - 1)) continue;
    const shared = new SharedBlocks(context);
    const acl = inode.fileAcl;
    if (acl !== 0 && context.isInside(acl)) shared.visit(acl, 1);
    if (inode.hasBlocks && inode.ino !== EXT4_RESIZE_INO) collect(context, inode, shared, walked);
    shared.report(inode);
    yield* context.findings.take();
  }
}

function collect(
  context: CheckContext,
  inode: CheckedInode,
  shared: SharedBlocks,
  walked: SparseBits,
): void {
  walkMap(context, inode, {
    node: (block) => {
      shared.visit(block, 1);
      return walked.add(block);
    },
    data: (_logical, block, count) => shared.visit(block, count),
    // Reported by the first walk.
    problem: () => {},
  });
}

class SharedBlocks {
  readonly #context: CheckContext;
  #count = 0;
  #first = 0;

  constructor(context: CheckContext) {
    this.#context = context;
  }

  visit(block: number, count: number): void {
    const { shared, superblock } = this.#context;
    const step = superblock.clusterRatio;
    for (let i = 0; i < count; i += step) {
      if (!shared.has(this.#context.clusterOf(block + i))) continue;
      if (this.#count === 0) this.#first = block + i;
      this.#count++;
    }
  }

  report(inode: CheckedInode): void {
    if (this.#count === 0) return;
    const { clusterRatio } = this.#context.superblock;
    const unit = clusterRatio === 1 ? "blocks" : "clusters";
    const text = `${this.#count} of its ${unit} belong to something else too, from block`;
    this.#context.error("ext.block.shared", inode.where, `${text} ${this.#first}`);
  }
}
