/**
 * The first pass over a jbd2 log: where does it end? Every transaction before that point is wholly
 * in the log, and will be replayed; nothing behind it counts.
 *
 * @module
 */
import {
  JBD2_COMMIT_BLOCK,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT,
  JBD2_REVOKE_BLOCK,
  JournalCommitHeader,
} from "../../format/jbd2.ts";
import { crc32be } from "../../lib/crc32be.ts";
import {
  type LogRecord,
  type LogRecords,
  LogWalk,
  commitHolds,
  commitHoldsV1,
  countTags,
  sequenceAfter,
  tailHolds,
} from "./journal-blocks.ts";
import type { JournalLog } from "./journal-log.ts";

/** What the first pass found. */
export interface LogScan {
  /** Sequence number of the first transaction in the log. */
  readonly first: number;
  /** The first sequence number that is not wholly in the log. */
  readonly end: number;
  /** Transactions in the log. */
  readonly transactions: number;
  /** Whether a record revokes something, or may: one whose checksum fails tells nothing. */
  readonly revokes: boolean;
}

/**
 * Finds the end of the log.
 *
 * A block whose checksum fails may be a leftover of an earlier lap, so the log just ends there. But
 * when what follows proves that the transaction was committed (its commit block is no older than
 * the one before), then the log is damaged, and replaying half of it would be worse than refusing.
 *
 * @throws EBADMSG for a damaged log, EUCLEAN for one that has no end, EIO
 */
export function scanLog(log: JournalLog, records?: LogRecords): LogScan {
  return new Scan(log, records).run();
}

class Scan {
  readonly #log: JournalLog;
  readonly #walk: LogWalk;
  /** v1: CRC-32 of the descriptors and blocks of the transaction so far. */
  #crc = 0xffffffff;
  /** A block's checksum failed: the next commit block decides between stale and damaged. */
  #suspicious = false;
  #lastCommitTime = 0;
  #end: number | undefined;
  #transactions = 0;
  #revokes = false;

  constructor(log: JournalLog, records: LogRecords | undefined) {
    this.#log = log;
    this.#walk = new LogWalk(log, records);
  }

  run(): LogScan {
    const first = this.#walk.sequence;
    for (;;) {
      const record = this.#walk.next();
      if (record === undefined || !this.#visit(record)) break;
    }
    const end = this.#end ?? this.#walk.sequence;
    return { first, end, transactions: this.#transactions, revokes: this.#revokes };
  }

  /** Returns false where the log ends. */
  #visit(record: LogRecord): boolean {
    switch (record.blocktype) {
      case JBD2_DESCRIPTOR_BLOCK:
        if (!tailHolds(this.#log, record)) this.#suspect();
        return this.#passBlocks(record);
      case JBD2_REVOKE_BLOCK:
        this.#revokes = true;
        if (!tailHolds(this.#log, record)) this.#suspect();
        return true;
      case JBD2_COMMIT_BLOCK:
        return this.#commit(record);
      default:
        return false;
    }
  }

  #suspect(): void {
    this.#suspicious = true;
    this.#revokes = true;
  }

  /**
   * Returns false where the log ends. The tags of a descriptor that was cut off while it was
   * written may count any number of blocks; without a checksum nothing else tells that it was.
   */
  #passBlocks(record: LogRecord): boolean {
    const count = countTags(this.#log, record);
    const doubtful = this.#suspicious || !this.#log.checksummed;
    if (doubtful && count > this.#walk.left) return false;
    if (!this.#log.checksumV1 || this.#suspicious || this.#end !== undefined) {
      this.#walk.skip(count);
      return true;
    }
    this.#crc = crc32be(this.#crc, record.bytes);
    for (let i = 0; i < count; i++) this.#crc = crc32be(this.#crc, this.#walk.take().bytes);
    return true;
  }

  #commit(record: LogRecord): boolean {
    const time = JournalCommitHeader.commitSec.get(record.view, 0);
    const stale = time < this.#lastCommitTime;
    if (this.#suspicious) {
      if (stale) return false;
      this.#damaged(record.sequence, "a descriptor or revoke block fails its checksum");
    }
    if (this.#log.checksumV1 && this.#end !== undefined) {
      this.#damaged(this.#end, "its checksum fails and a later transaction was committed");
    }
    if (this.#holds(record)) this.#lastCommitTime = time;
    else {
      if (stale) return false;
      this.#end ??= record.sequence;
      // Without async commit the commit block was written after everything it covers was durable:
      // it can only fail by damage. With it, an interrupted commit looks just like this.
      if ((this.#log.featureIncompat & JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT) === 0) {
        this.#damaged(record.sequence, "its commit block fails its checksum");
      }
    }
    this.#crc = 0xffffffff;
    if (this.#end === undefined) this.#transactions++;
    this.#walk.sequence = sequenceAfter(this.#walk.sequence);
    return true;
  }

  #holds(record: LogRecord): boolean {
    if (this.#log.checksumV1 && !commitHoldsV1(record, this.#crc)) return false;
    return commitHolds(this.#log, record);
  }

  #damaged(sequence: number, why: string): never {
    this.#log.fail("EBADMSG", `transaction ${sequence} is damaged: ${why}`);
  }
}
