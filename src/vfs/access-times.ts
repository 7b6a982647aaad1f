/**
 * Access times: whether reading a file says so in its inode, as the mount options of Linux decide
 * (`noatime`, `relatime`, `strictatime`, `nodiratime`; `atime_needs_update` and `touch_atime`).
 *
 * Nothing of this happens by itself: a tree is read without a trace unless whoever reads for
 * somebody says so here, or its mounts were given a rule.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { Inode } from "./filesystem.ts";
import { isDirectory } from "./modes.ts";

/**
 * When reading sets atime: never; when it is not later than mtime or ctime, or a day old
 * (`relatime`); or always.
 */
export type AccessTimes = "none" | "relative" | "strict";

/** What a mount was told of access times. */
export interface AccessRule {
  readonly times: AccessTimes;
  /** False for `nodiratime`: reading a directory sets nothing. True unless given. */
  readonly directories?: boolean;
}

/** Seconds after which `relative` sets it in any case. */
export const RELATIVE_SECONDS = 86_400;

/** FS_NOATIME_FL of chattr(1): the file wants none, whatever the mount says. */
const FS_NOATIME_FL = 0x80;

/**
 * Somebody has read `inode`: bytes of a file, names of a directory, the target of a link. Sets its
 * atime if the rule wants that, and nothing else: ctime stays, and so does what fsync waits for.
 * True when something has changed. That it could not be noted (a full disk, a filesystem that
 * writes nothing any more) is no error of who reads.
 */
export function noteAccess(inode: Inode, { times, directories = true }: AccessRule): boolean {
  const { writing } = inode;
  if (times === "none" || writing === undefined) return false;
  if (!directories && isDirectory(inode.mode)) return false;
  try {
    return (writing.flags & FS_NOATIME_FL) === 0 && writing.accessed(times);
  } catch (error) {
    if (isDaxError(error)) return false;
    throw error;
  }
}
