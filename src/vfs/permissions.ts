/**
 * Who may do what: mode bits and POSIX access lists as Linux weighs them (`generic_permission`).
 *
 * Without credentials everything is permitted, as to whoever holds an image in his hands. User 0
 * has all capabilities, and nobody else has any.
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
  PosixAclXattrEntry,
} from "../format/ext-xattr.ts";
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import type { Attributes, Inode } from "./filesystem.ts";
import { isDirectory, isSpecial } from "./modes.ts";

/** On whose behalf a call is made. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups?: readonly number[];
}

/** Search a directory, execute a file. */
export const MAY_EXEC = 1;
/** Change what is in it. */
export const MAY_WRITE = 2;
/** Read what is in it. */
export const MAY_READ = 4;

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_ISVTX = 0o1000;
const S_IXGRP = 0o010;
const ANYBODY_EXECUTES = 0o111;
const GROUP_BITS = 0o070;

/** chattr's flags, which are the same for all filesystems (linux/fs.h). */
export const FS_IMMUTABLE_FL = 0x10;
export const FS_APPEND_FL = 0x20;

/** The bytes in front of a list's entries: a version. */
const ACL_HEADER = 4;
const ACL_ENTRY = sizeof(PosixAclXattrEntry);
const ACCESS_LIST = "system.posix_acl_access";
const DEFAULT_LIST = "system.posix_acl_default";

/** Whether nothing is checked: no credentials, or user 0, who has every capability. */
export function isPrivileged(credentials: Credentials | undefined): boolean {
  return credentials === undefined || credentials.uid === 0;
}

/** Whether a group is among one's own. */
export function isMember(gid: number, { gid: own, groups }: Credentials): boolean {
  return gid === own || (groups?.includes(gid) ?? false);
}

/** Whether one owns a file, or may do what its owner may. */
export function isOwner(
  { uid }: Pick<Attributes, "uid">,
  credentials: Credentials | undefined,
): boolean {
  return isPrivileged(credentials) || credentials?.uid === uid;
}

/**
 * Whether `want` (MAY_READ, MAY_WRITE, MAY_EXEC, or several) is allowed: by mode and access list,
 * or because user 0 may; he executes only what somebody may execute.
 * @throws EUCLEAN, EBADMSG, EIO for a list that cannot be read
 */
export function permits(inode: Inode, want: number, credentials: Credentials | undefined): boolean {
  if (credentials === undefined) return true;
  if (want === 0) return true;
  if (credentials.uid !== 0) return weighs(inode, want, credentials);
  if (isDirectory(inode.mode) || (want & MAY_EXEC) === 0) return true;
  return (inode.mode & ANYBODY_EXECUTES) !== 0 || weighs(inode, want, credentials);
}

/** `acl_permission_check`. */
function weighs(inode: Inode, want: number, credentials: Credentials): boolean {
  const { mode, uid, gid } = inode.attributes();
  if (uid === credentials.uid) return ((mode >> 6) & want) === want;
  if ((mode & GROUP_BITS) !== 0) {
    const list = inode.getxattr(ACCESS_LIST);
    if (list !== undefined) return listPermits(list, want, { uid, gid }, credentials);
  }
  const bits = isMember(gid, credentials) ? mode >> 3 : mode;
  return (bits & want) === want;
}

/** `posix_acl_permission`: the first entry that fits decides, of groups the first that suffices. */
function listPermits(
  list: Uint8Array,
  want: number,
  owner: Pick<Attributes, "uid" | "gid">,
  credentials: Credentials,
): boolean {
  const view = new DataView(list.buffer, list.byteOffset, list.length);
  const entry = PosixAclXattrEntry;
  let isInGroup = false;
  for (let at = ACL_HEADER; at + ACL_ENTRY <= list.length; at += ACL_ENTRY) {
    const tag = entry.tag.get(view, at);
    const perm = entry.perm.get(view, at);
    const id = entry.id.get(view, at);
    const suffices = (perm & want) === want;
    if (tag === ACL_USER_OBJ && owner.uid === credentials.uid) return suffices;
    if (tag === ACL_USER && id === credentials.uid) return suffices && maskPermits(view, at, want);
    if (tag === ACL_GROUP_OBJ || tag === ACL_GROUP) {
      if (!isMember(tag === ACL_GROUP ? id : owner.gid, credentials)) continue;
      if (suffices) return maskPermits(view, at, want);
      isInGroup = true;
    }
    if (tag === ACL_OTHER) return !isInGroup && suffices;
  }
  return false;
}

