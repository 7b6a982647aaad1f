/**
 * The time of the last access: what a mount that keeps it does when an inode was read.
 *
 * @module
 */
import { RELATIVE_SECONDS } from "../../vfs/access-times.ts";
import type { Handle } from "./handle.ts";
import { TICK_MILLISECONDS } from "./file-stamp.ts";
import type { InodeState } from "./inode-state.ts";
import { isAfter, millisecondsOf, setTime, storeRecord } from "./inode-writer.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * Sets atime to now where that is due, and says whether it was. Neither ctime nor the transactions
 * for which fsync waits follow: it lasts when something else is committed, or with the clock.
 * @throws ENOSPC, EROFS, EIO
 */
export function access(
  writing: ExtWriting,
  state: InodeState,
  rule: "relative" | "strict",
): boolean {
  writing.assertUsable();
  // Reading goes on while the filesystem is frozen, and leaves no trace.
  if (writing.frozen) return false;
  const now = writing.editor.milliseconds();
  if (!isDue(state, rule, now)) return false;
  store(writing, state);
  return true;
}

/** Makes no object: it is asked for every read. */
function isDue({ record }: InodeState, rule: "relative" | "strict", now: number): boolean {
  const last = millisecondsOf(record, "atime");
  const sameTick = Math.floor(last / TICK_MILLISECONDS) === Math.floor(now / TICK_MILLISECONDS);
  if (rule === "strict") return !sameTick;
  const newer = isAfter(record, "atime", "mtime") && isAfter(record, "atime", "ctime");
  if (!newer) return !sameTick;
  return Math.floor(now / 1000) - Math.floor(last / 1000) >= RELATIVE_SECONDS;
}

function store(writing: ExtWriting, state: InodeState): void {
  writing.operate(1, (handle: Handle) => {
    setTime(state.record, "atime", writing.editor.now());
    storeRecord(writing.editor.volume, handle, state.record);
  });
}
