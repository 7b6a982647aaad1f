/**
 * What a mount for writing holds: the journal, the editor, the orphans, and the rules by which an
 * operation is all there or not at all.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { EXT4_DIRSYNC_FL, EXT4_SYNC_FL } from "../../format/ext-inode.ts";
import { isFatal } from "./corruption.ts";
import type { ExtEditor } from "./editor.ts";
import { finishDeletion } from "./deletion.ts";
import { FileContents } from "./file-contents.ts";
import type { Handle, MetadataJournal } from "./handle.ts";
import type { InodeCache } from "./inode-cache.ts";
import { setTime, storeRecord } from "./inode-writer.ts";
import type { InodeState } from "./inode-state.ts";
import type { MultiMountGuard } from "./multi-mount.ts";
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
  readonly #journalled: boolean;
  readonly #guard: MultiMountGuard | undefined;
  #errorsNoted = false;
  #closed = false;

  constructor({ editor, journal, orphans, inodes, options, journalled, guard }: WritingParts) {
    this.editor = editor;
    this.journal = journal;
    this.orphans = orphans;
    this.inodes = inodes;
    this.options = options;
    this.contents = new FileContents(editor.volume, options.ordered);
    this.#journalled = journalled;
    this.#guard = guard;
  }

  /** What is free now. */
  get free(): FreeCounts {
    const { allocator, inodes, volume } = this.editor;
    return {
      clusters: allocator.freeBlocks / volume.superblock.clusterRatio,
      inodes: inodes.freeInodes,
    };
  }

  /**
   * Runs one operation under a handle of its own, which joins the running transaction. `body` may
   * run twice: when space ran out and a commit gives some back. An error that comes when something
   * was changed already, and is none that says otherwise, ends all writing: nothing of this
   * transaction reaches the media.
   * @throws as `body`; ENOSPC for more credits than the journal has, EROFS after an abort, EIO
   */
  operate<T>(copies: number, body: (handle: Handle) => T, revokes = copies): T {
    this.assertUsable();
    this.#refreshClaim();
    this.journal.commitOlderThan(this.options.commit);
    try {
      return this.#once(copies, revokes, body);
    } catch (error) {
      if (!isDaxError(error, "ENOSPC") || this.editor.allocator.waitingBlocks === 0) throw error;
      this.journal.commit();
      return this.#once(copies, revokes, body);
    }
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
    storeRecord(this.editor.volume, handle, state.record);
    this.note(handle, state);
  }

  /** An inode was changed: its fsync has to wait for this, and some want it at once. */
  note(handle: Handle, state: InodeState): void {
    state.transaction = handle.transaction;
    state.dataTransaction = handle.transaction;
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
    this.store(handle, state, now);
    state.namesChanged();
    if ((state.record.flags & EXT4_DIRSYNC_FL) !== 0) handle.sync = true;
  }

  /** Makes everything durable that was done so far. @throws EIO, EROFS after an abort */
  sync(): void {
    this.assertUsable();
    this.journal.commit();
    this.contents.flush();
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
    if (this.#closed || this.journal.error !== undefined) return;
    this.#refreshClaim();
    this.journal.commitOlderThan(this.options.commit);
  }

  /**
   * Ends it: inodes that are held without a name go, everything reaches its place, and the
   * superblock says so. @throws EIO when that fails, or an error had ended it before
   */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.journal.error === undefined) this.#closeClean();
    } finally {
      this.#closed = true;
    }
    const { error } = this.journal;
    if (error === undefined) return;
    const detail = `what was written last is not on the device: ${error.message}; run a check`;
    throw new DaxError("EIO", { syscall: "umount", detail });
  }

  /** @throws ESTALE after unmounting; EROFS after an abort */
  assertUsable(): void {
    if (this.#closed) throw new DaxError("ESTALE", { detail: "the filesystem was unmounted" });
    const { error } = this.journal;
    if (error === undefined) return;
    const detail = `an error ended writing: ${error.message}; unmount, and run a check`;
    throw new DaxError("EROFS", { detail });
  }

  #closeClean(): void {
    for (const { state } of this.inodes.held) {
      if (state.record.links === 0) finishDeletion(this, state);
    }
    // Without a journal the superblock calls itself clean when all else is durable.
    if (!this.#journalled) this.journal.commit();
    this.#once(SUPERBLOCK_CREDITS, 0, (handle) => {
      this.editor.superblock.unmounted(handle, this.orphans.inFile);
    });
    this.journal.close();
    this.editor.volume.device.flush();
    this.#guard?.release();
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
