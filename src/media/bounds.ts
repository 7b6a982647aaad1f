/**
 * The checks that every media makes before it touches a byte, in one place.
 *
 * @module
 */
import { AssertionError, DaxError } from "../lib/errno.ts";

/**
 * Whether `[start, start + length)` is made of unsigned safe integers and lies inside `size` bytes.
 * Cheap enough for every flush.
 */
export function isInside(size: number, start: number, length: number): boolean {
  return (
    start >= 0 &&
    length >= 0 &&
    Number.isSafeInteger(start) &&
    Number.isSafeInteger(length) &&
    start + length <= size
  );
}

/**
 * Refuses a range that is not one of the media's.
 * @throws EINVAL for numbers that are not unsigned safe integers, ERANGE for a range that leaves it
 */
export function checkBounds(
  syscall: string,
  size: number,
  start: number,
  length: number,
  path?: string,
): void {
  if (isInside(size, start, length)) return;
  const whole =
    start >= 0 && length >= 0 && Number.isSafeInteger(start) && Number.isSafeInteger(length);
  throw new DaxError(whole ? "ERANGE" : "EINVAL", {
    syscall,
    ...(path === undefined ? {} : { path }),
    detail: whole
      ? `bytes ${start}+${length} leave the media of ${size} bytes`
      : `offset ${start} and length ${length} must be unsigned integers below 2^53${hint(length)}`,
  });
}

/** Programs that no compiler has seen leave lengths out, or give them where bytes belong. */
function hint(length: number | undefined): string {
  return length === undefined ? "; give a length, or a Uint8Array where bytes are meant" : "";
}

/** @throws ENXIO when `open` is false: the media was closed. */
export function checkOpen(open: boolean, syscall: string, path?: string): void {
  if (open) return;
  throw new DaxError("ENXIO", {
    syscall,
    ...(path === undefined ? {} : { path }),
    detail: "the media was closed; open it again",
  });
}

/**
 * Refuses a size that no media can have.
 * @throws EINVAL for zero, fractions, negatives and what reaches 2^53
 */
export function checkSize(syscall: string, size: number, path?: string): void {
  if (size > 0 && Number.isSafeInteger(size)) return;
  throw new DaxError("EINVAL", {
    syscall,
    ...(path === undefined ? {} : { path }),
    detail: `a media of ${size} bytes cannot be; give a size from 1 to 2^53 - 1`,
  });
}

/**
 * Says why a range was refused: the slow end of a check that was made inline.
 * @throws ENXIO when not `open`, else what {@link checkBounds} throws
 */
export function refuseRange(
  open: boolean,
  syscall: string,
  size: number,
  start: number,
  length: number,
  path?: string,
): never {
  checkOpen(open, syscall, path);
  checkBounds(syscall, size, start, length, path);
  throw new AssertionError(`${syscall} refused ${start}+${length}, which is inside`);
}
