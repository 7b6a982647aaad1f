/**
 * What goes wrong, in the few numbers that NBD knows, and in words for people.
 *
 * @module
 */
import {
  NBD_EINVAL,
  NBD_EIO,
  NBD_ENOMEM,
  NBD_ENOSPC,
  NBD_ENOTSUP,
  NBD_EPERM,
} from "../format/nbd.ts";
import type { DaxError, ErrnoCode } from "../lib/errno.ts";
import { encodeUtf8 } from "../lib/utf8.ts";

/** Bytes of an error's text on the wire, so that any number of errors has room in an arena. */
const TEXT_BYTES = 256;

/** Everything that is not here is EIO: the client can do nothing about it. */
const NUMBERS: { readonly [C in ErrnoCode]?: number } = {
  EPERM: NBD_EPERM,
  EACCES: NBD_EPERM,
  EROFS: NBD_EPERM,
  ENOMEM: NBD_ENOMEM,
  EINVAL: NBD_EINVAL,
  ERANGE: NBD_EINVAL,
  ENOSPC: NBD_ENOSPC,
  EFBIG: NBD_ENOSPC,
  ENOTSUP: NBD_ENOTSUP,
  EOPNOTSUPP: NBD_ENOTSUP,
};

/**
 * The number for an error of a store. ENOTSUP is for zeroes that had to be fast and for nothing
 * else; a store that cannot do what it announced is EINVAL.
 */
export function wireErrorOf(error: DaxError, wasFast: boolean): number {
  const number = NUMBERS[error.code] ?? NBD_EIO;
  return number === NBD_ENOTSUP && !wasFast ? NBD_EINVAL : number;
}

/** What the client's user is told: the code and what was found, but no path of this machine. */
export function textOf(error: DaxError): string {
  return error.detail === undefined ? error.code : `${error.code}: ${error.detail}`;
}

/** UTF-8 of a text for the wire, cut between characters and without NUL. */
export function wireText(text: string): Uint8Array {
  const bytes = encodeUtf8(text.replaceAll(/[\0\p{Surrogate}]/gu, "?"));
  if (bytes.length <= TEXT_BYTES) return bytes;
  let cut = TEXT_BYTES;
  while (((bytes[cut] as number) & 0xc0) === 0x80) cut--;
  return bytes.subarray(0, cut);
}
