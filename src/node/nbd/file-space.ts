/**
 * Space of a file given back, or zeroed where it is, by fallocate(2).
 *
 * @module
 */
import { systemError } from "../system-error.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  type FileCalls,
} from "./file-calls.unsafe.ts";

const EINTR = 4;
/** What says that this file, range or device does not know the call. */
const CANNOT: ReadonlySet<number> = new Set([1, 19, 22, 38, 95]);

/** The range becomes a hole that reads as zeros; false where that cannot be. @throws EIO, ENOSPC */
export function punch(calls: FileCalls, fd: number, offset: number, length: number): boolean {
  return allocate(calls, fd, FALLOC_FL_PUNCH_HOLE, offset, length);
}

/** The range reads as zeros and has its space; false where that cannot be. @throws EIO, ENOSPC */
export function zeroRange(calls: FileCalls, fd: number, offset: number, length: number): boolean {
  return allocate(calls, fd, FALLOC_FL_ZERO_RANGE, offset, length);
}

function allocate(
  calls: FileCalls,
  fd: number,
  mode: number,
  offset: number,
  length: number,
): boolean {
  for (;;) {
    if (calls.fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, length) === 0) return true;
    const errno = calls.errno();
    if (CANNOT.has(errno)) return false;
    if (errno !== EINTR) throw systemError(errno, { syscall: "fallocate" });
  }
}
