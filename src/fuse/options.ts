/**
 * How a tree is shown to a kernel.
 *
 * @module
 */

import { DaxError } from "../lib/errno.ts";

/** How a tree is shown to a kernel. */
export interface FuseSessionOptions {
  /** Bytes in the largest read or write; a multiple of 4096, 1 MiB unless given. */
  readonly maxWrite?: number;
  /**
   * Seconds, or parts of them, for which the kernel may believe what it was told. A day unless
   * given: whatever changes through the tree is told at once. 0 where something changes behind it.
   */
  readonly timeout?: number;
  /** Bytes that the kernel may read ahead of who reads; 1 MiB unless given. */
  readonly readAhead?: number;
  /** The kernel keeps what is written until it has to, or is told to sync. */
  readonly writebackCache?: boolean;
  /** Files are not opened one by one: fewer requests, and no EPERM for immutable files at open. */
  readonly noOpen?: boolean;
  /** Whose everything is. */
  readonly uid?: number | undefined;
  /** Whose everything is. */
  readonly gid?: number | undefined;
  /** Permission bits that nothing has; everything has all others then. */
  readonly umask?: number | undefined;
}

/** As {@link FuseSessionOptions}, whole. */
export interface ShownAs {
  readonly maxWrite: number;
  /** The timeout. */
  readonly seconds: number;
  /** What the timeout has beside whole seconds. */
  readonly nanoseconds: number;
  readonly readAhead: number;
  readonly writebackCache: boolean;
  readonly noOpen: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly umask: number | undefined;
}

const DAY = 86_400;
const PAGE = 4096;
/** Bytes that one write has at most: what fits a kernel's limit of pages by far. */
const MOST_WRITTEN = 2 ** 24;
/** Seconds that are for ever. */
const EVER = 2 ** 31;
const IDS = 2 ** 32 - 1;

/** Fills in what is not given. @throws EINVAL for numbers that are none of their kind */
export function shownAs(options: FuseSessionOptions): ShownAs {
  const { maxWrite = 2 ** 20, timeout = DAY, writebackCache = false, noOpen = false } = options;
  const { uid, gid, umask, readAhead = 2 ** 20 } = options;
  const pages = maxWrite / PAGE;
  if (!Number.isInteger(pages) || pages < 1 || maxWrite > MOST_WRITTEN) {
    throw odd("maxWrite", maxWrite, `a multiple of ${PAGE} up to ${MOST_WRITTEN}`);
  }
  if (!isBelow(readAhead, EVER)) throw odd("readAhead", readAhead, "bytes, 0 or more");
  if (!(timeout >= 0)) throw odd("timeout", timeout, "seconds, 0 or more");
  for (const [name, id] of [["uid", uid] as const, ["gid", gid] as const]) {
    if (id !== undefined && !isBelow(id, IDS)) throw odd(name, id, `a number below ${IDS}`);
  }
  if (umask !== undefined && !isBelow(umask, 0o1000)) throw odd("umask", umask, "0 to 0o777");
  const seconds = Math.floor(Math.min(timeout, EVER));
  const nanoseconds = Math.floor((Math.min(timeout, EVER) - seconds) * 1e9);
  return { maxWrite, seconds, nanoseconds, readAhead, writebackCache, noOpen, uid, gid, umask };
}

function isBelow(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < limit;
}

function odd(name: string, value: number, wanted: string): DaxError {
  return new DaxError("EINVAL", { syscall: "mount", detail: `${name} ${value} is not ${wanted}` });
}
