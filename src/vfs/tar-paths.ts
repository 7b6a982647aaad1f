/**
 * Names in archives as paths below a directory. An archive may hold anything, so nothing that leads
 * out of the directory is taken: a leading slash is left away, as GNU tar leaves it away, and `..`
 * is refused.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { decodeUtf8 } from "../lib/utf8.ts";

const SLASH = 0x2f;
const DOT = 0x2e;
const MOST_NAME = 255;
/** Linux takes 4096 bytes; members that were archived from deeper places are taken up to here. */
const MOST_PATH = 16_384;

/** A member's name in its parts. */
export interface MemberPath {
  /** Names of directories and then of the file itself; none for the top directory. */
  readonly parts: readonly string[];
  /** Whether slashes at its start were left away. */
  readonly absolute: boolean;
}

/** An error of one member, which says its name. */
export function memberError(code: ErrnoCode, name: Uint8Array, detail: string): DaxError {
  return new DaxError(code, { syscall: "tar", path: decodeUtf8(name), detail });
}

/**
 * Takes a name apart; `whose` is the member it is about.
 * @throws EINVAL for `..`, a NUL or nothing, ENAMETOOLONG
 */
export function memberPath(bytes: Uint8Array, whose: Uint8Array = bytes): MemberPath {
  if (bytes.length === 0) throw memberError("EINVAL", whose, "a member has no name");
  if (bytes.length > MOST_PATH) {
    const detail = `a name of ${bytes.length} bytes; ${MOST_PATH} are taken`;
    throw memberError("ENAMETOOLONG", whose.subarray(0, MOST_NAME), detail);
  }
  const parts: string[] = [];
  for (let start = 0; start < bytes.length;) {
    const slash = bytes.indexOf(SLASH, start);
    const stop = slash === -1 ? bytes.length : slash;
    const part = bytes.subarray(start, stop);
    start = stop + 1;
    if (part.length === 0 || (part.length === 1 && part[0] === DOT)) continue;
    checkPart(part, whose);
    parts.push(decodeUtf8(part));
  }
  return { parts, absolute: bytes[0] === SLASH };
}

function checkPart(part: Uint8Array, whose: Uint8Array): void {
  if (part.length === 2 && part[0] === DOT && part[1] === DOT) {
    throw memberError("EINVAL", whose, "a name that leads out by '..' is not taken");
  }
  if (part.includes(0)) throw memberError("EINVAL", whose, "a name has a NUL in it");
  if (part.length <= MOST_NAME) return;
  const detail = `a name of ${part.length} bytes; ${MOST_NAME} are possible`;
  throw memberError("ENAMETOOLONG", whose, detail);
}
