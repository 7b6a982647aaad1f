/**
 * The commit of a jbd2 transaction: its records and copies go to the log, and then the block that
 * makes them count.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import type { Timespec } from "../../lib/environment.ts";
import { crc32be } from "../../lib/crc32be.ts";
import {
  type LogCopy,
  copyForLog,
  encodeCommit,
  encodeDescriptor,
  encodeRevokes,
  revokesPerRecord,
  tagsPerDescriptor,
} from "./journal-encode.ts";
import { type JournalLog, type JournalMap, physicalBlock } from "./journal-log.ts";
import type { LogSpace } from "./journal-space.ts";

/** Bytes that make a block of the log one of the journal's own: magic number and block type. */
const MARK_BYTES = 8;

/** Where a commit writes to. */
export interface CommitTarget {
  readonly buffers: Buffers;
  readonly log: JournalLog;
  readonly map: JournalMap;
  readonly space: LogSpace;
}

/** What of a transaction goes into the log. */
export interface Loggable {
  readonly copies: ReadonlyMap<number, { readonly block: number; readonly bytes: Uint8Array }>;
  readonly revoked: ReadonlySet<number>;
}

/**
 * Writes a transaction at the head of the log. It is durable when this returns, and so is all that
 * was written to the device before. @throws EIO, EROFS
 */
export function commitToLog(
  target: CommitTarget,
  transaction: Loggable,
  sequence: number,
  time: Timespec,
): void {
  const { buffers } = target;
  const write = (bytes: Uint8Array) => {
    buffers.write(physicalBlock(target.map, target.space.take()), bytes);
  };
  writeRevokes(target.log, transaction, sequence, write);
  const crc = writeCopies(target.log, transaction, sequence, write);
  const commit = encodeCommit(target.log, sequence, time, crc);
  // All of the commit block but its mark goes first: what remains is one word, which no power cut
  // tears. A commit block with a broken checksum would be taken for damage, not for an end.
  const block = physicalBlock(target.map, target.space.take());
  const unmarked = commit.slice();
  unmarked.fill(0, 0, MARK_BYTES);
  buffers.write(block, unmarked);
  buffers.device.flush();
  buffers.write(block, commit, { fua: true });
}

type Write = (bytes: Uint8Array) => void;

/** Revoke records stand first, as Linux writes them. */
function writeRevokes(
  log: JournalLog,
  { revoked }: Loggable,
  sequence: number,
  write: Write,
): void {
  const blocks = [...revoked];
  const each = revokesPerRecord(log);
  for (let i = 0; i < blocks.length; i += each) {
    write(encodeRevokes(log, sequence, blocks.slice(i, i + each)));
  }
}

/** Returns the CRC-32 over descriptors and copies, for v1 checksums. */
function writeCopies(
  log: JournalLog,
  { copies }: Loggable,
  sequence: number,
  write: Write,
): number {
  let crc = 0xffffffff;
  const put = (bytes: Uint8Array) => {
    if (log.checksumV1) crc = crc32be(crc, bytes);
    write(bytes);
  };
  const each = tagsPerDescriptor(log);
  let waiting: LogCopy[] = [];
  const flush = () => {
    if (waiting.length === 0) return;
    put(encodeDescriptor(log, sequence, waiting));
    for (const { bytes } of waiting) put(bytes);
    waiting = [];
  };
  for (const { block, bytes } of copies.values()) {
    waiting.push(copyForLog(block, bytes));
    if (waiting.length === each) flush();
  }
  flush();
  return crc;
}
