/**
 * chmod, chown, utimes, truncate and access: who may, and what else follows from it
 * (`setattr_prepare`, `notify_change`).
 *
 * @module
 */
import { writingOf } from "./calls.ts";
import type { Inode } from "./filesystem.ts";
import { type LayoutOptions, changeLayout, cutFrom } from "./layout-changes.ts";
import { isDirectory, isRegular, isSymlink } from "./modes.ts";
import {
  type Credentials,
  FS_APPEND_FL,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  assertOwner,
  assertPermitted,
  denied,
  isMember,
  isOwner,
  isPrivileged,
  modeAfterChmod,
  modeAfterChown,
  modeAfterWrite,
} from "./permissions.ts";
import type { AttributeChange, InodeWriting } from "./writing.ts";

const ANY = MAY_READ | MAY_WRITE | MAY_EXEC;

/** chmod(2) of an inode. @throws ENOTSUP for a link, EROFS, EPERM */
export function changeMode(inode: Inode, mode: number, credentials?: Credentials): void {
  const writing = writingOf(inode);
  if (isSymlink(inode.mode)) throw denied("ENOTSUP", "links have no permissions of their own");
  assertOwner(inode, credentials);
  const { gid } = inode.attributes();
  writing.change({ mode: modeAfterChmod(mode, gid, credentials) });
}

/** chown(2) of an inode; what is undefined stays. @throws EROFS, EPERM */
export function changeOwner(
  inode: Inode,
  uid: number | undefined,
  gid: number | undefined,
  credentials?: Credentials,
): void {
  const writing = writingOf(inode);
  const owner = inode.attributes();
  if (!isPrivileged(credentials)) assertMayChown(owner, uid, gid, credentials as Credentials);
  const mode = modeAfterChown(inode, credentials);
  const drops = mode !== inode.mode;
  if (drops) assertOwner(inode, credentials);
  writing.change({ uid: uid ?? owner.uid, gid: gid ?? owner.gid, ...(drops ? { mode } : {}) });
}

/** Owners give their files to nobody else, and to groups of their own only. @throws EPERM */
function assertMayChown(
  owner: { readonly uid: number; readonly gid: number },
  uid: number | undefined,
  gid: number | undefined,
  credentials: Credentials,
): void {
  const own = owner.uid === credentials.uid;
  if (uid !== undefined && !(own && uid === owner.uid)) {
    throw denied("EPERM", "files are given away by user 0");
  }
  if (gid === undefined || (own && (gid === owner.gid || isMember(gid, credentials)))) return;
  throw denied("EPERM", `group ${gid} is none of the owner's`);
}

/** What utimensat(2) sets; `now` is the filesystem's clock, and what is absent stays. */
export type TimeChange = Pick<AttributeChange, "atime" | "mtime">;

/** utimensat(2) of an inode. @throws EROFS, EPERM; EACCES to who may not write, for `now` */
export function changeTimes(inode: Inode, times: TimeChange, credentials?: Credentials): void {
  const { atime, mtime } = times;
  if (atime === undefined && mtime === undefined) return;
  const writing = writingOf(inode);
  const touches = atime === "now" && mtime === "now";
  if (!isOwner(inode.attributes(), credentials)) {
    if (!touches) assertOwner(inode, credentials);
    assertPermitted(inode, MAY_WRITE, credentials);
  }
  writing.change(times);
}

/** fchmod, fchown and futimens in one. @throws as {@link changeMode} and its brothers */
export function changeAttributes(
  inode: Inode,
  { mode, uid, gid, ...times }: AttributeChange,
  credentials?: Credentials,
): void {
  if (uid !== undefined || gid !== undefined) changeOwner(inode, uid, gid, credentials);
  if (mode !== undefined) changeMode(inode, mode, credentials);
  changeTimes(inode, times, credentials);
}

/** Somebody is about to change a file's bytes: it may not run as its owner any more. */
export function dropPrivileges(inode: Inode, credentials: Credentials | undefined): void {
  const mode = modeAfterWrite(inode, credentials);
  if (mode !== inode.mode) writingOf(inode).change({ mode });
}

/** truncate(2) of an inode. @throws EINVAL, EISDIR, EROFS, EACCES, EPERM, EBUSY, EFBIG */
export function changeSize(
  inode: Inode,
  size: number,
  credentials?: Credentials,
  options: LayoutOptions = {},
): void {
  assertSize(size);
  if (isDirectory(inode.mode)) throw denied("EISDIR");
  if (!isRegular(inode.mode)) throw denied("EINVAL", "only regular files have a size to change");
  const writing = writingOf(inode);
  assertPermitted(inode, MAY_WRITE, credentials);
  if ((writing.flags & FS_APPEND_FL) !== 0) throw denied("EPERM", "the file is append-only");
  changeLayout(inode, cutFrom(size), options, () => {
    dropPrivileges(inode, credentials);
    writing.truncate(size);
  });
}

/** @throws EINVAL */
export function assertSize(size: number): void {
  if (Number.isSafeInteger(size) && size >= 0) return;
  throw denied("EINVAL", `a size of ${size} bytes`);
}

/**
 * access(2): whether somebody may do all of `want` (`MAY_READ`, `MAY_WRITE`, `MAY_EXEC`; 0: whether
 * it is there). Nobody in particular counts as user 0.
 * @throws EROFS, EACCES
 */
export function assertAccess(inode: Inode, want: number, credentials?: Credentials): void {
  assertPermitted(inode, want & ANY, credentials ?? { uid: 0, gid: 0 });
}

/** Bytes of a file are about to change, or to go. @throws EPERM when it only grows */
export function assertMayCut(writing: InodeWriting | undefined): void {
  if (((writing?.flags ?? 0) & FS_APPEND_FL) !== 0)
    throw denied("EPERM", "the file is append-only");
}
