/**
 * Recovery on the media: what the log of a jbd2 journal holds is written to its places, and the log
 * is emptied. A power cut in the middle of it changes nothing: the log is replayed again.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT,
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
} from "../../format/jbd2.ts";
import { isDaxError } from "../../lib/errno.ts";
import { sequenceAfter } from "./journal-blocks.ts";
import { commitToLog } from "./journal-commit.ts";
import { JournalLog, type JournalMap } from "./journal-log.ts";
import { type JournalReplay, type JournalStatistics, replayLog } from "./journal-replay.ts";
import { scanLog } from "./journal-scan.ts";
import { LogSpace } from "./journal-space.ts";
import { JournalSuperblockWriter } from "./journal-superblock.ts";

/** Where a journal lies, and what its fast commits change. */
export interface RecoveryOptions {
  readonly buffers: Buffers;
  readonly map: JournalMap;
  /** What the log holds; it is read unless given. */
  readonly replay?: JournalReplay;
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
  const { replay = replayLog(log) } = options;
  const { statistics } = replay;
  if (log.superblock.start === 0) return statistics;
  // Opened before anything is written: a damaged log may name the journal's own blocks.
  const superblock = new JournalSuperblockWriter(buffers, map, log);
  writeHome(buffers, replay.blocks);
  let last = statistics.endTransaction;
  if (replay.fastCommits.tags > 0) {
    const changed = new Map(options.fastCommits?.(replay));
    if (commitAgain({ buffers, map, log, superblock }, last, changed)) last = sequenceAfter(last);
    writeHome(buffers, changed);
  }
  // The number of a transaction that was cut off is not used again: parts of it are in the log.
  superblock.setTail(sequenceAfter(last), 0);
  if (log.featureIncompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT) endFastCommits(buffers, map, log);
  return statistics;
}

/** A log that is being recovered. */
interface Recovering {
  readonly buffers: Buffers;
  readonly map: JournalMap;
  readonly log: JournalLog;
  readonly superblock: JournalSuperblockWriter;
}

/**
 * Fast commits say what to do, and doing half of it twice is another thing. So what comes out of
 * them is committed to the log, now empty, with the number that they were waiting for: from there
 * it is replayed like anything else, and they are out of date. False where there is no room, or
 * where the log may hold parts of a transaction of that number that look whole.
 */
function commitAgain(
  { buffers, map, log, superblock }: Recovering,
  sequence: number,
  changed: ReadonlyMap<number, Uint8Array>,
): boolean {
  const space = new LogSpace(log, log.area.first);
  const fits = space.blocksFor(changed.size, 0) <= space.free;
  if (!fits || log.featureIncompat & JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT) return false;
  superblock.setTail(sequence, space.head);
  const copies = new Map([...changed].map(([block, bytes]) => [block, { block, bytes }]));
  const transaction = { copies, revoked: new Set<number>() };
  commitToLog({ buffers, log, map, space }, transaction, sequence, { sec: 0, nsec: 0 });
  return true;
}

/**
 * Empties a log that nobody asks to replay; its sequence numbers are not used again, as far as they
 * can be told. @throws EBADMSG, EUCLEAN for a damaged superblock, EIO, EROFS
 */
export function discardJournal(buffers: Buffers, map: JournalMap): void {
  const log = new JournalLog(buffers, map);
  if (log.superblock.start === 0) return;
  const superblock = new JournalSuperblockWriter(buffers, map, log);
  superblock.setTail(sequenceAfter(endOf(log)), 0);
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
}

/** As Linux leaves a clean journal: readers that know no fast commits may have it. */
function endFastCommits(buffers: Buffers, map: JournalMap, log: JournalLog): void {
  const { featureCompat, featureIncompat } = log.superblock;
  new JournalSuperblockWriter(buffers, map, new JournalLog(buffers, map)).setFeatures({
    featureCompat,
    featureIncompat: featureIncompat & ~JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
  });
}
