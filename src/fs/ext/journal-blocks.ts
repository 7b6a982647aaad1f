/**
 * The blocks of a jbd2 log one by one: which record stands where, the tags of a descriptor and the
 * checksums of each kind.
 *
 * @module
 */
import {
  JBD2_CRC32_CHKSUM,
  JBD2_CRC32_CHKSUM_SIZE,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FLAG_LAST_TAG,
  JBD2_FLAG_SAME_UUID,
  JBD2_MAGIC_NUMBER,
  JournalBlockTag,
  JournalBlockTag3,
  JournalBlockTail,
  JournalCommitHeader,
  JournalHeader,
  journalTagBytes,
} from "../../format/jbd2.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import type { JournalLog, LogBlock } from "./journal-log.ts";

const TWO_32 = 0x1_0000_0000;
const UUID_BYTES = 16;

/** A block of the log that opens with a header. */
export interface LogRecord extends LogBlock {
  /** JBD2_DESCRIPTOR_BLOCK, JBD2_COMMIT_BLOCK, JBD2_REVOKE_BLOCK, or anything on hostile media. */
  readonly blocktype: number;
  readonly sequence: number;
  /** The journal block it lies in. */
  readonly at: number;
}

/** One tag of a descriptor: the next block of the log is a copy of `block`. */
export interface LogTag {
  readonly block: number;
  readonly flags: number;
  /** 32 bits with v3, 16 with v2, 0 otherwise. */
  readonly checksum: number;
}

/** True when `a` comes before `b`; sequence numbers wrap at 2^32. */
export function sequenceBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** The sequence number after `sequence`. */
export function sequenceAfter(sequence: number): number {
  return (sequence + 1) >>> 0;
}

/** Records that are kept between passes: what a log of usual size has of them. */
const MOST_KEPT = 256;

/** Records that an earlier pass read, by their journal blocks. */
export type LogRecords = Map<number, LogBlock>;

/** Walks the log from its start, record by record. */
export class LogWalk {
  /** The sequence number that the next record has to carry. */
  sequence: number;
  readonly #log: JournalLog;
  readonly #records: LogRecords;
  #at: number;
  #left: number;

  /** `records`: kept of earlier passes over the same log, and for later ones. */
  constructor(log: JournalLog, records: LogRecords = new Map()) {
    this.#log = log;
    this.#records = records;
    this.sequence = log.superblock.sequence;
    this.#at = log.superblock.start;
    this.#left = log.area.last - log.area.first;
  }

  /** Blocks up to where the walk started. */
  get left(): number {
    return this.#left;
  }

  /** The next record, or undefined where the log ends. @throws EUCLEAN, EIO */
  next(): LogRecord | undefined {
    const at = this.#at;
    const known = this.#records.get(at);
    // Where the log ends anything may lie, and nobody has to look at all of it.
    const { view } = known ?? this.#log.read(at, sizeof(JournalHeader));
    if (JournalHeader.magic.get(view, 0) !== JBD2_MAGIC_NUMBER) return undefined;
    const sequence = JournalHeader.sequence.get(view, 0);
    if (sequence !== this.sequence) return undefined;
    const blocktype = JournalHeader.blocktype.get(view, 0);
    const block = known ?? this.#log.read(at);
    if (known === undefined && this.#records.size < MOST_KEPT) this.#records.set(at, block);
    this.skip(1);
    return { bytes: block.bytes, view: block.view, at, sequence, blocktype };
  }

  /** The next block, whatever it holds. */
  take(): LogBlock {
    const block = this.#log.read(this.#at);
    this.skip(1);
    return block;
  }

  /**
   * Steps over blocks. The head of a log never catches up with its tail, so a walk that comes
   * around is a damaged (or malicious) log, and would never end.
   */
  skip(blocks: number): void {
    this.#left -= blocks;
    if (this.#left < 0) {
      this.#log.fail(
        "EUCLEAN",
        `the log of transaction ${this.sequence} is longer than the journal`,
      );
    }
    this.#at = this.#log.after(this.#at, blocks);
  }
}

/** The tags of a descriptor block, in the order of the blocks behind it. */
export function* tagsOf(log: JournalLog, { view }: LogBlock): Generator<LogTag> {
  const size = journalTagBytes(log.featureIncompat);
  const tail = log.checksummed ? sizeof(JournalBlockTail) : 0;
  const v3 = (log.featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) !== 0;
  for (let at = sizeof(JournalHeader); at + size <= view.byteLength - tail; at += size) {
    const tag = v3 ? tag3At(log, view, at) : tagAt(log, view, at);
    yield tag;
    if (tag.flags & JBD2_FLAG_LAST_TAG) return;
    if ((tag.flags & JBD2_FLAG_SAME_UUID) === 0) at += UUID_BYTES;
  }
}

