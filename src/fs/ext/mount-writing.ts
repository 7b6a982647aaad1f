/**
 * Mounting for writing: what may not be written is refused before anything is, the journal is
 * replayed on the device, and what an earlier mount left to be deleted is deleted.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_INCOMPAT_RECOVER,
} from "../../format/ext-superblock.ts";
import type { Environment } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import { openEditor, randomWord } from "./editor.ts";
import { processOrphans } from "./evict.ts";
import { hasCompat, hasIncompat } from "./features.ts";
import type { MetadataJournal } from "./handle.ts";
import { InPlaceJournal } from "./in-place-journal.ts";
import { InodeCache } from "./inode-cache.ts";
import { Journal, journalFeaturesFor } from "./journal.ts";
import type { JournalMap } from "./journal-log.ts";
import { WRITER_CACHE_BYTES } from "./metadata-blocks.ts";
import { MultiMountGuard } from "./multi-mount.ts";
import { Orphans } from "./orphans.ts";
import { writeRecoverFlag } from "./recover-flag.ts";
import { fixedJournalMap, recoverOnDevice } from "./recovery.ts";
import { type Superblock, readSuperblockToRecover } from "./superblock.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import { Volume } from "./volume.ts";
import { checkWritable } from "./write-features.ts";
import { ExtWriting } from "./writing.ts";
import { type ExtWriteOptions, type WritingOptions, writingOptions } from "./writing-options.ts";

/** What a mounted filesystem is made of. */
export interface MountedParts {
  readonly volume: Volume;
  /** Undefined when it is mounted for reading. */
  readonly writing: ExtWriting | undefined;
}

/** Options of a mount for writing, and those that contradict it. */
export interface WriteMountOptions extends ExtWriteOptions {
  readonly noload?: boolean;
}

/**
 * Opens a filesystem to be read and written.
 * @throws EROFS for a device that cannot be written, ENOTSUP naming what is not kept right, EINVAL
 *   for an odd option, with nothing written; EUCLEAN, EBADMSG, EIO
 */
export function mountForWriting(
  device: BlockDevice,
  options: WriteMountOptions,
  environment: Environment,
): MountedParts {
  const { found, granted } = allowed(device, options);
  const guard = claim(found, device, options, environment);
  const recovered = recoverOnDevice(found, device, environment.trace);
  // It changes while it is mounted, and who was given it may be given it again.
  const superblock = { ...recovered };
  const buffers = new Buffers(device, found.blockSize);
  // The journal may have held a superblock with other features.
  checkAllowed(superblock, options);
  const volume = new Volume(superblock, buffers, environment.trace, {
    cacheBytes: WRITER_CACHE_BYTES,
  });
  const editor = openEditor(volume, environment);
  const journalled = hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL);
  const journal = journalled
    ? openJournal(volume, fixedJournalMap(recovered, device), environment)
    : new InPlaceJournal(buffers, { environment });
  const orphans = new Orphans(volume, editor.superblock);
  const inodes = new InodeCache(true);
  const parts = { editor, journal, orphans, inodes, options: granted, journalled, guard };
  const writing = new ExtWriting(parts);
  begin(writing, journal);
  finishOrphans(writing);
  journal.commitSteps = granted.commitSteps;
  return { volume, writing };
}

/**
 * Does of {@link mountForWriting} what comes before anything is opened, as a mount that is cut off
 * then: its journal is replayed. A filesystem that says who has it mounted is left alone.
 * @throws as {@link mountForWriting}
 */
export function recoverForWriting(
  device: BlockDevice,
  options: WriteMountOptions,
  { trace }: Environment,
): void {
  const { found } = allowed(device, options);
  if (!hasIncompat(found, EXT4_FEATURE_INCOMPAT_MMP)) recoverOnDevice(found, device, trace);
}

/** What is on the device, and what is granted. @throws EROFS, ENOTSUP, EINVAL, EUCLEAN, EIO */
function allowed(
  device: BlockDevice,
  options: WriteMountOptions,
): { readonly found: Superblock; readonly granted: WritingOptions } {
  if (device.readOnly) {
    throw new DaxError("EROFS", { syscall: "mount", detail: `${device.name} is read-only` });
  }
  const found = readSuperblockToRecover(device);
  const granted = writingOptions(found, options);
  checkAllowed(found, options);
  return { found, granted };
}

function checkAllowed(superblock: Superblock, { noload = false }: WriteMountOptions): void {
  checkWritable(superblock);
  const journalled = hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL);
  if (!noload || !journalled) return;
  const dirty = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER);
  const why = dirty ? "the journal has to be replayed first" : "changes go through the journal";
  throw new DaxError("EINVAL", { syscall: "mount", detail: `noload with write: ${why}` });
}

/** Whoever else may have it is found out before anything is written. @throws EBUSY */
function claim(
  found: Superblock,
  device: BlockDevice,
  { multiMount }: WriteMountOptions,
  { clock, random, trace }: Environment,
): MultiMountGuard | undefined {
  if (!hasIncompat(found, EXT4_FEATURE_INCOMPAT_MMP)) return undefined;
  const word = new Uint8Array(4);
  const buffers = new Buffers(device, found.blockSize);
  return new MultiMountGuard(new Volume(found, buffers, trace), {
    nodename: "daxkit",
    ...multiMount,
    now: () => clock.now(),
    random: () => randomWord(random, word),
  });
}

function openJournal(volume: Volume, map: JournalMap, environment: Environment): Journal {
  const { buffers, superblock } = volume;
  return new Journal(buffers, map, {
    environment,
    features: journalFeaturesFor(superblock),
    hooks: {
      beforeFirstCommit: () => {
        writeRecoverFlag(buffers, true);
        // e2fsck -p gives up on a journal with data that nobody asks to replay, committed or not.
        buffers.device.flush();
      },
      afterClean: () => writeRecoverFlag(buffers, false),
    },
  });
}

/** Says in the superblock that it is mounted, and takes over what an aborted journal noted. */
function begin(writing: ExtWriting, journal: MetadataJournal): void {
  const { superblock } = writing.editor;
  const failed = journal instanceof Journal && journal.recordedErrno !== 0;
  writing.operate(SUPERBLOCK_CREDITS, (handle) => {
    superblock.mounted(handle);
    if (failed) superblock.foundErrors(handle);
  });
  // Without a journal it is durable that the filesystem is not clean before it is not.
  if (failed || journal instanceof InPlaceJournal) journal.commit();
  if (failed) journal.clearErrno();
}

/** Deletes what has no name, and cuts what was being cut; what is damaged is left. */
function finishOrphans(writing: ExtWriting): void {
  const { editor, orphans } = writing;
  const waiting = orphans.count > 0 || editor.volume.superblock.lastOrphan !== 0;
  const { deleted, truncated, problem } = processOrphans(writing);
  if (!waiting) return;
  editor.volume.trace.event("ext.orphans", { deleted, truncated });
  if (problem === undefined) return;
  writing.operate(SUPERBLOCK_CREDITS, (handle) => writing.foundDamage(handle, problem));
}
