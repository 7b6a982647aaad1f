/**
 * Names that go: unlink and rmdir, in the order in which Linux asks (`do_unlinkat`, `may_delete`).
 *
 * @module
 */
import type { ErrnoCode } from "../lib/errno.ts";
import { type CallOptions, inCall, walkOptions, writingOf } from "./calls.ts";
import type { Inode } from "./filesystem.ts";
import { isDirectory } from "./modes.ts";
import type { MountTable } from "./mounts.ts";
import { type NamedPlace, lookUp, walkToName } from "./path-walk.ts";
import {
  type Credentials,
  FS_APPEND_FL,
  FS_IMMUTABLE_FL,
  MAY_EXEC,
  MAY_WRITE,
  assertNotStuck,
  assertPermitted,
  denied,
} from "./permissions.ts";
import { type Subject, subjectOf } from "./watches.ts";

/** Removes a name of what is no directory. */
export function unlinkName(table: MountTable, path: string, options: CallOptions): void {
  const { syscall = "unlink", credentials } = options;
  inCall({ syscall, path }, () => {
    const place = walkToName(table, path, walkOptions(options, syscall));
    if (!place.isName) throw denied("EISDIR");
    const writing = writingOf(place.directory.inode);
    const victim = lookUp(table, place.directory.inode, place.name);
    if (victim === undefined) throw denied("ENOENT");
    if (place.slashed) throw denied(isDirectory(victim.mode) ? "EISDIR" : "ENOTDIR");
    assertMayDelete(place, victim, "other", credentials);
    const subject = subjectOf(victim);
    writing.unlink(place.name);
    disappeared(table, place, subject);
  });
}

/** Removes an empty directory. */
export function removeDirectory(table: MountTable, path: string, options: CallOptions): void {
  const { syscall = "rmdir", credentials } = options;
  inCall({ syscall, path }, () => {
    const place = walkToName(table, path, walkOptions(options, syscall));
    if (!place.isName) throw denied(oddLast(place.name));
    const writing = writingOf(place.directory.inode);
    const victim = lookUp(table, place.directory.inode, place.name);
    if (victim === undefined) throw denied("ENOENT");
    assertMayDelete(place, victim, "directory", credentials);
    if (table.isCovered(victim)) throw denied("EBUSY", "something is mounted there");
    const subject = subjectOf(victim);
    writing.rmdir(place.name);
    disappeared(table, place, subject);
  });
}

/** Why the root, `.` and `..` are not removed. */
function oddLast(name: string): ErrnoCode {
  if (name === "") return "EBUSY";
  return name === "." ? "EINVAL" : "ENOTEMPTY";
}

/**
 * Whether a name may go from its directory.
 * @throws EPERM, EACCES; ENOTDIR, EISDIR for what is not `wanted`
 */
export function assertMayDelete(
  { directory }: NamedPlace,
  victim: Inode,
  wanted: "directory" | "other",
  credentials: Credentials | undefined,
): void {
  const { inode } = directory;
  assertPermitted(inode, MAY_WRITE | MAY_EXEC, credentials);
  if (((inode.writing?.flags ?? 0) & FS_APPEND_FL) !== 0) {
    throw denied("EPERM", `directory ${inode.ino} is append-only`);
  }
  assertNotStuck(inode, victim, credentials);
  if (((victim.writing?.flags ?? 0) & (FS_APPEND_FL | FS_IMMUTABLE_FL)) !== 0) {
    throw denied("EPERM", `inode ${victim.ino} is immutable or append-only`);
  }
  const is = isDirectory(victim.mode) ? "directory" : "other";
  if (is !== wanted) throw denied(is === "directory" ? "EISDIR" : "ENOTDIR");
}

function disappeared(table: MountTable, { directory, name }: NamedPlace, victim: Subject): void {
  table.names.removed(directory.inode, name);
  table.watches.tellName("delete", directory, name, victim);
}
