/**
 * What transports and sessions promise each other: the waist between `nbd/` and sockets.
 *
 * A transport owns a staging buffer. It loops: read bytes into staging; `receive` them until they
 * are used up, sending `replies` whenever `receive` stops short of the end or nothing is left to
 * receive; while `landing` is set and nothing is staged, payload bytes may be put straight into the
 * store instead. A session never blocks and holds no staged bytes of its own beyond one header.
 *
 * @module
 */
import type { DaxError } from "../lib/errno.ts";
import type { NbdExport } from "./export.ts";
import type { ReplyQueue } from "./reply-queue.ts";

/**
 * - `handshake`: options are haggled over;
 * - `starttls`: the acknowledgement of STARTTLS is queued; after it is sent, the transport does the
 *   TLS handshake and calls `secured`, without giving the session a byte received before that;
 * - `transmission`: commands;
 * - `closing`: send what is queued, then close; nothing more is received.
 */
export type SessionState = "handshake" | "starttls" | "transmission" | "closing";

/** The payload of a WRITE whose header was received, as far as it has not come yet. */
export interface Landing {
  /** Of the next byte, in the store. */
  readonly offset: number;
  /** Bytes still to come. */
  readonly length: number;
}

/**
 * All that a handshake settled and transmission needs: plain data, so that another thread can go on
 * with the connection (`resumeSession(export, terms)` of `session.ts`).
 */
export interface SessionTerms {
  readonly replies: "simple" | "structured" | "extended";
  /** Names of the selected meta contexts; each has the same id in every session. */
  readonly contexts: readonly string[];
}

/** One connection, seen from its transport. */
export interface ServerSession {
  readonly state: SessionState;
  readonly replies: ReplyQueue;
  /** Set from the start of transmission. */
  readonly export: NbdExport | undefined;
  /**
   * Set while payload may go straight to `export.store.direct`; the same object each time, updated
   * in place. Undefined when the payload is refused and only passed over, when the store has no
   * direct memory there, or when no payload is due.
   */
  readonly landing: Landing | undefined;
  /**
   * Set in transmission while the session remembers nothing else: no command is half received, no
   * payload is due, and it is not shutting down. Once `replies` is sent as well, a session resumed
   * with these terms may go on with the next byte, and later this one again.
   */
  readonly terms: SessionTerms | undefined;
  /** How many requests came so far, in transmission. */
  readonly requests: number;
  /**
   * Uses bytes `[start, stop)` of `bytes` and returns how many. Fewer than given when `replies` is
   * full (send, clear, call again with the rest), when a header is not complete (keep the rest and
   * add to it: at most 64 KiB + 32 in the handshake, 32 in transmission), or when `closing`. The
   * header of a read that is answered in pieces, and a list that is, stay with the rest until the
   * last piece is queued: whoever sends what is queued and calls again needs to know nothing of it.
   * So: send while `replies.count > 0`; receive more once a call used nothing and queued nothing.
   * Hostile bytes are answered or end in `closing`, never in a throw.
   */
  receive(bytes: Uint8Array, start: number, stop: number): number;
  /** `length` bytes of the landing were put into the store. */
  landed(length: number): void;
  /**
   * The kernel would not put bytes at the landing (EFAULT: a vanished or full file). The payload
   * comes through `receive` from here on, and the store says what is wrong.
   */
  landingRefused(): void;
  /**
   * The kernel would not take bytes from a PIECE_STORE piece (EFAULT) after `sent` bytes of
   * `replies` were taken. The queue holds what remains, with that reply read through the store and
   * answered with its error where its header was not sent yet; `closing` where no way is left.
   */
  sendRefused(sent: number): void;
  /** TLS is up; the session starts over as the protocol says. */
  secured(): void;
  /** Ends it from this side: requests that were received are answered, later ones get ESHUTDOWN. */
  shutdown(): void;
  /** Why it ends, where that was not the client's wish: for the log. */
  readonly fault: DaxError | undefined;
}
