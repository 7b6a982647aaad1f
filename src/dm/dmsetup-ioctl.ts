/**
 * How dmsetup tells of an ioctl that was refused.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { UsageError } from "./dmsetup-options.ts";

/** Where tables come from that are no words of the command. */
export interface DmsetupInput {
  /** The text of a file; of standard input for undefined. */
  readonly read?: (path: string | undefined) => string;
}

/** Words of libc's strerror. */
const WORDS: Partial<Record<ErrnoCode, string>> = {
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  EBADMSG: "Bad message",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EFBIG: "File too large",
  EHWPOISON: "Memory page has hardware error",
  EINVAL: "Invalid argument",
  EIO: "Input/output error",
  EISDIR: "Is a directory",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files in system",
  ENODEV: "No such device",
  ENOENT: "No such file or directory",
  ENOMEM: "Cannot allocate memory",
  ENOSPC: "No space left on device",
  ENXIO: "No such device or address",
  EOPNOTSUPP: "Operation not supported",
  ENOTSUP: "Operation not supported",
  ERANGE: "Numerical result out of range",
  EOVERFLOW: "Value too large for defined data type",
  EPERM: "Operation not permitted",
  EROFS: "Read-only file system",
  EUCLEAN: "Structure needs cleaning",
};

/**
 * Runs one ioctl; an error of it is told as dmsetup tells it, with the kernel's line below.
 * @throws UsageError
 */
export function ioctl<T>(name: string, device: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof DaxError)) throw error;
    const words = WORDS[error.code] ?? error.code;
    const told = `device-mapper: ${name} ioctl on ${device} failed: ${words}`;
    throw new UsageError(error.detail === undefined ? told : `${told}\n${error.detail}`);
  }
}
