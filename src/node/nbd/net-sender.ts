/**
 * Replies of a session as corked writes to a socket of Node's. What lies in the store is read into
 * memory of the process first, slice by slice, so that a large reply costs little.
 *
 * @module
 */
import type { Writable } from "node:stream";
import { isDaxError } from "../../lib/errno.ts";
import { PIECE_ARENA, PIECE_STORE, type ReplyQueue } from "../../nbd/reply-queue.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";

/** Bytes of the store in memory at a time. */
const SLICE_BYTES = 256 * 1024;

/** See the module. One call of `send` at a time. */
export class NetSender {
  /** Whether `send` has not called back yet. */
  busy = false;
  readonly #socket: Writable;
  readonly #session: ServerSession;
  /** How far the queue is written: pieces, bytes of the piece at hand, bytes of all. */
  #piece = 0;
  #within = 0;
  #sent = 0;

  constructor(socket: Writable, session: ServerSession) {
    this.#socket = socket;
    this.#session = session;
  }

  /** Sends all replies and clears them; `done` is called in a later turn. */
  send(done: (error?: Error) => void): void {
    this.busy = true;
    this.#begin();
    this.#batch((error) => {
      this.busy = false;
      done(error);
    });
  }

  #begin(): void {
    this.#piece = 0;
    this.#within = 0;
    this.#sent = 0;
  }

  /** Writes up to a slice's worth from the store, and goes on when the socket has taken it. */
  #batch(done: (error?: Error) => void): void {
    const socket = this.#socket;
    const refused = { error: undefined as unknown };
    socket.cork();
    const last = this.#gather(refused);
    const after = (error?: Error | null): void => {
      if (error !== undefined && error !== null) done(error);
      else this.#goOn(refused.error, done);
    };
    // Writes call back in order: the last one's word is all of theirs.
    if (last === undefined) process.nextTick(after);
    else socket.write(last, after);
    socket.uncork();
  }

  #goOn(refused: unknown, done: (error?: Error) => void): void {
    const { replies } = this.#session;
    if (refused !== undefined) {
      this.#session.sendRefused(this.#sent);
      this.#begin();
    } else if (this.#piece === replies.count) {
      replies.clear();
      done();
      return;
    }
    if (replies.count === 0) done();
    else this.#batch(done);
  }

  /** Writes pieces; returns the last instead of writing it. */
  #gather(refused: { error: unknown }): Uint8Array | undefined {
    const { replies } = this.#session;
    const gathered: Uint8Array[] = [];
    let slice: Uint8Array | undefined;
    while (this.#piece < replies.count) {
      const length = (replies.lengths[this.#piece] as number) - this.#within;
      const at = (replies.at[this.#piece] as number) + this.#within;
      let bytes: Uint8Array;
      if (replies.kinds[this.#piece] === PIECE_STORE) {
        slice ??= new Uint8Array(Math.min(SLICE_BYTES, storeBytes(replies, this.#piece)));
        bytes = slice.subarray(0, Math.min(slice.length, length));
        slice = slice.subarray(bytes.length);
        if (bytes.length === 0 || !this.#read(at, bytes, refused)) {
          this.#holdHeader(gathered);
          break;
        }
      } else bytes = memoryOf(replies, this.#piece).subarray(at, at + length);
      gathered.push(bytes);
      this.#advance(bytes.length, length);
    }
    const last = gathered.pop();
    for (const bytes of gathered) this.#socket.write(bytes);
    return last;
  }

  /** A header says that its data follow: it stays here until the first of them were read. */
  #holdHeader(gathered: Uint8Array[]): void {
    if (this.#within > 0) return;
    const header = gathered.pop();
    if (header === undefined) return;
    this.#piece--;
    this.#sent -= header.length;
  }

  #read(offset: number, target: Uint8Array, refused: { error: unknown }): boolean {
    try {
      this.#session.export?.store.read(offset, target);
      return true;
    } catch (error) {
      if (!isDaxError(error)) throw error;
      refused.error = error;
      return false;
    }
  }

  #advance(taken: number, length: number): void {
    this.#sent += taken;
    this.#within = taken === length ? 0 : this.#within + taken;
    if (taken === length) this.#piece++;
  }
}

/** Bytes of the store in the pieces from one on. */
function storeBytes(replies: ReplyQueue, from: number): number {
  let bytes = 0;
  for (let i = from; i < replies.count; i++) {
    if (replies.kinds[i] === PIECE_STORE) bytes += replies.lengths[i] as number;
  }
  return bytes;
}

function memoryOf(replies: ReplyQueue, piece: number): Uint8Array {
  return replies.kinds[piece] === PIECE_ARENA ? replies.arena : replies.scratch;
}
