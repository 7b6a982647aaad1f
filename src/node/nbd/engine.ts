/**
 * Engines: who carries the bytes of a connection. What listeners and engines promise each other.
 *
 * @module
 */
import type { DaxError } from "../../lib/errno.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";

/** What a listener hears of a connection that it gave to an engine. */
export interface ConnectionEvents {
  /**
   * The client asked for TLS and has the acknowledgement (`session.state` is `starttls`). The
   * engine has let go: descriptor and session are the callee's. Not one byte after the
   * acknowledgement was read.
   */
  onTls(fd: number, session: ServerSession): void;
  /**
   * The connection is over and its descriptor closed. `fault` says why, where the client did not
   * end it as the protocol asks. Not called after `onTls`.
   */
  onClosed(fault: DaxError | undefined): void;
}

/** A connection in the hands of an engine. */
export interface Attached {
  /** Where it is served at the moment: by this thread, one of its own, or Node's sockets. */
  readonly carrier: "polled" | "thread" | "net";
  /** What the session has settled so far; on a `thread` what it had settled when it went there. */
  readonly session: ServerSession;
  /** Answers what was received, then closes; at once where the client reads nothing. */
  end(): void;
  /** Closes at once. Idempotent; `onClosed` follows in a later turn of the event loop. */
  destroy(): void;
}

/** Carries connections. */
export interface Engine {
  /** Connections that are open now. */
  readonly connections: number;
  /**
   * Takes over a connected stream socket, whatever its blocking mode, and closes it in the end. The
   * session is new: its greeting waits in `session.replies` or nowhere. Calls `onDetach` of the
   * session's export, if it has come to one, when the connection is over.
   * @throws EBADF after `close`: the descriptor stays the caller's then
   */
  adopt(fd: number, session: ServerSession, events: ConnectionEvents): Attached;
  /**
   * Ends every connection as {@link Attached.end} does, by force after `graceMs` (2,000 unless told
   * otherwise), and stops every thread. Resolves when all descriptors are closed. Stores and
   * media may be closed after that, not before. Idempotent.
   */
  close(graceMs?: number): Promise<void>;
}

/** How many threads an engine may use, and when. */
export interface EngineOptions {
  /** At most this many connections have a thread of their own; 0 for none. 16 unless told. */
  readonly threads?: number;
  /** Started with the first connection, so that none waits for them; 1 unless told otherwise. */
  readonly warm?: number;
  /** A connection quiet for so long gives its thread back; 1,000 unless told otherwise. */
  readonly idleMs?: number;
}
