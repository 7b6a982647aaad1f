/**
 * The classic block map: twelve direct pointers, then single, double and triple indirect blocks.
 *
 * @module
 */
import { EXT4_IND_BLOCK, EXT4_N_BLOCKS, EXT4_NDIR_BLOCKS } from "../../format/ext-inode.ts";
import { corrupt } from "./corruption.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import { MAPPED, type Segment, SegmentBuilder, replayOf } from "./runs.ts";
import type { Volume } from "./volume.ts";

/**
 * The part of the mapping that holds `logical`: the direct pointers, one indirect block, or the
 * whole reach of a pointer that is 0.
 * @throws EUCLEAN for a pointer that leaves the filesystem, EIO
 */
export function blockMapSegment(volume: Volume, record: InodeRecord, logical: number): Segment {
  if (logical < EXT4_NDIR_BLOCKS) {
    const pointer = (index: number): number => record.blockWord(index);
    return decode(volume, record, pointer, EXT4_NDIR_BLOCKS, 0, `inode ${record.ino} block map`);
  }
  const perBlock = volume.superblock.blockSize / 4;
  let first = EXT4_NDIR_BLOCKS;
  let reach = perBlock;
  for (let level = EXT4_IND_BLOCK; level < EXT4_N_BLOCKS; level++) {
    if (logical < first + reach) {
      const path = { pointer: record.blockWord(level), first, reach, field: `block[${level}]` };
      return descend(volume, record, path, logical);
    }
    first += reach;
    reach *= perBlock;
  }
  return hole(first, MAX_LOGICAL_BLOCKS);
}

/** A pointer on the way down, and the logical blocks behind it. */
interface Path {
  readonly pointer: number;
  readonly first: number;
  readonly reach: number;
  readonly field: string;
}

function descend(volume: Volume, record: InodeRecord, path: Path, logical: number): Segment {
  const { pointer, first, reach, field } = path;
  if (pointer === 0) return hole(first, Math.min(first + reach, MAX_LOGICAL_BLOCKS));
  const perBlock = volume.superblock.blockSize / 4;
  const { view } = volume.blocks.get(pointer, `inode ${record.ino} block map`, field);
  const where = `inode ${record.ino} indirect block ${pointer}`;
  if (reach === perBlock) {
    const at = (index: number): number => view.getUint32(index * 4, true);
    return decode(volume, record, at, perBlock, first, where);
  }
  const below = reach / perBlock;
  const index = Math.floor((logical - first) / below);
  const child = {
    pointer: view.getUint32(index * 4, true),
    first: first + index * below,
    reach: below,
    field: `entry ${index}`,
  };
  return descend(volume, record, child, logical);
}

function hole(first: number, limit: number): Segment {
  return new SegmentBuilder(first, limit, undefined).finish();
}

function decode(
  volume: Volume,
  record: InodeRecord,
  pointer: (index: number) => number,
  count: number,
  first: number,
  where: string,
): Segment {
  const replay = replayOf(volume, record.type);
  const builder = new SegmentBuilder(first, first + count, replay);
  for (let index = 0; index < count;) {
    const start = pointer(index);
    const length = start === 0 ? 1 : ascending(pointer, index, count);
    if (start !== 0) {
      if (!volume.blocks.isInside(start, length)) {
        const rule = `with ${length} blocks it leaves the filesystem`;
        throw corrupt(where, `entry ${index}`, start, rule);
      }
      builder.add(first + index, start, length, MAPPED);
    }
    index += length;
  }
  return builder.finish();
}

/** How many pointers from `index` name blocks that follow each other. */
function ascending(pointer: (index: number) => number, index: number, count: number): number {
  const start = pointer(index);
  let length = 1;
  while (index + length < count && pointer(index + length) === start + length) length++;
  return length;
}