/** Whether the mask behind an entry, where there is one, leaves what is wanted. */
function maskPermits(view: DataView, from: number, want: number): boolean {
  for (let at = from + ACL_ENTRY; at + ACL_ENTRY <= view.byteLength; at += ACL_ENTRY) {
    if (PosixAclXattrEntry.tag.get(view, at) !== ACL_MASK) continue;
    return (PosixAclXattrEntry.perm.get(view, at) & want) === want;
  }
  return true;
}

/** An error without place: the call that it ends adds its name and path. */
export function denied(code: ErrnoCode, detail?: string): DaxError {
  return new DaxError(code, detail === undefined ? {} : { detail });
}

/**
 * As {@link permits}, with the error that open(2) and others give.
 * @throws EROFS for writing where nothing is written, EPERM to what is immutable, EACCES
 */
export function assertPermitted(
  inode: Inode,
  want: number,
  credentials: Credentials | undefined,
): void {
  if ((want & MAY_WRITE) !== 0) {
    // What is written through a device or a fifo is not written to the filesystem.
    if (inode.writing === undefined && !isSpecial(inode.mode)) throw denied("EROFS");
    if (((inode.writing?.flags ?? 0) & FS_IMMUTABLE_FL) !== 0) {
      throw denied("EPERM", `inode ${inode.ino} is immutable; chattr -i changes that`);
    }
  }
  if (permits(inode, want, credentials)) return;
  const { uid } = credentials as Credentials;
  throw denied("EACCES", `user ${uid} has not the permissions 0${want} on inode ${inode.ino}`);
}

/** @throws EPERM for all but the owner and user 0 */
export function assertOwner(inode: Inode, credentials: Credentials | undefined): void {
  if (isPrivileged(credentials) || isOwner(inode.attributes(), credentials)) return;
  throw denied("EPERM", `inode ${inode.ino} is of another user`);
}

/**
 * From a sticky directory only its owner, a file's owner and user 0 take names.
 * @throws EPERM
 */
export function assertNotStuck(
  directory: Inode,
  victim: Inode,
  credentials: Credentials | undefined,
): void {
  if ((directory.mode & S_ISVTX) === 0 || isPrivileged(credentials)) return;
  if (isOwner(victim.attributes(), credentials)) return;
  if (isOwner(directory.attributes(), credentials)) return;
  throw denied("EPERM", "the directory is sticky, and it and the file are of other users");
}

/** Whether one's files may be setgid to a group: a member, or user 0. */
export function maySetGroup(gid: number, credentials: Credentials | undefined): boolean {
  return isPrivileged(credentials) || isMember(gid, credentials as Credentials);
}

/**
 * The mode of a file that is made in a directory: setgid only for a group of one's own, and less
 * the umask unless the directory has a default list, which says what it says instead.
 */
export function modeOfNew(
  directory: Inode,
  mode: number,
  umask: number,
  credentials: Credentials | undefined,
): number {
  let granted = mode;
  const runsAsGroup = (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  if (runsAsGroup && !isDirectory(mode) && (directory.mode & S_ISGID) !== 0) {
    if (!maySetGroup(directory.attributes().gid, credentials)) granted &= ~S_ISGID;
  }
  if (umask === 0 || directory.getxattr(DEFAULT_LIST) !== undefined) return granted;
  return granted & ~(umask & 0o777);
}

/**
 * The mode without what made a program run as its owner or group, after somebody else than user 0
 * has changed the file (`setattr_should_drop_suidgid`).
 */
export function modeAfterWrite(inode: Inode, credentials: Credentials | undefined): number {
  const { mode } = inode;
  if (isPrivileged(credentials)) return mode;
  return mode & ~(S_ISUID | dropsSetgid(inode, credentials));
}

/** The mode after chown(2), which user 0 cannot keep from dropping them either. */
export function modeAfterChown(inode: Inode, credentials: Credentials | undefined): number {
  const { mode } = inode;
  if (isDirectory(mode)) return mode;
  return mode & ~(S_ISUID | dropsSetgid(inode, credentials));
}

/** S_ISGID where it goes: where the group executes, or is none of one's own. */
function dropsSetgid(inode: Inode, credentials: Credentials | undefined): number {
  const { mode } = inode;
  if ((mode & S_ISGID) === 0) return 0;
  if ((mode & S_IXGRP) !== 0) return S_ISGID;
  return maySetGroup(inode.attributes().gid, credentials) ? 0 : S_ISGID;
}

/** What chmod(2) sets: setgid only for a group of one's own. */
export function modeAfterChmod(
  mode: number,
  gid: number,
  credentials: Credentials | undefined,
): number {
  return maySetGroup(gid, credentials) ? mode & 0o7777 : mode & 0o7777 & ~S_ISGID;
}
