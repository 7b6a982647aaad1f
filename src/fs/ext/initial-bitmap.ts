/**
 * The block bitmap of a group that has none on the media.
 *
 * @module
 */
import { fixedBlocks, groupLength, groupStart, inodeTableBlocks } from "./geometry.ts";
import type { StoredGroup } from "./groups.ts";
import type { Superblock } from "./superblock.ts";

/**
 * What the bitmap of a group says before the first allocation: only what the filesystem itself
 * keeps there is in use. A block of bits; those behind the group's end are clear.
 */
export function initialBlockBitmap(
  superblock: Superblock,
  descriptor: StoredGroup,
): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(superblock.blockSize);
  const start = groupStart(superblock, descriptor.group);
  const stop = start + groupLength(superblock, descriptor.group);
  const set = (first: number, count: number): void => {
    const last = Math.min(first + count, stop);
    for (let block = Math.max(first, start); block < last; block++) {
      const bit = Math.floor((block - start) / superblock.clusterRatio);
      bits[bit >> 3] = (bits[bit >> 3] as number) | (1 << (bit & 7));
    }
  };
  const fixed = fixedBlocks(superblock, descriptor.group);
  set(fixed.start, fixed.count);
  set(descriptor.blockBitmap, 1);
  set(descriptor.inodeBitmap, 1);
  set(descriptor.inodeTable, inodeTableBlocks(superblock));
  return bits;
}
