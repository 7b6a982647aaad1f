/**
 * Extended attributes as getxattr(2) gives them, made into those that a filesystem stores.
 *
 * @module
 */
import {
  ACL_GROUP,
  ACL_USER,
  EXT4_ACL_VERSION,
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
  EXT4_XATTR_INDEX_SECURITY,
  EXT4_XATTR_INDEX_TRUSTED,
  EXT4_XATTR_INDEX_USER,
  POSIX_ACL_XATTR_VERSION,
} from "../../format/ext-xattr.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import { refuse } from "./mkfs-options.ts";
import { type KeptAttribute, plainAttribute } from "./xattr-layout.ts";

const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ["user.", EXT4_XATTR_INDEX_USER],
  ["trusted.", EXT4_XATTR_INDEX_TRUSTED],
  ["security.", EXT4_XATTR_INDEX_SECURITY],
];
const ACLS: Readonly<Record<string, number>> = {
  "system.posix_acl_access": EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  "system.posix_acl_default": EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
};
const HEADER = 4;
const ENTRY = 8;

/** Undefined for what ext filesystems do not store. @throws EINVAL for an ACL that is none */
export function attributeOf(name: Uint8Array, value: Uint8Array): KeptAttribute | undefined {
  const text = decodeUtf8(name);
  const acl = Object.hasOwn(ACLS, text) ? ACLS[text] : undefined;
  if (acl !== undefined) return plainAttribute(acl, new Uint8Array(0), storedAcl(value));
  const known = PREFIXES.find(([prefix]) => text.startsWith(prefix) && text.length > prefix.length);
  if (known === undefined) return undefined;
  const [prefix, index] = known;
  return plainAttribute(index, encodeUtf8(text.slice(prefix.length)), value);
}

/** The compact form of an access control list: ids only where they say something. */
function storedAcl(value: Uint8Array): Uint8Array {
  const from = new DataView(value.buffer, value.byteOffset, value.length);
  const entries = (value.length - HEADER) / ENTRY;
  const sound = value.length >= HEADER && from.getUint32(0, true) === POSIX_ACL_XATTR_VERSION;
  if (!sound || !Number.isInteger(entries)) refuse("an access control list is none of version 2");
  const bytes = new Uint8Array(HEADER + entries * ENTRY);
  const to = new DataView(bytes.buffer);
  to.setUint32(0, EXT4_ACL_VERSION, true);
  let out = HEADER;
  for (let at = HEADER; at < value.length; at += ENTRY) {
    const tag = from.getUint16(at, true);
    to.setUint16(out, tag, true);
    to.setUint16(out + 2, from.getUint16(at + 2, true), true);
    out += 4;
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue;
    to.setUint32(out, from.getUint32(at + 4, true), true);
    out += 4;
  }
  return bytes.subarray(0, out);
}
