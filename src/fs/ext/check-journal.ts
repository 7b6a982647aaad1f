/**
 * Check of the journal. A dirty one is replayed in memory, and everything else is then checked as
 * it will be after the next mount.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_RECOVER,
} from "../../format/ext-superblock.ts";
import type { Environment } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Findings } from "./check-context.ts";
import { checkJournalFields } from "./check-journal-fields.ts";
import { hasCompat, hasIncompat } from "./features.ts";
import type { JournalStatistics } from "./journal-replay.ts";
import { openJournal, replayInto } from "./recovery.ts";
import type { Superblock } from "./superblock.ts";
import { Volume } from "./volume.ts";

const WHERE = "journal";

/**
 * Checks the journal and lets what it holds win over the media; answers whether fast commits were
 * among it. @throws EIO
 */
export function checkJournal(
  superblock: Superblock,
  buffers: Buffers,
  env: Environment,
  findings: Findings,
): boolean {
  if (!hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return false;
  try {
    const volume = new Volume(superblock, buffers, env.trace);
    const log = openJournal(volume);
    const { start, errno } = log.superblock;
    checkJournalFields(volume, findings);
    const recover = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER);
    if (errno !== 0) {
      const text = `Linux aborted it with error ${errno | 0}`;
      // Behind a journal that is to be replayed nothing is known to be wrong yet.
      if (recover) findings.warning("ext.journal.aborted", WHERE, text);
      else findings.error("ext.journal.aborted", WHERE, text);
    }
    if (recover) {
      const statistics = replayInto(volume, log);
      noteReplay(findings, statistics);
      return statistics.fastCommitTags > 0;
    }
    if (start !== 0) {
      const text = `start is ${start}, expected 0, as the superblock asks for no recovery`;
      findings.error("ext.journal.start", WHERE, text);
    }
  } catch (error) {
    if (!isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP")) throw error;
    findings.error("ext.journal", WHERE, error.detail ?? error.message);
  }
  return false;
}

function noteReplay(findings: Findings, statistics: JournalStatistics): void {
  const { transactions, replayed, fastCommitTags } = statistics;
  const fast = fastCommitTags > 0 ? ` and ${fastCommitTags} records of fast commits` : "";
  const text =
    `it is dirty: ${transactions} transactions with ${replayed} blocks${fast} were replayed in ` +
    "memory, and the rest was checked as it will be after the next mount";
  findings.note("ext.journal.dirty", WHERE, text);
}
