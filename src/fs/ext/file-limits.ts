/**
 * How large files can be.
 *
 * @module
 */
import { EXT4_EXTENTS_FL, EXT4_NDIR_BLOCKS } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
} from "../../format/ext-superblock.ts";
import type { ExtEditor } from "./editor.ts";
import { hasRoCompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { setSize } from "./inode-writer.ts";
import type { Superblock } from "./superblock.ts";

const MOST_BLOCKS = 2 ** 32 - 1;
const MOST_SECTORS = 2 ** 32 - 1;
/** The largest size that needs no feature. */
const LARGEST_PLAIN = 2 ** 31 - 1;

/**
 * Bytes that a file of the filesystem has at most, whatever its own map can reach (`s_maxbytes`,
 * `ext4_max_size`): block numbers have 32 bits, and so have sectors without `huge_file`.
 */
export function mostBytes(superblock: Superblock): number {
  return Math.min(MOST_BLOCKS, countedBlocks(superblock)) * superblock.blockSize;
}

/** The same for one file, which may have a block map (`ext4_max_bitmap_size`). */
export function mostBytesOf(superblock: Superblock, record: InodeRecord): number {
  if (record.has(EXT4_EXTENTS_FL)) return mostBytes(superblock);
  const { blockSize } = superblock;
  return mostMappedBlocks(blockSize / 4, countedBlocks(superblock)) * blockSize;
}

/** Blocks that `i_blocks` can count. */
function countedBlocks(superblock: Superblock): number {
  if (hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) return 2 ** 48 - 1;
  return Math.floor(MOST_SECTORS / (superblock.blockSize / 512));
}

/** With `a` pointers in a block; indirect blocks are counted, too. */
function mostMappedBlocks(a: number, counted: number): number {
  const reach = EXT4_NDIR_BLOCKS + a + a ** 2 + a ** 3;
  const nodes = 1 + (1 + a) + (1 + a + a ** 2);
  if (reach + nodes <= counted) return reach;
  const behindSingle = counted - EXT4_NDIR_BLOCKS - a;
  if (behindSingle < a ** 2) return counted - 2 - Math.ceil(behindSingle / a);
  const left = behindSingle - a ** 2;
  return counted - (2 + a) - (1 + Math.ceil(left / a) + Math.ceil(left / a ** 2));
}

/**
 * Gives a file its size; the first one of 2 GiB says so in the superblock. Takes a credit for that,
 * and the record is stored by the caller.
 */
export function giveSize(
  { volume, superblock }: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  size: number,
): void {
  setSize(volume.superblock, record, size);
  if (size <= LARGEST_PLAIN) return;
  superblock.needRoCompat(handle, EXT4_FEATURE_RO_COMPAT_LARGE_FILE);
}
