/**
 * The file in which a journalled filesystem notes its orphans, when it is new and empty.
 *
 * @module
 */
import { EXT4_ORPHAN_BLOCK_MAGIC, Ext4OrphanBlockTail as OT } from "../../format/ext-group.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { inodeSeed } from "./mkfs-maps.ts";
import { type MakeExtOptions, inBlocks, refuse } from "./mkfs-options.ts";
import type { Superblock } from "./superblock.ts";

/** Blocks of an orphan file: at least, and at most. */
const ORPHAN_LEAST = 32;
const ORPHAN_MOST = 512;

/** How many blocks it has. @throws EINVAL */
export function orphanBlocks(superblock: Superblock, { orphanFileSize }: MakeExtOptions): number {
  const { blocks, blockSize, clusterRatio } = superblock;
  if (orphanFileSize !== undefined) {
    const count = inBlocks(orphanFileSize, blockSize);
    if (Number.isSafeInteger(count) && count > 0 && count <= 2 ** 20) return count;
    refuse(`an orphan file of ${count} blocks; give 1 to ${2 ** 20}`);
  }
  let count = ORPHAN_MOST;
  if (blocks < 2 ** 17) count = ORPHAN_LEAST;
  else if (blocks < 2 ** 21) count = Math.floor(blocks / 4096);
  return Math.ceil(count / clusterRatio) * clusterRatio;
}

/** An empty block of it. */
export function orphanBlock(superblock: Superblock, ino: number, block: number): Uint8Array {
  const bytes = new Uint8Array(superblock.blockSize);
  const view = new DataView(bytes.buffer);
  const tail = bytes.length - sizeof(OT);
  OT.magic.set(view, tail, EXT4_ORPHAN_BLOCK_MAGIC);
  if (superblock.metadataCsum) {
    let sum = crc32cLe32(inodeSeed(superblock, ino), block >>> 0);
    sum = crc32cLe32(sum, Math.floor(block / 2 ** 32));
    OT.checksum.set(view, tail, crc32c(sum, bytes.subarray(0, tail)));
  }
  return bytes;
}
