/**
 * Changes of what an extent tree maps already: written or unwritten, unmapped, moved in the file.
 *
 * All of these may be long, and proceed leaf by leaf: when a handle can take no more they say how
 * far they came, and go on from there in the next one. Each step leaves a tree that is whole.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { corrupt } from "./corruption.ts";
import type { Extent } from "./extent-node.ts";
import { ExtentTree, type Leaf, cut, longestExtent, pushJoined } from "./extent-tree.ts";
import type { Handle } from "./handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import {
  type MapContext,
  addClusters,
  claim,
  hasJournaledContents,
  treeCredits,
  treeRevokes,
} from "./map-context.ts";

/** Leaves that are unmapped in one transaction at most. */
const MOST_LEAVES = 256;
/** Blocks with a revoke record each that are freed at once. */
const MOST_REVOKES = 1024;

/** The parts of a leaf's extents from `from` to below `to`. */
function partsOf({ extents }: Leaf, from: number, to: number): Extent[] {
  const parts: Extent[] = [];
  for (const extent of extents) {
    const { logical, count } = extent;
    const next = logical + count;
    if (logical >= to || next <= from) continue;
    const whole = logical >= from && next <= to;
    parts.push(whole ? extent : cut(extent, Math.max(logical, from), Math.min(next, to)));
  }
  return parts;
}

/** What converting may do when the disk is full. */
export interface ConvertOptions {
  /**
   * Fills blocks with zeros, durably with the transaction. Then an extent that cannot be split on a
   * full disk becomes written as a whole, up to the end of the file: space that was allocated can
   * be written to, whatever happens.
   */
  readonly zero?: ((block: number, count: number) => void) | undefined;
}

/**
 * Makes what is mapped of `from` to below `to` written or unwritten. Returns how far it came: `to`
 * when all is done.
 * @throws ENOSPC with that leaf unchanged, EUCLEAN, EBADMSG, EIO
 */
export function convertExtents(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  [from, to]: readonly [from: number, to: number],
  unwritten: boolean,
  options: ConvertOptions = {},
): number {
  const tree = new ExtentTree(context, handle, record);
  const size = Math.ceil(record.size / context.volume.superblock.blockSize);
  const job = { unwritten, zero: options.zero, most: Math.max(size, to) };
  for (let at = from; at < to;) {
    const leaf = tree.leaf(at);
    const stop = Math.min(to, leaf.limit);
    if (partsOf(leaf, at, stop).some((part) => part.unwritten !== unwritten)) {
      if (!claim(handle, treeCredits(tree.depth), 0)) return at;
      convertLeaf(tree, leaf, [at, stop], job);
    }
    at = stop;
  }
  return to;
}

interface Conversion {
  readonly unwritten: boolean;
  readonly zero: ConvertOptions["zero"];
  /** Where zeroing has to end. */
  readonly most: number;
}

function convertLeaf(
  tree: ExtentTree,
  leaf: Leaf,
  [from, to]: readonly [number, number],
  { unwritten, zero, most }: Conversion,
): void {
  try {
    tree.replace(leaf, from, to, converted(partsOf(leaf, from, to), unwritten));
  } catch (error) {
    if (unwritten || !isDaxError(error, "ENOSPC") || zero === undefined) throw error;
    const wide = widened(leaf, from, to, most);
    if (wide.from === from && wide.to === to) throw error;
    for (const part of [...partsOf(leaf, wide.from, from), ...partsOf(leaf, to, wide.to)]) {
      if (part.unwritten) zero(part.block, part.count);
    }
    tree.replace(leaf, wide.from, wide.to, converted(partsOf(leaf, wide.from, wide.to), false));
  }
}

/** The same blocks in the other state, in extents that are not too long for it. */
function converted(parts: readonly Extent[], unwritten: boolean): Extent[] {
  const longest = longestExtent(unwritten);
  const pieces: Extent[] = [];
  for (const { logical, block, count } of parts) {
    for (let done = 0; done < count; done += longest) {
      const length = Math.min(longest, count - done);
      pieces.push({ logical: logical + done, block: block + done, count: length, unwritten });
    }
  }
  return pieces;
}

