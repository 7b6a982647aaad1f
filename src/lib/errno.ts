/**
 * POSIX errors, shaped like the ones Node's `fs` throws.
 *
 * @module
 */

/**
 * Linux errno values with the words Node (libuv) uses for them, but for ENOTSUP, of which libuv
 * says that it is about a socket; the sign is flipped on {@link DaxError.errno}, as in libuv. A
 * table of our own, so that it also works in a browser.
 */
export const Errno = {
  EPERM: [1, "operation not permitted"],
  ENOENT: [2, "no such file or directory"],
  EINTR: [4, "interrupted system call"],
  EIO: [5, "i/o error"],
  ENXIO: [6, "no such device or address"],
  E2BIG: [7, "argument list too long"],
  EBADF: [9, "bad file descriptor"],
  EAGAIN: [11, "resource temporarily unavailable"],
  ENOMEM: [12, "not enough memory"],
  EACCES: [13, "permission denied"],
  EFAULT: [14, "bad address in system call argument"],
  EBUSY: [16, "resource busy or locked"],
  EEXIST: [17, "file already exists"],
  EXDEV: [18, "cross-device link not permitted"],
  ENODEV: [19, "no such device"],
  ENOTDIR: [20, "not a directory"],
  EISDIR: [21, "illegal operation on a directory"],
  EINVAL: [22, "invalid argument"],
  ENFILE: [23, "file table overflow"],
  EMFILE: [24, "too many open files"],
  ENOTTY: [25, "inappropriate ioctl for device"],
  EFBIG: [27, "file too large"],
  ENOSPC: [28, "no space left on device"],
  ESPIPE: [29, "invalid seek"],
  EROFS: [30, "read-only file system"],
  EMLINK: [31, "too many links"],
  EPIPE: [32, "broken pipe"],
  ERANGE: [34, "result too large"],
  ENAMETOOLONG: [36, "name too long"],
  ENOSYS: [38, "function not implemented"],
  ENOTEMPTY: [39, "directory not empty"],
  ELOOP: [40, "too many symbolic links encountered"],
  ENODATA: [61, "no data available"],
  EPROTO: [71, "protocol error"],
  EBADMSG: [74, "bad message"],
  EOVERFLOW: [75, "value too large for defined data type"],
  EOPNOTSUPP: [95, "operation not supported"],
  ENOTSUP: [95, "operation not supported"],
  EAFNOSUPPORT: [97, "address family not supported"],
  EADDRINUSE: [98, "address already in use"],
  EADDRNOTAVAIL: [99, "address not available"],
  ENETUNREACH: [101, "network is unreachable"],
  ECONNRESET: [104, "connection reset by peer"],
  ESHUTDOWN: [108, "cannot send after transport endpoint shutdown"],
  ETIMEDOUT: [110, "connection timed out"],
  ECONNREFUSED: [111, "connection refused"],
  EHOSTUNREACH: [113, "host is unreachable"],
  ESTALE: [116, "stale file handle"],
  EUCLEAN: [117, "structure needs cleaning"],
  EHWPOISON: [133, "memory page has hardware error"],
} as const satisfies Record<string, readonly [number, string]>;

/** A symbolic errno name such as `"ENOSPC"`. */
export type ErrnoCode = keyof typeof Errno;

/** What the failing call was about; every field lands in the message. */
export interface ErrorContext {
  /** The operation, in the words of its manual page: `open`, `pread`, `mount`. */
  readonly syscall?: string;
  readonly path?: string;
  readonly dest?: string;
  /** What was found and what to do next: structure, field, value seen, remedy. */
  readonly detail?: string;
}

/**
 * An operating error: expected, named, and the caller's to handle.
 *
 * @throws nothing itself; every floor throws it, and the message reads as Node words its own:
 * `ENOENT: no such file or directory, open '/mnt/a'`.
 */
export class DaxError extends Error {
  override readonly name = "DaxError";
  readonly code: ErrnoCode;
  /** Negative, as on Node's errors. */
  readonly errno: number;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  readonly dest: string | undefined;
  readonly detail: string | undefined;

  constructor(code: ErrnoCode, context: ErrorContext = {}) {
    const [number, text] = Errno[code];
    const { syscall, path, dest, detail } = context;
    const where =
      (syscall === undefined ? "" : `, ${syscall}`) +
      (path === undefined ? "" : `${syscall === undefined ? "," : ""} '${path}'`) +
      (dest === undefined ? "" : ` -> '${dest}'`) +
      (detail === undefined ? "" : ` (${detail})`);
    super(`${code}: ${text}${where}`);
    this.code = code;
    this.errno = -number;
    this.syscall = syscall;
    this.path = path;
    this.dest = dest;
    this.detail = detail;
  }

  /** The same error with the call and path added where the inner floors did not know them. */
  at(context: ErrorContext): DaxError {
    const { syscall, path, dest, detail } = this;
    return new DaxError(this.code, {
      ...(syscall === undefined ? {} : { syscall }),
      ...(path === undefined ? {} : { path }),
      ...(dest === undefined ? {} : { dest }),
      ...context,
      ...(detail === undefined ? {} : { detail }),
    });
  }
}

/** True when `error` is a {@link DaxError}, with one of `codes` if any are given. */
export function isDaxError(error: unknown, ...codes: readonly ErrnoCode[]): error is DaxError {
  return error instanceof DaxError && (codes.length === 0 || codes.includes(error.code));
}

/** A programmer error: never caught, never part of the contract. */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (condition) return;
  throw new AssertionError(typeof message === "string" ? message : message());
}

/** Thrown by {@link assert}; a bug in daxkit or in its caller. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}
