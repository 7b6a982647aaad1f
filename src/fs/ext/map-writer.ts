/**
 * Changing which blocks back which part of a file, whatever kind of map it has. The inode's count
 * of blocks goes along, and the inode is stored with each change.
 *
 * What a {@link FileMap} remembers is not known here: whoever holds one calls its `forget` for the
 * blocks that changed.
 *
 * @module
 */
import {
  EXT4_EXTENTS_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_MAX_EXTENT_DEPTH,
} from "../../format/ext-inode.ts";
import { DaxError, assert, isDaxError } from "../../lib/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../vfs/modes.ts";
import { ALLOCATE_CREDITS } from "./block-allocator.ts";
import { BLOCK_MAP_DEPTH, blockMapLimit, mapPointers, removePointers } from "./block-map-writer.ts";
import { corrupt } from "./corruption.ts";
import { type MapOptions, type MappedRun, mapExtents } from "./extent-mapper.ts";
import { depthOfRoot } from "./extent-node.ts";
import {
  type ConvertOptions,
  convertExtents,
  removeExtents,
  shiftLeft,
  shiftRight,
} from "./extent-writer.ts";
import type { Handle, MetadataJournal } from "./handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS, fileAcl, sectorsUsed } from "./inode-record.ts";
import { storeRecord } from "./inode-writer.ts";
import { type MapContext, treeCredits, treeRevokes } from "./map-context.ts";
import type { Volume } from "./volume.ts";

/** Groups that the longest extent can touch, with blocks of 1 KiB. */
const GROUPS_OF_AN_EXTENT = 6;

/** A range of blocks of a file: from the first to below the second. */
export type BlockRange = readonly [from: number, to: number];

/** Credits for one call of {@link mapBlocks}, or one step of any other change. */
export function mapCredits(record: InodeRecord): number {
  return treeCredits(depthOf(record)) + Math.max(ALLOCATE_CREDITS, 2 * GROUPS_OF_AN_EXTENT);
}

/** Revokes that one step takes, besides those of freed blocks that were metadata themselves. */
export function mapRevokes(record: InodeRecord): number {
  return treeRevokes(depthOf(record));
}

function depthOf(record: InodeRecord): number {
  if (!record.has(EXT4_EXTENTS_FL)) return BLOCK_MAP_DEPTH;
  // A root that cannot be is refused when it is read.
  return Math.min(depthOfRoot(record), EXT4_MAX_EXTENT_DEPTH);
}

/** Whether `i_block` is a map: not a device, a target or contents. */
export function hasMap({ superblock }: Volume, record: InodeRecord): boolean {
  if (record.has(EXT4_INLINE_DATA_FL)) return false;
  if (record.type === S_IFREG || record.type === S_IFDIR) return true;
  if (record.type !== S_IFLNK) return false;
  // The target of a short one is in the inode; it may own a block of attributes all the same.
  const own = fileAcl(superblock, record) === 0 ? 0 : superblock.clusterSize / 512;
  return record.has(EXT4_EXTENTS_FL) || sectorsUsed(superblock, record) > own;
}

/** The first block that a file cannot have. */
export function mapLimit({ superblock }: Volume, record: InodeRecord): number {
  if (record.has(EXT4_EXTENTS_FL)) return MAX_LOGICAL_BLOCKS - 1;
  return blockMapLimit(superblock.blockSize);
}

/**
 * What backs up to `count` blocks of a file from `logical`, in one run from there. A hole is
 * filled: the run is `fresh` then, and unless it is unwritten the caller gives it contents before
 * the transaction commits. Take {@link mapCredits} for each call.
 * @throws ENOSPC, EFBIG, ENOTSUP (unwritten blocks in a block map) with nothing changed; EUCLEAN,
 *   EBADMSG for a map that breaks a rule, EIO, EROFS
 */
export function mapBlocks(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  logical: number,
  count: number,
  options: MapOptions = {},
): MappedRun {
  const { volume } = context;
  assert(count > 0 && logical >= 0, () => `${count} blocks from ${logical}`);
  const limit = mapLimit(volume, record);
  if (logical >= limit) {
    const detail = `inode ${record.ino} cannot have a block ${logical}; its last is ${limit - 1}`;
    throw new DaxError("EFBIG", { syscall: "write", detail });
  }
  const most = Math.min(count, limit - logical);
  const extents = checkMap(volume, record);
  const map = extents ? mapExtents : mapPointers;
  const run = map(context, handle, record, logical, most, options);
  if (run.fresh) storeRecord(volume, handle, record);
  return run;
}

