/**
 * Recovery at mount: a journal that was left dirty is replayed over the blocks, in memory only.
 *
 * @module
 */
import { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_SUPERBLOCK_OFFSET,
} from "../../format/ext-superblock.ts";
import { type Tracer, silent } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import { copyOf } from "../../lib/memory.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import { corrupt, unsupported } from "./corruption.ts";
import { hasCompat, hasIncompat } from "./features.ts";
import { replayFastCommits } from "./fast-commit-replay.ts";
import { FileMap } from "./file-map.ts";
import { JournalLog, type JournalMap } from "./journal-log.ts";
import { type JournalStatistics, overlayReplay, replayLog } from "./journal-replay.ts";
import { fixedMap } from "./journal-map.ts";
import { discardJournal, recoverJournal } from "./journal-recovery.ts";
import { writeRecoverFlag } from "./recover-flag.ts";
import { type Superblock, parseSuperblock } from "./superblock.ts";
import { Volume } from "./volume.ts";

/**
 * Opens the log of the journal inside the filesystem.
 * @throws EUCLEAN, EBADMSG for a journal that is none, ENOTSUP for one on another device, EIO
 */
export function openJournal(volume: Volume): JournalLog {
  return new JournalLog(volume.buffers, journalMapOf(volume));
}

/**
 * Where the journal inside the filesystem lies; to be read again after a replay.
 * @throws as {@link openJournal}
 */
export function journalMapOf(volume: Volume): JournalMap {
  const { journalInum, journalDev, journalUuid, blockSize } = volume.superblock;
  if (journalInum === 0 || journalUuid.some((byte) => byte !== 0)) {
    const what = `the journal is on an external device (number 0x${journalDev.toString(16)})`;
    throw unsupported(what, "recover it with e2fsck, or mount with noload");
  }
  const record = volume.record(journalInum);
  const where = `journal inode ${journalInum}`;
  if (record.type !== S_IFREG) {
    throw corrupt(where, "mode", `0o${record.mode.toString(8)}`, "not a regular file");
  }
  if (record.links === 0) throw corrupt(where, "links", 0, "the journal was deleted");
  const map = new FileMap(volume, record);
  const blocks = Math.floor(record.size / blockSize);
  return { blocks, physical: (n) => map.blockOf(n) };
}

/**
 * Replays an opened journal over the volume's buffers, in memory. The volume was read before that,
 * so what it remembers is out of date afterwards: make a new one.
 * @throws EUCLEAN, EBADMSG, ENOTSUP for a journal that cannot be replayed, EIO
 */
export function replayInto(volume: Volume, log: JournalLog): JournalStatistics {
  const replay = replayLog(log);
  overlayReplay(volume.buffers, replay);
  if (replay.fastCommits.tags > 0) {
    const superblock = rereadSuperblock(volume.superblock, volume.buffers);
    replayFastCommits(superblock, volume.buffers, replay.fastCommits);
  }
  const { firstTransaction, endTransaction, replayed } = replay.statistics;
  volume.trace.event("ext.recovery", { firstTransaction, endTransaction, blocks: replayed });
  return replay.statistics;
}

/**
 * Replays the journal over `buffers` if the superblock asks for it, and answers the superblock that
 * is valid afterwards. Nothing is written to the device.
 * @throws EUCLEAN, EBADMSG, ENOTSUP for a journal that cannot be replayed, EIO
 */
export function recover(superblock: Superblock, buffers: Buffers, trace: Tracer): Superblock {
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER)) return superblock;
  // Linux ignores the flag without a journal.
  if (!hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return superblock;
  const log = new JournalLog(buffers, locateJournal(superblock, buffers, trace));
  replayInto(new Volume(superblock, buffers, trace), log);
  const after = rereadSuperblock(superblock, buffers);
  journalMapOf(new Volume(after, buffers, trace));
  return after;
}

/**
 * Where the journal lies before it was replayed. When power went while a group descriptor was
 * brought to its place it is torn, and the journal has it whole; the table of inodes that it names
 * never moves. So for this once its checksum is passed over, and proved after the replay.
 */
function locateJournal(superblock: Superblock, buffers: Buffers, trace: Tracer): JournalMap {
  try {
    return fixedMap(journalMapOf(new Volume(superblock, buffers, trace)));
  } catch (error) {
    if (!isDaxError(error, "EBADMSG")) throw error;
    const unproved = { ...superblock, metadataCsum: false, gdtCsum: false };
    return fixedMap(journalMapOf(new Volume(unproved, buffers, trace)));
  }
}

/**
 * Replays the journal to the device, durably, and answers the superblock that is valid afterwards;
 * make a new volume with it. A journal that nobody asks to replay is emptied, as Linux does. The
 * orphans that it may have left are the caller's.
 * @throws EUCLEAN, EBADMSG, ENOTSUP for a journal that cannot be replayed, with nothing written;
 *   EIO, EROFS
 */
export function recoverOnDevice(
  superblock: Superblock,
  buffers: Buffers,
  trace: Tracer,
): Superblock {
  if (!hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return superblock;
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER)) {
    discardJournal(buffers, fixedMap(journalMapOf(new Volume(superblock, buffers, trace))));
    return superblock;
  }
  // In memory first: what cannot be replayed to the end is left as it is.
  recover(superblock, new Buffers(buffers.device, buffers.blockSize), silent);
  const map = locateJournal(superblock, buffers, trace);
  const statistics = recoverJournal({
    buffers,
    map,
    *fastCommits({ fastCommits }) {
      const scratch = new Buffers(buffers.device, buffers.blockSize);
      replayFastCommits(rereadSuperblock(superblock, scratch), scratch, fastCommits);
      for (const [block, { memory, at }] of scratch.overlays()) {
        yield [block, copyOf(memory, at, buffers.blockSize)];
      }
    },
  });
  const { firstTransaction, endTransaction, replayed } = statistics;
  trace.event("ext.recovery", { firstTransaction, endTransaction, blocks: replayed });
  const after = rereadSuperblock(superblock, buffers);
  writeRecoverFlag(buffers, false);
  return { ...after, featureIncompat: after.featureIncompat & ~EXT4_FEATURE_INCOMPAT_RECOVER };
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
