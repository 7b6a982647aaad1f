/**
 * Blocks for ranges of files that are not written yet, and ranges that become zeros.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import { stuck, zeroEdges } from "./fallocate-edges.ts";
import type { ByteRange } from "./fallocate.ts";
import { giveSize } from "./file-limits.ts";
import { stamp } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import type { InodeState } from "./inode-state.ts";
import { claim } from "./map-context.ts";
import { type BlockRange, convertBlocks, mapBlocks, mapCredits, mapRevokes } from "./map-writer.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import { settleCut, zeroTail } from "./tail.ts";
import type { ExtWriting } from "./writing.ts";

/** Runs that one transaction gets at most: without a journal nothing else bounds it. */
const MOST_RUNS = 256;

/** A range of blocks that gets what it lacks. */
interface Job {
  readonly blocks: BlockRange;
  /** What is written of it becomes unwritten. */
  readonly wipe: boolean;
  /** The size that the file grows to, as far as it is backed; undefined: it stays. */
  readonly size: number | undefined;
}

/** Backs all of a range; what is new reads as zeros. @throws ENOSPC: what was had stays */
export function allocateRange(
  writing: ExtWriting,
  state: InodeState,
  range: ByteRange,
  keepSize: boolean,
): void {
  const blocks = blocksAround(writing, range);
  fillBlocks(writing, state, { blocks, wipe: false, size: sizeAfter(state, range, keepSize) });
}

/** Backs all of a range, which becomes zeros. @throws ENOSPC: what was done stays */
export function zeroRange(
  writing: ExtWriting,
  state: InodeState,
  range: ByteRange,
  keepSize: boolean,
): void {
  const { blockSize } = writing.editor.volume.superblock;
  const { offset, length } = range;
  const size = sizeAfter(state, range, keepSize);
  const first = Math.ceil(offset / blockSize);
  const last = Math.floor((offset + length) / blockSize);
  const whole = first * blockSize === offset && last * blockSize === offset + length;
  if (!whole)
    fillBlocks(writing, state, { blocks: blocksAround(writing, range), wipe: false, size });
  if (last > first) fillBlocks(writing, state, { blocks: [first, last], wipe: true, size });
  if (whole) return;
  writing.operate(1, (handle) => {
    zeroEdges(writing, handle, state, range);
    writing.store(handle, state, stamp(writing, state));
  });
}

function blocksAround({ editor }: ExtWriting, { offset, length }: ByteRange): BlockRange {
  const { blockSize } = editor.volume.superblock;
  return [Math.floor(offset / blockSize), Math.ceil((offset + length) / blockSize)];
}

function sizeAfter(
  { record }: InodeState,
  { offset, length }: ByteRange,
  keepSize: boolean,
): number | undefined {
  return keepSize || offset + length <= record.size ? undefined : offset + length;
}

/** From the front, so that ENOSPC and a power cut leave what the kernel would leave. */
function fillBlocks(writing: ExtWriting, state: InodeState, job: Job): void {
  if (job.size !== undefined) settleCut(writing, state);
  const { record } = state;
  const [from, to] = job.blocks;
  for (let at = from; at < to;) {
    const credits = mapCredits(record) + mapCredits(record) + SUPERBLOCK_CREDITS + 1;
    const revokes = 2 * mapRevokes(record);
    const step = (handle: Handle): number => fillStep(writing, handle, state, job, at);
    const next = writing.operate(credits, step, revokes);
    if (next === at) throw stuck(record, at);
    at = next;
  }
}

/** As many runs as the transaction takes; returns how far it came. */
function fillStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  job: Job,
  start: number,
): number {
  const { record } = state;
  const [, to] = job.blocks;
  let at = start;
  try {
    for (let runs = 0; at < to && runs < MOST_RUNS; runs++) {
      // The inode and the superblock are kept for the end.
      const copies = mapCredits(record) + SUPERBLOCK_CREDITS + 1;
      if (at > start && !claim(handle, copies, mapRevokes(record))) break;
      const next = fillRun(writing, handle, state, job, at);
      if (next === at) break;
      at = next;
    }
  } catch (error) {
    if (!isDaxError(error, "ENOSPC") || at === start) throw error;
  }
  grow(writing, handle, state, job, at);
  writing.store(handle, state, stamp(writing, state));
  return at;
}

/** Backs the next run, or wipes what backs it; returns where it ends. */
function fillRun(
  { editor }: ExtWriting,
  handle: Handle,
  { record, map }: InodeState,
  { blocks: [, to], wipe }: Job,
  at: number,
): number {
  const run = mapBlocks(editor, handle, record, at, to - at, { unwritten: true });
  const next = at + run.count;
  if (run.unwritten || !wipe) {
    if (run.fresh) map.forget(at, run.count);
    return next;
  }
  try {
    return convertBlocks(editor, handle, record, [at, next], "unwritten");
  } finally {
    map.forget(at, run.count);
  }
}

/** The size follows what is backed. */
function grow(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  { size }: Job,
  at: number,
): void {
  if (size === undefined) return;
  const { editor, contents } = writing;
  const reached = Math.min(size, at * editor.volume.superblock.blockSize);
  if (reached <= state.record.size) return;
  zeroTail(writing, state);
  contents.join(handle);
  giveSize(editor, handle, state.record, reached);
}
