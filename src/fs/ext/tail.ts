/**
 * The end of a file's last block, behind the size. What it holds is nothing of the file, and must
 * not show when the file grows: a mapping may have stored to it, or a crash left it.
 *
 * @module
 */
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Handle } from "./handle.ts";
import type { InodeState } from "./inode-state.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * Zeroes what the last block holds behind the size, but for the bytes from `from` to below `to`,
 * which the caller writes. To be called before the file grows. @throws EIO, EUCLEAN
 */
export function zeroTail(writing: ExtWriting, state: InodeState, from = 0, to = 0): void {
  const { record, map } = state;
  const { editor, contents } = writing;
  const { blockSize } = editor.volume.superblock;
  const { size } = record;
  const within = size % blockSize;
  if (within === 0 || record.has(EXT4_INLINE_DATA_FL)) return;
  const logical = (size - within) / blockSize;
  const block = map.blockOf(logical);
  if (block === undefined || !editor.allocator.isOwnable(block, 1)) return;
  const end = size - within + blockSize;
  const shift = block * blockSize - (size - within);
  const first = Math.min(Math.max(from, size), end);
  const last = Math.min(Math.max(to, first), end);
  if (first > size) contents.zero(size + shift, first - size);
  if (last < end) contents.zero(last + shift, end - last);
}

/**
 * As {@link zeroTail}, before a file gets a size without its contents; stores nothing where there
 * are zeros already. @throws EIO, EUCLEAN
 */
export function clearTail(writing: ExtWriting, handle: Handle, state: InodeState): void {
  const { record, map } = state;
  const { volume } = writing.editor;
  const { blockSize } = volume.superblock;
  const within = record.size % blockSize;
  const block = within === 0 ? undefined : map.blockOf((record.size - within) / blockSize);
  if (block === undefined) return;
  const tail = new Uint8Array(blockSize - within);
  volume.device.readBytes(block * blockSize + within, tail);
  if (!tail.some((byte) => byte > 0)) return;
  zeroTail(writing, state);
  writing.contents.join(handle);
}

/**
 * A file was cut. What is behind its new end was the file's until that is durable: then it goes.
 */
export function zeroTailWhenCommitted(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
): void {
  const { size } = state.record;
  if (size % writing.editor.volume.superblock.blockSize === 0) return;
  state.cutIn = handle.transaction;
  handle.onCommitted(() => {
    // Whoever made it grow since has zeroed what was behind the end.
    if (state.retired || state.record.size !== size) return;
    try {
      zeroTail(writing, state);
    } catch (error) {
      // Growing zeroes it again, and has somebody to tell.
      if (!isDaxError(error)) throw error;
    }
  });
}

/**
 * To be called before a file grows, with no handle open: as long as a cut is not durable a power
 * cut brings back what lay behind the end, and it must not be zeros by then. @throws EIO, EROFS
 */
export function settleCut({ journal }: ExtWriting, { cutIn }: InodeState): void {
  if (cutIn > journal.committed) journal.commitThrough(cutIn);
}
