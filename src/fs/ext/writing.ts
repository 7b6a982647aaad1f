/**
 * What a mount for writing holds: the journal, the editor, the orphans, and the rules by which an
 * operation is all there or not at all.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { Freezing } from "../../vfs/freezing.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import { EXT4_DIRSYNC_FL, EXT4_SYNC_FL } from "../../format/ext-inode.ts";
import { isFatal } from "./corruption.ts";
import type { ExtEditor } from "./editor.ts";
import { writeBack } from "./data-writer.ts";
import { DelayedWrites } from "./delayed-writes.ts";
import { finishDeletion } from "./deletion.ts";
import { FileContents } from "./file-contents.ts";
import type { Handle, MetadataJournal } from "./handle.ts";
import type { ExtInode } from "./inode.ts";
import type { InodeCache } from "./inode-cache.ts";
import { setTime, storeRecord } from "./inode-writer.ts";
import type { InodeState } from "./inode-state.ts";
import type { MultiMountGuard } from "./multi-mount.ts";
import { syncOwn } from "./own-sync.ts";
import type { Orphans } from "./orphans.ts";
import type { FreeCounts } from "./statfs.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import type { WritingOptions } from "./writing-options.ts";

/** What a mount for writing is made of. */
export interface WritingParts {
  readonly editor: ExtEditor;
  readonly journal: MetadataJournal;
  readonly orphans: Orphans;
  readonly inodes: InodeCache;
  readonly options: WritingOptions;
  /** Whether the journal is one, and not the places themselves. */
  readonly journalled: boolean;
  /** The claim, where the filesystem has multi-mount protection. */
  readonly guard: MultiMountGuard | undefined;
}

/** A filesystem that is being written to. */
export class ExtWriting {
  readonly editor: ExtEditor;
  readonly journal: MetadataJournal;
  readonly orphans: Orphans;
  readonly inodes: InodeCache;
  readonly options: WritingOptions;
  /** The contents of files, in which the journal has no part. */
  readonly contents: FileContents;
  /** Contents that wait in memory; undefined where none do. */
  readonly delayed: DelayedWrites | undefined;
  readonly #journalled: boolean;
  readonly #guard: MultiMountGuard | undefined;
  #errorsNoted = false;
  #closed = false;
  #freezing: Freezing | undefined;
  /** The device has gone. */
  #gone: string | undefined;
  /** Nameless inodes whose last holder went while the filesystem stood still. */
  readonly #toDelete = new Set<ExtInode>();

  constructor({ editor, journal, orphans, inodes, options, journalled, guard }: WritingParts) {
    this.editor = editor;
    this.journal = journal;
    this.orphans = orphans;
    this.inodes = inodes;
    this.options = options;
    this.contents = new FileContents(editor.volume, options.ordered);
    this.delayed = options.delalloc
      ? new DelayedWrites(this, (state, bytes, at) => writeBack(this, state, bytes, at))
      : undefined;
    this.#journalled = journalled;
    this.#guard = guard;
  }

  /** What is free now, and nobody's who waits for blocks. */
  get free(): FreeCounts {
    const { allocator, inodes, volume } = this.editor;
    const reserved = this.delayed?.reserved ?? 0;
    return {
      clusters: Math.floor((allocator.freeBlocks - reserved) / volume.superblock.clusterRatio),
      inodes: inodes.freeInodes,
    };
  }

  /**
   * Runs one operation under a handle of its own, which joins the running transaction. `body` may
   * run twice: when space ran out, and a commit gives some back or others need less of it than was
   * kept for them. An error that comes when something
   * was changed already, and is none that says otherwise, ends all writing: nothing of this
   * transaction reaches the media.
   * @throws as `body`; ENOSPC for more credits than the journal has, EROFS after an abort, EIO
   */
  operate<T>(copies: number, body: (handle: Handle) => T, revokes = copies): T {
    this.assertChangeable("write");
    this.#refreshClaim();
    this.journal.commitOlderThan(this.options.commit);
    try {
      return this.#once(copies, revokes, body);
    } catch (error) {
      if (!isDaxError(error, "ENOSPC") || !this.#mayFindRoom()) throw error;
      this.journal.commit();
      return this.#once(copies, revokes, body);
    }
  }

  /** Whether there may be more space than there was, when what was freed is committed. */
  #mayFindRoom(): boolean {
    const { delayed } = this;
    if (delayed === undefined || delayed.reserved === 0) {
      return this.editor.allocator.waitingBlocks > 0;
    }
    delayed.writeOutAll();
    return true;
  }

