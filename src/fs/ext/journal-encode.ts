/**
 * The records of a jbd2 transaction, made: descriptors with their tags, revoke records and the
 * commit block, in every layout that a journal may ask for.
 *
 * @module
 */
import {
  JBD2_COMMIT_BLOCK,
  JBD2_CRC32_CHKSUM,
  JBD2_CRC32_CHKSUM_SIZE,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FLAG_ESCAPE,
  JBD2_FLAG_LAST_TAG,
  JBD2_FLAG_SAME_UUID,
  JBD2_MAGIC_NUMBER,
  JBD2_REVOKE_BLOCK,
  JournalBlockTag,
  JournalBlockTag3,
  JournalBlockTail,
  JournalCommitHeader,
  JournalHeader,
  JournalRevokeHeader,
  journalTagBytes,
} from "../../format/jbd2.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Timespec } from "../../lib/environment.ts";
import { assert } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { tagChecksum } from "./journal-blocks.ts";
import type { JournalLog, LogBlock } from "./journal-log.ts";

const TWO_32 = 0x1_0000_0000;
const UUID_BYTES = 16;

/** A block of the filesystem as it lies in the log. */
export interface LogCopy {
  /** Where it belongs. */
  readonly block: number;
  readonly bytes: Uint8Array;
  /** It opened with the journal's magic number, which is zero in `bytes`. */
  readonly escaped: boolean;
}

/** How many tags a descriptor has room for. */
export function tagsPerDescriptor(log: JournalLog): number {
  const room = log.blockSize - sizeof(JournalHeader) - UUID_BYTES - tailBytes(log);
  return Math.floor(room / journalTagBytes(log.featureIncompat));
}

/** How many block numbers a revoke record has room for. */
export function revokesPerRecord(log: JournalLog): number {
  const room = log.blockSize - sizeof(JournalRevokeHeader) - tailBytes(log);
  return Math.floor(room / revokeBytes(log));
}

/**
 * The form in which a block goes into the log. A block that would look like one of the journal's
 * own is copied for that: what is in memory stays as it is.
 */
export function copyForLog(block: number, bytes: Uint8Array): LogCopy {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== JBD2_MAGIC_NUMBER) return { block, bytes, escaped: false };
  const escaped = bytes.slice();
  escaped.fill(0, 0, 4);
  return { block, bytes: escaped, escaped: true };
}

/** The descriptor in front of `copies`, at most {@link tagsPerDescriptor} of them. */
export function encodeDescriptor(
  log: JournalLog,
  sequence: number,
  copies: readonly LogCopy[],
): Uint8Array<ArrayBuffer> {
  assert(copies.length <= tagsPerDescriptor(log), () => `${copies.length} tags in one descriptor`);
  const { bytes, view } = newRecord(log, JBD2_DESCRIPTOR_BLOCK, sequence);
  const size = journalTagBytes(log.featureIncompat);
  let at = sizeof(JournalHeader);
  for (const [i, copy] of copies.entries()) {
    const first = i === 0 ? 0 : JBD2_FLAG_SAME_UUID;
    const last = i === copies.length - 1 ? JBD2_FLAG_LAST_TAG : 0;
    const escape = copy.escaped ? JBD2_FLAG_ESCAPE : 0;
    setTag(log, sequence, { view, at }, copy, first | last | escape);
    // The uuid behind the first tag is zero in a journal inside the filesystem.
    at += size + (i === 0 ? UUID_BYTES : 0);
  }
  sealTail(log, { bytes, view });
  return bytes;
}

function setTag(
  log: JournalLog,
  sequence: number,
  { view, at }: { view: DataView; at: number },
  { block, bytes }: LogCopy,
  flags: number,
): void {
  const wide = (log.featureIncompat & JBD2_FEATURE_INCOMPAT_64BIT) !== 0;
  assert(wide || block < TWO_32, () => `block ${block} in a journal of 32 bits`);
  const checksum = log.checksummed ? tagChecksum(log, sequence, bytes) : 0;
  if (log.featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) {
    JournalBlockTag3.blocknr.set(view, at, block % TWO_32);
    JournalBlockTag3.flags.set(view, at, flags);
    JournalBlockTag3.blocknrHigh.set(view, at, Math.floor(block / TWO_32));
    JournalBlockTag3.checksum.set(view, at, checksum);
    return;
  }
  JournalBlockTag.blocknr.set(view, at, block % TWO_32);
  JournalBlockTag.checksum.set(view, at, checksum);
  JournalBlockTag.flags.set(view, at, flags);
  if (wide) JournalBlockTag.blocknrHigh.set(view, at, Math.floor(block / TWO_32));
}

/** A revoke record of `blocks`, at most {@link revokesPerRecord} of them. */
export function encodeRevokes(
  log: JournalLog,
  sequence: number,
  blocks: readonly number[],
): Uint8Array<ArrayBuffer> {
  assert(
    blocks.length <= revokesPerRecord(log),
    () => `${blocks.length} blocks in one revoke record`,
  );
  const { bytes, view } = newRecord(log, JBD2_REVOKE_BLOCK, sequence);
  const size = revokeBytes(log);
  let at = sizeof(JournalRevokeHeader);
  for (const block of blocks) {
    assert(size === 8 || block < TWO_32, () => `block ${block} in a journal of 32 bits`);
    if (size === 8) view.setUint32(at, Math.floor(block / TWO_32));
    view.setUint32(at + size - 4, block % TWO_32);
    at += size;
  }
  JournalRevokeHeader.count.set(view, 0, at);
  sealTail(log, { bytes, view });
  return bytes;
}

/** The commit block; `crc` is the CRC-32 of descriptors and copies, for v1 checksums. */
export function encodeCommit(
  log: JournalLog,
  sequence: number,
  { sec, nsec }: Timespec,
  crc: number,
): Uint8Array<ArrayBuffer> {
  const { bytes, view } = newRecord(log, JBD2_COMMIT_BLOCK, sequence);
  JournalCommitHeader.commitSec.set(view, 0, sec);
  JournalCommitHeader.commitNsec.set(view, 0, nsec);
  if (log.checksumV1) {
    JournalCommitHeader.chksumType.set(view, 0, JBD2_CRC32_CHKSUM);
    JournalCommitHeader.chksumSize.set(view, 0, JBD2_CRC32_CHKSUM_SIZE);
    JournalCommitHeader.chksum.set(view, 0, crc);
  }
  if (log.checksummed) JournalCommitHeader.chksum.set(view, 0, crc32c(log.seed, bytes));
  return bytes;
}

function newRecord(log: JournalLog, blocktype: number, sequence: number): LogBlock {
  const bytes = new Uint8Array(log.blockSize);
  const view = new DataView(bytes.buffer);
  JournalHeader.magic.set(view, 0, JBD2_MAGIC_NUMBER);
  JournalHeader.blocktype.set(view, 0, blocktype);
  JournalHeader.sequence.set(view, 0, sequence);
  return { bytes, view };
}

function sealTail(log: JournalLog, { bytes, view }: LogBlock): void {
  if (!log.checksummed) return;
  const at = bytes.length - sizeof(JournalBlockTail);
  JournalBlockTail.checksum.set(view, at, crc32c(log.seed, bytes));
}

function tailBytes(log: JournalLog): number {
  return log.checksummed ? sizeof(JournalBlockTail) : 0;
}

function revokeBytes(log: JournalLog): number {
  return log.featureIncompat & JBD2_FEATURE_INCOMPAT_64BIT ? 8 : 4;
}
