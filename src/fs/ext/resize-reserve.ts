/**
 * The resize inode of a filesystem that grew: which blocks are still reserved for descriptors, and
 * where each of them has copies.
 *
 * @module
 */
import { EXT4_DIND_BLOCK, EXT4_N_BLOCKS, EXT4_RESIZE_INO } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_COMPAT_RESIZE_INODE } from "../../format/ext-superblock.ts";
import type { Timespec } from "../../lib/environment.ts";
import { corrupt } from "./corruption.ts";
import { hasCompat } from "./features.ts";
import { superBlockNumber, superGroups } from "./geometry.ts";
import { sealInode } from "./inode-record.ts";
import { setBlockWord, setSectors, setTime } from "./inode-writer.ts";
import type { Superblock } from "./superblock.ts";
import type { Volume } from "./volume.ts";

/** Blocks by number, as they are to be. */
export type ChangedBlocks = Map<number, Uint8Array<ArrayBuffer>>;

/**
 * Puts into `changes` what the resize inode needs to say for `after`; answers the block that it no
 * longer needs, its map, where the filesystem gives the reserve up.
 * @throws EUCLEAN for a resize inode that is none, EBADMSG, EIO
 */
export function changeReserve(
  volume: Volume,
  after: Superblock,
  now: Timespec,
  changes: ChangedBlocks,
): number | undefined {
  const before = volume.superblock;
  if (!hasCompat(before, EXT4_FEATURE_COMPAT_RESIZE_INODE)) return undefined;
  const record = volume.record(EXT4_RESIZE_INO);
  const double = record.view.getUint32(DOUBLE, true);
  if (!volume.blocks.isInside(double, 1)) {
    const what = `inode ${EXT4_RESIZE_INO}`;
    throw corrupt(what, "double-indirect block", double, "outside the filesystem; run e2fsck -f");
  }
  const kept = hasCompat(after, EXT4_FEATURE_COMPAT_RESIZE_INODE);
  const count = kept ? changeMap(volume, after, double, changes) : 0;
  const sectors = count * after.clusterRatio * (after.blockSize / 512);
  if (!kept) for (let i = 0; i < EXT4_N_BLOCKS; i++) setBlockWord(record, i, 0);
  setSectors(after, record, sectors);
  setTime(record, "mtime", now);
  sealInode(after, record);
  const { block, at } = volume.placeOf(EXT4_RESIZE_INO);
  blockIn(volume, changes, block, "inode table block").set(record.bytes, at);
  return kept ? undefined : double;
}

/** Byte of an inode that holds the number of its double-indirect block. */
const DOUBLE = 0x28 + EXT4_DIND_BLOCK * 4;

/** The bytes of a block that changes: those of the media until somebody has edited them. */
export function blockIn(
  volume: Volume,
  changes: ChangedBlocks,
  block: number,
  what: string,
): Uint8Array<ArrayBuffer> {
  const known = changes.get(block);
  if (known !== undefined) return known;
  const bytes = new Uint8Array(volume.superblock.blockSize);
  volume.buffers.read(block, bytes, what);
  changes.set(block, bytes);
  return bytes;
}

/** Lists the reserved blocks, and in each its copies; answers how many blocks the inode has. */
function changeMap(
  volume: Volume,
  after: Superblock,
  double: number,
  changes: ChangedBlocks,
): number {
  const { blockSize, descriptorBlocks, reservedGdtBlocks, blocksPerGroup } = after;
  const perBlock = blockSize / 4;
  const copies = [...superGroups(after)]
    .filter((group) => group > 0)
    .toSorted((a, b) => a - b)
    .slice(0, perBlock);
  const index = new Uint8Array(blockSize);
  const list = new DataView(index.buffer);
  const first = superBlockNumber(after) + 1 + descriptorBlocks;
  for (let i = 0; i < reservedGdtBlocks; i++) {
    list.setUint32(((descriptorBlocks + i) % perBlock) * 4, first + i, true);
    const bytes = new Uint8Array(blockSize);
    const view = new DataView(bytes.buffer);
    for (const [k, group] of copies.entries()) {
      view.setUint32(k * 4, first + i + group * blocksPerGroup, true);
    }
    replace(volume, changes, first + i, bytes);
  }
  replace(volume, changes, double, index);
  return 1 + reservedGdtBlocks * (1 + copies.length);
}

function replace(
  volume: Volume,
  changes: ChangedBlocks,
  block: number,
  bytes: Uint8Array<ArrayBuffer>,
): void {
  const found = new Uint8Array(bytes.length);
  volume.buffers.read(block, found, "reserved descriptor block");
  if (found.some((byte, i) => byte !== bytes[i])) changes.set(block, bytes);
}
