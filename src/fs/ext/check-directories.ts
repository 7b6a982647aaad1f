/**
 * Check of every directory: its blocks, its entries, and where they lead.
 *
 * @module
 */
import { EXT4_INDEX_FL, EXT4_INLINE_DATA_FL, EXT4_ROOT_INO } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
} from "../../format/ext-superblock.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { checkLeafTail } from "./check-directory-tail.ts";
import type { CheckContext } from "./check-context.ts";
import { EntryCheck } from "./check-entries.ts";
import { HashIndex, indexKind } from "./check-htree.ts";
import { inlineBytes } from "./check-inline.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { readInode } from "./check-inode-table.ts";
import { walkMap } from "./check-map.ts";
import { SparseBits } from "./check-tables.ts";

/** A run of blocks of a directory. */
interface Run {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
}

/** Bytes of an inline directory in the inode's block map. */
const INLINE_HEAD = 60;

/** Checks all directories, counting the entries that lead to each inode. */
export function* checkDirectories(context: CheckContext): Generator<Finding> {
  const { directories } = context;
  const root = directories.find(EXT4_ROOT_INO);
  if (root >= 0) directories.setParent(root, EXT4_ROOT_INO);
  const read = new SparseBits(context.superblock.blocksPerGroup);
  for (let index = 0; index < directories.size; index++) {
    if (index % 64 === 0) {
      const total = directories.size;
      context.trace.event("ext.check", { pass: "directories", done: index, total });
    }
    const inode = readInode(context, directories.ino(index));
    if (inode === undefined) continue;
    yield* new DirectoryCheck(context, inode, index, read).run();
  }
  if (context.largeDirectories === 0) return;
  if (context.incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR)) return;
  const text = "there are directories that only large_dir allows, but it is not set";
  context.error("ext.super.features", "superblock", text);
  yield* context.findings.take();
}

class DirectoryCheck {
  readonly #context: CheckContext;
  readonly #inode: CheckedInode;
  readonly #entries: EntryCheck;
  /** Blocks that some directory's map or contents were read from. */
  readonly #read: SparseBits;
  #index: HashIndex | undefined;

  constructor(context: CheckContext, inode: CheckedInode, index: number, read: SparseBits) {
    this.#context = context;
    this.#inode = inode;
    this.#entries = new EntryCheck(context, inode, index);
    this.#read = read;
  }

  *run(): Generator<Finding> {
    if (this.#inode.has(EXT4_INLINE_DATA_FL)) {
      this.#inline();
      yield* this.#context.findings.take();
      return;
    }
    const runs = this.#runs();
    this.#index = this.#openIndex(runs);
    let next = 0;
    for (const { logical, block, count } of runs) {
      if (logical > next) this.#reportHole(next, logical - next);
      for (let i = 0; i < count; i++) {
        // A block that another directory has too was reported, and is read only once.
        if (this.#read.add(block + i)) this.#block(logical + i, block + i);
        yield* this.#context.findings.take();
      }
      next = logical + count;
    }
    if (next === 0) this.#entries.missingDots();
    this.#index?.finish();
    yield* this.#context.findings.take();
  }

  #runs(): Run[] {
    const runs: Run[] = [];
    walkMap(this.#context, this.#inode, {
      node: (block) => this.#read.add(block),
      data: (logical, block, count) => void runs.push({ logical, block, count }),
      // The walk over all inodes has reported these.
      problem: () => {},
    });
    return runs;
  }

  /** Holes of a directory with extents were reported with the map. */
  #reportHole(logical: number, count: number): void {
    const context = this.#context;
    if (this.#inode.hasExtents) return;
    const punched =
      context.incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR) &&
      !context.incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA);
    if (punched) return;
    const text = `${count} directory blocks from ${logical} are not mapped`;
    context.error("ext.directory.hole", this.#inode.where, text);
  }

  #openIndex(runs: readonly Run[]): HashIndex | undefined {
    if (!this.#inode.has(EXT4_INDEX_FL)) return undefined;
    let mapped = 0;
    let end = 0;
    for (const { logical, count } of runs) {
      mapped += count;
      end = logical + count;
    }
    // An index over mostly holes could not be remembered block by block.
    if (end > mapped * 2 + 1024) return undefined;
    const first = runs[0];
    if (first === undefined || first.logical !== 0) {
      const text = "it has a hash index, but its first block is not mapped";
      this.#context.error("ext.htree.root", this.#inode.where, text);
      return undefined;
    }
    const root = this.#context.read(first.block, "directory block");
    return HashIndex.open(this.#context, this.#inode, root, end);
  }

  #block(logical: number, block: number): void {
    const view = this.#context.read(block, "directory block");
    const kind = this.#index === undefined ? "leaf" : indexKind(this.#context, logical, view);
    const bytes = new Uint8Array(view.buffer);
    let size = bytes.length;
    if (kind === "leaf") size -= checkLeafTail(this.#context, this.#inode, logical, view);
    const index = this.#index;
    const note = index === undefined ? undefined : (hash: number) => index.note(logical, hash);
    const version = index?.hashVersion;
    this.#entries.check(bytes.subarray(0, size), logical, { dots: logical === 0, version, note });
    if (kind !== "leaf") index?.node(logical, view);
  }

  #inline(): void {
    const bytes = inlineBytes(this.#inode);
    if (bytes === undefined) return;
    const value = bytes.length - INLINE_HEAD;
    if (bytes.length % 4 !== 0 || (value > 0 && value < 12)) {
      const text = `the inline directory has ${bytes.length} bytes, expected a multiple of 4`;
      this.#context.error("ext.directory.inline", this.#inode.where, text);
      return;
    }
    this.#entries.inlineDots(new DataView(bytes.buffer).getUint32(0, true));
    this.#entries.check(bytes.subarray(4, INLINE_HEAD), 0, { dots: false });
    if (value > 0) this.#entries.check(bytes.subarray(INLINE_HEAD), 1, { dots: false });
  }
}
