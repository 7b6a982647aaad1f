/**
 * Replay of a jbd2 journal, in memory: what its log holds goes over the blocks of the filesystem,
 * and nothing is ever written to the media.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  JBD2_COMMIT_BLOCK,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_FLAG_ESCAPE,
  JBD2_MAGIC_NUMBER,
} from "../../format/jbd2.ts";
import { type FastCommitScan, noFastCommits, scanFastCommits } from "./fast-commit-scan.ts";
import {
  type LogRecord,
  type LogRecords,
  LogWalk,
  sequenceAfter,
  sequenceBefore,
  tagHolds,
  tagsOf,
} from "./journal-blocks.ts";
import type { JournalLog } from "./journal-log.ts";
import { type Revocations, collectRevocations } from "./journal-revoke.ts";
import { type LogScan, scanLog } from "./journal-scan.ts";

/** Bytes of blocks that are replayed at most, as they are kept in memory. */
const MOST_BYTES = 4 * 2 ** 30;

/** Figures of a replay. */
export interface JournalStatistics {
  /** Sequence number of the first transaction in the log, and the first that is not whole. */
  readonly firstTransaction: number;
  readonly endTransaction: number;
  readonly transactions: number;
  /** Copies in the log that were replayed; a block counts once for each copy. */
  readonly replayed: number;
  /** Copies that a revoke record kept from being replayed. */
  readonly revoked: number;
  /** Revoke records in the log. */
  readonly revokeRecords: number;
  /** Records of the fast-commit area that were applied. */
  readonly fastCommitTags: number;
}

/** What a journal holds: blocks of the filesystem, and fast commits to apply on top of them. */
export interface JournalReplay {
  /** The newest copy of every block, un-escaped. */
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  readonly fastCommits: FastCommitScan;
  readonly statistics: JournalStatistics;
}

/**
 * Reads the log in the three passes of Linux: scan, revoke, replay. A log whose `start` is 0 is
 * clean. Memory is bounded by the blocks that the log holds copies of.
 *
 * @throws EBADMSG or EUCLEAN for a damaged log (nothing is answered then, as Linux refuses the
 * mount), EIO
 */
export function replayLog(log: JournalLog): JournalReplay {
  const { sequence, start } = log.superblock;
  if (start === 0) return emptyReplay(sequence);
  const records: LogRecords = new Map();
  const scan = scanLog(log, records);
  const fastCommits = scanFastCommits(log, scan.end);
  const revocations = collectRevocations(log, scan, records);
  return copyBlocks({ log, records, scan, revocations, fastCommits });
}

/** What the first two passes found. */
interface Passed {
  readonly log: JournalLog;
  readonly records: LogRecords;
  readonly scan: LogScan;
  readonly revocations: Revocations;
  readonly fastCommits: FastCommitScan;
}

/** Lets replayed blocks win over what is on the media. @throws EUCLEAN outside the device */
export function overlayReplay(buffers: Buffers, replay: JournalReplay): void {
  for (const [block, bytes] of replay.blocks) buffers.overlay(block, bytes);
}

function emptyReplay(sequence: number): JournalReplay {
  const statistics = {
    firstTransaction: sequence,
    endTransaction: sequence,
    transactions: 0,
    replayed: 0,
    revoked: 0,
    revokeRecords: 0,
    fastCommitTags: 0,
  };
  return { blocks: new Map(), fastCommits: noFastCommits, statistics };
}

function copyBlocks(passed: Passed): JournalReplay {
  const { records, scan, revocations, fastCommits } = passed;
  const log: JournalLog = passed.log;
  const blocks = new Map<number, Uint8Array>();
  let [replayed, revoked] = [0, 0];
  const walk = new LogWalk(log, records);
  while (sequenceBefore(walk.sequence, scan.end)) {
    const record = walk.next();
    if (record === undefined) {
      log.fail("EUCLEAN", `the log ends at transaction ${walk.sequence}, not at ${scan.end}`);
    }
    if (record.blocktype === JBD2_COMMIT_BLOCK) walk.sequence = sequenceAfter(walk.sequence);
    if (record.blocktype !== JBD2_DESCRIPTOR_BLOCK) continue;
    for (const tag of tagsOf(log, record)) {
      const { bytes, view } = walk.take();
      if (revocations.revokes(tag.block, record.sequence)) {
        revoked++;
        continue;
      }
      if (!tagHolds(log, record.sequence, tag, bytes))
        refuseCopy(log, record, tag.block, "checksum");
      if (tag.block >= log.filesystemBlocks) refuseCopy(log, record, tag.block, "number");
      if (tag.flags & JBD2_FLAG_ESCAPE) view.setUint32(0, JBD2_MAGIC_NUMBER);
      blocks.set(tag.block, bytes);
      if (blocks.size * bytes.length > MOST_BYTES) refuseSize(log);
      replayed++;
    }
  }
  const statistics = {
    firstTransaction: scan.first,
    endTransaction: scan.end,
    transactions: scan.transactions,
    replayed,
    revoked,
    revokeRecords: revocations.records,
    fastCommitTags: fastCommits.tags,
  };
  return { blocks, fastCommits, statistics };
}

function refuseSize(log: JournalLog): never {
  log.fail("ENOTSUP", `it holds more than ${MOST_BYTES} bytes of blocks, too many to replay here`);
}

function refuseCopy(
  log: JournalLog,
  { at, sequence }: LogRecord,
  block: number,
  what: "checksum" | "number",
): never {
  const where = `transaction ${sequence}, descriptor in journal block ${at}`;
  if (what === "checksum") {
    log.fail("EBADMSG", `${where}: the checksum of its copy of block ${block} fails`);
  }
  log.fail("EUCLEAN", `${where}: block ${block} lies outside the device`);
}
