/**
 * The fast-commit area of an ext4 journal: which of its records count. They describe, inode by
 * inode, what changed since the last full commit.
 *
 * @module
 */
import {
  EXT4_FC_SUPPORTED_FEATURES,
  EXT4_FC_TAG_ADD_RANGE,
  EXT4_FC_TAG_CREAT,
  EXT4_FC_TAG_DEL_RANGE,
  EXT4_FC_TAG_HEAD,
  EXT4_FC_TAG_INODE,
  EXT4_FC_TAG_LINK,
  EXT4_FC_TAG_PAD,
  EXT4_FC_TAG_TAIL,
  EXT4_FC_TAG_UNLINK,
  FcAddRange,
  FcDelRange,
  FcDentryInfo,
  FcHead,
  FcInode,
  FcTagLength,
  FcTail,
} from "../../format/ext4-fast-commit.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import type { JournalLog, LogBlock } from "./journal-log.ts";

/** One record: `bytes` is its value, `view` the same. */
export interface FastCommitRecord {
  readonly tag: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** The records that a recovery applies. */
export interface FastCommitScan {
  /** How many records count, HEAD, TAIL and PAD included. */
  readonly tags: number;
  /** Those records, in order. */
  records(): Iterable<FastCommitRecord>;
}

/** No record counts. */
export const noFastCommits: FastCommitScan = { tags: 0, records: () => [] };

const TL = sizeof(FcTagLength);

/** The least bytes that the value of each known tag has. */
const leastBytes: ReadonlyMap<number, number> = new Map([
  [EXT4_FC_TAG_ADD_RANGE, sizeof(FcAddRange)],
  [EXT4_FC_TAG_DEL_RANGE, sizeof(FcDelRange)],
  [EXT4_FC_TAG_CREAT, sizeof(FcDentryInfo) + 1],
  [EXT4_FC_TAG_LINK, sizeof(FcDentryInfo) + 1],
  [EXT4_FC_TAG_UNLINK, sizeof(FcDentryInfo) + 1],
  [EXT4_FC_TAG_INODE, sizeof(FcInode) + 128],
  [EXT4_FC_TAG_PAD, 0],
  [EXT4_FC_TAG_TAIL, sizeof(FcTail)],
  [EXT4_FC_TAG_HEAD, sizeof(FcHead)],
]);

/**
 * Finds the records up to the last tail that holds, of fast commits on top of transaction
 * `sequence` (the first that the log does not hold in full).
 *
 * As in Linux, an area without a head counts as empty, an area whose first fast commit is damaged
 * refuses the journal, and damage behind the first valid tail just ends it. An area that is full to
 * its last block is refused as well: Linux reads on behind it and fails the mount.
 *
 * @throws EBADMSG, EUCLEAN for a damaged area, ENOTSUP for unknown features, EIO
 */
export function scanFastCommits(log: JournalLog, sequence: number): FastCommitScan {
  const { fcFirst, fcLast } = log.area;
  const state = { tags: 0, seen: 0, crc: 0 };
  for (let block = fcFirst; block <= fcLast; block++) {
    if (block === log.superblock.maxlen) refuseFullArea(log);
    if (!scanBlock(log, sequence, block, state)) break;
  }
  const { tags } = state;
  if (tags === 0) return noFastCommits;
  return { tags, records: () => firstRecords(log, tags) };
}

function refuseFullArea(log: JournalLog): never {
  const why = "where recovery reads on behind the journal's end";
  const judges = 'Linux and e2fsck refuse it too: "corrupted journal superblock"';
  log.fail("EUCLEAN", `the fast-commit area is full to its last block, ${why} (${judges})`);
}

/** How far the scan has come. */
interface ScanState {
  /** Records that count: those up to the last valid tail. */
  tags: number;
  seen: number;
  crc: number;
}

/** Returns false where the area ends. */
function scanBlock(log: JournalLog, sequence: number, block: number, state: ScanState): boolean {
  const content = log.read(block);
  if (state.seen === 0 && FcTagLength.tag.get(content.view, 0) !== EXT4_FC_TAG_HEAD) return false;
  for (const record of recordsOf(content)) {
    const wrong = wrongLength(record);
    if (wrong !== undefined) return endOrRefuse(log, state, block, record.at, wrong);
    if (record.tag === EXT4_FC_TAG_HEAD && !headCounts(log, sequence, record.view)) return false;
    const covered = record.tag === EXT4_FC_TAG_TAIL ? FcTail.crc.offset : record.bytes.length;
    state.seen++;
    state.crc = crc32c(state.crc, content.bytes.subarray(record.at, record.at + TL + covered));
    if (record.tag !== EXT4_FC_TAG_TAIL) continue;
    if (
      FcTail.tid.get(record.view, 0) !== sequence ||
      FcTail.crc.get(record.view, 0) !== state.crc
    ) {
      const what = "the tail's checksum or transaction does not match";
      return endOrRefuse(log, state, block, record.at, what);
    }
    state.tags = state.seen;
    state.crc = 0;
  }
  return true;
}

function wrongLength({ tag, bytes }: FastCommitRecord): string | undefined {
  const least = leastBytes.get(tag);
  if (least === undefined) return `unknown tag ${tag}`;
  return bytes.length < least ? `tag ${tag} has ${bytes.length} bytes of ${least}` : undefined;
}

/** Damage behind a valid tail ends the area; damage in front of the first one is refused. */
function endOrRefuse(
  log: JournalLog,
  state: ScanState,
  block: number,
  at: number,
  what: string,
): false {
  if (state.tags === 0) {
    log.fail("EBADMSG", `fast-commit area, journal block ${block}, byte ${at}: ${what}`);
  }
  return false;
}

function headCounts(log: JournalLog, sequence: number, view: DataView): boolean {
  const unknown = FcHead.features.get(view, 0) & ~EXT4_FC_SUPPORTED_FEATURES;
  if (unknown !== 0) {
    log.fail("ENOTSUP", `fast-commit area: unknown features 0x${(unknown >>> 0).toString(16)}`);
  }
  return FcHead.tid.get(view, 0) === sequence;
}

interface PlacedRecord extends FastCommitRecord {
  /** Byte of the block at which the record's tag starts. */
  readonly at: number;
}

/** The records of one block; a value that leaves the block is cut off at its end. */
function* recordsOf({ bytes, view }: LogBlock): Generator<PlacedRecord> {
  const size = bytes.length;
  for (let at = 0; at + TL <= size;) {
    const length = FcTagLength.len.get(view, at);
    const value = bytes.subarray(at + TL, Math.min(size, at + TL + length));
    const cut = value.length < length ? value.subarray(0, 0) : value;
    const window = new DataView(cut.buffer, cut.byteOffset, cut.length);
    yield { tag: FcTagLength.tag.get(view, at), at, bytes: cut, view: window };
    at += TL + length;
  }
}

function* firstRecords(log: JournalLog, tags: number): Generator<FastCommitRecord> {
  let left = tags;
  for (let block = log.area.fcFirst; left > 0; block++) {
    for (const record of recordsOf(log.read(block))) {
      if (left-- === 0) return;
      yield record;
    }
  }
}
