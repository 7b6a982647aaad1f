/**
 * Replay of ext4's fast commits, in memory on top of the replayed log: the changes that Linux makes
 * to inodes, files and directories when it replays them.
 *
 * As Linux, a record about an inode that is not there is passed over, and the link counts of
 * directories stay as the records leave them: a new directory has one link, and its parent no more
 * than before.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FC_TAG_ADD_RANGE,
  EXT4_FC_TAG_CREAT,
  EXT4_FC_TAG_DEL_RANGE,
  EXT4_FC_TAG_INODE,
  EXT4_FC_TAG_LINK,
  EXT4_FC_TAG_UNLINK,
  FcAddRange,
  FcDelRange,
  FcDentryInfo,
  FcInode,
} from "../../format/ext4-fast-commit.ts";
import { EXT_INIT_MAX_LEN } from "../../format/ext-inode.ts";
import { DaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { EXT4_NAME_LEN } from "../../format/ext-directory.ts";
import { corrupt } from "./corruption.ts";
import type { FastCommitRecord, FastCommitScan } from "./fast-commit-scan.ts";
import { ReplayFiles } from "./replay-files.ts";
import type { Superblock } from "./superblock.ts";

/** Records that are replayed at most: more than any area that mke2fs makes can hold. */
const MOST_RECORDS = 1 << 18;

/**
 * Applies the records of a fast-commit area over `buffers`; `superblock` is the one that is valid
 * after the log was replayed.
 * @throws EUCLEAN for records that contradict the filesystem, ENOTSUP for what cannot be replayed
 *   here, EIO
 */
export function replayFastCommits(
  superblock: Superblock,
  buffers: Buffers,
  fastCommits: FastCommitScan,
): void {
  if (fastCommits.tags === 0) return;
  if (fastCommits.tags > MOST_RECORDS) {
    const detail = `ext: a fast-commit area of ${fastCommits.tags} records; recover it with e2fsck`;
    throw new DaxError("ENOTSUP", { syscall: "mount", detail });
  }
  const files = new ReplayFiles(superblock, buffers);
  for (const record of fastCommits.records()) files.reserve(rangeOf(record));
  for (const record of fastCommits.records()) apply(files, record);
  files.finish();
}

/** The blocks that a record says a file has: nothing else may take them in the meantime. */
function rangeOf({ tag, view }: FastCommitRecord): { block: number; count: number } | undefined {
  if (tag !== EXT4_FC_TAG_ADD_RANGE) return undefined;
  const { block, count } = extentOf(view);
  return { block, count };
}

function extentOf(view: DataView): {
  logical: number;
  block: number;
  count: number;
  unwritten: boolean;
} {
  const length = FcAddRange.len.get(view, 0);
  const unwritten = length > EXT_INIT_MAX_LEN;
  return {
    logical: FcAddRange.block.get(view, 0),
    block: FcAddRange.startLo.get(view, 0) + FcAddRange.startHi.get(view, 0) * 2 ** 32,
    count: unwritten ? length - EXT_INIT_MAX_LEN : length,
    unwritten,
  };
}

function apply(files: ReplayFiles, record: FastCommitRecord): void {
  const { tag, view, bytes } = record;
  switch (tag) {
    case EXT4_FC_TAG_ADD_RANGE:
      files.addRange(FcAddRange.ino.get(view, 0), extentOf(view));
      return;
    case EXT4_FC_TAG_DEL_RANGE: {
      const { lblk, len } = FcDelRange;
      files.deleteRange(FcDelRange.ino.get(view, 0), lblk.get(view, 0), len.get(view, 0));
      return;
    }
    case EXT4_FC_TAG_INODE:
      files.setInode(FcInode.ino.get(view, 0), bytes.subarray(sizeof(FcInode)));
      return;
    case EXT4_FC_TAG_CREAT:
    case EXT4_FC_TAG_LINK:
    case EXT4_FC_TAG_UNLINK:
      applyEntry(files, record);
      return;
    default:
    // HEAD, TAIL and PAD say nothing about files.
  }
}

function applyEntry(files: ReplayFiles, { tag, view, bytes }: FastCommitRecord): void {
  const parent = FcDentryInfo.parentIno.get(view, 0);
  const ino = FcDentryInfo.ino.get(view, 0);
  const name = bytes.subarray(sizeof(FcDentryInfo));
  if (name.length > EXT4_NAME_LEN) {
    throw corrupt("fast commit", "name length", name.length, `at most ${EXT4_NAME_LEN}`);
  }
  if (tag === EXT4_FC_TAG_CREAT) files.create(parent, name, ino);
  else if (tag === EXT4_FC_TAG_LINK) files.link(parent, name, ino);
  else files.unlink(parent, name, ino);
}
