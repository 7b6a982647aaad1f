/**
 * The room in a jbd2 log: a ring of blocks, of which those from the tail to the head hold
 * transactions that a crash would replay.
 *
 * @module
 */
import { assert } from "../../lib/errno.ts";
import { revokesPerRecord, tagsPerDescriptor } from "./journal-encode.ts";
import type { JournalLog } from "./journal-log.ts";

/**
 * The block before the tail is never given away: head and tail can be told apart by it, and the
 * note about a change of the journal's superblock lies there (`journal-tear.ts`).
 */
const KEPT_BACK = 1;
/** A transaction may take this part of the log, as Linux has it: the rest can be checkpointed. */
const TRANSACTIONS_IN_LOG = 4;

/** Head, tail and free blocks of a log. */
export class LogSpace {
  /** Blocks of the log. */
  readonly capacity: number;
  /** Blocks that one transaction may take, its records included. */
  readonly most: number;
  readonly #log: JournalLog;
  readonly #tags: number;
  readonly #revokes: number;
  #head: number;
  #used = 0;

  /** An empty log whose next block is `head`; `whole`: a transaction may take all of it. */
  constructor(log: JournalLog, head: number, whole = false) {
    this.#log = log;
    this.#tags = tagsPerDescriptor(log);
    this.#revokes = revokesPerRecord(log);
    this.capacity = log.area.last - log.area.first;
    this.most = whole ? this.capacity - KEPT_BACK : Math.floor(this.capacity / TRANSACTIONS_IN_LOG);
    this.#head = head;
  }

  /** Where the next block goes. */
  get head(): number {
    return this.#head;
  }

  /** Blocks that may be taken. */
  get free(): number {
    return this.capacity - KEPT_BACK - this.#used;
  }

  /** The journal block before `n`, around the start of the log. */
  before(n: number): number {
    return this.#log.after(n, this.capacity - 1);
  }

  /** Blocks that a transaction of so many copies and revoked blocks takes in the log. */
  blocksFor(copies: number, revokes: number): number {
    if (copies === 0 && revokes === 0) return 0;
    const descriptors = Math.ceil(copies / this.#tags);
    return copies + descriptors + Math.ceil(revokes / this.#revokes) + 1;
  }

  /** Takes the block at the head. */
  take(): number {
    assert(this.free > 0, "the log is full, and nobody made room");
    const block = this.#head;
    this.#head = this.#log.after(block, 1);
    this.#used++;
    return block;
  }

  /** Gives blocks at the tail back. */
  release(blocks: number): void {
    assert(blocks <= this.#used, () => `${blocks} blocks of a log that uses ${this.#used}`);
    this.#used -= blocks;
  }
}
