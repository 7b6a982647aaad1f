/**
 * What a connection is to a talk on the calling thread.
 *
 * @module
 */
import type { NbdUriTls } from "../../nbd/uri.ts";

/** A stream to a server. Its methods throw ETIMEDOUT, ECONNRESET and what else the system says. */
export interface BlockingConnection {
  /** Sends all of the pieces. */
  send(pieces: readonly Uint8Array[]): void;
  /** Fills `target`. @throws ECONNRESET when the stream ends before */
  fill(target: Uint8Array): void;
  /** Goes on with TLS. @throws ENOTSUP, EACCES */
  secure(options: NbdUriTls): void;
  /** Idempotent. */
  close(): void;
}