/** Whether the map is one of extents. @throws EUCLEAN for a block map where it cannot be */
function checkMap({ superblock }: Volume, record: InodeRecord): boolean {
  assert(!record.has(EXT4_INLINE_DATA_FL), () => `inode ${record.ino} has inline data, and no map`);
  if (record.has(EXT4_EXTENTS_FL)) return true;
  if (superblock.clusterRatio === 1) return false;
  throw corrupt(`inode ${record.ino}`, "flags", "block map", "with bigalloc all maps are extents");
}

/**
 * Makes what is mapped of a range written, or unwritten. Returns how far it came: the end of the
 * range, or less when the handle can take no more; go on from there in the next one. In a block map
 * all is written. @throws ENOSPC, ENOTSUP (unwritten blocks in a block map), EUCLEAN, EBADMSG, EIO
 */
export function convertBlocks(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  range: BlockRange,
  state: "written" | "unwritten",
  options: ConvertOptions = {},
): number {
  const [, to] = range;
  const unwritten = state === "unwritten";
  if (!checkMap(context.volume, record)) {
    if (!unwritten) return to;
    throw noExtents(record);
  }
  return stored(context, handle, record, () =>
    convertExtents(context, handle, record, range, unwritten, options),
  );
}

/**
 * Unmaps a range and frees its blocks, backwards. Returns where the part begins that is done: the
 * start of the range, or more when the handle can take no more; go on with the rest in the next.
 * @throws ENOSPC when an extent's middle is to go and there is no block to cut it with, with
 *   nothing changed; EUCLEAN, EBADMSG, EIO, EROFS
 */
export function removeBlocks(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  [from, to]: BlockRange,
): number {
  const remove = checkMap(context.volume, record) ? removeExtents : removePointers;
  return stored(context, handle, record, () => remove(context, handle, record, from, to));
}

/**
 * Moves all that is mapped behind a hole forwards, over the hole: `by` blocks before `from` are
 * unmapped. Returns how far it came: {@link MAX_LOGICAL_BLOCKS} when all is done; go on from there.
 * @throws ENOTSUP for a block map, EUCLEAN, EBADMSG, EIO, EROFS
 */
export function collapseBlocks(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  by: number,
  from: number,
): number {
  if (!checkMap(context.volume, record)) throw noExtents(record);
  return stored(context, handle, record, () => shiftLeft(context, handle, record, by, from));
}

/**
 * Moves all that is mapped from `from` on `by` blocks backwards, which leaves a hole. `limit` is
 * {@link MAX_LOGICAL_BLOCKS} at first, then what the call before returned; `from`: all is done.
 * @throws ENOSPC, EINVAL with nothing moved, ENOTSUP for a block map, EUCLEAN, EBADMSG, EIO, EROFS
 */
export function insertBlocks(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  by: number,
  range: readonly [from: number, limit: number],
): number {
  if (!checkMap(context.volume, record)) throw noExtents(record);
  return stored(context, handle, record, () => shiftRight(context, handle, record, by, range));
}

function noExtents({ ino }: InodeRecord): DaxError {
  const detail = `inode ${ino} has a block map, not extents`;
  return new DaxError("ENOTSUP", { syscall: "fallocate", detail });
}

/** Stores the inode after a change, and after one that came to an end on its way. */
function stored<T>(
  { volume }: MapContext,
  handle: Handle,
  record: InodeRecord,
  change: () => T,
): T {
  try {
    const result = change();
    storeRecord(volume, handle, record);
    return result;
  } catch (error) {
    if (isDaxError(error, "ENOSPC") || isDaxError(error, "EUCLEAN")) {
      storeRecord(volume, handle, record);
    }
    throw error;
  }
}

/**
 * Runs a change of many steps, each in a handle of its own if need be. `step` is told where the one
 * before came to, and says where it came to itself, and `goal` when all is done.
 * @throws ENOSPC when not even one step fits into a transaction; as `step`
 */
export function inSteps(
  journal: MetadataJournal,
  record: InodeRecord,
  { start, goal }: { readonly start: number; readonly goal: number },
  step: (handle: Handle, at: number) => number,
): void {
  for (let at = start; at !== goal;) {
    const handle = journal.start(mapCredits(record), mapRevokes(record));
    let next: number;
    try {
      next = step(handle, at);
    } finally {
      handle.stop();
    }
    if (next === at) {
      const detail = `a change of inode ${record.ino} at block ${at} does not fit into the journal`;
      throw new DaxError("ENOSPC", { detail });
    }
    at = next;
  }
}
