/**
 * Recovery on the media: what the log of a jbd2 journal holds is written to its places, and the log
 * is emptied. A power cut in the middle of it changes nothing: the log is replayed again.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import { JBD2_FEATURE_INCOMPAT_FAST_COMMIT } from "../../format/jbd2.ts";
import { isDaxError } from "../../lib/errno.ts";
import { sequenceAfter } from "./journal-blocks.ts";
import { JournalLog, type JournalMap } from "./journal-log.ts";
import { type JournalReplay, type JournalStatistics, replayLog } from "./journal-replay.ts";
import { scanLog } from "./journal-scan.ts";
import { JournalSuperblockWriter } from "./journal-superblock.ts";

/** Where a journal lies, and what its fast commits change. */
export interface RecoveryOptions {
  readonly buffers: Buffers;
  readonly map: JournalMap;
  /**
   * Asked when the fast-commit area holds something, after the log was written to its places: the
   * blocks that it changes, each as it has to be.
   */
  fastCommits?(replay: JournalReplay): Iterable<readonly [block: number, bytes: Uint8Array]>;
}

/**
 * Replays a journal to the device and resets it. Afterwards the filesystem no longer needs
 * recovery, and says so as soon as the caller has written that. What was read of it before is out
 * of date. A clean journal is left alone.
 * @throws EBADMSG, EUCLEAN for a damaged log, with nothing written; EIO, EROFS
 */
export function recoverJournal(options: RecoveryOptions): JournalStatistics {
  const { buffers, map } = options;
  const log = new JournalLog(buffers, map);
  const replay = replayLog(log);
  if (log.superblock.start === 0) return replay.statistics;
  // Opened before anything is written: a damaged log may name the journal's own blocks.
  const superblock = new JournalSuperblockWriter(buffers, map, log);
  writeHome(buffers, replay.blocks);
  if (replay.fastCommits.tags > 0) {
    writeHome(buffers, options.fastCommits?.(replay) ?? []);
  }
  // The number of a transaction that was cut off is not used again: parts of it are in the log.
  superblock.setTail(sequenceAfter(replay.statistics.endTransaction), 0, true);
  if (log.featureIncompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT) endFastCommits(buffers, map, log);
  return replay.statistics;
}

/**
 * Empties a log that nobody asks to replay; its sequence numbers are not used again, as far as they
 * can be told. @throws EBADMSG, EUCLEAN for a damaged superblock, EIO, EROFS
 */
export function discardJournal(buffers: Buffers, map: JournalMap): void {
  const log = new JournalLog(buffers, map);
  if (log.superblock.start === 0) return;
  const superblock = new JournalSuperblockWriter(buffers, map, log);
  superblock.setTail(sequenceAfter(endOf(log)), 0, true);
}

/** The first number behind the log's; of a damaged log, the one behind its first. */
function endOf(log: JournalLog): number {
  try {
    return scanLog(log).end;
  } catch (error) {
    if (isDaxError(error, "EBADMSG", "EUCLEAN")) return sequenceAfter(log.superblock.sequence);
    throw error;
  }
}

function writeHome(
  buffers: Buffers,
  blocks: Iterable<readonly [block: number, bytes: Uint8Array]>,
): void {
  const sorted = [...blocks].toSorted(([a], [b]) => a - b);
  for (const [block, bytes] of sorted) {
    buffers.write(block, bytes);
    buffers.dropOverlay(block);
  }
  if (sorted.length > 0) buffers.device.flush();
}

/** As Linux leaves a clean journal: readers that know no fast commits may have it. */
function endFastCommits(buffers: Buffers, map: JournalMap, log: JournalLog): void {
  const { featureCompat, featureIncompat } = log.superblock;
  new JournalSuperblockWriter(buffers, map, new JournalLog(buffers, map)).setFeatures({
    featureCompat,
    featureIncompat: featureIncompat & ~JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
  });
}