  /**
   * An operation could do without what turned out to be damaged; the superblock says so, and
   * `errors=` may want it to be the last. The handle has a credit for that.
   */
  foundDamage(handle: Handle, error: DaxError): void {
    this.editor.volume.trace.event("ext.error", { code: error.code, detail: error.message });
    if (this.options.errors !== "continue") this.journal.abort(error);
    else if (!this.#errorsNoted) this.editor.superblock.foundErrors(handle);
    this.#errorsNoted = true;
  }

  /** As {@link foundDamage}, before an operation has changed anything. */
  metDamage(error: DaxError): void {
    if (this.journal.error !== undefined || this.#errorsNoted) return;
    this.operate(SUPERBLOCK_CREDITS, (handle) => this.foundDamage(handle, error));
  }

  /** Stores an inode that an operation has changed, with its ctime. */
  store(handle: Handle, state: InodeState, now = this.editor.now()): void {
    setTime(state.record, "ctime", now);
    this.storeKept(handle, state);
  }

  /** The same where no time changes: what was written before gets its blocks. */
  storeKept(handle: Handle, state: InodeState): void {
    storeRecord(this.editor.volume, handle, state.record);
    this.note(handle, state);
  }

  /**
   * The same for what is not needed to find the contents of a file again: owner, mode, links and
   * attributes. As in Linux fdatasync does not wait for it where there is a journal; of what is no
   * regular file it commits all (`ext4_fsync_journal`).
   */
  storeAttributes(handle: Handle, state: InodeState, now = this.editor.now()): void {
    setTime(state.record, "ctime", now);
    storeRecord(this.editor.volume, handle, state.record);
    const { type, size } = state.record;
    const leftOut = this.#journalled && type === S_IFREG && size === state.notedSize;
    if (!leftOut) this.note(handle, state);
    else this.#noteAttributes(handle, state);
  }

  /** An inode was changed: its fsync has to wait for this, and some want it at once. */
  note(handle: Handle, state: InodeState): void {
    state.dataTransaction = handle.transaction;
    state.notedSize = state.record.size;
    this.#noteAttributes(handle, state);
  }

  #noteAttributes(handle: Handle, state: InodeState): void {
    state.transaction = handle.transaction;
    if ((state.record.flags & EXT4_SYNC_FL) !== 0) handle.sync = true;
  }

  /** Stores an inode of which nothing has changed but times. */
  storeTimes(handle: Handle, state: InodeState): void {
    storeRecord(this.editor.volume, handle, state.record);
    state.transaction = handle.transaction;
  }

  /** The names in a directory have changed: its times follow. */
  storeDirectory(handle: Handle, state: InodeState): void {
    const now = this.editor.now();
    setTime(state.record, "mtime", now);
    this.storeAttributes(handle, state, now);
    state.namesChanged();
    if ((state.record.flags & EXT4_DIRSYNC_FL) !== 0) handle.sync = true;
  }

  /**
   * Makes everything durable that was done so far; contents that cannot be brought to the device do
   * not keep the rest from it. @throws EIO, ENOSPC, EROFS after an abort
   */
  sync(): void {
    this.assertUsable();
    const failed = this.delayed?.writeOutAll();
    this.journal.commit();
    this.contents.flush();
    if (failed !== undefined) throw failed;
  }

  /** Makes what belongs to an inode durable where `ownSyncs` can be had, and something waits. */
  syncedAlone(state: InodeState, transaction: number): boolean {
    this.assertUsable();
    if (!this.options.ownSyncs || transaction <= this.journal.committed) return false;
    return syncOwn(this.editor.volume, this.journal, state);
  }

  /**
   * Makes everything durable that an inode had up to a transaction, and all contents of files.
   * @throws EIO, EROFS after an abort
   */
  syncThrough(transaction: number): void {
    this.assertUsable();
    this.journal.commitThrough(transaction);
    this.contents.flush();
  }

  /** While nothing is asked of it: commits what is old, counts on for other machines. */
  tick(): void {
    const still = this.frozen || this.#gone !== undefined;
    if (still || this.#closed || this.journal.error !== undefined) return;
    this.#refreshClaim();
    // Nobody may ever sync: what waits in memory does so until the next tick at most.
    this.delayed?.writeOutAll();
    this.journal.commitOlderThan(this.options.commit);
  }

  /**
   * Ends it: inodes that are held without a name go, everything reaches its place, and the
   * superblock says so. @throws EIO when that fails, or an error had ended it before; what a write
   *   of contents that waited fails with, all else being done
   */
  close(): void {
    if (this.#closed) return;
    let failed: DaxError | undefined;
    try {
      // What stands still is clean already, and stays as it is.
      const live = this.#gone === undefined && !this.frozen;
      if (this.journal.error === undefined && live) failed = this.#closeClean();
    } finally {
      this.#closed = true;
    }
    const { error } = this.journal;
    if (error === undefined) {
      if (failed !== undefined) throw failed;
      return;
    }
    const detail = `what was written last is not on the device: ${error.message}; run a check`;
    throw new DaxError("EIO", { syscall: "umount", detail });
  }

  /** Nothing is written while `freezing` says so. */
  freezeBy(freezing: Freezing): void {
    this.#freezing = freezing;
  }

  get frozen(): boolean {
    return this.#freezing?.frozen === true;
  }

  /**
   * Everything is durable and in its place, and the superblock calls it clean, as Linux leaves an
   * image that is frozen (`ext4_freeze`, `ext2_freeze`): it can be copied, checked and mounted.
   * Without a journal it is called clean only if no open file is without a name, since then nobody
   * but a check would look for those.
   * @throws EIO, ENOSPC when not all contents have a place; EROFS after an abort
   */
  quiesce(): void {
    this.assertUsable();
    const failed = this.delayed?.writeOutAll();
    if (failed !== undefined) throw failed;
    if (this.#journalled || this.orphans.count === 0) this.#callClean();
    this.journal.settle();
    this.contents.flush();
  }

  /** The opposite of {@link quiesce}: what waited for it is deleted now. @throws EIO */
  resume(): void {
    this.#once(SUPERBLOCK_CREDITS, 0, (handle) => this.editor.superblock.thawed(handle));
    // Without a journal it is durable that the filesystem is not clean before it is not.
    this.journal.commit();
    const waiting = [...this.#toDelete];
    this.#toDelete.clear();
    for (const { ino, state } of waiting) {
      if (state.holds > 0) continue;
      this.inodes.release(ino);
      finishDeletion(this, state);
    }
  }

  /** Whether an inode without names, which nobody holds any more, has to wait for thaw. */
  deletesLater(inode: ExtInode): boolean {
    if (this.frozen) this.#toDelete.add(inode);
    return this.frozen;
  }

  /** @throws as {@link assertUsable}; EAGAIN while it is frozen */
  assertChangeable(syscall: string): void {
    this.assertUsable();
    if (this.#freezing?.frozen === true) this.#freezing.pass(syscall);
  }

  /** @throws ESTALE after unmounting; EROFS after an abort */
  assertUsable(): void {
    if (this.#closed) throw new DaxError("ESTALE", { detail: "the filesystem was unmounted" });
    if (this.#gone !== undefined) throw new DaxError("ENXIO", { detail: this.#gone });
    const { error } = this.journal;
    if (error === undefined) return;
    const detail = `an error ended writing: ${error.message}; unmount, and run a check`;
    throw new DaxError("EROFS", { detail });
  }

  /** Returns what of the contents that waited failed. */
  #closeClean(): DaxError | undefined {
    const failed = this.delayed?.writeOutAll();
    for (const { state } of this.inodes.held) {
      if (state.record.links === 0) finishDeletion(this, state);
    }
    this.#callClean();
    this.journal.close();
    this.editor.volume.device.flush();
    this.#guard?.release();
    return failed;
  }

  #callClean(): void {
    // Without a journal the superblock calls itself clean when all else is durable.
    if (!this.#journalled) this.journal.commit();
    this.#once(SUPERBLOCK_CREDITS, 0, (handle) => {
      this.editor.superblock.unmounted(handle, this.orphans.inFile);
    });
  }

  /**
   * The device is about to go: what was done is brought home as far as it lets itself, and from
   * then on every change is ENXIO. `close` has nothing left to do. @throws as {@link quiesce}
   */
  shutDown(reason: string): void {
    if (this.#closed || this.#gone !== undefined) return;
    try {
      if (this.journal.error === undefined && !this.frozen) this.quiesce();
    } catch (error) {
      if (isDaxError(error)) this.journal.abort(error);
      throw error;
    } finally {
      this.#gone = reason;
    }
  }

  /** Whether anything can be written still. */
  get usable(): boolean {
    return this.journal.error === undefined && this.#gone === undefined;
  }

  /** Somebody else who took the filesystem may have changed anything. */
  #refreshClaim(): void {
    try {
      this.#guard?.refresh();
    } catch (error) {
      if (isDaxError(error)) this.journal.abort(error);
      throw error;
    }
  }

  #once<T>(copies: number, revokes: number, body: (handle: Handle) => T): T {
    const handle = this.journal.start(copies, revokes);
    try {
      return body(handle);
    } catch (error) {
      if (isFatal(error)) this.#failed(error, handle);
      throw error;
    } finally {
      handle.stop();
    }
  }

  /** There is no undo: what was changed until then must not be committed. */
  #failed(error: unknown, handle: Handle): void {
    if (!handle.touched) return;
    const reason = isDaxError(error) ? error : new DaxError("EIO", { detail: String(error) });
    this.editor.volume.trace.event("ext.error", { code: reason.code, detail: reason.message });
    this.journal.abort(reason);
  }
}
