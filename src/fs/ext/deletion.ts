/**
 * What becomes of an inode whose last name goes: it ends in the same transaction where that has the
 * room and nobody holds it; else it is an orphan until it has.
 *
 * @module
 */
import { assert, isDaxError } from "../../lib/errno.ts";
import { evictCredits, evictRevokes, evictStep } from "./evict.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { setLinks, storeRecord } from "./inode-writer.ts";
import { ORPHAN_CREDITS } from "./orphans.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import type { ExtWriting } from "./writing.ts";

/** Credits that {@link lastNameGone} takes. */
export function deletionCredits(record: InodeRecord): number {
  return evictCredits(record) + ORPHAN_CREDITS + SUPERBLOCK_CREDITS;
}

/**
 * The last name of an inode has gone, in this handle. Returns whether {@link finishDeletion} has to
 * go on when the handle has stopped. @throws EIO, EROFS
 */
export function lastNameGone(writing: ExtWriting, handle: Handle, state: InodeState): boolean {
  if (state.holds > 0) {
    writing.orphans.add(handle, state.record);
    return false;
  }
  return stepOrKeep(writing, handle, state) === "more";
}

/** Ends an inode without names that nobody holds. @throws EIO, EROFS */
export function finishDeletion(writing: ExtWriting, state: InodeState): void {
  const { record } = state;
  const [copies, revokes] = [deletionCredits(record), evictRevokes(record)];
  for (;;) {
    const result = writing.operate(copies, (handle) => stepOrKeep(writing, handle, state), revokes);
    if (result !== "more") return;
  }
}

/** Takes an inode back that this handle has made and that found no place. @throws EUCLEAN, EIO */
export function unmake(writing: ExtWriting, handle: Handle, record: InodeRecord): void {
  setLinks(record, 0);
  const done = evictStep(writing, handle, record);
  assert(done, () => `inode ${record.ino} is new and has more blocks than a handle takes back`);
}

/** One that is damaged stays an orphan, as at a mount; whatever could be freed of it is. */
function stepOrKeep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
): "done" | "more" | "kept" {
  const { record, map } = state;
  const { orphans, inodes, editor } = writing;
  writing.delayed?.drop(state);
  try {
    if (evictStep(writing, handle, record)) {
      inodes.delete(record.ino);
      state.retired = true;
      return "done";
    }
  } catch (error) {
    if (!isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP")) throw error;
    orphans.add(handle, record);
    storeRecord(editor.volume, handle, record);
    writing.foundDamage(handle, error);
    return "kept";
  } finally {
    map.clear();
    state.forgetDirectory();
  }
  orphans.add(handle, record);
  storeRecord(editor.volume, handle, record);
  return "more";
}
