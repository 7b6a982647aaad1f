/**
 * Recovery at mount: a journal that was left dirty is replayed over the blocks, in memory only.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_SUPERBLOCK_OFFSET,
} from "../../format/ext-superblock.ts";
import type { Tracer } from "../../lib/environment.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import { corrupt, unsupported } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import { FileMap } from "./file-map.ts";
import { JournalLog } from "./journal-log.ts";
import { overlayReplay, replayLog } from "./journal-replay.ts";
import { type Superblock, parseSuperblock } from "./superblock.ts";
import { Volume } from "./volume.ts";

/** Opens the log of the journal inside the filesystem. @throws EUCLEAN, EBADMSG, ENOTSUP, EIO */
export function openJournal(volume: Volume): JournalLog {
  const { journalInum, journalDev, blockSize } = volume.superblock;
  if (journalInum === 0) {
    const what = `the journal is on another device (${journalDev})`;
    throw unsupported(what, "recover it with e2fsck, or mount with noload");
  }
  const record = volume.record(journalInum);
  if (record.type !== S_IFREG || record.links === 0) {
    throw corrupt(
      `journal inode ${journalInum}`,
      "mode",
      `0o${record.mode.toString(8)}`,
      "no file",
    );
  }
  const map = new FileMap(volume, record);
  const blocks = Math.floor(record.size / blockSize);
  return new JournalLog(volume.buffers, { blocks, physical: (n) => map.blockOf(n) });
}

/**
 * Replays the journal over `buffers` if the superblock asks for it, and answers the superblock that
 * is valid afterwards. Nothing is written to the device.
 * @throws EUCLEAN, EBADMSG, ENOTSUP for a journal that cannot be replayed, EIO
 */
export function recover(superblock: Superblock, buffers: Buffers, trace: Tracer): Superblock {
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER)) return superblock;
  const replay = replayLog(openJournal(new Volume(superblock, buffers, trace)));
  overlayReplay(buffers, replay);
  const { firstTransaction, endTransaction, replayed } = replay.statistics;
  trace.event("ext.recovery", { firstTransaction, endTransaction, blocks: replayed });
  return rereadSuperblock(superblock, buffers);
}

/** The superblock as replay left it; its geometry may have grown, its block size cannot change. */
function rereadSuperblock(before: Superblock, buffers: Buffers): Superblock {
  const { blockSize, device } = buffers;
  const { memory, at } = buffers.get(Math.floor(EXT4_SUPERBLOCK_OFFSET / blockSize), "superblock");
  const base = at + (EXT4_SUPERBLOCK_OFFSET % blockSize);
  const after = parseSuperblock(memory, base, device.sectors * 512);
  if (after.blockSize !== before.blockSize) {
    const rule = `before the journal was replayed it was ${before.blockSize}`;
    throw corrupt("superblock", "block size", after.blockSize, rule);
  }
  return after;
}