/** The range with all of the extents that it begins or ends in, but not behind `most`. */
function widened(
  { extents }: Leaf,
  from: number,
  to: number,
  most: number,
): { readonly from: number; readonly to: number } {
  let wide = { from, to };
  for (const { logical, count, unwritten } of extents) {
    const next = logical + count;
    if (!unwritten || next <= from || logical >= to) continue;
    wide = { from: Math.min(wide.from, logical), to: Math.max(wide.to, Math.min(next, most)) };
  }
  return wide;
}

/**
 * Unmaps and frees `from` to below `to`, backwards. Returns where the part begins that is done:
 * `from` when all is.
 * @throws ENOSPC when the middle of an extent is to go and the tree cannot be split, with nothing
 *   changed; EUCLEAN for blocks that no file may own, EBADMSG, EIO
 */
export function removeExtents(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  from: number,
  to: number,
): number {
  const tree = new ExtentTree(context, handle, record);
  let limit = to;
  let leaves = 0;
  while (limit > from) {
    const leaf = tree.leaf(limit - 1);
    const low = Math.max(from, leaf.first);
    const parts = limit > low ? partsOf(leaf, low, limit) : [];
    if (parts.length === 0) {
      limit = limit <= leaf.first ? from : low;
      continue;
    }
    const room = leaves < MOST_LEAVES ? affordable(context, handle, record, tree.depth, parts) : [];
    if (room.length === 0) return limit;
    const first = (room[0] as Extent).logical;
    const start = room.length === parts.length && first === parts[0]?.logical ? low : first;
    tree.replace(leaf, start, limit, []);
    free(context, handle, record, tree, room, [start, limit]);
    limit = start;
    leaves++;
  }
  const { depth } = tree;
  if (leaves > 0 && claim(handle, treeCredits(depth), treeRevokes(depth))) tree.shrink();
  return limit;
}

/** The last of `parts`, in order, that the handle can free. */
function affordable(
  { allocator }: MapContext,
  handle: Handle,
  record: InodeRecord,
  depth: number,
  parts: readonly Extent[],
): Extent[] {
  const journaled = hasJournaledContents(record);
  const room: Extent[] = [];
  let copies = treeCredits(depth);
  // Claimed once for the nodes that may go.
  let revokes = treeRevokes(depth);
  for (const part of parts.toReversed()) {
    const { logical, block, count } = part;
    if (!allocator.isOwnable(block, count)) {
      const where = `inode ${record.ino} extent at block ${logical}`;
      throw corrupt(where, "start", block, `${count} blocks there are not a file's to free`);
    }
    const cutOff = journaled && count > MOST_REVOKES;
    const piece = cutOff ? cut(part, logical + count - MOST_REVOKES, logical + count) : part;
    copies += allocator.creditsToFree(piece.block, piece.count);
    revokes += journaled ? piece.count : 0;
    if (!claim(handle, copies, revokes)) break;
    revokes = 0;
    room.unshift(piece);
    if (cutOff) break;
  }
  return room;
}

/** Frees what `parts` took of the range, which the tree does not map any more. */
function free(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  tree: ExtentTree,
  parts: readonly Extent[],
  [from, to]: readonly [from: number, to: number],
): void {
  const { allocator, volume } = context;
  const ratio = volume.superblock.clusterRatio;
  const metadata = hasJournaledContents(record);
  let clusters = 0;
  const runs = ratio === 1 ? parts : clusterRuns(tree, parts, ratio, from, to);
  for (const { block: start, count } of runs) {
    if (metadata) for (let i = 0; i < count; i++) volume.blocks.forget(start + i);
    allocator.free(handle, start, count, { metadata });
    clusters += count / ratio;
  }
  addClusters(context, record, -clusters);
}

