/**
 * How the ext driver words what is wrong with an image: structure, field, value, and what to do.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";

const REMEDY = "the image is damaged: run e2fsck -f on a copy";

/**
 * A structure that cannot be. `where` names it (`inode 12 extent header`), `field` and `value` are
 * what was seen, `rule` says what would be right.
 */
export function corrupt(
  where: string,
  field: string,
  value: number | string,
  rule: string,
): DaxError {
  return new DaxError("EUCLEAN", {
    detail: `ext ${where}: ${field} is ${value}, ${rule}; ${REMEDY}`,
  });
}

/** A stored checksum that is not the one of the bytes. */
export function badChecksum(where: string, stored: number, computed: number): DaxError {
  const detail =
    `ext ${where}: checksum is 0x${stored.toString(16)}, ` +
    `the bytes give 0x${computed.toString(16)}; ${REMEDY}`;
  return new DaxError("EBADMSG", { detail });
}

/** Something that the format allows and this driver does not read. */
export function unsupported(what: string, remedy: string): DaxError {
  return new DaxError("ENOTSUP", { syscall: "mount", detail: `ext: ${what}; ${remedy}` });
}

/**
 * Whether an operation that had begun to change something cannot be finished and not be undone: an
 * error of the device, of the image, or a bug. All others are thrown with nothing changed.
 */
export function isFatal(error: unknown): boolean {
  return !isDaxError(error) || isDaxError(error, "EUCLEAN", "EBADMSG", "EIO", "EHWPOISON");
}
