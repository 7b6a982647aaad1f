/**
 * All blocks that one inode leads to: contents, the blocks of its map, attributes. A block of the
 * map is named before it is read, so that one which cannot be read is known all the same.
 *
 * @module
 */
import {
  EXT4_EXTENTS_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_IND_BLOCK,
  EXT4_N_BLOCKS,
  EXT4_NDIR_BLOCKS,
} from "../../format/ext-inode.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../vfs/modes.ts";
import {
  childOf,
  type ExtentNode,
  checkIndex,
  extentsOf,
  readChild,
  readRoot,
} from "./extent-node.ts";
import { type InodeRecord, fileAcl } from "./inode-record.ts";
import { isFast } from "./symlink.ts";
import type { Volume } from "./volume.ts";

/** A run of blocks of an inode. */
export interface InodeBlocks {
  readonly kind: "contents" | "map" | "attributes";
  readonly block: number;
  readonly count: number;
  /** Contents: of the first block, in the file. */
  readonly logical: number;
}

/** In no order. @throws EUCLEAN, EBADMSG, EIO at the part of a map that cannot be read */
export function* blocksOf(volume: Volume, record: InodeRecord): Generator<InodeBlocks> {
  const acl = fileAcl(volume.superblock, record);
  if (acl !== 0) yield { kind: "attributes", block: acl, count: 1, logical: 0 };
  if (!hasMap(volume, record)) return;
  if (record.has(EXT4_EXTENTS_FL)) yield* ofNode(volume, record, readRoot(record));
  else yield* ofPointers(volume, record);
}

function hasMap(volume: Volume, record: InodeRecord): boolean {
  const { type } = record;
  if (record.has(EXT4_INLINE_DATA_FL)) return false;
  if (type === S_IFLNK) return !isFast(volume, record);
  return type === S_IFREG || type === S_IFDIR;
}

function* ofNode(volume: Volume, record: InodeRecord, node: ExtentNode): Generator<InodeBlocks> {
  if (node.depth === 0) {
    for (const { logical, block, count } of extentsOf(volume, node)) {
      yield { kind: "contents", block, count, logical };
    }
    return;
  }
  checkIndex(volume, node);
  for (let entry = 0; entry < node.entries; entry++) {
    yield { kind: "map", block: childOf(node, entry), count: 1, logical: 0 };
    yield* ofNode(volume, record, readChild(volume, record, node, entry));
  }
}

function* ofPointers(volume: Volume, record: InodeRecord): Generator<InodeBlocks> {
  for (let index = 0; index < EXT4_NDIR_BLOCKS; index++) {
    const block = record.blockWord(index);
    if (block !== 0) yield { kind: "contents", block, count: 1, logical: index };
  }
  const perBlock = volume.superblock.blockSize / 4;
  let logical = EXT4_NDIR_BLOCKS;
  for (let level = EXT4_IND_BLOCK; level < EXT4_N_BLOCKS; level++) {
    const reach = perBlock ** (level - EXT4_IND_BLOCK + 1);
    yield* ofPointer(volume, record, record.blockWord(level), logical, reach);
    logical += reach;
  }
}

/** A pointer to a block of pointers that reach `reach` blocks from `logical`. */
function* ofPointer(
  volume: Volume,
  record: InodeRecord,
  block: number,
  logical: number,
  reach: number,
): Generator<InodeBlocks> {
  if (block === 0) return;
  yield { kind: "map", block, count: 1, logical: 0 };
  const { view } = volume.blocks.get(block, `inode ${record.ino} block map`, "pointer");
  const perBlock = volume.superblock.blockSize / 4;
  const below = reach / perBlock;
  for (let index = 0; index < perBlock; index++) {
    const next = view.getUint32(index * 4, true);
    if (next === 0) continue;
    const first = logical + index * below;
    if (below === 1) yield { kind: "contents", block: next, count: 1, logical: first };
    else yield* ofPointer(volume, record, next, first, below);
  }
}
