/**
 * The second pass over a jbd2 log: which blocks must not be replayed. A block of metadata that was
 * freed is revoked, because it may hold somebody's data by now.
 *
 * @module
 */
import {
  JBD2_COMMIT_BLOCK,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_REVOKE_BLOCK,
  JournalBlockTail,
  JournalRevokeHeader,
} from "../../format/jbd2.ts";
import { sizeof } from "../../lib/struct.ts";
import {
  type LogRecord,
  type LogRecords,
  LogWalk,
  countTags,
  sequenceAfter,
  sequenceBefore,
  tagsOf,
  tailHolds,
} from "./journal-blocks.ts";
import type { JournalLog } from "./journal-log.ts";
import type { LogScan } from "./journal-scan.ts";

/** What the second pass found. */
export class Revocations {
  /** Revoke records in the log, repeated ones included. */
  records = 0;
  /** For every block that the log holds a copy of: the last transaction that revoked it. */
  readonly #last = new Map<number, number | undefined>();

  /** Notes that the log holds a copy of `block`: only for such blocks revocations matter. */
  expect(block: number): void {
    if (!this.#last.has(block)) this.#last.set(block, undefined);
  }

  revoke(block: number, sequence: number): void {
    this.records++;
    if (!this.#last.has(block)) return;
    const known = this.#last.get(block);
    if (known === undefined || sequenceBefore(known, sequence)) this.#last.set(block, sequence);
  }

  /** A copy is revoked by its own transaction and by every later one. */
  revokes(block: number, sequence: number): boolean {
    const revoked = this.#last.get(block);
    return revoked !== undefined && !sequenceBefore(revoked, sequence);
  }
}

/**
 * Collects the revoke records of all transactions that a scan found.
 * @throws EBADMSG, EUCLEAN for a damaged record, EIO
 */
export function collectRevocations(
  log: JournalLog,
  { end, revokes }: Pick<LogScan, "end" | "revokes">,
  records?: LogRecords,
): Revocations {
  const revocations = new Revocations();
  if (!revokes) return revocations;
  // Two walks: which blocks are in the log at all bounds what has to be remembered.
  for (const record of recordsBefore(log, end, records)) {
    if (record.blocktype !== JBD2_DESCRIPTOR_BLOCK) continue;
    for (const tag of tagsOf(log, record)) revocations.expect(tag.block);
  }
  for (const record of recordsBefore(log, end, records)) {
    if (record.blocktype !== JBD2_REVOKE_BLOCK) continue;
    for (const block of revokedBy(log, record)) revocations.revoke(block, record.sequence);
  }
  return revocations;
}

/** The records of all transactions before `end`; the blocks of descriptors are stepped over. */
function* recordsBefore(log: JournalLog, end: number, records?: LogRecords): Generator<LogRecord> {
  const walk = new LogWalk(log, records);
  while (sequenceBefore(walk.sequence, end)) {
    const record = walk.next();
    if (record === undefined) return;
    if (!tailBelieved(log, record)) {
      log.fail("EBADMSG", `journal block ${record.at}: the checksum of its records fails`);
    }
    yield record;
    if (record.blocktype === JBD2_DESCRIPTOR_BLOCK) walk.skip(countTags(log, record));
    if (record.blocktype === JBD2_COMMIT_BLOCK) walk.sequence = sequenceAfter(walk.sequence);
  }
}

function tailBelieved(log: JournalLog, record: LogRecord): boolean {
  return record.blocktype === JBD2_COMMIT_BLOCK || tailHolds(log, record);
}

function* revokedBy(log: JournalLog, { view, at }: LogRecord): Generator<number> {
  const wide = (log.featureIncompat & JBD2_FEATURE_INCOMPAT_64BIT) !== 0;
  const size = wide ? 8 : 4;
  const used = JournalRevokeHeader.count.get(view, 0);
  const room = view.byteLength - (log.checksummed ? sizeof(JournalBlockTail) : 0);
  if (used > room) {
    log.fail("EUCLEAN", `revoke block ${at}: count is ${used} bytes, the block has ${room}`);
  }
  for (let i = sizeof(JournalRevokeHeader); i + size <= used; i += size) {
    const high = wide ? view.getUint32(i) * 0x1_0000_0000 : 0;
    yield high + view.getUint32(wide ? i + 4 : i);
  }
}
