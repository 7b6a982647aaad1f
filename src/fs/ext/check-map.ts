/**
 * Walks what maps a file to blocks, believing nothing: extent trees and block maps. A walk reads
 * each block of a map at most once, so it ends however the map is tangled.
 *
 * @module
 */
import { EXT4_IND_BLOCK, EXT4_NDIR_BLOCKS, EXT4_N_BLOCKS } from "../../format/ext-inode.ts";
import type { CheckContext } from "./check-context.ts";
import { walkExtents } from "./check-extents.ts";
import type { CheckedInode } from "./check-inode-record.ts";

/** What a walk meets, in ascending order of logical blocks. */
export interface MapVisitor {
  /**
   * A block of the map itself, `level` above the data (1: it holds entries for data). Answers
   * whether to go on inside it; must answer false when it has been walked before.
   */
  node(block: number, level: number): boolean;
  /** `count` blocks of data from `block`, for the logical blocks from `logical`. */
  data(logical: number, block: number, count: number, unwritten: boolean): void;
  /** A broken rule. The entry that broke it is passed over. */
  problem(code: string, text: string): void;
}

/** Walks the map of an inode that has one. @throws EIO */
export function walkMap(context: CheckContext, inode: CheckedInode, visitor: MapVisitor): void {
  if (inode.hasExtents) walkExtents(context, inode, visitor);
  else new BlockMapWalk(context, visitor).walk(inode);
}

class BlockMapWalk {
  readonly #context: CheckContext;
  readonly #visitor: MapVisitor;
  #run = { logical: 0, block: 0, count: 0 };

  constructor(context: CheckContext, visitor: MapVisitor) {
    this.#context = context;
    this.#visitor = visitor;
  }

  walk(inode: CheckedInode): void {
    for (let i = 0; i < EXT4_NDIR_BLOCKS; i++) this.#pointer(inode.blockWord(i), i, 0);
    const perBlock = this.#context.superblock.blockSize / 4;
    let first = EXT4_NDIR_BLOCKS;
    let reach = perBlock;
    for (let i = EXT4_IND_BLOCK; i < EXT4_N_BLOCKS; i++) {
      this.#pointer(inode.blockWord(i), first, i - EXT4_IND_BLOCK + 1);
      first += reach;
      reach *= perBlock;
    }
    this.#flush();
  }

  /** `level`: 0 for data, else the depth of the indirect block. */
  #pointer(block: number, logical: number, level: number): void {
    if (block === 0) return;
    if (!this.#context.isInside(block)) {
      const what = level === 0 ? `logical block ${logical}` : `indirect block at ${logical}`;
      const text = `${what} maps to block ${block}, outside the filesystem`;
      this.#visitor.problem("ext.map.block", text);
      return;
    }
    if (level === 0) {
      this.#data(logical, block);
      return;
    }
    this.#flush();
    if (!this.#visitor.node(block, level)) return;
    const perBlock = this.#context.superblock.blockSize / 4;
    const view = this.#context.read(block, "indirect block");
    const reach = perBlock ** (level - 1);
    for (let i = 0; i < perBlock; i++) {
      const next = view.getUint32(i * 4, true);
      if (next !== 0) this.#pointer(next, logical + i * reach, level - 1);
    }
  }

  #data(logical: number, block: number): void {
    const run = this.#run;
    if (run.count > 0) {
      if (run.logical + run.count === logical && run.block + run.count === block) {
        run.count++;
        return;
      }
      this.#flush();
    }
    this.#run = { logical, block, count: 1 };
  }

  #flush(): void {
    const { logical, block, count } = this.#run;
    this.#run = { logical: 0, block: 0, count: 0 };
    if (count > 0) this.#visitor.data(logical, block, count, false);
  }
}
