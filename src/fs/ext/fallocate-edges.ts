/**
 * The parts of blocks at the borders of a range, where the blocks themselves stay.
 *
 * @module
 */
import type { DaxError } from "../../lib/errno.ts";
import { corrupt } from "./corruption.ts";
import type { ByteRange } from "./fallocate.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { refusal } from "./new-names.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * Zeroes what a range has of blocks that it covers in part; holes and unwritten blocks are zeros
 * already. What is behind the size is left: after a cut it is the file's until that is durable.
 * Durable before the handle's transaction. @throws EIO, EUCLEAN, EBADMSG
 */
export function zeroEdges(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  { offset, length }: ByteRange,
): void {
  const { blockSize } = writing.editor.volume.superblock;
  const limit = offset + length;
  const end = Math.min(limit, state.record.size);
  const first = Math.ceil(offset / blockSize) * blockSize;
  const last = Math.floor(limit / blockSize) * blockSize;
  zeroPart(writing, state, offset, Math.min(first, end) - offset);
  // A range within one block has no second edge.
  if (last >= first) zeroPart(writing, state, last, end - last);
  writing.contents.join(handle);
}

function zeroPart(
  { editor, contents }: ExtWriting,
  { record, map }: InodeState,
  offset: number,
  length: number,
): void {
  if (length <= 0) return;
  const { blockSize } = editor.volume.superblock;
  const logical = Math.floor(offset / blockSize);
  const block = map.blockOf(logical);
  if (block === undefined) return;
  if (!editor.allocator.isOwnable(block, 1)) {
    throw corrupt(`inode ${record.ino} map`, `block ${logical}`, block, "it is not a file's");
  }
  contents.zero(block * blockSize + (offset % blockSize), length);
}

/** Not even one step of a change fits into a transaction. */
export function stuck({ ino }: InodeRecord, block: number): DaxError {
  const detail = `a change of inode ${ino} at block ${block} does not fit into the journal`;
  return refusal("ENOSPC", "fallocate", detail);
}
