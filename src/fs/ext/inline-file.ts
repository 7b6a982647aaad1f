/**
 * Regular files in their inodes: what is written or cut there stays while it fits, and goes out to
 * blocks when it does not.
 *
 * @module
 */
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "../../format/ext-superblock.ts";
import { hasIncompat } from "./features.ts";
import { stamp } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import {
  inlineCapacity,
  moveInlineOut,
  resizeInline,
  startInline,
  writeInline,
} from "./inline-writer.ts";
import { sectorsUsed } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { mapCredits, mapRevokes } from "./map-writer.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * Writes into an inode that keeps its file, or may begin to; `stamps`: its times are those of now.
 * False: the file has a map, or has one now.
 * @throws ENOSPC with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function writeInInode(
  writing: ExtWriting,
  state: InodeState,
  source: Uint8Array,
  offset: number,
  stamps = true,
): boolean {
  const { record } = state;
  const { editor } = writing;
  const begins = !record.has(EXT4_INLINE_DATA_FL);
  if (begins && !mayBegin(writing, state, offset + source.length)) return false;
  const change = (handle: Handle) => {
    if (begins && !startInline(editor, handle, record, offset + source.length)) return false;
    return writeInline(editor, handle, record, source, offset);
  };
  return inInode(writing, state, change, stamps);
}

/** A file that is empty, without blocks, in a filesystem that keeps files in inodes. */
function mayBegin({ editor }: ExtWriting, { record }: InodeState, size: number): boolean {
  const { volume } = editor;
  const { superblock } = volume;
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_INLINE_DATA)) return false;
  if (record.size > 0 || sectorsUsed(superblock, record) > 0) return false;
  return size <= inlineCapacity(volume, record);
}

/** Gives a file in its inode another size. False: it has a map, or has one now. @throws */
export function resizeInInode(writing: ExtWriting, state: InodeState, size: number): boolean {
  const { record } = state;
  if (!record.has(EXT4_INLINE_DATA_FL)) return false;
  return inInode(writing, state, (handle) => resizeInline(writing.editor, handle, record, size));
}

/** Where the inode has not the room for a change the file moves out, and the change is not made. */
function inInode(
  writing: ExtWriting,
  state: InodeState,
  change: (handle: Handle) => boolean,
  stamps = true,
): boolean {
  const stays = writing.operate(1, (handle) => {
    if (!change(handle)) return false;
    state.map.clear();
    state.forgetAttributes();
    if (stamps) writing.store(handle, state, stamp(writing, state));
    else writing.storeKept(handle, state);
    return true;
  });
  if (!stays) moveOut(writing, state);
  return stays;
}

/** Moves a file out of its inode to blocks. @throws ENOSPC with nothing changed; EUCLEAN, EIO */
export function moveOut(writing: ExtWriting, state: InodeState): void {
  const { record, map } = state;
  const move = (handle: Handle) => {
    moveInlineOut(writing.editor, handle, record, map);
    state.forgetAttributes();
    writing.store(handle, state);
  };
  writing.operate(mapCredits(record) + 1, move, mapRevokes(record));
}
