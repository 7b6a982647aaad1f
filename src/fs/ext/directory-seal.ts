/**
 * The checksums of a directory's blocks: the fake entry behind a leaf, the tail behind an index.
 *
 * @module
 */
import {
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  DxTail,
  EXT4_FT_DIR_CSUM,
  Ext4DirEntryTail as TAIL,
} from "../../format/ext-directory.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import type { Superblock } from "./superblock.ts";

const ENTRY = sizeof(DxEntry);
const NOTHING = new Uint8Array(4);

/** Where a hash tree's root keeps limit and count. */
export const DX_ROOT_COUNTLIMIT_OFFSET = DX_ROOT_INFO_OFFSET + sizeof(DxRootInfo);

/** Where limit and count of an index block stand, by the number of the block in its directory. */
export function countLimitOffset(index: number): number {
  return index === 0 ? DX_ROOT_COUNTLIMIT_OFFSET : DX_NODE_COUNTLIMIT_OFFSET;
}

/** Bytes of a leaf block that entries fill. */
export function leafRoom({ blockSize, metadataCsum }: Superblock): number {
  return metadataCsum ? blockSize - sizeof(TAIL) : blockSize;
}

/** How many entries an index block has room for whose limit and count stand at `base`. */
export function indexLimit({ blockSize, metadataCsum }: Superblock, base: number): number {
  const tail = metadataCsum ? sizeof(DxTail) : 0;
  return Math.floor((blockSize - base - tail) / ENTRY);
}

/** The checksum of an index block, its entries up to `count` and its tail's first half. */
export function indexChecksum(
  seed: number,
  bytes: Uint8Array,
  base: number,
  limit: number,
  count: number,
): number {
  const tail = base + limit * ENTRY;
  const crc = crc32c(seed, bytes.subarray(0, base + count * ENTRY));
  return crc32c(crc32c(crc, bytes.subarray(tail, tail + 4)), NOTHING);
}

/** Brings the checksum of a leaf up to date, where there is one; `seed` is the directory's. */
export function sealLeaf(superblock: Superblock, seed: number, bytes: Uint8Array): void {
  if (!superblock.metadataCsum) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = leafRoom(superblock);
  TAIL.reservedZero1.set(view, at, 0);
  TAIL.recLen.set(view, at, sizeof(TAIL));
  TAIL.reservedZero2.set(view, at, 0);
  TAIL.reservedFt.set(view, at, EXT4_FT_DIR_CSUM);
  TAIL.checksum.set(view, at, crc32c(seed, bytes.subarray(0, at)));
}

/** The same of an index block, which starts its limit and count at `base`. */
export function sealIndex(
  superblock: Superblock,
  seed: number,
  bytes: Uint8Array,
  base: number,
): void {
  if (!superblock.metadataCsum) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const limit = DxCountlimit.limit.get(view, base);
  const count = DxCountlimit.count.get(view, base);
  const checksum = indexChecksum(seed, bytes, base, limit, count);
  DxTail.checksum.set(view, base + limit * ENTRY, checksum);
}