function tagAt(log: JournalLog, view: DataView, at: number): LogTag {
  const wide = (log.featureIncompat & JBD2_FEATURE_INCOMPAT_64BIT) !== 0;
  const high = wide ? JournalBlockTag.blocknrHigh.get(view, at) : 0;
  return {
    block: JournalBlockTag.blocknr.get(view, at) + high * TWO_32,
    flags: JournalBlockTag.flags.get(view, at),
    checksum: log.checksummed ? JournalBlockTag.checksum.get(view, at) : 0,
  };
}

function tag3At(log: JournalLog, view: DataView, at: number): LogTag {
  const wide = (log.featureIncompat & JBD2_FEATURE_INCOMPAT_64BIT) !== 0;
  const high = wide ? JournalBlockTag3.blocknrHigh.get(view, at) : 0;
  return {
    block: JournalBlockTag3.blocknr.get(view, at) + high * TWO_32,
    flags: JournalBlockTag3.flags.get(view, at),
    checksum: JournalBlockTag3.checksum.get(view, at),
  };
}

/** How many blocks behind a descriptor belong to it. */
export function countTags(log: JournalLog, block: LogBlock): number {
  let count = 0;
  for (const _ of tagsOf(log, block)) count++;
  return count;
}

/** Whether the checksum at the end of a descriptor or revoke block holds; true without one. */
export function tailHolds(log: JournalLog, { bytes, view }: LogBlock): boolean {
  if (!log.checksummed) return true;
  const at = view.byteLength - sizeof(JournalBlockTail);
  const found = JournalBlockTail.checksum.get(view, at);
  return found === crc32cWithoutWord(log.seed, bytes, at);
}

/**
 * Whether the checksum of a commit block holds; true without v2 or v3 checksums. Of a block that
 * was cut off the header is enough: what follows it is zero in every commit block.
 */
export function commitHolds(log: JournalLog, { bytes, view }: LogBlock): boolean {
  if (!log.checksummed) return true;
  const found = JournalCommitHeader.chksum.get(view, 0);
  const at = JournalCommitHeader.chksum.offset;
  if (found === crc32cWithoutWord(log.seed, bytes, at)) return true;
  const header = new Uint8Array(bytes.length);
  header.set(bytes.subarray(0, sizeof(JournalCommitHeader)));
  return found === crc32cWithoutWord(log.seed, header, at);
}

/** Whether a v1 commit block agrees with `crc`, the CRC-32 of its transaction, or carries none. */
export function commitHoldsV1({ view }: LogBlock, crc: number): boolean {
  const type = JournalCommitHeader.chksumType.get(view, 0);
  const size = JournalCommitHeader.chksumSize.get(view, 0);
  const found = JournalCommitHeader.chksum.get(view, 0);
  if (type === 0 && size === 0 && found === 0) return true;
  return type === JBD2_CRC32_CHKSUM && size === JBD2_CRC32_CHKSUM_SIZE && found === crc;
}

/** Whether a tag's checksum holds for its block, as it lies in the log; true without one. */
export function tagHolds(
  log: JournalLog,
  sequence: number,
  tag: LogTag,
  bytes: Uint8Array,
): boolean {
  return !log.checksummed || tag.checksum === tagChecksum(log, sequence, bytes);
}

/** What a v2 or v3 tag says of its block, as it lies in the log: 16 bits with v2, 32 with v3. */
export function tagChecksum(log: JournalLog, sequence: number, bytes: Uint8Array): number {
  const word = new DataView(new ArrayBuffer(4));
  word.setUint32(0, sequence);
  const crc = crc32c(crc32c(log.seed, new Uint8Array(word.buffer)), bytes);
  const v3 = (log.featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) !== 0;
  return v3 ? crc : crc & 0xffff;
}

const zeroWord = new Uint8Array(4);

/** crc32c over `bytes` as if the four bytes at `at` were zero. */
function crc32cWithoutWord(seed: number, bytes: Uint8Array, at: number): number {
  const before = crc32c(seed, bytes.subarray(0, at));
  return crc32c(crc32c(before, zeroWord), bytes.subarray(at + 4));
}
