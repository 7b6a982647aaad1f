/**
 * Where the filesystem keeps itself: superblocks, descriptors, bitmaps and inode tables of all
 * groups, and the journal. No file may own any of it, whatever a bitmap or a map says.
 *
 * @module
 */
import { EXT4_FEATURE_INCOMPAT_MMP } from "../../format/ext-superblock.ts";
import { type Range, firstOverlap } from "../../lib/range-set.ts";
import { corrupt } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import { FileMap } from "./file-map.ts";
import { fixedBlocks, inodeTableBlocks } from "./geometry.ts";
import { MOST_JOURNAL_BLOCKS } from "./journal-log.ts";
import type { Volume } from "./volume.ts";

/** Sorted, disjoint runs of blocks. */
export class SystemZone {
  readonly #runs: readonly Range[];

  /**
   * Reads every descriptor and the journal's map.
   * @throws EUCLEAN also where two of them share a block, EBADMSG, EIO
   */
  constructor(volume: Volume) {
    const { superblock, groups } = volume;
    const table = inodeTableBlocks(superblock);
    const runs: Range[] = [];
    for (let group = 0; group < superblock.groups; group++) {
      const { blockBitmap, inodeBitmap, inodeTable } = groups.read(group);
      const { start, count } = fixedBlocks(superblock, group);
      runs.push({ start, length: count }, { start: blockBitmap, length: 1 });
      runs.push({ start: inodeBitmap, length: 1 }, { start: inodeTable, length: table });
    }
    if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_MMP)) {
      runs.push({ start: superblock.mmpBlock, length: 1 });
    }
    for (const run of journalRuns(volume)) runs.push(run);
    this.#runs = merged(runs);
  }

  /** The first run of the filesystem's own that shares a block with these; undefined: none. */
  overlap(start: number, count: number): Range | undefined {
    return firstOverlap(this.#runs, start, count);
  }

  /** Those parts of the filesystem's own that lie among `count` blocks from `start`. */
  *within(start: number, count: number): Generator<Range> {
    for (let at = start; at < start + count;) {
      const run = firstOverlap(this.#runs, at, start + count - at);
      if (run === undefined) return;
      const first = Math.max(run.start, at);
      at = run.start + run.length;
      yield { start: first, length: Math.min(at, start + count) - first };
    }
  }
}

function* journalRuns(volume: Volume): Generator<Range> {
  const { journalInum, blockSize } = volume.superblock;
  if (journalInum === 0) return;
  const record = volume.record(journalInum);
  const map = new FileMap(volume, record);
  const blocks = Math.min(Math.ceil(record.size / blockSize), MOST_JOURNAL_BLOCKS);
  let [start, length] = [0, 0];
  for (let logical = 0; logical < blocks; logical++) {
    const block = map.blockOf(logical);
    if (block === undefined) continue;
    if (block === start + length) {
      length++;
      continue;
    }
    yield { start, length };
    [start, length] = [block, 1];
  }
  yield { start, length };
}

/** @throws EUCLEAN when two structures share a block: what one says would be lost in the other */
function merged(runs: Range[]): Range[] {
  runs.sort((a, b) => a.start - b.start);
  const all: Range[] = [];
  let reached = 0;
  for (const { start, length } of runs) {
    if (length === 0) continue;
    const last = all.at(-1);
    if (last !== undefined && start < reached) {
      throw corrupt("groups", "block", start, "it belongs to two structures of the filesystem");
    }
    if (last === undefined || start > reached) all.push({ start, length });
    else all[all.length - 1] = { start: last.start, length: start + length - last.start };
    reached = start + length;
  }
  return all;
}
