/**
 * READ: straight from the media where the store has direct memory, through scratch elsewhere, and
 * in pieces where replies come in chunks, so that a read of any length takes bounded memory.
 *
 * @module
 */
import { NBD_CMD_FLAG_DF } from "../format/nbd.ts";
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { Request } from "./request.ts";
import { MAX_PAYLOAD } from "./request-rules.ts";
import type { DirectMemory, NbdStore } from "./store.ts";
import { textOf, wireErrorOf } from "./wire-errors.ts";

/** Bytes that are copied at once for a read in chunks. */
const PIECE_BYTES = 1 << 20;
/** Reads of so many bytes are worth asking whether they are holes. */
const HOLE_BYTES = 32 * 1024;
/** Bytes in the longest hole chunk. */
const LONGEST_HOLE = 1 << 30;
/**
 * Data of up to so many bytes straight from the media ends its reply: should the kernel refuse it
 * after the header went out, which takes a file cut short at that instant, the connection ends.
 * Longer data is followed by a chunk of its own for the end, in which an error has its place.
 */
const SURE_BYTES = 64 * 1024;

/** The reads of one session, one at a time. */
export class Reads {
  readonly #store: NbdStore;
  readonly #direct: DirectMemory | undefined;
  readonly #queue: ReplyQueue;
  readonly #writer: ReplyWriter;
  readonly #simple: boolean;
  /** Of the next byte to answer for, and bytes left; 0 when no read is under way. */
  #at = 0;
  #left = 0;
  /** The bytes left belong to a header that is queued already. */
  #promised = false;
  /** A reply that was begun cannot be ended: nothing that is said after it would be understood. */
  fault: DaxError | undefined;

  constructor(store: NbdStore, queue: ReplyQueue, writer: ReplyWriter) {
    this.#store = store;
    this.#direct = store.direct;
    this.#queue = queue;
    this.#writer = writer;
    this.#simple = writer.form === "simple";
  }

  /** Whether a read goes on once the queue was sent. */
  get pending(): boolean {
    return this.#left > 0;
  }

  /** Starts a read that was checked; false: call {@link resume} once the queue was sent. */
  start(request: Request): boolean {
    const { offset, length } = request;
    const direct = this.#direct;
    const quick = length < HOLE_BYTES || this.#simple || this.#store.holeAt === undefined;
    if (quick && direct !== undefined && length <= MAX_PAYLOAD) {
      if (direct.addressOf(offset, length) !== 0) {
        this.#point(request, offset, length, true);
        return true;
      }
    }
    if (this.#simple || (request.flags & NBD_CMD_FLAG_DF) !== 0) {
      return this.#answerWhole(request);
    }
    return this.#begin(request, false);
  }

  #begin(request: Request, promised: boolean): boolean {
    this.#at = request.offset;
    this.#left = request.length;
    this.#promised = promised;
    return this.resume(request);
  }

  /** Goes on with the read; false as in {@link start}. */
  resume(request: Request): boolean {
    while (this.#left > 0) {
      if (this.#queue.full) return false;
      const done = this.#promised ? this.#more() : this.#hole(request) || this.#data(request);
      this.#at += done;
      this.#left -= done;
    }
    return true;
  }

  /** A chunk for zeros that are known to be there without looking; returns their number. */
  #hole(request: Request): number {
    const store = this.#store;
    if (store.holeAt === undefined || this.#left < HOLE_BYTES) return 0;
    const hole = Math.min(store.holeAt(this.#at, this.#left), this.#left, LONGEST_HOLE);
    if (hole < HOLE_BYTES) return 0;
    this.#writer.hole(request, this.#at, hole, hole === this.#left);
    return hole;
  }

  /** A chunk of data; returns its length. */
  #data(request: Request): number {
    const length = Math.min(this.#left, PIECE_BYTES);
    const last = length === this.#left;
    if (this.#direct !== undefined && this.#direct.addressOf(this.#at, length) !== 0) {
      this.#point(request, this.#at, length, last);
      return length;
    }
    // After an error nothing more is said of this read.
    return this.#copy(request, this.#at, length, last) ? length : this.#left;
  }

  /** Queues bytes where they lie. */
  #point(request: Request, offset: number, length: number, last: boolean): void {
    const ends = last && length <= SURE_BYTES;
    this.#writer.data(request, offset, length, ends);
    this.#queue.store(offset, length);
    if (last && !ends && !this.#simple) this.#writer.end(request);
  }

  /** Reads first and queues the header after: nothing can go wrong any more then. */
  #copy(request: Request, offset: number, length: number, last: boolean): boolean {
    const target = this.#queue.reserve(length);
    try {
      this.#store.read(offset, target);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#writer.errorAt(request, wireErrorOf(error, false), textOf(error), offset);
      return false;
    }
    this.#writer.data(request, offset, length, last);
    this.#queue.commit(length);
    return true;
  }

  #wholeHole(request: Request): number {
    const { offset, length } = request;
    if (length < HOLE_BYTES || (this.#store.holeAt?.(offset, length) ?? 0) < length) return 0;
    this.#writer.hole(request, offset, length, true);
    return length;
  }

  #pointWhole(request: Request): boolean {
    const { offset, length } = request;
    if (this.#direct === undefined || this.#direct.addressOf(offset, length) === 0) return false;
    this.#point(request, offset, length, true);
    return true;
  }

  #answerWhole(request: Request): boolean {
    const { offset, length } = request;
    // "Do not fragment" allows one chunk, and one that says "zeros" is the best of them.
    const hole = this.#simple ? 0 : this.#wholeHole(request);
    if (hole > 0 || this.#pointWhole(request)) return true;
    if (length <= PIECE_BYTES) this.#copy(request, offset, length, true);
    else if (this.#isReadable(request)) {
      this.#writer.data(request, offset, length, true);
      return this.#begin(request, true);
    }
    return true;
  }

  /**
   * A reply in one chunk may be longer than what a client may cost while it does not read. So all
   * is read twice: once before success is said, and piece by piece as it is sent.
   */
  #isReadable(request: Request): boolean {
    const { offset, length } = request;
    this.#queue.effort += length;
    for (let done = 0; done < length; done += PIECE_BYTES) {
      const target = this.#queue.reserve(Math.min(PIECE_BYTES, length - done));
      try {
        this.#store.read(offset + done, target);
      } catch (error) {
        if (!isDaxError(error)) throw error;
        this.#writer.errorAt(request, wireErrorOf(error, false), textOf(error), offset + done);
        return false;
      }
    }
    return true;
  }

  /** The next bytes of what was promised; returns their number. */
  #more(): number {
    const length = Math.min(this.#left, PIECE_BYTES);
    const target = this.#queue.reserve(length);
    try {
      this.#store.read(this.#at, target);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.fault = error;
      return this.#left;
    }
    this.#queue.commit(length);
    return length;
  }
}
