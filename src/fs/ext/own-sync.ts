/**
 * fsync as ext2 has it in Linux (`generic_buffers_fsync`): what belongs to the file is written, the
 * rest waits on. The names of a file belong to its directories, and the bitmaps to nobody.
 *
 * @module
 */
import {
  EXT4_EXTENTS_FL,
  EXT4_IND_BLOCK,
  EXT4_INLINE_DATA_FL,
  EXT4_N_BLOCKS,
  EXT4_NDIR_BLOCKS,
} from "../../format/ext-inode.ts";
import { EXT4_FEATURE_RO_COMPAT_METADATA_CSUM } from "../../format/ext-superblock.ts";
import { S_IFDIR, S_IFREG } from "../../vfs/modes.ts";
import { hasRoCompat } from "./features.ts";
import { InPlaceJournal } from "./in-place-journal.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import type { Volume } from "./volume.ts";

/**
 * Makes what belongs to a file durable, and says whether that was done: it is not where there is a
 * journal, or what ext2 does not have. @throws EIO, EROFS after an abort; EUCLEAN
 */
export function syncOwn(volume: Volume, journal: unknown, { record }: InodeState): boolean {
  if (!(journal instanceof InPlaceJournal)) return false;
  if (hasRoCompat(volume.superblock, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) return false;
  if (record.has(EXT4_EXTENTS_FL) || record.has(EXT4_INLINE_DATA_FL)) return false;
  const own = new Set(ownBlocks(volume, record));
  // A hole's pointer: on a filesystem of large blocks that is where the superblock is.
  own.delete(0);
  const place = volume.placeOf(record.ino);
  journal.writeOnly((block) => own.has(block), { ...place, bytes: record.bytes });
  volume.device.flush();
  return true;
}

/** The blocks of a map and, of a directory, its contents: those are metadata. */
function* ownBlocks(volume: Volume, record: InodeRecord): Generator<number> {
  if (record.type !== S_IFREG && record.type !== S_IFDIR) return;
  const contents = record.type === S_IFDIR;
  for (let index = 0; index < EXT4_NDIR_BLOCKS; index++) {
    if (contents) yield record.blockWord(index);
  }
  for (let index = EXT4_IND_BLOCK; index < EXT4_N_BLOCKS; index++) {
    yield* below(volume, record.blockWord(index), index - EXT4_IND_BLOCK, contents);
  }
}

/** An indirect block, and what it points to through `levels` more of them. */
function* below(
  volume: Volume,
  pointer: number,
  levels: number,
  contents: boolean,
): Generator<number> {
  if (pointer === 0) return;
  yield pointer;
  if (levels === 0 && !contents) return;
  const { memory, at } = volume.buffers.get(pointer, "indirect block");
  for (let byte = 0; byte < volume.superblock.blockSize; byte += 4) {
    const child = memory.getUint32(at + byte, true);
    if (levels > 0) yield* below(volume, child, levels - 1, contents);
    else yield child;
  }
}
