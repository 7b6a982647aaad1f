/**
 * Full names of extended attributes, and how they are stored: an index for the prefix, and a rest.
 *
 * @module
 */
import {
  EXT4_XATTR_INDEX_HURD,
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
  EXT4_XATTR_INDEX_SECURITY,
  EXT4_XATTR_INDEX_TRUSTED,
  EXT4_XATTR_INDEX_USER,
} from "../../format/ext-xattr.ts";
import { DaxError } from "../../lib/errno.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";

/** Bytes of a full name, at most (`XATTR_NAME_MAX`). */
const MOST_BYTES = 255;

/** Names that are whole: what is stored of them is empty. */
const WHOLE: readonly (readonly [index: number, name: string])[] = [
  [EXT4_XATTR_INDEX_POSIX_ACL_ACCESS, "system.posix_acl_access"],
  [EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT, "system.posix_acl_default"],
];

const PREFIXES: readonly (readonly [index: number, prefix: string])[] = [
  [EXT4_XATTR_INDEX_USER, "user."],
  [EXT4_XATTR_INDEX_TRUSTED, "trusted."],
  [EXT4_XATTR_INDEX_SECURITY, "security."],
  [EXT4_XATTR_INDEX_HURD, "gnu."],
];

/** The prefixes that Linux shows; `system.data` and the encryption context stay hidden. */
export const XATTR_PREFIXES: Readonly<Record<number, string>> = Object.fromEntries([
  ...WHOLE,
  ...PREFIXES,
]);

/** A name as it is stored. */
export interface StoredName {
  readonly nameIndex: number;
  readonly name: Uint8Array;
}

/**
 * Takes a full name apart.
 * @throws ERANGE for one that is empty or longer than 255 bytes, EINVAL for one that is nothing but
 *   a prefix, ENOTSUP for a prefix that ext does not store
 */
export function parseXattrName(full: string): StoredName {
  const bytes = encodeUtf8(full);
  if (bytes.length === 0 || bytes.length > MOST_BYTES) {
    const detail = `an attribute's name of ${bytes.length} bytes; from 1 to ${MOST_BYTES}`;
    throw new DaxError("ERANGE", { syscall: "setxattr", detail });
  }
  const whole = WHOLE.find(([, name]) => name === full);
  if (whole !== undefined) return { nameIndex: whole[0], name: new Uint8Array(0) };
  const known = PREFIXES.find(([, prefix]) => full.startsWith(prefix));
  if (known === undefined) {
    const detail = `${JSON.stringify(full)}; names start with user., trusted. or security.`;
    throw new DaxError("ENOTSUP", { syscall: "setxattr", detail });
  }
  const [nameIndex, prefix] = known;
  const name = bytes.slice(prefix.length);
  if (name.length === 0 || name.includes(0)) {
    const detail = `${JSON.stringify(full)} is not the name of an attribute`;
    throw new DaxError("EINVAL", { syscall: "setxattr", detail });
  }
  return { nameIndex, name };
}
