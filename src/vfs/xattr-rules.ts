/**
 * Who may see and set which extended attribute (`xattr_permission`, `set_posix_acl`).
 *
 * @module
 */
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  POSIX_ACL_XATTR_VERSION,
  PosixAclXattrEntry,
} from "../format/ext-xattr.ts";
import type { DaxError } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { writingOf } from "./calls.ts";
import { type Inode, XATTR_SIZE_MAX } from "./filesystem.ts";
import { isDirectory, isRegular, isSymlink } from "./modes.ts";
import {
  type Credentials,
  MAY_READ,
  MAY_WRITE,
  assertOwner,
  assertPermitted,
  denied,
  isPrivileged,
  modeAfterChmod,
} from "./permissions.ts";

const XATTR_NAME_MAX = 255;
const S_ISVTX = 0o1000;
const PERMISSIONS = 0o7777;
const ACCESS_LIST = "system.posix_acl_access";
const DEFAULT_LIST = "system.posix_acl_default";
const NAMESPACES = ["user.", "trusted.", "security."];
const ACL_HEADER = 4;
const ACL_ENTRY = sizeof(PosixAclXattrEntry);
const ACL_TAGS: ReadonlySet<number> = new Set([
  ACL_USER_OBJ,
  ACL_USER,
  ACL_GROUP_OBJ,
  ACL_GROUP,
  ACL_MASK,
  ACL_OTHER,
]);

/** The value of an attribute; undefined for one that is not there, or not to be seen. */
export function getXattr(
  inode: Inode,
  name: string,
  credentials?: Credentials,
): Uint8Array | undefined {
  assertXattrName(name);
  if (isHidden(name, credentials) || isOddUser(inode, name)) return undefined;
  if (!isGuarded(name)) assertPermitted(inode, MAY_READ, credentials);
  assertNamespace(name);
  if (isList(name) && isSymlink(inode.mode)) throw noLists();
  return inode.getxattr(name);
}

/** The names of all attributes that are to be seen. */
export function listXattrs(inode: Inode, credentials?: Credentials): readonly string[] {
  const names = inode.listxattr();
  return isPrivileged(credentials) ? names : names.filter((name) => !isHidden(name, credentials));
}

/** Sets an attribute. @throws EROFS, EPERM, EACCES, ERANGE, E2BIG, and what the filesystem says */
export function setXattr(
  inode: Inode,
  name: string,
  value: Uint8Array,
  how?: "create" | "replace",
  credentials?: Credentials,
): void {
  assertXattrName(name);
  if (value.length > XATTR_SIZE_MAX) {
    throw denied("E2BIG", `a value of ${value.length} bytes; at most ${XATTR_SIZE_MAX}`);
  }
  const writing = writingOf(inode);
  if (isList(name)) {
    assertListForm(value);
    if (!maySetList(inode, name, value, credentials)) return;
  } else assertMaySet(inode, name, credentials);
  writing.setxattr(name, value, how);
  if (name === ACCESS_LIST && value.length > ACL_HEADER) losesGroup(inode, credentials);
}

/** A list sets the mode, in which setgid is for members of the group (`posix_acl_update_mode`). */
function losesGroup(inode: Inode, credentials: Credentials | undefined): void {
  const mode = modeAfterChmod(inode.mode, inode.attributes().gid, credentials);
  if (mode !== (inode.mode & PERMISSIONS)) writingOf(inode).change({ mode });
}

/** Removes an attribute. @throws ENODATA, EROFS, EPERM, EACCES, ERANGE */
export function removeXattr(inode: Inode, name: string, credentials?: Credentials): void {
  assertXattrName(name);
  const writing = writingOf(inode);
  if (isList(name)) {
    if (!maySetList(inode, name, new Uint8Array(0), credentials)) return;
  } else assertMaySet(inode, name, credentials);
  writing.removexattr(name);
}

/** @throws ERANGE */
export function assertXattrName(name: string): void {
  const { length } = encodeUtf8(name);
  if (length > 0 && length <= XATTR_NAME_MAX) return;
  throw denied("ERANGE", `a name of ${length} bytes; 1 to ${XATTR_NAME_MAX}`);
}

/** @throws ENOTSUP, EINVAL */
function assertNamespace(name: string): void {
  if (isList(name)) return;
  const prefix = NAMESPACES.find((one) => name.startsWith(one));
  if (prefix === undefined) throw denied("ENOTSUP", `no attributes are called ${name}`);
  if (name === prefix) throw denied("EINVAL", `a name follows ${prefix}`);
}

/** Namespaces with guards of their own, for whom the file's permissions do not count. */
function isGuarded(name: string): boolean {
  return ["system.", "security.", "trusted."].some((prefix) => name.startsWith(prefix));
}

function isList(name: string): boolean {
  return name === ACCESS_LIST || name === DEFAULT_LIST;
}

/** Attributes that only user 0 sees. */
function isHidden(name: string, credentials: Credentials | undefined): boolean {
  return name.startsWith("trusted.") && !isPrivileged(credentials);
}

/** Users' attributes are on files and directories only: on others anybody could set them. */
function isOddUser({ mode }: Inode, name: string): boolean {
  return name.startsWith("user.") && !isRegular(mode) && !isDirectory(mode);
}

function assertMaySet(inode: Inode, name: string, credentials: Credentials | undefined): void {
  if (isOddUser(inode, name)) {
    throw denied("EPERM", "only regular files and directories have attributes of users");
  }
  if (!isGuarded(name)) {
    const stuck = name.startsWith("user.") && isDirectory(inode.mode) && isSticky(inode);
    if (stuck) assertOwner(inode, credentials);
    assertPermitted(inode, MAY_WRITE, credentials);
  } else if (!name.startsWith("system.") && !isPrivileged(credentials)) {
    throw denied("EPERM", `${name} is set by user 0`);
  }
  assertNamespace(name);
}

function isSticky({ mode }: Inode): boolean {
  return (mode & S_ISVTX) !== 0;
}

/** What any list looks like, whether or not it says something. @throws EINVAL, ENOTSUP */
function assertListForm(value: Uint8Array): void {
  if (value.length === 0) return;
  if (value.length < ACL_HEADER) throw denied("EINVAL", "an ACL begins with its version");
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const version = view.getUint32(0, true);
  if (version !== POSIX_ACL_XATTR_VERSION) throw denied("ENOTSUP", `ACL version ${version}`);
  if ((value.length - ACL_HEADER) % ACL_ENTRY !== 0) throw denied("EINVAL", "a cut ACL entry");
  for (let at = ACL_HEADER; at < value.length; at += ACL_ENTRY) {
    const tag = PosixAclXattrEntry.tag.get(view, at);
    if (!ACL_TAGS.has(tag)) throw denied("EINVAL", `no ACL entry has tag ${tag}`);
  }
}

function noLists(): DaxError {
  return denied("ENOTSUP", "symbolic links have no ACLs");
}

/** Whether there is anything to do. @throws ENOTSUP, EACCES, EPERM */
function maySetList(
  inode: Inode,
  name: string,
  value: Uint8Array,
  credentials: Credentials | undefined,
): boolean {
  if (isSymlink(inode.mode)) throw noLists();
  if (name === DEFAULT_LIST && !isDirectory(inode.mode)) {
    if (value.length > ACL_HEADER) throw denied("EACCES", "only directories have a default ACL");
    return false;
  }
  assertOwner(inode, credentials);
  return true;
}
