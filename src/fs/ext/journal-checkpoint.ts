/**
 * Transactions that are in the log and not yet in their places. A block that several of them hold
 * has to be written once, as the newest left it; and not at all once it is freed.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import { assert } from "../../lib/errno.ts";
import { sequenceBefore } from "./journal-blocks.ts";
import type { JournaledBlock, Transaction } from "./transaction.ts";

/** A transaction in the log. */
export interface LoggedTransaction {
  readonly sequence: number;
  /** Its first journal block, and how many blocks of the log it takes. */
  readonly start: number;
  readonly length: number;
  /** All blocks that it holds copies of. */
  readonly blocks: readonly number[];
  /** Those of which no later transaction holds one. */
  readonly newest: Map<number, JournaledBlock>;
}

/** What is in the log, oldest first. */
export class Checkpoints {
  readonly #buffers: Buffers;
  #logged: LoggedTransaction[] = [];
  /** For every block that the log holds a copy of: the last transaction that does. */
  readonly #last = new Map<number, LoggedTransaction>();
  #waiting = 0;

  constructor(buffers: Buffers) {
    this.#buffers = buffers;
  }

  /** Oldest first. */
  transactionsInOrder(): readonly LoggedTransaction[] {
    return this.#logged;
  }

  get transactions(): number {
    return this.#logged.length;
  }

  /** Blocks that wait for being written to their places. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether the log holds a copy of the block. */
  holds(block: number): boolean {
    return this.#last.has(block);
  }

  /** A transaction was committed. */
  add(transaction: Transaction, place: Omit<LoggedTransaction, "blocks" | "newest">): void {
    const { copies, revoked } = transaction;
    // The block is free: somebody else's data may lie there from now on.
    for (const block of revoked) this.#supersede(block);
    const newest = new Map(copies);
    const logged = { ...place, blocks: [...copies.keys()], newest };
    for (const block of copies.keys()) {
      this.#supersede(block);
      this.#last.set(block, logged);
    }
    this.#waiting += newest.size;
    this.#logged.push(logged);
  }

  /**
   * Writes the `count` oldest transactions to their places. The log still holds them: move its tail
   * when they are durable, then call {@link retire}. @throws EIO, EROFS
   */
  write(count: number): void {
    const copies: JournaledBlock[] = [];
    for (const { newest } of this.#logged.slice(0, count)) {
      for (const copy of newest.values()) copies.push(copy);
    }
    for (const { block, bytes } of copies.toSorted((a, b) => a.block - b.block)) {
      this.#buffers.write(block, bytes);
    }
  }

  /**
   * The `count` oldest transactions are no longer part of the log; answers the blocks of it that
   * they took. Copies that `running` has not changed since are given up.
   */
  retire(count: number, running: Transaction | undefined): number {
    const retired = this.#logged.slice(0, count);
    this.#logged = this.#logged.slice(count);
    let length = 0;
    for (const transaction of retired) {
      length += transaction.length;
      this.#waiting -= transaction.newest.size;
      for (const block of transaction.newest.keys()) {
        if (running?.copies.has(block) !== true) this.#buffers.dropOverlay(block);
      }
      for (const block of transaction.blocks) {
        if (this.#last.get(block) === transaction) this.#last.delete(block);
      }
    }
    this.#assertOrder();
    return length;
  }

  #supersede(block: number): void {
    if (this.#last.get(block)?.newest.delete(block) === true) this.#waiting--;
  }

  #assertOrder(): void {
    const [first, second] = this.#logged;
    const ordered =
      first === undefined ||
      second === undefined ||
      sequenceBefore(first.sequence, second.sequence);
    assert(ordered, "transactions out of order");
  }
}
