/**
 * INCOMPAT_RECOVER in the superblock: whether the journal has to be replayed. It is the one thing
 * that a journalled mount changes in place, so it has to survive a power cut by itself.
 *
 * On memory the flag and the superblock's checksum cannot change at once. But the flag is one bit:
 * a superblock whose checksum holds with that bit the other way round was caught between the two,
 * and is as good as one with the bit set, for a journal that is clean replays nothing.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_SUPERBLOCK_OFFSET,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { copyIn, copyOf } from "../../lib/memory.ts";
import { sizeof } from "../../lib/struct.ts";

/** The checksum that the 1024 bytes of a superblock have to carry with metadata_csum. */
export function superblockChecksumOf(bytes: Uint8Array): number {
  return crc32c(0xffff_ffff, bytes.subarray(0, SB.checksum.offset));
}

/** Whether the checksum holds once the flag is turned over. */
export function isTornFlag(bytes: Uint8Array): boolean {
  const other = bytes.slice();
  turn(other, (word) => word ^ EXT4_FEATURE_INCOMPAT_RECOVER);
  return superblockChecksumOf(other) === SB.checksum.get(new DataView(other.buffer), 0);
}

/**
 * Sets or clears the flag on the media, and in the journal's copy of the superblock where there is
 * one. Nothing else changes. It is durable with the next flush, which is early enough: set, it is
 * with the first commit; cleared too late, it makes a clean journal be looked at.
 * @throws EIO, EROFS
 */
export function writeRecoverFlag(buffers: Buffers, set: boolean): void {
  const { blockSize, device } = buffers;
  const block = Math.floor(EXT4_SUPERBLOCK_OFFSET / blockSize);
  const within = EXT4_SUPERBLOCK_OFFSET % blockSize;
  const bit = EXT4_FEATURE_INCOMPAT_RECOVER;
  const change = (word: number) => (set ? word | bit : word & ~bit);
  if (buffers.beforeOverlay(block, 1) === 0) {
    const { memory, at } = buffers.get(block, "superblock");
    copyIn(memory, at + within, sealed(copyOf(memory, at + within, sizeof(SB)), change));
  }
  const bytes = new Uint8Array(Math.max(blockSize, within + sizeof(SB)));
  device.readBytes(block * blockSize, bytes);
  const superblock = bytes.subarray(within, within + sizeof(SB));
  superblock.set(sealed(superblock.slice(), change));
  buffers.write(block, bytes);
}

function sealed(
  bytes: Uint8Array<ArrayBuffer>,
  change: (word: number) => number,
): Uint8Array<ArrayBuffer> {
  turn(bytes, change);
  const view = new DataView(bytes.buffer);
  const checksummed = SB.featureRoCompat.get(view, 0) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  if (checksummed) SB.checksum.set(view, 0, superblockChecksumOf(bytes));
  return bytes;
}

function turn(bytes: Uint8Array<ArrayBuffer>, change: (word: number) => number): void {
  const view = new DataView(bytes.buffer);
  SB.featureIncompat.set(view, 0, change(SB.featureIncompat.get(view, 0)) >>> 0);
}
