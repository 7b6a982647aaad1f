/**
 * A transaction of metadata: the blocks that change together, as private copies. The media keep
 * what they have until it is committed.
 *
 * @module
 */
import type { BlockBuffer, Buffers } from "../../block/buffers.ts";
import type { Timespec } from "../../lib/environment.ts";
import { fill } from "../../lib/memory.ts";

/** The private copy of a block: byte `i` of the block is byte `i` of `bytes` and of `memory`. */
export interface JournaledBlock extends BlockBuffer {
  readonly block: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory: DataView<ArrayBuffer>;
  readonly at: 0;
}

/** One transaction, until it is committed. Readers see its copies through `Buffers`. */
export class Transaction {
  /** Counts up from 1 at each mount; not what jbd2 calls its sequence. */
  readonly number: number;
  /** When its first handle was opened. */
  readonly begun: Timespec;
  /** The copies, in the order in which they were first asked for. */
  readonly copies = new Map<number, JournaledBlock>();
  /** Of these, the blocks that were just allocated. */
  readonly created = new Set<number>();
  /** Freed blocks of which the log holds a copy. */
  readonly revoked = new Set<number>();
  /** Handles that are open. */
  handles = 0;
  /** A handle asked for a commit as soon as the last one stops. */
  sync = false;
  /** Copies and revoked blocks that open handles may still add. */
  pledgedCopies = 0;
  pledgedRevokes = 0;
  /** What remains to be computed about the copies: their checksums. */
  readonly seals: (() => void)[] = [];
  readonly beforeCommit: (() => void)[] = [];
  readonly committed: (() => void)[] = [];
  readonly #buffers: Buffers;

  constructor(buffers: Buffers, number: number, begun: Timespec) {
    this.#buffers = buffers;
    this.number = number;
    this.begun = begun;
  }

  /** Whether no metadata changed: then there is nothing for a log. */
  get isEmpty(): boolean {
    return this.copies.size === 0 && this.revoked.size === 0;
  }

  /** Takes a block over: a copy of what it holds. @throws EUCLEAN outside the device, EIO */
  adopt(block: number, what: string): JournaledBlock {
    const bytes = new Uint8Array(this.#buffers.blockSize);
    this.#buffers.read(block, bytes, what);
    return this.#place(block, bytes);
  }

  /** Takes a new block, all zeros, without looking at what lies there. @throws EUCLEAN */
  create(block: number): JournaledBlock {
    const known = this.copies.get(block);
    if (known !== undefined) {
      fill(known.memory, 0, known.bytes.length, 0);
      return known;
    }
    this.created.add(block);
    return this.#place(block, new Uint8Array(this.#buffers.blockSize));
  }

  /** Drops a freed block; readers see the media again. */
  forget(block: number): void {
    this.copies.delete(block);
    this.created.delete(block);
    this.#buffers.dropOverlay(block);
  }

  #place(block: number, bytes: Uint8Array<ArrayBuffer>): JournaledBlock {
    this.#buffers.overlay(block, bytes);
    // A block that was freed and is metadata again: a revoke record would cover the new copy too.
    this.revoked.delete(block);
    const copy = { block, bytes, memory: new DataView(bytes.buffer), at: 0 } as const;
    this.copies.set(block, copy);
    return copy;
  }
}

/** Whether something that began then is so old now; a clock that went back proves no age. */
export function isOlder(begun: Timespec, now: Timespec, seconds: number): boolean {
  return now.sec - begun.sec + (now.nsec - begun.nsec) / 1e9 >= seconds;
}
