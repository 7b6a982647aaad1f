/**
 * Claims the blocks of an inode and checks them against its size and its count of blocks.
 *
 * @module
 */
import {
  EXT4_EA_INODE_FL,
  EXT4_EXTENTS_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_RESIZE_INO,
  EXT4_VERITY_FL,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { inlineBytes } from "./check-inline.ts";
import type { CheckContext } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { SparseBits } from "./check-tables.ts";
import { type MapVisitor, walkMap } from "./check-map.ts";
import { type ValueCost, checkAttributeBlock } from "./check-xattr.ts";

/** What the walk over an inode's map found out. */
interface Tally {
  /** Clusters in use, those of the map included. */
  clusters: number;
  /** Highest logical block that is mapped; -1: none. */
  lastBlock: number;
  /** Highest logical block that is mapped and written. */
  lastWritten: number;
}

/**
 * Claims and checks all blocks of an inode. `values` is what attribute values in inodes of their
 * own cost it, of those in the inode; `orphan`: a truncation may be under way, so sizes need not
 * match.
 * @throws EIO
 */
export function checkBlocks(
  context: CheckContext,
  inode: CheckedInode,
  values: ValueCost,
  orphan: boolean,
): void {
  const { clusterRatio } = context.superblock;
  if (inode.has(EXT4_INDEX_FL) && !inode.isDirectory && !inode.isSpecial) {
    const text = "the flag for a hash index is set, but it is no directory";
    context.error("ext.inode.flags", inode.where, text);
  }
  const attributes = checkAttributeBlock(context, inode);
  const blocks = attributes.blocks + values.blocks;
  const tally = { clusters: blocks / clusterRatio, lastBlock: -1, lastWritten: -1 };
  if (inode.hasBlocks) {
    const resize = inode.ino === EXT4_RESIZE_INO;
    const visitor = resize
      ? new ResizeClaims(context, tally)
      : new BlockClaims(context, inode, tally);
    walkMap(context, inode, visitor);
    if (!inode.hasExtents && !inode.isDirectory) tally.lastWritten = tally.lastBlock;
  }
  if (inode.isDirectory && tally.clusters === 0 && !inode.has(EXT4_INLINE_DATA_FL)) {
    context.error(
      "ext.inode.blocks",
      inode.where,
      "a directory has no blocks, expected at least 1",
    );
  }
  if (!inode.has(EXT4_EA_INODE_FL)) {
    context.quota.add(inode, tally.clusters, 1 + values.inodes + attributes.inodes);
  }
  if (!orphan) checkSize(context, inode, tally);
  checkBlockCount(context, inode, tally);
  checkBigalloc(context, inode);
  if (inode.size >= 2 ** 31) {
    if (inode.isRegular) context.largeFiles++;
    if (inode.isDirectory) context.largeDirectories++;
  }
}

/** Claims what a map refers to, for a file that is no exception. */
class BlockClaims implements MapVisitor {
  readonly #context: CheckContext;
  readonly #inode: CheckedInode;
  readonly #tally: Tally;
  /** The last block of data that was met; 0: none. */
  #previous = 0;

  constructor(context: CheckContext, inode: CheckedInode, tally: Tally) {
    this.#context = context;
    this.#inode = inode;
    this.#tally = tally;
  }

  node(block: number): boolean {
    this.#tally.clusters++;
    return this.#context.claim(block, 1);
  }

  data(logical: number, block: number, count: number, unwritten: boolean): void {
    if (this.#inode.isDirectory) this.#directory(logical, count, unwritten);
    this.#checkCluster(logical, block);
    this.#claim(block, count);
    const last = logical + count - 1;
    this.#tally.lastBlock = last;
    if (!unwritten) this.#tally.lastWritten = last;
    this.#previous = block + count - 1;
  }

  problem(code: string, text: string): void {
    this.#context.error(code, this.#inode.where, text);
  }

  #directory(logical: number, count: number, unwritten: boolean): void {
    if (unwritten) {
      this.problem("ext.directory.unwritten", `directory block ${logical} is an unwritten extent`);
    }
    const expected = this.#tally.lastBlock + 1;
    if (logical > expected) {
      this.problem("ext.directory.hole", `directory block ${expected} is not mapped`);
    }
    const most = 2 ** 31 / this.#context.superblock.blockSize;
    const large = this.#context.incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR);
    if (!large && this.#inode.sizeHigh === 0 && logical + count > most) {
      this.problem("ext.directory.size", `directory block ${logical} makes it larger than 2 GiB`);
    }
  }

  /** A logical cluster must lie in one cluster, at the same place within it. */
  #checkCluster(logical: number, block: number): void {
    const { clusterRatio } = this.#context.superblock;
    if (clusterRatio === 1) return;
    const clusterOf = (n: number): number => Math.floor(n / clusterRatio);
    const shifted = logical % clusterRatio !== block % clusterRatio;
    const torn =
      this.#previous !== 0 &&
      logical % clusterRatio !== 0 &&
      clusterOf(logical) === clusterOf(this.#tally.lastBlock) &&
      clusterOf(block) !== clusterOf(this.#previous);
    if (!shifted && !torn) return;
    const text = `logical block ${logical} lies at block ${block}, against the rules of clusters`;
    this.problem("ext.map.cluster", text);
  }

  /** A cluster that the run before ended in is not counted and claimed again. */
  #claim(block: number, count: number): void {
    const { clusterRatio } = this.#context.superblock;
    const clusterOf = (n: number): number => Math.floor(n / clusterRatio);
    const joined =
      clusterRatio > 1 && this.#previous !== 0 && clusterOf(block) === clusterOf(this.#previous);
    const start = (clusterOf(block) + (joined ? 1 : 0)) * clusterRatio;
    const length = block + count - start;
    if (length <= 0) return;
    this.#context.claim(start, length);
    this.#tally.clusters += Math.ceil(length / clusterRatio);
  }
}

/**
 * The resize inode maps the reserved descriptor blocks and their copies, which belong to the
 * filesystem anyway: only its double-indirect block is its own.
 */
class ResizeClaims implements MapVisitor {
  readonly #context: CheckContext;
  readonly #tally: Tally;
  readonly #walked: SparseBits;

  constructor(context: CheckContext, tally: Tally) {
    this.#context = context;
    this.#tally = tally;
    this.#walked = new SparseBits(context.superblock.blocksPerGroup);
  }

  node(block: number, level: number): boolean {
    this.#tally.clusters++;
    if (level === 2) this.#context.claim(block, 1);
    return this.#walked.add(block);
  }

  data(logical: number, _block: number, count: number): void {
    this.#tally.clusters += count;
    this.#tally.lastBlock = logical + count - 1;
  }

  problem(code: string, text: string): void {
    this.#context.error(code, `inode ${EXT4_RESIZE_INO}`, text);
  }
}

function checkSize(context: CheckContext, inode: CheckedInode, tally: Tally): void {
  if (inode.isSymlink) return;
  const wrong = inode.isDirectory
    ? directorySizeProblem(context, inode, tally)
    : fileSizeProblem(context, inode, tally);
  if (wrong !== undefined) {
    context.error("ext.inode.size", inode.where, `size is ${inode.size}, ${wrong}`);
  }
}

function directorySizeProblem(
  context: CheckContext,
  inode: CheckedInode,
  { lastBlock }: Tally,
): string | undefined {
  const { blockSize } = context.superblock;
  if (inode.has(EXT4_INLINE_DATA_FL)) {
    const inline = inlineBytes(inode);
    if (inline === undefined) return "but its inline data is missing";
    return inline.length === inode.size ? undefined : `expected ${inline.length}, all inline`;
  }
  if (inode.size % blockSize !== 0) return `expected a multiple of ${blockSize}`;
  const blocks = inode.size / blockSize;
  const spare = lastBlock + 1 - blocks;
  const preallocated = SB.preallocDirBlocks.get(context.raw, 0);
  if (spare === 0 || (spare > 0 && spare <= preallocated)) return undefined;
  return `expected ${(lastBlock + 1) * blockSize}, as ${lastBlock + 1} blocks are mapped`;
}

function fileSizeProblem(
  context: CheckContext,
  inode: CheckedInode,
  { lastWritten }: Tally,
): string | undefined {
  const { blockSize } = context.superblock;
  if (lastWritten >= 0 && inode.size < lastWritten * blockSize && !inode.has(EXT4_VERITY_FL)) {
    return `but block ${lastWritten} is written, expected at least ${lastWritten * blockSize}`;
  }
  const most = inode.hasExtents ? 2 ** 32 * blockSize - 1 : mostMapped(blockSize);
  return inode.size > most ? `expected at most ${most}` : undefined;
}

/** The largest size of a file with a block map, as e2fsck has it. */
function mostMapped(blockSize: number): number {
  const perBlock = blockSize / 4;
  const blocks = 12 + perBlock + perBlock ** 2 + perBlock ** 3;
  return Math.min(blocks, 2 ** 32 - 1) * blockSize;
}

function checkBlockCount(context: CheckContext, inode: CheckedInode, tally: Tally): void {
  const { clusterRatio, blockSize } = context.superblock;
  const unit = inode.isHuge ? 1 : blockSize / 512;
  const expected = tally.clusters * clusterRatio * unit;
  const found = inode.blockCount;
  if (found === expected) return;
  context.error("ext.inode.blocks", inode.where, `i_blocks is ${found}, expected ${expected}`);
}

function checkBigalloc(context: CheckContext, inode: CheckedInode): void {
  if (!context.roCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC)) return;
  if (!inode.isRegular && !inode.isDirectory) return;
  if (inode.ino !== 2 && inode.ino < context.superblock.firstIno) return;
  if (inode.has(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL) || inode.blockCount === 0) return;
  context.error("ext.map.bigalloc", inode.where, "it has a block map, expected extents");
}
