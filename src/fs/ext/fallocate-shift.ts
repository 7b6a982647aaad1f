/**
 * Ranges of whole blocks taken out of a file, and put into it: what is mapped behind them moves.
 *
 * @module
 */
import { extentSegment } from "./extents.ts";
import { readRoot } from "./extent-node.ts";
import { stuck } from "./fallocate-edges.ts";
import type { ByteRange } from "./fallocate.ts";
import { giveSize, mostBytes } from "./file-limits.ts";
import { stamp } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { setSize } from "./inode-writer.ts";
import {
  collapseBlocks,
  insertBlocks,
  mapCredits,
  mapRevokes,
  removeBlocks,
} from "./map-writer.ts";
import { refusal } from "./new-names.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import { zeroTailWhenCommitted } from "./tail.ts";
import type { Volume } from "./volume.ts";
import type { ExtWriting } from "./writing.ts";

/** Groups whose blocks one transaction frees; more may mean more transactions. */
const MOST_GROUPS = 64;
/** Entries that a node has room for, at least. */
const FEWEST_ENTRIES = 84;

/** Takes a range out. @throws EINVAL for parts of clusters, and at the end of the file; ENOSPC */
export function collapseRange(writing: ExtWriting, state: InodeState, range: ByteRange): void {
  const { record } = state;
  const { volume } = writing.editor;
  checkClusters(writing, range);
  const limit = range.offset + range.length;
  if (limit >= record.size) {
    const detail = `to byte ${limit} of a file of ${record.size}; truncate does that`;
    throw refusal("EINVAL", "fallocate", detail);
  }
  const { blockSize } = volume.superblock;
  const work = { from: range.offset / blockSize, to: limit / blockSize, moved: limit / blockSize };
  while (work.moved < MAX_LOGICAL_BLOCKS) {
    const before = work.to + MAX_LOGICAL_BLOCKS - work.moved;
    const step = (handle: Handle): void => collapseStep(writing, handle, state, range, work);
    inOne(writing, state, work.from, step);
    if (work.to + MAX_LOGICAL_BLOCKS - work.moved === before) throw stuck(record, work.moved);
  }
}

/** What is left to do: blocks from `from` to below `to` go, and those from `moved` on move. */
interface Collapse {
  readonly from: number;
  to: number;
  moved: number;
}

function collapseStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  { length }: ByteRange,
  work: Collapse,
): void {
  const { editor } = writing;
  const { record, map } = state;
  const { superblock } = editor.volume;
  try {
    if (work.to > work.from) {
      work.to = removeBlocks(editor, handle, record, [work.from, work.to]);
    }
    if (work.to > work.from) return;
    const by = length / superblock.blockSize;
    work.moved = collapseBlocks(editor, handle, record, by, work.moved);
    if (work.moved < MAX_LOGICAL_BLOCKS) return;
    setSize(superblock, record, record.size - length);
    zeroTailWhenCommitted(writing, handle, state);
  } finally {
    map.clear();
    writing.store(handle, state, stamp(writing, state));
  }
}

/** Puts a hole in. @throws EINVAL for parts of clusters, and behind the end; EFBIG, ENOSPC */
export function insertRange(writing: ExtWriting, state: InodeState, range: ByteRange): void {
  const { record } = state;
  const { superblock } = writing.editor.volume;
  checkClusters(writing, range);
  const { offset, length } = range;
  if (offset >= record.size) {
    const detail = `at byte ${offset} of a file of ${record.size}; truncate does that`;
    throw refusal("EINVAL", "fallocate", detail);
  }
  const most = mostBytes(superblock);
  if (length > most - record.size) {
    const detail = `${length} bytes more than ${record.size}; a file here has ${most} at most`;
    throw refusal("EFBIG", "fallocate", detail);
  }
  const from = offset / superblock.blockSize;
  for (let limit = MAX_LOGICAL_BLOCKS; limit > from;) {
    const step = (handle: Handle): number => {
      return insertStep(writing, handle, state, range, [from, limit]);
    };
    const next = inOne(writing, state, from, step);
    if (next === limit) throw stuck(record, limit);
    limit = next;
  }
}

/** The size grows first: what moves would lie behind it. */
function insertStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  { length }: ByteRange,
  [from, limit]: readonly [from: number, limit: number],
): number {
  const { editor } = writing;
  const { record, map } = state;
  const { superblock } = editor.volume;
  try {
    const next = insertBlocks(editor, handle, record, length / superblock.blockSize, [from, limit]);
    if (limit === MAX_LOGICAL_BLOCKS && next < limit) {
      giveSize(editor, handle, record, record.size + length);
      zeroTailWhenCommitted(writing, handle, state);
    }
    return next;
  } finally {
    map.clear();
    writing.store(handle, state, stamp(writing, state));
  }
}

/** @throws EINVAL unless a range is made of whole clusters */
function checkClusters({ editor }: ExtWriting, { offset, length }: ByteRange): void {
  const { clusterSize } = editor.volume.superblock;
  if (offset % clusterSize === 0 && length % clusterSize === 0) return;
  const detail = `${length} bytes from ${offset}; both have to be multiples of ${clusterSize}`;
  throw refusal("EINVAL", "fallocate", detail);
}

/** Runs a step with room for all that moves, so that it is the only one where there is any way. */
function inOne<T>(
  writing: ExtWriting,
  { record }: InodeState,
  from: number,
  step: (handle: Handle) => T,
): T {
  const { editor, journal } = writing;
  const { groups } = editor.volume.superblock;
  const freed = 2 * Math.min(groups, MOST_GROUPS);
  const few = 2 * mapCredits(record) + SUPERBLOCK_CREDITS + 1;
  const most = journal.mostCredits;
  const copies = few + freed + nodesFrom(editor.volume, record, from, most);
  return writing.operate(Math.min(copies, most), step, 2 * mapRevokes(record));
}

/** Nodes of the map that a change from a block on may touch, about, as far as `most` matter. */
function nodesFrom(volume: Volume, record: InodeRecord, from: number, most: number): number {
  if (readRoot(record).depth < 2) return 0;
  let leaves = 0;
  for (let at = from; at < MAX_LOGICAL_BLOCKS && leaves < most; leaves++) {
    at = extentSegment(volume, record, at).limit;
  }
  return leaves + Math.ceil(leaves / FEWEST_ENTRIES);
}
