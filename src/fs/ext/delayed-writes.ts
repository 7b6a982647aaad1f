/**
 * The page cache, as far as it decides what a power cut leaves: what is written stays in memory,
 * and no transaction waits for it. So a commit may make a file durable without its contents, and
 * the sync of one file says nothing of another's.
 *
 * Where no blocks are they are allocated when contents are written out (delayed allocation), and
 * the file has its new size then. Where blocks are, a file that grows within its last one has its
 * new size at once (`ext4_da_do_write_end`), and zeros there until its contents are written out.
 *
 * They are by whatever asks for the file's data: fsync, sync, a mapping, a list of its extents; by
 * the next tick of whoever has a clock; when there are too many; and, for programs that never sync
 * (`auto_da_alloc`), when a file that waits for blocks takes another one's name, and when one that
 * was cut to nothing is closed. Reading a file finds what waits, and lets it. The blocks that it
 * takes then are promised to it (`i_reserved_data_blocks`): nobody else gets them, and `stat` and
 * `statfs` count them.
 *
 * @module
 */
import { daxRead } from "../../dax/file-io.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";
import { EXT4_EXTENTS_FL } from "../../format/ext-inode.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { allocateRange } from "./fallocate-allocate.ts";
import { giveSize } from "./file-limits.ts";
import { stamp, touch } from "./file-stamp.ts";
import type { ExtInode } from "./inode.ts";
import type { InodeState } from "./inode-state.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import { clearTail, settleCut } from "./tail.ts";
import { type Backing, WaitingPages, type WaitingRun } from "./waiting-pages.ts";
import type { ExtWriting } from "./writing.ts";

/** Blocks that may be needed beside those for data: of maps, and what others take meanwhile. */
const SPARE_BLOCKS = 64;
/** Bytes that wait in memory at most; more is written out. */
const MOST_BYTES = 32 << 20;

/** Bytes of a file. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/** A block that is about to wait. */
interface NewPage {
  readonly block: number;
  readonly backing: Backing;
}

/** Contents of one mounted filesystem that are in memory only. */
export class DelayedWrites {
  readonly #writing: ExtWriting;
  readonly #waiting = new Map<InodeState, ExtInode>();
  readonly #write: (state: InodeState, bytes: Uint8Array, offset: number) => void;
  /** Without dax nobody aliases blocks: contents that have some may wait as well. */
  readonly #keepsAll: boolean;
  readonly #blockSize: number;
  #blocks = 0;
  #reserved = 0;
  /** Everything is just being written out. */
  #isAtWork = false;

  /** `write` puts bytes where they belong. */
  constructor(
    writing: ExtWriting,
    write: (state: InodeState, bytes: Uint8Array, offset: number) => void,
  ) {
    const { volume } = writing.editor;
    this.#writing = writing;
    this.#write = write;
    this.#keepsAll = volume.device.dax === undefined;
    this.#blockSize = volume.superblock.blockSize;
  }

  /** Blocks that are still to be allocated. */
  get reserved(): number {
    return this.#reserved;
  }

  /** Whether a write that finds all of its blocks need not be asked about. */
  overwrites({ waiting }: InodeState): boolean {
    return waiting === undefined && !this.#keepsAll;
  }

