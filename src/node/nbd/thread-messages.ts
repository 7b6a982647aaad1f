/**
 * What the stack's own thread and the threads of busy connections tell each other.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../../lib/errno.ts";
import type { SessionTerms } from "../../nbd/session-contract.ts";
import type { StoreShare } from "./mapped-store.ts";

/** Given to a thread when it starts. */
export interface ThreadData {
  /** A connection quiet for so long is given back. */
  readonly idleMs: number;
}

/** To the thread: serve this connection. */
export interface ServeRequest {
  /** The thread uses it and never closes it. */
  readonly fd: number;
  readonly rest: Uint8Array;
  readonly terms: SessionTerms;
  readonly exportName: string;
  readonly store: StoreShare;
  /** Of the export's map of written blocks, where one is kept. */
  readonly dirty: SharedArrayBuffer | undefined;
}

/** From the thread: it is ready for the first connection, or done with one. */
export type ThreadMessage = "ready" | ServeResult;

/** How a connection left a thread. */
export interface ServeResult {
  /** It has ended; else it was quiet, and goes on elsewhere with `rest`. */
  readonly over: boolean;
  readonly rest: Uint8Array;
  readonly fault: PlainFault | undefined;
}

/** A {@link DaxError} that threads can hand over. */
export interface PlainFault {
  readonly code: ErrnoCode;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  readonly detail: string | undefined;
}

export function plainFault(error: DaxError | undefined): PlainFault | undefined {
  if (error === undefined) return undefined;
  const { code, syscall, path, detail } = error;
  return { code, syscall, path, detail };
}

export function faultOf(plain: PlainFault | undefined): DaxError | undefined {
  if (plain === undefined) return undefined;
  const { code, syscall, path, detail } = plain;
  return new DaxError(code, {
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
    ...(detail === undefined ? {} : { detail }),
  });
}
