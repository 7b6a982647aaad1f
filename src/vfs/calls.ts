/**
 * What all calls that take paths have in common: options, errors with their places, and what is
 * asked before anything is written.
 *
 * @module
 */
import { type ErrorContext, isDaxError } from "../lib/errno.ts";
import type { Inode } from "./filesystem.ts";
import type { Location } from "./mounts.ts";
import { type Credentials, denied } from "./permissions.ts";
import type { WalkOptions } from "./path-walk.ts";
import type { InodeWriting } from "./writing.ts";

/** Options of every call that takes a path. */
export interface CallOptions {
  /** Where a relative path starts; the root of the tree unless given. */
  readonly from?: Location | undefined;
  /** Named in errors. */
  readonly syscall?: string | undefined;
  /** On whose behalf; nothing is checked unless given. */
  readonly credentials?: Credentials | undefined;
  /**
   * Whose what is made will be, where nothing is checked: for callers whose permissions somebody
   * else has weighed. As `credentials` say, or user 0, unless given.
   */
  readonly owner?: FileOwner | undefined;
}

/** User and group of a file. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/** Options of calls that may be about a link itself. */
export interface FollowOptions extends CallOptions {
  /** Whether a link in the last place is followed. */
  readonly follow?: boolean | undefined;
}

/** Options of calls with two paths. */
export interface TwoPathOptions extends CallOptions {
  /** Where the second path starts when it is relative; as `from` unless given. */
  readonly toFrom?: Location | undefined;
}

/** Runs a call; its errors say where they were met. */
export function inCall<T>(context: ErrorContext, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (isDaxError(error)) throw error.at(context);
    throw error;
  }
}

/** How to walk in a call. */
export function walkOptions(
  { from, credentials, follow: wanted }: FollowOptions,
  syscall: string,
  follow = wanted,
): WalkOptions {
  return { syscall, from, credentials, follow };
}

/** What changes an inode. @throws EROFS */
export function writingOf({ writing }: Inode): InodeWriting {
  if (writing !== undefined) return writing;
  throw denied("EROFS", "the filesystem was mounted for reading; mount it with write");
}
