/**
 * What Node and libc throw or return, as {@link DaxError}s.
 *
 * @module
 */
import { DaxError, Errno, type ErrnoCode, type ErrorContext } from "../lib/errno.ts";

const byNumber = new Map<number, ErrnoCode>();
for (const [code, [number]] of Object.entries(Errno)) {
  if (!byNumber.has(number)) byNumber.set(number, code as ErrnoCode);
}

const EDQUOT = 122;

/** A positive errno of libc as an error; one without a name here becomes EIO that tells it. */
export function systemError(errno: number, context: ErrorContext): DaxError {
  // A quota that is used up is a disk that is full.
  const code = errno === EDQUOT ? "ENOSPC" : byNumber.get(errno);
  if (code !== undefined) return new DaxError(code, context);
  const detail = `errno ${errno}${context.detail === undefined ? "" : `; ${context.detail}`}`;
  return new DaxError("EIO", { ...context, detail });
}

/** Runs a call of `node:fs` and rethrows its system errors typed, with `path` named. */
export function typed<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asDaxError(error, path);
  }
}

function asDaxError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof DaxError) return error;
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (typeof errno !== "number") return error;
  return systemError(-errno, { path, ...(syscall === undefined ? {} : { syscall }) });
}