/** The whole clusters behind `parts` that nothing uses any more, as runs of blocks. */
function clusterRuns(
  tree: ExtentTree,
  parts: readonly Extent[],
  ratio: number,
  from: number,
  to: number,
): { block: number; count: number }[] {
  const kept = new Set<number>();
  for (const border of [from, to]) {
    const cluster = Math.floor(border / ratio);
    if (border % ratio !== 0 && tree.maps(cluster * ratio, ratio)) kept.add(cluster);
  }
  const runs: { block: number; count: number }[] = [];
  let next = 0;
  for (const { logical, block, count } of parts) {
    let first = Math.max(next, Math.floor(logical / ratio));
    next = Math.floor((logical + count - 1) / ratio) + 1;
    let last = next;
    if (kept.has(first)) first++;
    if (last > first && kept.has(last - 1)) last--;
    if (last <= first) continue;
    runs.push({ block: block - logical + first * ratio, count: (last - first) * ratio });
  }
  return runs;
}

/**
 * Moves all blocks of the file from `from` on so many blocks forwards, where nothing is mapped.
 * `at` is where an earlier call came to. Returns how far it came: {@link MAX_LOGICAL_BLOCKS} when
 * all is done. @throws EUCLEAN, EBADMSG, EIO
 */
export function shiftLeft(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  by: number,
  from: number,
): number {
  const tree = new ExtentTree(context, handle, record);
  for (let at = from; at < MAX_LOGICAL_BLOCKS;) {
    const leaf = tree.leaf(at);
    if (leaf.extents.some(({ logical }) => logical >= at)) {
      if (!claim(handle, treeCredits(tree.depth), 0)) return at;
      const moved: Extent[] = [];
      for (const extent of leaf.extents) {
        const { logical } = extent;
        pushJoined(moved, logical < at ? extent : { ...extent, logical: logical - by });
      }
      tree.write(leaf, moved);
    }
    at = leaf.limit;
  }
  return MAX_LOGICAL_BLOCKS;
}

/**
 * Moves all blocks of the file from `from` on so many blocks backwards. `limit` is where an earlier
 * call came to. Returns how far it came: `from` when all is done.
 * @throws EINVAL when blocks would come to lie behind the last that a file can have, ENOSPC with
 *   nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function shiftRight(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  by: number,
  [from, limit]: readonly [from: number, limit: number],
): number {
  const tree = new ExtentTree(context, handle, record);
  if (limit === MAX_LOGICAL_BLOCKS) prepareShift(tree, record, by, from);
  for (let to = limit; to > from;) {
    const leaf = tree.leaf(to - 1);
    if (leaf.extents.some(({ logical }) => logical >= from && logical < to)) {
      if (!claim(handle, treeCredits(tree.depth), 0)) return to;
      const moved = leaf.extents.map((extent) => {
        const { logical } = extent;
        return logical >= from && logical < to ? { ...extent, logical: logical + by } : extent;
      });
      tree.write(leaf, moved);
    }
    to = to <= leaf.first ? from : leaf.first;
  }
  return from;
}

/** Whatever may fail for want of space comes before anything moves. */
function prepareShift(tree: ExtentTree, { ino }: InodeRecord, by: number, from: number): void {
  const last = tree.leaf(MAX_LOGICAL_BLOCKS - 1).extents.at(-1);
  const next = last === undefined ? 0 : last.logical + last.count;
  if (next > from && next + by >= MAX_LOGICAL_BLOCKS) {
    const detail = `inode ${ino} would end behind block ${MAX_LOGICAL_BLOCKS - 1}`;
    throw new DaxError("EINVAL", { syscall: "fallocate", detail });
  }
  const leaf = tree.leaf(from);
  const crosses = ({ logical, count }: Extent) => logical < from && logical + count > from;
  const place = leaf.extents.findIndex(crosses);
  if (place < 0) return;
  const extent = leaf.extents[place] as Extent;
  const { logical, count } = extent;
  const halves = [cut(extent, logical, from), cut(extent, from, logical + count)];
  tree.write(leaf, leaf.extents.toSpliced(place, 1, ...halves));
}
