/**
 * Lookup by hash: from the root of a directory's hash tree to the leaf blocks that may hold a name.
 *
 * @module
 */
import {
  DX_HASH_LEGACY_UNSIGNED,
  DX_HASH_TEA,
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  DxTail,
} from "../../format/ext-directory.ts";
import { EXT4_FEATURE_INCOMPAT_LARGEDIR } from "../../format/ext-superblock.ts";
import { sizeof } from "../../lib/struct.ts";
import { corrupt } from "./corruption.ts";
import type { DirectoryBlocks } from "./directory-blocks.ts";
import { hasIncompat } from "./features.ts";
import { hashName } from "./hash.ts";

const ENTRY = sizeof(DxEntry);
const INFO = sizeof(DxRootInfo);
/** Block numbers in the index use the lower 28 bits. */
const BLOCK_MASK = 0x0fff_ffff;

/** An index block on the path to a leaf, and the entry that the path took. */
interface Frame {
  readonly view: DataView;
  /** Where the entries start; the first one's hash is taken by limit and count. */
  readonly base: number;
  readonly count: number;
  at: number;
}

/**
 * The inode number that `name` stands for, 0 when it is not there.
 * @throws EUCLEAN for an index that breaks a rule, EBADMSG, EIO
 */
export function lookupHashed(directory: DirectoryBlocks, name: Uint8Array): number {
  const { hash, levels, root } = readRoot(directory, name);
  const frames = [root];
  // The blocks on the path are all different, or the tree has a cycle.
  const path = new Set([0]);
  while (frames.length <= levels) {
    const block = blockAt(frames.at(-1) as Frame);
    if (path.has(block)) {
      throw corrupt(directory.where(block), "index", "its own ancestor", "the tree has a cycle");
    }
    path.add(block);
    frames.push(readNode(directory, block, hash));
  }
  // No more leaves than blocks: a chain of equal hashes cannot visit one twice.
  for (let visits = 0; visits < directory.count; visits++) {
    const ino = searchLeaf(directory, blockAt(frames.at(-1) as Frame), name);
    if (ino !== 0) return ino;
    if (!advance(directory, frames, hash)) return 0;
  }
  throw corrupt(directory.where(0), "index", "a chain without end", "leaves repeat");
}

function blockAt(frame: Frame): number {
  return DxEntry.block.get(frame.view, frame.base + frame.at * ENTRY) & BLOCK_MASK;
}

function hashAt(frame: Frame, entry: number): number {
  return DxEntry.hash.get(frame.view, frame.base + entry * ENTRY);
}

function readRoot(
  directory: DirectoryBlocks,
  name: Uint8Array,
): { hash: number; levels: number; root: Frame } {
  const { superblock } = directory.volume;
  const where = `${directory.where(0)} hash root`;
  const { view } = directory.get(0);
  const version = DxRootInfo.hashVersion.get(view, DX_ROOT_INFO_OFFSET);
  const effective = version + (superblock.unsignedHash ? DX_HASH_LEGACY_UNSIGNED : 0);
  const hashed =
    version <= DX_HASH_TEA ? hashName(name, effective, superblock.hashSeed) : undefined;
  if (hashed === undefined) throw corrupt(where, "hash_version", version, "only 0 to 2 are known");
  const length = DxRootInfo.infoLength.get(view, DX_ROOT_INFO_OFFSET);
  if (length !== INFO) throw corrupt(where, "info_length", length, `not ${INFO}`);
  const flags = DxRootInfo.unusedFlags.get(view, DX_ROOT_INFO_OFFSET);
  if ((flags & 1) !== 0) throw corrupt(where, "unused_flags", flags, "bit 0 must be clear");
  const levels = DxRootInfo.indirectLevels.get(view, DX_ROOT_INFO_OFFSET);
  const most = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
  if (levels > most) throw corrupt(where, "indirect_levels", levels, `above ${most}`);
  const { hash } = hashed;
  const root = readFrame(directory, view, DX_ROOT_INFO_OFFSET + INFO, where);
  root.at = lastUpTo(root, hash);
  return { hash, levels, root };
}

function readNode(directory: DirectoryBlocks, index: number, hash: number): Frame {
  const where = `${directory.where(index)} hash node`;
  checkInside(directory, index, where);
  const block = directory.get(index);
  if (!directory.isIndexBlock(block, index)) {
    throw corrupt(where, "rec_len", "that of a leaf", "the index says it is a node");
  }
  const frame = readFrame(directory, block.view, DX_NODE_COUNTLIMIT_OFFSET, where);
  frame.at = lastUpTo(frame, hash);
  return frame;
}

function checkInside(directory: DirectoryBlocks, index: number, where: string): void {
  if (index > 0 && index < directory.count) return;
  throw corrupt(where, "block", index, `not from 1 to ${directory.count - 1}`);
}

function readFrame(directory: DirectoryBlocks, view: DataView, base: number, where: string): Frame {
  const { blockSize, metadataCsum } = directory.volume.superblock;
  const tail = metadataCsum ? sizeof(DxTail) : 0;
  const expected = Math.floor((blockSize - base - tail) / ENTRY);
  const limit = DxCountlimit.limit.get(view, base);
  if (limit !== expected) throw corrupt(where, "limit", limit, `not ${expected}`);
  const count = DxCountlimit.count.get(view, base);
  if (count === 0 || count > limit) throw corrupt(where, "count", count, `not from 1 to ${limit}`);
  return { view, base, count, at: 0 };
}

/** The last entry whose hash is at most `hash`; the first one stands for all below the second. */
function lastUpTo(frame: Frame, hash: number): number {
  let low = 1;
  let high = frame.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (hashAt(frame, middle) <= hash) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Moves to the next leaf if names with the same hash go on there: its key is the hash, with bit 0
 * set because the leaf before it has such names too.
 */
function advance(directory: DirectoryBlocks, frames: Frame[], hash: number): boolean {
  let depth = frames.length - 1;
  while (depth >= 0 && (frames[depth] as Frame).at + 1 >= (frames[depth] as Frame).count) depth--;
  const frame = frames[depth];
  if (frame === undefined) return false;
  frame.at++;
  if ((hashAt(frame, frame.at) & ~1) >>> 0 !== hash) return false;
  for (let below = depth + 1; below < frames.length; below++) {
    const parent = frames[below - 1] as Frame;
    const child = readNode(directory, blockAt(parent), 0);
    child.at = 0;
    frames[below] = child;
  }
  return true;
}

function searchLeaf(directory: DirectoryBlocks, index: number, name: Uint8Array): number {
  checkInside(directory, index, directory.where(index));
  const block = directory.get(index);
  // Without checksum tails one entry may fill a leaf, which then looks like an empty node.
  const { metadataCsum } = directory.volume.superblock;
  if (metadataCsum && directory.isIndexBlock(block, index)) {
    throw corrupt(directory.where(index), "rec_len", "that of a hash node", "it should be a leaf");
  }
  const scanner = directory.scan(block, index);
  while (scanner.next()) if (scanner.matches(name)) return scanner.inode;
  return 0;
}