  /**
   * Keeps a copy of `source`, unless there might be no room for it later; says whether it did.
   * @throws EIO for a block of which a part is written and that cannot be read; as
   *   `ExtWriting.operate`
   */
  keep(inode: ExtInode, source: Uint8Array, offset: number): boolean {
    const { state } = inode;
    const added = this.#newPages(state, source.length, offset);
    if (added === undefined) return false;
    const pages = state.waiting ?? new WaitingPages(this.#blockSize);
    const loaded = added.map(({ block }) => this.#load(inode, block, source.length, offset));
    this.#reach(inode, offset, offset + source.length);
    this.#track(pages, () => {
      for (const [i, { block, backing }] of added.entries()) {
        pages.add(block, loaded[i] as Uint8Array, backing);
      }
    });
    pages.write(source, offset);
    this.#hold(inode, pages);
    const stop = offset + source.length;
    if (stop > state.record.size) state.delayedEnd = Math.max(state.delayedEnd, stop);
    if (this.#writing.options.flusherAtWork) this.allocate(state);
    return true;
  }

  /**
   * Brings one file's contents to their blocks; of a range, those of the pages that it touches.
   * What fails is lost, as in Linux, and nothing else.
   * @throws ENOSPC, EIO, when all was tried; EROFS, and everything waits on
   */
  writeOut(state: InodeState, range?: FileRange): void {
    this.#writing.assertUsable();
    let failed: DaxError | undefined;
    for (const { offset, bytes } of this.#take(state, range)) {
      try {
        this.#write(state, bytes, offset);
      } catch (error) {
        if (!isDaxError(error)) throw error;
        failed ??= error;
      }
    }
    if (failed !== undefined) throw failed;
  }

  #take(state: InodeState, range: FileRange | undefined): Iterable<WaitingRun> {
    const { waiting } = state;
    if (waiting === undefined) return [];
    if (range === undefined) {
      this.drop(state);
      return waiting.runs();
    }
    const blocks = Math.max(1, PAGE_SIZE / this.#blockSize);
    const border = blocks * this.#blockSize;
    const first = Math.floor(range.offset / border) * blocks;
    const stop = Math.ceil((range.offset + range.length) / border) * blocks;
    let taken: WaitingRun[] = [];
    this.#track(waiting, () => {
      taken = waiting.takeWithin(first, stop);
    });
    if (waiting.count === 0) this.drop(state);
    return taken;
  }

  /** All of them; returns the first error, of which who syncs its file will hear, too. */
  writeOutAll(): DaxError | undefined {
    // Who finds no room while they are written out asks for that again.
    if (this.#isAtWork) return undefined;
    this.#isAtWork = true;
    let failed: DaxError | undefined;
    try {
      for (const state of this.#waiting.keys()) {
        if (this.#writing.journal.error !== undefined) break;
        const error = this.flush(state);
        failed ??= error;
      }
    } finally {
      this.#isAtWork = false;
    }
    return failed;
  }

  /** Writes one out for somebody else: an error is told to who syncs the file, and returned. */
  flush(state: InodeState): DaxError | undefined {
    try {
      this.writeOut(state);
      return undefined;
    } catch (error) {
      if (!isDaxError(error)) throw error;
      return (state.writeError = error);
    }
  }

  /** `auto_da_alloc`: contents that wait for blocks get some; errors are as of `flush`. */
  allocate(state: InodeState): void {
    const { waiting } = state;
    if (waiting === undefined || waiting.reserved === 0) return;
    const { dioreadNolock } = this.#writing.options;
    if (dioreadNolock && state.record.has(EXT4_EXTENTS_FL)) this.#allocateUnwritten(state, waiting);
    else this.flush(state);
  }

  /** Before blocks are given to a range of the file: those that wait for some get them. @throws */
  settle(state: InodeState): void {
    if ((state.waiting?.unbacked ?? 0) > 0) this.writeOut(state);
  }

  /**
   * Before a file gets another size: the block in which it ends then is written before that is
   * durable (`ext4_block_truncate_page`). @throws as `writeOut`
   */
  beforeResize(inode: ExtInode, size: number): void {
    const { state } = inode;
    if (size === 0) return;
    this.settle(state);
    const { waiting } = state;
    if (waiting === undefined || size >= inode.size || size % this.#blockSize === 0) return;
    let edge: WaitingRun | undefined;
    this.#track(waiting, () => {
      edge = waiting.take(Math.floor(size / this.#blockSize));
    });
    if (waiting.count === 0) this.drop(state);
    if (edge !== undefined) this.#write(state, edge.bytes, edge.offset);
  }

  /** A file has got another size: what was cut off is wanted no more. */
  resized(state: InodeState, size: number): void {
    const { waiting } = state;
    if (waiting === undefined) return;
    this.#track(waiting, () => waiting.cut(size));
    if (waiting.count === 0) this.drop(state);
  }

  /** The contents are wanted no more. */
  drop(state: InodeState): void {
    const { waiting } = state;
    if (waiting === undefined) return;
    this.#waiting.delete(state);
    this.#count(waiting, -1);
    state.waiting = undefined;
    state.delayedEnd = 0;
    if (state.holds === 0 && !state.retired) this.#writing.inodes.release(state.record.ino);
  }

  /** Whether an inode without open files is kept in memory for this. */
  holds(state: InodeState): boolean {
    return state.waiting !== undefined;
  }

  /**
   * Writing out has begun, and no commit waits for it: `mpage_map_and_submit_extent` gives
   * unwritten blocks and the new size, and those are not among a transaction's ordered data.
   */
  #allocateUnwritten(state: InodeState, waiting: WaitingPages): void {
    const size = Math.max(state.record.size, state.delayedEnd);
    let blocks: readonly number[] = [];
    this.#track(waiting, () => (blocks = waiting.allocated()));
    try {
      for (const block of blocks) {
        const offset = block * this.#blockSize;
        const length = Math.min(this.#blockSize, size - offset);
        allocateRange(this.#writing, state, { offset, length }, false);
      }
    } catch (error) {
      if (!isDaxError(error)) throw error;
      state.writeError = error;
    }
  }

  #hold(inode: ExtInode, pages: WaitingPages): void {
    const { state } = inode;
    if (state.waiting !== undefined) return;
    state.waiting = pages;
    this.#waiting.set(state, inode);
    this.#writing.inodes.hold(inode);
  }

  /** Keeps the sums right, whatever `change` does to the pages of a file. */
  #track(pages: WaitingPages, change: () => void): void {
    this.#count(pages, -1);
    change();
    this.#count(pages, 1);
  }

  #count({ count, reserved }: WaitingPages, sign: 1 | -1): void {
    this.#blocks += sign * count;
    this.#reserved += sign * reserved;
    // Each may be alone in its cluster.
    this.#writing.editor.allocator.promised = this.#reserved;
  }

  /** The blocks of a range that do not wait yet; undefined where not all may. */
  #newPages(state: InodeState, length: number, offset: number): NewPage[] | undefined {
    const first = Math.floor(offset / this.#blockSize);
    const limit = Math.ceil((offset + length) / this.#blockSize);
    if (limit - first > MOST_BYTES / this.#blockSize) return undefined;
    const added: NewPage[] = [];
    let unbacked = 0;
    for (let block = first; block < limit; block++) {
      if (state.waiting?.has(block) === true) continue;
      const backing = this.#backing(state, block);
      if (backing === "written" && !this.#keepsAll) return undefined;
      if (backing !== "written") unbacked++;
      added.push({ block, backing });
    }
    return this.#hasRoom(added.length, unbacked) ? added : undefined;
  }

  #hasRoom(blocks: number, unbacked: number): boolean {
    if ((this.#blocks + blocks) * this.#blockSize > MOST_BYTES) return false;
    if (unbacked === 0) return true;
    const { allocator, volume } = this.#writing.editor;
    const wanted = unbacked * volume.superblock.clusterRatio;
    return wanted + SPARE_BLOCKS <= allocator.grantableBlocks;
  }

  #backing({ map }: InodeState, block: number): Backing {
    const { type } = map.iomap(block * this.#blockSize);
    return type === "hole" || type === "unwritten" ? type : "written";
  }

  /** What a block holds, unless a write covers all of it that is the file's. @throws EIO */
  #load(inode: ExtInode, block: number, length: number, offset: number): Uint8Array {
    const start = block * this.#blockSize;
    const bytes = new Uint8Array(this.#blockSize);
    const wanted = Math.min(this.#blockSize, inode.size - start);
    const covered = offset <= start && offset + length >= start + wanted;
    if (wanted <= 0 || covered) return bytes;
    const shown = { size: inode.size, iomapBegin: inode.peek.bind(inode) };
    const done = daxRead(shown, bytes.subarray(0, wanted), start);
    if (done === wanted) return bytes;
    const detail = `byte ${start + done} of inode ${inode.ino} lies on memory that is gone`;
    throw new DaxError("EIO", { syscall: "write", detail });
  }

  /**
   * What a write does at once: the times, and the size where it ends in a block that is written,
   * page by page as ext4 looks at it.
   */
  #reach(inode: ExtInode, offset: number, stop: number): void {
    const writing = this.#writing;
    const { state } = inode;
    const page = Math.max(PAGE_SIZE, this.#blockSize);
    let reached = 0;
    for (let at = Math.max(offset, inode.size - (inode.size % page)); at < stop;) {
      const end = Math.min(stop, at - (at % page) + page);
      const last = Math.floor((end - 1) / this.#blockSize);
      if (end > inode.size && this.#backing(state, last) === "written") reached = end;
      at = end;
    }
    if (reached <= state.record.size) {
      touch(writing, state);
      return;
    }
    settleCut(writing, state);
    writing.operate(SUPERBLOCK_CREDITS + 1, (handle) => {
      clearTail(writing, handle, state);
      giveSize(writing.editor, handle, state.record, reached);
      writing.store(handle, state, stamp(writing, state));
    });
  }
}
