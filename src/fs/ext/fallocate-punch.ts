/**
 * Holes in files: the blocks of a range go, and what it covers of the blocks at its borders is
 * zeroed.
 *
 * @module
 */
import { PAGE_SIZE } from "../../dax/operations.ts";
import { stuck, zeroEdges } from "./fallocate-edges.ts";
import type { ByteRange } from "./fallocate.ts";
import { stamp } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import type { InodeState } from "./inode-state.ts";
import { mapCredits, mapRevokes, removeBlocks } from "./map-writer.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * Punches a hole. What lies behind the page of the file's end stays (`ext4_punch_hole`).
 * @throws ENOSPC when the map has to be cut and there is no block for it
 */
export function punchRange(
  writing: ExtWriting,
  state: InodeState,
  { offset, length }: ByteRange,
): void {
  const { record } = state;
  const { blockSize } = writing.editor.volume.superblock;
  if (offset >= record.size) return;
  const page = Math.max(PAGE_SIZE, blockSize);
  const most = Math.ceil(record.size / page) * page;
  const limit = offset + length > record.size ? most : offset + length;
  writing.operate(1, (handle) => {
    zeroEdges(writing, handle, state, { offset, length: limit - offset });
    writing.store(handle, state, stamp(writing, state));
  });
  const from = Math.ceil(offset / blockSize);
  for (let to = Math.floor(limit / blockSize); to > from;) {
    const copies = mapCredits(record) + 1;
    const step = (handle: Handle): number => punchStep(writing, handle, state, from, to);
    const next = writing.operate(copies, step, mapRevokes(record));
    if (next === to) throw stuck(record, to);
    to = next;
  }
}

function punchStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  from: number,
  to: number,
): number {
  try {
    return removeBlocks(writing.editor, handle, state.record, [from, to]);
  } finally {
    state.map.forget(from, to - from);
    writing.store(handle, state, stamp(writing, state));
  }
}
