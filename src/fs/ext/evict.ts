/**
 * The end of an inode: nobody has it open and no name leads to it, so its blocks, its attributes
 * and its number are free again. And what a mount does first: bringing to an end what an earlier
 * one was cut off from.
 *
 * @module
 */
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { type DaxError, isDaxError } from "../../lib/errno.ts";
import { S_IFDIR } from "../../vfs/modes.ts";
import { corrupt } from "./corruption.ts";
import type { ExtEditor } from "./editor.ts";
import { FileMap } from "./file-map.ts";
import type { Handle, MetadataJournal } from "./handle.ts";
import { INODE_CREDITS } from "./inode-allocator.ts";
import { type InodeRecord, sectorsUsed } from "./inode-record.ts";
import { setDtime, setSize, storeRecord } from "./inode-writer.ts";
import { claim } from "./map-context.ts";
import { hasMap, mapCredits, mapRevokes } from "./map-writer.ts";
import { ORPHAN_CREDITS, type Orphans } from "./orphans.ts";
import { truncateStep } from "./truncate.ts";
import {
  XATTR_CREDITS,
  XATTR_REVOKES,
  releaseValue,
  releaseXattrs,
  valuesApart,
} from "./xattr-writer.ts";

/** What ending an inode takes besides its blocks. */
const LAST_CREDITS = XATTR_CREDITS + ORPHAN_CREDITS + INODE_CREDITS + 1;

/** Credits for one {@link evictStep}. */
export function evictCredits(record: InodeRecord): number {
  return mapCredits(record) + LAST_CREDITS;
}

/** Revokes for one {@link evictStep}. */
export function evictRevokes(record: InodeRecord): number {
  return mapRevokes(record) + XATTR_REVOKES;
}

/** What the end of an inode touches. */
export interface Evicting {
  readonly editor: ExtEditor;
  readonly journal: MetadataJournal;
  readonly orphans: Orphans;
}

/**
 * Ends an inode without links, as far as the handle goes; `true`: it is gone. Otherwise it has to
 * be an orphan when the handle stops, and the next handle goes on. A handle with
 * {@link evictCredits} gets on in each step.
 * @throws EUCLEAN, EBADMSG for attributes or a map that break a rule; ENOSPC for a journal that has
 *   no room for freeing one value of an attribute; EIO, EROFS
 */
export function evictStep(
  { editor, orphans }: Omit<Evicting, "journal">,
  handle: Handle,
  record: InodeRecord,
): boolean {
  const { volume, inodes, now } = editor;
  // Before anything of it is gone: whether they can be read.
  const values = valuesApart(editor, record);
  // What is cut off here is gone for good: nothing behind size 0 is ever read again.
  if (hasMap(volume, record)) setSize(volume.superblock, record, 0);
  if (!truncateStep(editor, handle, record)) return false;
  // Each goes with the entry that names it, so that no mount drops it twice.
  for (let left = values; left > 0; left--) {
    if (!releaseValue(editor, handle, record)) return false;
  }
  if (!claim(handle, LAST_CREDITS, XATTR_REVOKES)) return false;
  releaseXattrs(editor, handle, record);
  orphans.remove(handle, record);
  // A number below that of the inodes would be taken for the next orphan.
  setDtime(record, Math.max(Math.min(now().sec, 2 ** 32 - 1), volume.superblock.inodes));
  storeRecord(volume, handle, record);
  inodes.free(handle, record.ino, record.type === S_IFDIR);
  return true;
}

/**
 * Ends an inode that is on the list of orphans, in as many transactions as it takes.
 * @throws as {@link evictStep}
 */
export function evict(evicting: Evicting, record: InodeRecord): void {
  inHandles(evicting, record, (handle) => evictStep(evicting, handle, record));
}

/** Steps that may free nothing before a map is taken for one that never ends. */
const MOST_IDLE_STEPS = 4;

/** Calls `step` in handles of its own until it says that all is done. */
function inHandles(
  { editor, journal }: Evicting,
  record: InodeRecord,
  step: (handle: Handle) => boolean,
): void {
  const { superblock } = editor.volume;
  for (let idle = 0, used = -1; idle < MOST_IDLE_STEPS; idle++) {
    const handle = journal.start(evictCredits(record), evictRevokes(record));
    try {
      if (step(handle)) return;
    } finally {
      handle.stop();
    }
    const left = sectorsUsed(superblock, record);
    if (left !== used) idle = 0;
    used = left;
  }
  throw corrupt(`inode ${record.ino}`, "map", record.size, "it cannot be cut any more");
}

/** What a mount found to be done. */
export interface OrphanReport {
  /** Inodes that are gone. */
  readonly deleted: number;
  /** Files that were cut to their size. */
  readonly truncated: number;
  /** Why something is left, and is tried again at the next mount. */
  readonly problem: DaxError | undefined;
}

/**
 * Deletes the orphans without links, and cuts the others to their size (`ext4_orphan_cleanup`). To
 * be called at a mount for writing, after recovery. An orphan that is damaged stays one.
 * @throws EIO, EROFS
 */
export function processOrphans(evicting: Evicting): OrphanReport {
  const { orphans, journal } = evicting;
  const { records, problem: broken } = orphans.load();
  let [deleted, truncated, problem] = [0, 0, broken];
  if (broken !== undefined) cutChain(journal, orphans);
  for (const record of records) {
    try {
      if (record.links === 0) {
        evict(evicting, record);
        deleted++;
      } else {
        cutToSize(evicting, record);
        truncated++;
      }
    } catch (error) {
      if (!isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP")) throw error;
      problem ??= error;
    }
  }
  return { deleted, truncated, problem };
}

function cutChain(journal: MetadataJournal, orphans: Orphans): void {
  const handle = journal.start(ORPHAN_CREDITS);
  orphans.cut(handle);
  handle.stop();
}

/** Goes on with a truncation that was cut off. */
function cutToSize(evicting: Evicting, record: InodeRecord): void {
  const { editor, orphans } = evicting;
  zeroTail(editor, record);
  inHandles(evicting, record, (handle) => {
    if (!truncateStep(editor, handle, record) || !claim(handle, ORPHAN_CREDITS, 0)) return false;
    orphans.remove(handle, record);
    return true;
  });
}

/** What the last block holds behind the size must not show when the file grows again. */
function zeroTail({ volume, allocator }: ExtEditor, record: InodeRecord): void {
  const { blockSize } = volume.superblock;
  const within = record.size % blockSize;
  if (within === 0 || record.has(EXT4_INLINE_DATA_FL) || !hasMap(volume, record)) return;
  const block = new FileMap(volume, record).blockOf(Math.floor(record.size / blockSize));
  if (block === undefined || !allocator.isOwnable(block, 1)) return;
  const zeros = new Uint8Array(blockSize - within);
  volume.device.writeBytes(block * blockSize + within, zeros);
}
