/**
 * Access control lists: from the filesystem's compact form to the one that getxattr(2) gives.
 *
 * @module
 */
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_UNDEFINED_ID,
  ACL_USER,
  ACL_USER_OBJ,
  EXT4_ACL_VERSION,
  Ext4AclEntryShort,
  Ext4AclHeader,
  POSIX_ACL_XATTR_VERSION,
  PosixAclXattrEntry,
} from "../../format/ext-xattr.ts";
import { sizeof } from "../../lib/struct.ts";
import { corrupt } from "./corruption.ts";

const HEADER = sizeof(Ext4AclHeader);
const SHORT = sizeof(Ext4AclEntryShort);
const FULL = sizeof(PosixAclXattrEntry);
/** A short entry with its id. */
const LONG = SHORT + 4;

const NAMED = new Set([ACL_USER, ACL_GROUP]);
const UNNAMED = new Set([ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER]);

/**
 * The version 2 form of a stored list, or `undefined` for a list without entries, which is none.
 * @throws EUCLEAN for a list that cannot be
 */
export function aclToXattr(stored: Uint8Array, where: string): Uint8Array | undefined {
  const source = new DataView(stored.buffer, stored.byteOffset, stored.length);
  if (stored.length < HEADER)
    throw corrupt(where, "acl size", stored.length, "no room for a header");
  const version = Ext4AclHeader.version.get(source, 0);
  if (version !== EXT4_ACL_VERSION) throw corrupt(where, "acl version", version, "not 1");
  if (stored.length === HEADER) return undefined;
  const target = new DataView(new ArrayBuffer(HEADER + Math.floor(stored.length / SHORT) * FULL));
  target.setUint32(0, POSIX_ACL_XATTR_VERSION, true);
  let out = HEADER;
  for (let at = HEADER; at < stored.length; out += FULL) {
    if (at + SHORT > stored.length) throw corrupt(where, "acl size", stored.length, "cut short");
    const tag = Ext4AclEntryShort.tag.get(source, at);
    const named = NAMED.has(tag);
    if (!named && !UNNAMED.has(tag)) throw corrupt(where, "acl tag", tag, "no known kind of entry");
    const length = named ? LONG : SHORT;
    if (at + length > stored.length) throw corrupt(where, "acl size", stored.length, "cut short");
    PosixAclXattrEntry.tag.set(target, out, tag);
    PosixAclXattrEntry.perm.set(target, out, Ext4AclEntryShort.perm.get(source, at));
    const id = named ? source.getUint32(at + SHORT, true) : ACL_UNDEFINED_ID;
    PosixAclXattrEntry.id.set(target, out, id);
    at += length;
  }
  return new Uint8Array(target.buffer, 0, out);
}
