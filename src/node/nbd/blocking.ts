/**
 * Connections that block the calling thread, and how a talk is held over one.
 *
 * @module
 */
import { isIP } from "node:net";
import { DaxError } from "../../lib/errno.ts";
import type { Talk } from "../../nbd/talk.ts";
import type { NbdUri } from "../../nbd/uri.ts";
import type { BlockingConnection } from "./blocking-connection.ts";
import { ForeignConnection, foreignSockets } from "./blocking-socket.unsafe.ts";
import { WorkerConnection } from "./blocking-worker.ts";

/** How long a server may be silent, or not take what is sent. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** How connections are made. */
export interface ConnectOptions {
  /** Milliseconds for which the server may be silent: 30,000 unless told otherwise. */
  readonly timeoutMs?: number;
  /** `worker`: by a thread of its own even where foreign calls can be made. */
  readonly transport?: "auto" | "worker";
}

/**
 * Connects: by foreign calls on this thread where they can be made and the host needs no look-up,
 * else through a worker thread.
 * @throws ENOENT, ECONNREFUSED, EACCES, EHOSTUNREACH for a name that is not known, ETIMEDOUT
 */
export function connectBlocking(uri: NbdUri, options: ConnectOptions = {}): BlockingConnection {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { address } = uri;
  const known = address.kind === "unix" || address.host === "localhost" || isIP(address.host) !== 0;
  // TLS is Node's, and lives on an event loop.
  const calls = options.transport === "worker" || uri.tls || !known ? undefined : foreignSockets();
  try {
    return calls === undefined
      ? new WorkerConnection(uri, timeoutMs)
      : new ForeignConnection(calls, address, timeoutMs);
  } catch (error) {
    throw named(error, uri);
  }
}

/** Holds a talk to its end. @throws what the talk or the connection throws */
export function converse<T>(connection: BlockingConnection, talk: Talk<T>): T {
  let step = talk.next();
  while (step.done !== true) {
    const ask = step.value;
    try {
      if (ask.kind === "send") connection.send(ask.pieces);
      else if (ask.kind === "fill") connection.fill(ask.target);
      else connection.secure(ask.options);
    } catch (error) {
      step = talk.throw(error);
      continue;
    }
    step = talk.next();
  }
  return step.value;
}

/** Names the export in an error that does not say where it happened. */
export function named(error: unknown, { text }: NbdUri): unknown {
  return error instanceof DaxError && error.path === undefined ? error.at({ path: text }) : error;
}
