/**
 * The index blocks of a directory's hash tree, on the way from the root to one leaf.
 *
 * @module
 */
import {
  DX_HASH_LEGACY_UNSIGNED,
  DX_HASH_TEA,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit,
  DxEntry,
  DxRootInfo,
} from "../../format/ext-directory.ts";
import { EXT4_FEATURE_INCOMPAT_LARGEDIR } from "../../format/ext-superblock.ts";
import { sizeof } from "../../lib/struct.ts";
import { corrupt } from "./corruption.ts";
import type { DirectoryBlocks } from "./directory-blocks.ts";
import { countLimitOffset, indexLimit } from "./directory-seal.ts";
import { hasIncompat } from "./features.ts";
import { type NameHash, hashName } from "./hash.ts";
import type { Superblock } from "./superblock.ts";

const ENTRY = sizeof(DxEntry);
const INFO = sizeof(DxRootInfo);
/** Block numbers in the index use the lower 28 bits. */
const BLOCK_MASK = 0x0fff_ffff;

const { limit: limitField, count: countField } = DxCountlimit;
const { hash: hashField, block: blockField } = DxEntry;

/** An index block, and the entry that the way took. */
export class Frame {
  /** The number of the block in its directory. */
  readonly index: number;
  /** Where the entries start; the first one's hash is taken by limit and count. */
  readonly base: number;
  view: DataView;
  at = 0;

  constructor(index: number, view: DataView) {
    this.index = index;
    this.base = countLimitOffset(index);
    this.view = view;
  }

  get limit(): number {
    return limitField.get(this.view, this.base);
  }

  get count(): number {
    return countField.get(this.view, this.base);
  }

  /** The least hash below an entry; bit 0 says that the entry before has such names as well. */
  key(entry: number): number {
    return hashField.get(this.view, this.base + entry * ENTRY);
  }

  /** The block of the directory that an entry leads to. */
  block(entry: number): number {
    return blockField.get(this.view, this.base + entry * ENTRY) & BLOCK_MASK;
  }

  /** The last entry whose key is at most `hash`; the first one stands for all below the second. */
  lastUpTo(hash: number): number {
    let low = 1;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.key(middle) <= hash) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** Levels of nodes that a hash tree may have below its root. */
export function mostLevels(superblock: Superblock): number {
  return hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
}

/** The hash of a name by a stored `version`; undefined for a version that is not known. */
export function hashBy(
  superblock: Superblock,
  version: number,
  name: Uint8Array,
): NameHash | undefined {
  if (version > DX_HASH_TEA) return undefined;
  const effective = version + (superblock.unsignedHash ? DX_HASH_LEGACY_UNSIGNED : 0);
  return hashName(name, effective, superblock.hashSeed);
}

/** What the root of a hash tree says. @throws EUCLEAN for a root that breaks a rule */
export function readRootInfo(directory: DirectoryBlocks): { version: number; levels: number } {
  const { superblock } = directory.volume;
  const where = `${directory.where(0)} hash root`;
  const { view } = directory.get(0);
  const version = DxRootInfo.hashVersion.get(view, DX_ROOT_INFO_OFFSET);
  if (version > DX_HASH_TEA) throw corrupt(where, "hash_version", version, "only 0 to 2 are known");
  const length = DxRootInfo.infoLength.get(view, DX_ROOT_INFO_OFFSET);
  if (length !== INFO) throw corrupt(where, "info_length", length, `not ${INFO}`);
  const flags = DxRootInfo.unusedFlags.get(view, DX_ROOT_INFO_OFFSET);
  if ((flags & 1) !== 0) throw corrupt(where, "unused_flags", flags, "bit 0 must be clear");
  const levels = DxRootInfo.indirectLevels.get(view, DX_ROOT_INFO_OFFSET);
  const most = mostLevels(superblock);
  if (levels > most) throw corrupt(where, "indirect_levels", levels, `above ${most}`);
  return { version, levels };
}

/** The way to the first leaf that may hold `hash`, the root first. @throws EUCLEAN, EBADMSG, EIO */
export function descend(directory: DirectoryBlocks, hash: number): Frame[] {
  const { levels } = readRootInfo(directory);
  const frames = [openFrame(directory, 0)];
  // The blocks on the path are all different, or the tree has a cycle.
  const path = new Set([0]);
  for (;;) {
    const frame = frames.at(-1) as Frame;
    frame.at = frame.lastUpTo(hash);
    if (frames.length > levels) return frames;
    const block = frame.block(frame.at);
    if (path.has(block)) {
      throw corrupt(directory.where(block), "index", "its own ancestor", "the tree has a cycle");
    }
    path.add(block);
    frames.push(openFrame(directory, block));
  }
}

/** The block of the directory in which the way ends, which is a leaf. @throws EUCLEAN */
export function leafOf(directory: DirectoryBlocks, frames: readonly Frame[]): number {
  const frame = frames.at(-1) as Frame;
  const index = frame.block(frame.at);
  checkInside(directory, index, directory.where(index));
  // Without checksum tails one entry may fill a leaf, which then looks like an empty node.
  const { metadataCsum } = directory.volume.superblock;
  if (metadataCsum && directory.isIndexBlock(directory.get(index), index)) {
    throw corrupt(directory.where(index), "rec_len", "that of a hash node", "it should be a leaf");
  }
  return index;
}

/** The key of the leaf behind the one in which the way ends; undefined at the end of the tree. */
export function nextKey(frames: readonly Frame[]): number | undefined {
  for (let depth = frames.length - 1; depth >= 0; depth--) {
    const frame = frames[depth] as Frame;
    if (frame.at + 1 < frame.count) return frame.key(frame.at + 1);
  }
  return undefined;
}

/** Moves to the leaf behind the one in which the way ends, which exists. @throws EUCLEAN */
export function advance(directory: DirectoryBlocks, frames: Frame[]): void {
  let depth = frames.length - 1;
  while (depth > 0 && (frames[depth] as Frame).at + 1 >= (frames[depth] as Frame).count) depth--;
  (frames[depth] as Frame).at++;
  for (let below = depth + 1; below < frames.length; below++) {
    const parent = frames[below - 1] as Frame;
    frames[below] = openFrame(directory, parent.block(parent.at));
  }
}

function openFrame(directory: DirectoryBlocks, index: number): Frame {
  const where = `${directory.where(index)} hash ${index === 0 ? "root" : "node"}`;
  if (index !== 0) checkInside(directory, index, where);
  const block = directory.get(index);
  if (!directory.isIndexBlock(block, index)) {
    throw corrupt(where, "rec_len", "that of a leaf", "the index says it is a node");
  }
  const frame = new Frame(index, block.view);
  const { limit, count } = frame;
  const expected = indexLimit(directory.volume.superblock, frame.base);
  if (limit !== expected) throw corrupt(where, "limit", limit, `not ${expected}`);
  if (count === 0 || count > limit) throw corrupt(where, "count", count, `not from 1 to ${limit}`);
  return frame;
}

function checkInside(directory: DirectoryBlocks, index: number, where: string): void {
  if (index > 0 && index < directory.count) return;
  throw corrupt(where, "block", index, `not from 1 to ${directory.count - 1}`);
}
