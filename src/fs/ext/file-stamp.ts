/**
 * What every change of a file's contents leaves in its inode: the times, and no capabilities.
 *
 * @module
 */
import type { Timespec } from "../../lib/environment.ts";
import type { Handle } from "./handle.ts";
import type { InodeState } from "./inode-state.ts";
import { setTime } from "./inode-writer.ts";
import { dropPrivileges, isPrivileged, privilegeCredits } from "./privileges.ts";
import type { ExtWriting } from "./writing.ts";
import { XATTR_REVOKES } from "./xattr-writer.ts";

/** Times of writes are as exact as a tick of the clock, as with Linux at 250 Hz. */
export const TICK_MILLISECONDS = 4;

/** Takes capabilities away before contents change, in a transaction of its own. @throws ENOSPC */
export function becomePlain(writing: ExtWriting, state: InodeState): void {
  const { editor } = writing;
  if (!isPrivileged(editor, state)) return;
  const drop = (handle: Handle) => {
    dropPrivileges(editor, handle, state);
    writing.storeAttributes(handle, state);
  };
  writing.operate(privilegeCredits(editor, state) + 1, drop, XATTR_REVOKES);
}

/** Sets mtime, in a handle that stores the record; returns what ctime should be. */
export function stamp({ editor }: ExtWriting, state: InodeState): Timespec {
  const now = editor.now();
  setTime(state.record, "mtime", now);
  state.writtenAt = Math.floor((now.sec * 1000 + now.nsec / 1e6) / TICK_MILLISECONDS);
  return now;
}

/** The same in a transaction of its own, when the clock has ticked since the last write. */
export function touch(writing: ExtWriting, state: InodeState): void {
  const tick = Math.floor(writing.editor.milliseconds() / TICK_MILLISECONDS);
  // A closure is made as soon as a function begins that has one.
  if (state.writtenAt !== tick) storeStamp(writing, state);
}

function storeStamp(writing: ExtWriting, state: InodeState): void {
  writing.operate(1, (handle: Handle) => {
    setTime(state.record, "ctime", stamp(writing, state));
    writing.storeTimes(handle, state);
  });
}
