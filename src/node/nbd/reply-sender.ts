/**
 * Sends what a session queued: all pieces in one call where the socket takes them, straight from
 * the store's own memory.
 *
 * @module
 */
import type { DaxError } from "../../lib/errno.ts";
import { PIECE_ARENA, PIECE_STORE, type ReplyQueue } from "../../nbd/reply-queue.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";
import { addressOf } from "../libc.unsafe.ts";
import { systemError } from "../system-error.ts";
import { EAGAIN, EFAULT, EINTR, MSG_DONTWAIT, MSG_NOSIGNAL } from "./sockets.unsafe.ts";
import type { Workspace } from "./workspace.ts";

/** What a client does that leaves. */
const GONE: ReadonlySet<number> = new Set([32, 104, 110]);
/** More refusals in a row than a queue has pieces: the session finds no way on. */
const MOST_REFUSALS = 1024;

/** See the module. */
export class ReplySender {
  /** The client is gone, or nothing more can be sent. */
  broken = false;
  /** Why, where that was not the client's wish. */
  fault: DaxError | undefined;
  readonly #fd: number;
  readonly #session: ServerSession;
  readonly #space: Workspace;
  readonly #flags: number;
  /** Bytes of the queue that the kernel took. */
  #sent = 0;
  #refusals = 0;
  #arena: Uint8Array | undefined;
  #arenaAt = 0;
  #scratch: Uint8Array | undefined;
  #scratchAt = 0;

  /** @param waits whether to wait until all is sent */
  constructor(fd: number, session: ServerSession, space: Workspace, waits: boolean) {
    this.#fd = fd;
    this.#session = session;
    this.#space = space;
    this.#flags = waits ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT;
  }

  /** Sends all that waits: false when the socket has no room, or it is `broken`. */
  send(): boolean {
    const { replies } = this.#session;
    const { calls, message } = this.#space;
    while (replies.count > 0) {
      this.#gather(replies);
      const taken = calls.sendmsg(this.#fd, message.address, this.#flags);
      if (taken >= 0) this.#took(replies, taken);
      else if (!this.#failed(calls.errno())) return false;
    }
    return true;
  }

  #took(replies: ReplyQueue, bytes: number): void {
    this.#refusals = 0;
    this.#sent += bytes;
    if (this.#sent < replies.bytes) return;
    replies.clear();
    this.#sent = 0;
  }

  /** Whether to go on. */
  #failed(errno: number): boolean {
    if (errno === EINTR) return true;
    if (errno === EAGAIN) return false;
    if (errno === EFAULT && this.#refusals < MOST_REFUSALS) {
      this.#refusals++;
      this.#session.sendRefused(this.#sent);
      this.#sent = 0;
      return true;
    }
    this.broken = true;
    if (!GONE.has(errno)) this.fault = systemError(errno, { syscall: "sendmsg" });
    return false;
  }

  /** Puts the pieces into the message, without what was sent. */
  #gather(replies: ReplyQueue): void {
    const { message } = this.#space;
    this.#locate(replies);
    message.clear();
    let skip = this.#sent;
    for (let i = 0; i < replies.count; i++) {
      const length = replies.lengths[i]!;
      if (skip < length) {
        message.add(this.#address(replies.kinds[i]!, replies.at[i]!, length) + skip, length - skip);
        skip = 0;
      } else skip -= length;
    }
  }

  #address(kind: number, at: number, length: number): number {
    if (kind === PIECE_ARENA) return this.#arenaAt + at;
    if (kind === PIECE_STORE) return this.#session.export!.store.direct!.addressOf(at, length);
    return this.#scratchAt + at;
  }

  /** The queue may have changed its arrays; where they lie is asked only then. */
  #locate(replies: ReplyQueue): void {
    const { arena, scratch } = replies;
    if (arena !== this.#arena) {
      this.#arena = arena;
      this.#arenaAt = addressOf(arena);
    }
    if (scratch !== this.#scratch) {
      this.#scratch = scratch;
      this.#scratchAt = scratch.length === 0 ? 0 : addressOf(scratch);
    }
  }
}
