/**
 * Which errors are somebody's to do something about, and how they read in one line.
 *
 * @module
 */
import { AssertionError } from "../lib/errno.ts";

/** An error with a code of errno(3): daxkit's own, and those of Node's `fs`. */
export interface OperatingError extends Error {
  readonly code: string;
}

/** False for mistakes of ours, which must not pass as somebody else's. */
export function isOperatingError(error: unknown): error is OperatingError {
  if (!(error instanceof Error) || error instanceof AssertionError) return false;
  const code = (error as NodeJS.ErrnoException).code;
  return code !== undefined && /^E[A-Z0-9]+$/u.test(code);
}

/** What `node:fs` throws by itself has libuv's words for ENOTSUP: of a socket that is none. */
const ENOTSUP_OF_LIBUV = /^((?:ENOTSUP|EOPNOTSUPP): operation not supported) on socket/u;

/** `CODE: what, where (what to do)` */
export function oneLine({ code, message }: OperatingError): string {
  const text = message.startsWith(`${code}: `) ? message : `${code}: ${message}`;
  return text.replace(ENOTSUP_OF_LIBUV, "$1");
}
