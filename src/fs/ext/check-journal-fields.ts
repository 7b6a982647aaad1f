/**
 * Rules about a journal that only a repair tool knows: its file has all of its blocks, and its
 * superblock holds nothing that its version does not have.
 *
 * @module
 */
import {
  JBD2_MIN_JOURNAL_BLOCKS,
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
  JBD2_DEFAULT_FAST_COMMIT_BLOCKS,
  JBD2_SUPERBLOCK_V2,
  JournalSuperblock as JS,
} from "../../format/jbd2.ts";
import type { Findings } from "./check-context.ts";
import { journalMapOf } from "./recovery.ts";
import type { Volume } from "./volume.ts";

const WHERE = "journal";

/** Checks file and superblock of the journal. @throws EUCLEAN, EBADMSG, ENOTSUP, EIO */
export function checkJournalFields(volume: Volume, findings: Findings): void {
  const report = (text: string): void => findings.error("ext.journal", WHERE, text);
  const map = journalMapOf(volume);
  const { blocks } = map;
  if (blocks < JBD2_MIN_JOURNAL_BLOCKS) {
    report(`it has ${blocks} blocks, expected at least ${JBD2_MIN_JOURNAL_BLOCKS}`);
  }
  const { size } = volume.record(volume.superblock.journalInum);
  const mapped = Math.ceil(size / volume.superblock.blockSize);
  for (let n = 0; n < mapped; n++) {
    if (map.physical(n) !== undefined) continue;
    report(`block ${n} of its ${mapped} is a hole`);
    return;
  }
  const bytes = new Uint8Array(volume.superblock.blockSize);
  volume.buffers.read(map.physical(0) as number, bytes, "journal superblock");
  checkVersion(new DataView(bytes.buffer), report);
}

function checkVersion(view: DataView, report: (text: string) => void): void {
  const users = JS.nrUsers.get(view, 0);
  if (JS.blocktype.get(view, 0) === JBD2_SUPERBLOCK_V2) {
    if (users > 1) report(`nr_users is ${users}, expected at most 1 for a journal inside`);
    checkFastCommits(view, report);
    return;
  }
  const fields = [JS.featureCompat, JS.featureIncompat, JS.featureRoCompat, JS.nrUsers];
  if (fields.every((field) => field.get(view, 0) === 0)) return;
  report("its superblock is of version 1, but has fields of version 2");
}

function checkFastCommits(view: DataView, report: (text: string) => void): void {
  if ((JS.featureIncompat.get(view, 0) & JBD2_FEATURE_INCOMPAT_FAST_COMMIT) === 0) return;
  const maxlen = JS.maxlen.get(view, 0);
  const count = JS.numFcBlks.get(view, 0) || JBD2_DEFAULT_FAST_COMMIT_BLOCKS;
  if (maxlen - count >= JBD2_MIN_JOURNAL_BLOCKS) return;
  report(`num_fc_blks is ${count}, which leaves the log too few of ${maxlen} blocks`);
}
