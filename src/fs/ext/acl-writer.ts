/**
 * Access control lists kept with their files: set together with the mode, changed by chmod(2), and
 * handed down by directories.
 *
 * @module
 */
import {
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
} from "../../format/ext-xattr.ts";
import { DaxError } from "../../lib/errno.ts";
import { S_IFDIR, S_IFLNK } from "../../vfs/modes.ts";
import {
  type AclEntry,
  aclWithMode,
  decodeAcl,
  encodeStoredAcl,
  inheritedAcl,
  modeOfAcl,
} from "./acl-entries.ts";
import type { ExtEditor } from "./editor.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { setMode, storeRecord } from "./inode-writer.ts";
import type { Volume } from "./volume.ts";
import { readXattrs, xattrValue } from "./xattr.ts";
import { XATTR_PREFIXES } from "./xattr-names.ts";
import { dropXattr, storeXattr } from "./xattr-writer.ts";

/** Which of an inode's two lists. */
export type AclKind = "access" | "default";

const INDICES: Readonly<Record<AclKind, number>> = {
  access: EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  default: EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
};
const NO_NAME = new Uint8Array(0);
const PERMISSIONS = 0o777;

/** A list of an inode; empty when it has none. @throws EUCLEAN, EBADMSG, EIO */
export function readAcl(volume: Volume, record: InodeRecord, kind: AclKind): AclEntry[] {
  const entry = readXattrs(volume, record).get(XATTR_PREFIXES[INDICES[kind]] as string);
  if (entry === undefined) return [];
  return decodeAcl(xattrValue(volume, record, entry) ?? NO_NAME);
}

/**
 * Sets or (with no entries) removes a list given as setxattr(2) gets it. An access list sets the
 * permissions of the mode, and is not stored where these say the same. The record is stored.
 * @throws EINVAL, ENOTSUP as `decodeAcl`; EACCES for a default list of what is no directory,
 *   ENOTSUP for a symbolic link; ENOSPC with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function setAcl(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  kind: AclKind,
  value: Uint8Array,
): void {
  const entries = decodeAcl(value);
  if (record.type === S_IFLNK) throw refused("ENOTSUP", record, "symbolic links have no ACLs");
  if (kind === "default") {
    if (record.type !== S_IFDIR) {
      if (entries.length === 0) return;
      throw refused("EACCES", record, "only directories have a default ACL");
    }
    putList(editor, handle, record, kind, entries);
    return;
  }
  const { bits, minimal } = modeOfAcl(entries);
  putList(editor, handle, record, kind, minimal ? [] : entries);
  if (entries.length === 0) return;
  setMode(record, (record.mode & ~PERMISSIONS) | bits);
  storeRecord(editor.volume, handle, record);
}

/**
 * After the mode has changed: the access list follows, where there is one.
 * @throws ENOSPC, EUCLEAN, EBADMSG, EIO
 */
export function followMode(editor: ExtEditor, handle: Handle, record: InodeRecord): void {
  const entries = readAcl(editor.volume, record, "access");
  if (entries.length === 0) return;
  putList(editor, handle, record, "access", aclWithMode(entries, record.mode));
}

/**
 * What a new inode gets from its directory: the default list, as its access list and for a
 * directory as its default list too; or, where there is none, its mode less `umask`. The record is
 * stored.
 * @throws ENOSPC, EUCLEAN, EBADMSG, EIO
 */
export function inheritAcl(
  editor: ExtEditor,
  handle: Handle,
  parent: InodeRecord,
  record: InodeRecord,
  umask: number,
): void {
  const { volume } = editor;
  if (record.type === S_IFLNK) return;
  const given = readAcl(volume, parent, "default");
  if (given.length === 0) {
    setMode(record, record.mode & ~(umask & PERMISSIONS));
    storeRecord(volume, handle, record);
    return;
  }
  const entries = inheritedAcl(given, record.mode);
  const { bits, minimal } = modeOfAcl(entries);
  setMode(record, (record.mode & ~PERMISSIONS) | bits);
  if (record.type === S_IFDIR) putList(editor, handle, record, "default", given);
  putList(editor, handle, record, "access", minimal ? [] : entries);
}

function putList(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  kind: AclKind,
  entries: readonly AclEntry[],
): void {
  const name = { nameIndex: INDICES[kind], name: NO_NAME };
  if (entries.length > 0) {
    storeXattr(editor, handle, record, name, encodeStoredAcl(entries));
    return;
  }
  const known = readXattrs(editor.volume, record).has(XATTR_PREFIXES[INDICES[kind]] as string);
  if (known) dropXattr(editor, handle, record, name);
  else storeRecord(editor.volume, handle, record);
}

function refused(code: "EACCES" | "ENOTSUP", { ino }: InodeRecord, rule: string): DaxError {
  return new DaxError(code, { syscall: "setxattr", detail: `inode ${ino}: ${rule}` });
}
