/**
 * Handles: how an operation changes metadata. All blocks that it asks for join the transaction that
 * is running, so they are committed together or not at all.
 *
 * @module
 */
import { type DaxError, assert } from "../../lib/errno.ts";
import type { JournaledBlock, Transaction } from "./transaction.ts";

/** What a filesystem needs of whoever makes its metadata durable, with a journal or without one. */
export interface MetadataJournal {
  /** The error that ended it; nothing is written any more. */
  readonly error: DaxError | undefined;
  /** The most that one handle may ask for, copies and revokes each. */
  readonly mostCredits: number;
  /** The number of the last transaction that is durable; 0: none. They count up from 1. */
  readonly committed: number;
  /** The number of the last transaction that was begun. */
  readonly newest: number;
  /**
   * Opens a handle for `copies` blocks that it may change and `revokes` blocks of metadata that it
   * may free (as many unless given). What ran before is committed when there is no room beside it.
   *
   * There is no undo: an operation finds out whether it can succeed before it changes anything, and
   * one that cannot go on half way leaves what a crash may leave, or aborts.
   * @throws ENOSPC for more than a transaction can take, EROFS after an abort, and as `commit`
   */
  start(copies: number, revokes?: number): Handle;
  /**
   * Makes everything durable that stopped handles did, and the file data that their
   * `onBeforeCommit` wrote. No handle may be open.
   * @throws EIO when the device fails, which ends the journal; EROFS afterwards
   */
  commit(): void;
  /** Commits unless that transaction is durable, for fsync: see `Handle.transaction`. @throws */
  commitThrough(transaction: number): void;
  /** Commits what was begun at least so many seconds ago, unless a handle is open. @throws */
  commitOlderThan(seconds: number): void;
  /**
   * Ends it without a commit when the filesystem finds out that it cannot go on (`errors=`): the
   * media keep what they have, `error` is `reason`. @throws never
   */
  abort(reason: DaxError): void;
  /**
   * Commits, and leaves everything in its place, as `close`; a handle that is started later begins
   * anew. @throws as `commit`
   */
  settle(): void;
  /** Commits, and leaves everything in its place; nothing after an abort. @throws as `commit` */
  close(): void;
}

/** What a handle asks of the journal that opened it. */
export interface HandleOwner {
  /** @throws EROFS after an abort */
  assertUsable(): void;
  /** Whether the log may hold a copy of the block, which a replay would put over what comes. */
  needsRevoke(block: number): boolean;
  /** Whether there is room for so many more. */
  extend(copies: number, revokes: number): boolean;
  /** The last word of a handle. */
  stopped(transaction: Transaction): void;
}

/** An operation's part in the running transaction. */
export class Handle {
  /** Whether the end commits: what O_SYNC and DIRSYNC ask for. */
  sync = false;
  /** Whether it was given a block yet: until then an operation that fails has changed nothing. */
  touched = false;
  readonly #transaction: Transaction;
  readonly #owner: HandleOwner;
  #copies = 0;
  #revokes = 0;
  #open = true;

  constructor(transaction: Transaction, owner: HandleOwner, copies: number, revokes: number) {
    this.#transaction = transaction;
    this.#owner = owner;
    transaction.handles++;
    this.#pledge(copies, revokes);
  }

  /** What to hand to `commitThrough`, for this to be durable. */
  get transaction(): number {
    return this.#transaction.number;
  }

  /** Blocks that the handle may still take. */
  get credits(): number {
    return this.#copies;
  }

  /**
   * A private copy of a block, to be changed; the same one each time within a transaction. It takes
   * a credit unless the transaction has the block already. `what` names it in errors.
   * @throws EUCLEAN for a block outside the device, EIO, EROFS after an abort
   */
  get(block: number, what = "block"): JournaledBlock {
    this.#assertOpen();
    this.touched = true;
    const known = this.#transaction.copies.get(block);
    if (known !== undefined) return known;
    this.#assertCredit(block);
    const copy = this.#transaction.adopt(block, what);
    this.#pledge(-1, 0);
    return copy;
  }

  /**
   * A block of metadata that was just allocated: all zeros, nothing is read.
   * @throws EUCLEAN for a block outside the device, EROFS after an abort
   */
  create(block: number): JournaledBlock {
    this.#assertOpen();
    this.touched = true;
    const known = this.#transaction.copies.has(block);
    if (!known) this.#assertCredit(block);
    const copy = this.#transaction.create(block);
    if (!known) this.#pledge(-1, 0);
    return copy;
  }

  /**
   * A block of metadata is freed. What was done to it is dropped, and a replay will not bring it
   * back. It may be used again after the commit: see `onCommitted`. @throws EROFS after an abort
   */
  forget(block: number): void {
    this.#assertOpen();
    this.touched = true;
    this.#transaction.forget(block);
    const { revoked } = this.#transaction;
    if (revoked.has(block) || !this.#owner.needsRevoke(block)) return;
    assert(this.#revokes > 0, () => `block ${block} is revoked beyond the handle's credits`);
    revoked.add(block);
    this.#pledge(0, -1);
  }

  /**
   * Calls `seal` when the transaction commits, before anything is written: a checksum is made once
   * for all changes of a block. Whoever reads the block until then knows that it is not.
   */
  onSeal(seal: () => void): void {
    this.#assertOpen();
    this.#transaction.seals.push(seal);
  }

  /**
   * Ordered data: `write` is called when the transaction commits, before anything of it is in the
   * log. What it writes to the device, or flushes there, is durable before the metadata counts.
   */
  onBeforeCommit(write: () => void): void {
    this.#assertOpen();
    this.#transaction.beforeCommit.push(write);
  }

  /** Calls `done` when the transaction is durable: freed blocks may be used again from there. */
  onCommitted(done: () => void): void {
    this.#assertOpen();
    this.#transaction.committed.push(done);
  }

  /** Asks for more credits; false: there is no room, stop here and start anew. @throws EROFS */
  extend(copies: number, revokes = 0): boolean {
    this.#assertOpen();
    if (!this.#owner.extend(copies, revokes)) return false;
    this.#pledge(copies, revokes);
    return true;
  }

  /**
   * Ends the operation; with `sync` it is durable when the last handle stopped. Idempotent.
   * @throws as `MetadataJournal.commit` when that commits
   */
  stop(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#pledge(-this.#copies, -this.#revokes);
    this.#transaction.handles--;
    if (this.sync) this.#transaction.sync = true;
    this.#owner.stopped(this.#transaction);
  }

  #pledge(copies: number, revokes: number): void {
    this.#copies += copies;
    this.#revokes += revokes;
    this.#transaction.pledgedCopies += copies;
    this.#transaction.pledgedRevokes += revokes;
  }

  #assertOpen(): void {
    assert(this.#open, "a handle that was stopped");
    this.#owner.assertUsable();
  }

  #assertCredit(block: number): void {
    assert(this.#copies > 0, () => `block ${block} is beyond the handle's credits`);
  }
}
