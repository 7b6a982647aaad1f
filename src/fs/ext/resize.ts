/**
 * Giving a file another size: cut in as many transactions as that takes, or longer by a hole.
 *
 * @module
 */
import { EXT4_EXTENTS_FL } from "../../format/ext-inode.ts";
import { corrupt } from "./corruption.ts";
import { giveSize, mostBytesOf } from "./file-limits.ts";
import { becomePlain, stamp } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import { resizeInInode } from "./inline-file.ts";
import { sectorsUsed } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { setSize } from "./inode-writer.ts";
import { mapCredits } from "./map-writer.ts";
import { assertContents, assertFree, refusal } from "./new-names.ts";
import { ORPHAN_CREDITS } from "./orphans.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import { settleCut, zeroTail, zeroTailWhenCommitted } from "./tail.ts";
import { truncateStep } from "./truncate.ts";
import type { ExtWriting } from "./writing.ts";

/** Steps that may free nothing before a map is taken for one that never ends. */
const MOST_IDLE_STEPS = 4;

/**
 * Gives a regular file a new size. What is new reads as zeros; what is cut off is freed, and so are
 * blocks behind the end of a file that does not grow.
 * @throws EPERM, EINVAL, EFBIG, ENOSPC with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function truncate(writing: ExtWriting, state: InodeState, size: number): void {
  assertFree(state, "truncate");
  assertContents(state, "truncate");
  const { record } = state;
  assertSize(writing, state, size);
  becomePlain(writing, state);
  if (resizeInInode(writing, state, size)) return;
  if (size > record.size) grow(writing, state, size);
  else cut(writing, state, size);
}

function assertSize({ editor }: ExtWriting, { record }: InodeState, size: number): void {
  if (!(size >= 0 && Number.isSafeInteger(size))) {
    throw refusal("EINVAL", "truncate", `a size of ${size}`);
  }
  const most = mostBytesOf(editor.volume.superblock, record);
  if (size <= most) return;
  const kind = record.has(EXT4_EXTENTS_FL) ? "extents" : "a block map";
  const detail = `a size of ${size}; inode ${record.ino} has ${kind}, and ${most} at most`;
  throw refusal("EFBIG", "truncate", detail);
}

function grow(writing: ExtWriting, state: InodeState, size: number): void {
  settleCut(writing, state);
  writing.operate(SUPERBLOCK_CREDITS + 1, (handle) => {
    zeroTail(writing, state);
    writing.contents.join(handle);
    giveSize(writing.editor, handle, state.record, size);
    writing.store(handle, state, stamp(writing, state));
  });
}

function cut(writing: ExtWriting, state: InodeState, size: number): void {
  const { record } = state;
  const { superblock } = writing.editor.volume;
  const copies = mapCredits(record) + ORPHAN_CREDITS + 1;
  let done = writing.operate(copies, (handle) => {
    setSize(superblock, record, size);
    zeroTailWhenCommitted(writing, handle, state);
    return cutStep(writing, handle, state);
  });
  for (let idle = 0, used = -1; !done; idle++) {
    const left = sectorsUsed(superblock, record);
    if (left !== used) idle = 0;
    if (idle === MOST_IDLE_STEPS) throw corrupt(`inode ${record.ino}`, "map", size, "it stays");
    used = left;
    done = writing.operate(copies, (handle) => cutStep(writing, handle, state));
  }
}

/** An inode whose blocks do not all go at once is an orphan until they have. */
function cutStep(writing: ExtWriting, handle: Handle, state: InodeState): boolean {
  const { record, map } = state;
  const { editor, orphans } = writing;
  const done = truncateStep(editor, handle, record);
  map.clear();
  if (!done) orphans.add(handle, record);
  // One without a name stays an orphan until it is let go.
  else if (record.links > 0) orphans.remove(handle, record);
  writing.store(handle, state, stamp(writing, state));
  return done;
}
