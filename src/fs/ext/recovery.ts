/**
 * Recovery at mount: a journal that was left dirty is replayed over the blocks, in memory only.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_SUPERBLOCK_OFFSET,
} from "../../format/ext-superblock.ts";
import { type Tracer, silent } from "../../lib/environment.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { perform, recall } from "../../lib/memo.ts";
import { copyOf } from "../../lib/memory.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import { corrupt, unsupported } from "./corruption.ts";
import { hasCompat, hasIncompat } from "./features.ts";
import { replayFastCommits } from "./fast-commit-replay.ts";
import { FileMap } from "./file-map.ts";
import { JournalLog, type JournalMap } from "./journal-log.ts";
import {
  type JournalReplay,
  type JournalStatistics,
  overlayReplay,
  replayLog,
} from "./journal-replay.ts";
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
  layOver(volume.superblock, volume.buffers, replay);
  tellOf(replay.statistics, volume.trace);
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
  const { device } = buffers;
  const replay = replayOf(device, superblock, locateJournal(superblock, device));
  tellOf(replay.statistics, trace);
  return replayedOver(superblock, buffers, replay);
}

/** Lays a replayed journal over `buffers`, and proves what comes of it as far as a mount does. */
function replayedOver(superblock: Superblock, buffers: Buffers, replay: JournalReplay): Superblock {
  layOver(superblock, buffers, replay);
  const after = rereadSuperblock(superblock, buffers);
  journalMapOf(new Volume(after, buffers, silent));
  return after;
}

function layOver(superblock: Superblock, buffers: Buffers, replay: JournalReplay): void {
  overlayReplay(buffers, replay);
  if (replay.fastCommits.tags === 0) return;
  replayFastCommits(rereadSuperblock(superblock, buffers), buffers, replay.fastCommits);
}

function tellOf(
  { firstTransaction, endTransaction, replayed }: JournalStatistics,
  trace: Tracer,
): void {
  trace.event("ext.recovery", { firstTransaction, endTransaction, blocks: replayed });
}

/** Names what is remembered of logs. */
const LOGS = {};

/** What the log of a journal holds. @throws EUCLEAN, EBADMSG, ENOTSUP, EIO */
function replayOf(device: BlockDevice, { blockSize }: Superblock, map: JournalMap): JournalReplay {
  const read = () => {
    try {
      return replayLog(new JournalLog(new Buffers(device, blockSize), map));
    } catch (error) {
      throw isDaxError(error, "EIO") ? unreadable(error) : error;
    }
  };
  if (device.memo === undefined) return read();
  const what = `${device.sectors} sectors, blocks of ${blockSize}, ${map.places}`;
  const replay = device.memo.recall(LOGS, what, () => {
    const found = read();
    // Fast commits are read where they are needed, so there is more to them than was read now.
    return found.fastCommits.tags > 0 ? undefined : found;
  });
  return replay ?? read();
}

/** What is behind the place that cannot be read was committed, too: nothing is replayed. */
function unreadable({ detail, message }: DaxError): DaxError {
  const why = `the journal has to be replayed and cannot be read (${detail ?? message})`;
  const then = "noload, for reading, shows what is there without it; e2fsck decides what to keep";
  return new DaxError("EIO", { syscall: "mount", detail: `${why}; ${then}` });
}

/** Where the journal lies, looked up once. @throws as {@link journalMapOf} */
export function fixedJournalMap(superblock: Superblock, device: BlockDevice): JournalMap {
  return recall(device.memo, superblock, "journal", () =>
    fixedMap(journalMapOf(unshared(superblock, device))),
  );
}

function unshared(superblock: Superblock, device: BlockDevice): Volume {
  return new Volume(superblock, new Buffers(device, superblock.blockSize), silent);
}

/**
 * Where the journal lies before it was replayed. When power went while a group descriptor was
 * brought to its place it is torn, and the journal has it whole; the table of inodes that it names
 * never moves. So for this once its checksum is passed over, and proved after the replay.
 */
function locateJournal(superblock: Superblock, device: BlockDevice): JournalMap {
  return recall(device.memo, superblock, "dirty journal", () => {
    try {
      return fixedMap(journalMapOf(unshared(superblock, device)));
    } catch (error) {
      if (!isDaxError(error, "EBADMSG")) throw error;
      const unproved = { ...superblock, metadataCsum: false, gdtCsum: false };
      return fixedMap(journalMapOf(unshared(unproved, device)));
    }
  });
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
  device: BlockDevice,
  trace: Tracer,
): Superblock {
  if (!hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return superblock;
  const buffers = (): Buffers => new Buffers(device, superblock.blockSize);
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER)) {
    const map = fixedJournalMap(superblock, device);
    perform(device.memo, map, "discard", () => discardJournal(buffers(), map));
    return superblock;
  }
  const map = locateJournal(superblock, device);
  const replay = replayOf(device, superblock, map);
  proveReplay(superblock, device, replay);
  const bringHome = () => replayOnDevice({ superblock, buffers: buffers(), map, replay, trace });
  if (replay.fastCommits.tags > 0) return bringHome();
  return perform(device.memo, replay, "home", bringHome);
}

/** A journal that can be replayed to the end. */
interface Proved {
  readonly superblock: Superblock;
  readonly buffers: Buffers;
  readonly map: JournalMap;
  readonly replay: JournalReplay;
  readonly trace: Tracer;
}

function replayOnDevice({ superblock, buffers, map, replay, trace }: Proved): Superblock {
  const statistics = recoverJournal({
    buffers,
    map,
    replay,
    *fastCommits({ fastCommits }) {
      const scratch = new Buffers(buffers.device, buffers.blockSize);
      replayFastCommits(rereadSuperblock(superblock, scratch), scratch, fastCommits);
      for (const [block, { memory, at }] of scratch.overlays()) {
        yield [block, copyOf(memory, at, buffers.blockSize)];
      }
    },
  });
  tellOf(statistics, trace);
  const after = rereadSuperblock(superblock, buffers);
  writeRecoverFlag(buffers, false);
  return { ...after, featureIncompat: after.featureIncompat & ~EXT4_FEATURE_INCOMPAT_RECOVER };
}

/** In memory first: what cannot be replayed to the end is left as it is. */
function proveReplay(superblock: Superblock, device: BlockDevice, replay: JournalReplay): void {
  const prove = () => replayedOver(superblock, new Buffers(device, superblock.blockSize), replay);
  if (replay.fastCommits.tags > 0) prove();
  else recall(device.memo, replay, "proof", prove);
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
