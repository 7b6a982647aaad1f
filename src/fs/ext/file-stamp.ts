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

/** Ticks in a second: times of writes are as exact as that, as with Linux at 250 Hz. */
const HERTZ = 250;

/** Takes capabilities away before contents change, in a transaction of its own. @throws ENOSPC */
export function becomePlain(writing: ExtWriting, state: InodeState): void {
  const { editor } = writing;
  if (!isPrivileged(editor, state)) return;
  const drop = (handle: Handle) => {
    dropPrivileges(editor, handle, state);
    writing.store(handle, state);
  };
  writing.operate(privilegeCredits(editor, state) + 1, drop, XATTR_REVOKES);
}

/** Sets mtime, in a handle that stores the record; returns what ctime should be. */
export function stamp({ editor }: ExtWriting, state: InodeState): Timespec {
  const now = editor.now();
  setTime(state.record, "mtime", now);
  state.writtenAt = tickOf(now);
  return now;
}

/** The same in a transaction of its own, when the clock has ticked since the last write. */
export function touch(writing: ExtWriting, state: InodeState): void {
  if (state.writtenAt === tickOf(writing.editor.now())) return;
  writing.operate(1, (handle: Handle) => {
    setTime(state.record, "ctime", stamp(writing, state));
    writing.storeTimes(handle, state);
  });
}

function tickOf({ sec, nsec }: Timespec): number {
  return sec * HERTZ + Math.floor(nsec / (1e9 / HERTZ));
}
