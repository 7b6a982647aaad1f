/**
 * The bitmaps of groups: read and proved when they are first needed, made where a group has none on
 * the media yet, and changed within a transaction.
 *
 * @module
 */
import { EXT4_BG_BLOCK_UNINIT, EXT4_BG_INODE_UNINIT } from "../../format/ext-group.ts";
import { Bitmap } from "../../lib/bitmap.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { groupLength } from "./geometry.ts";
import type { GroupWriter } from "./group-writer.ts";
import type { Handle } from "./handle.ts";
import { initialBlockBitmap } from "./initial-bitmap.ts";
import type { JournaledBlock } from "./transaction.ts";
import type { Volume } from "./volume.ts";

/** Clusters in a group; the last one may be short. */
export function clustersOf({ superblock }: Volume, group: number): number {
  return Math.ceil(groupLength(superblock, group) / superblock.clusterRatio);
}

/** The bitmaps of one filesystem, for writing. */
export class BitmapWriter {
  readonly #volume: Volume;
  readonly #writer: GroupWriter;
  /** Groups whose bitmaps were proved since the mount; whoever changes them is here. */
  readonly #proved: { readonly block: Uint8Array; readonly inode: Uint8Array };

  constructor(volume: Volume, writer: GroupWriter) {
    const { groups } = volume.superblock;
    this.#volume = volume;
    this.#writer = writer;
    this.#proved = { block: new Uint8Array(groups), inode: new Uint8Array(groups) };
  }

  /**
   * The clusters in use, as a copy.
   * @throws EUCLEAN when the descriptor counts otherwise, EBADMSG, EIO
   */
  readBlocks(group: number): Bitmap {
    const descriptor = this.#volume.groups.get(group);
    const { flags, blockBitmap, blockBitmapCsum, freeClusters } = descriptor;
    const { superblock } = this.#volume;
    const bits = clustersOf(this.#volume, group);
    if ((flags & EXT4_BG_BLOCK_UNINIT) !== 0) {
      return this.#counted(new Bitmap(bits, initialBlockBitmap(superblock, descriptor)), {
        where: `group ${group} block bitmap`,
        field: "free_blocks_count",
        free: freeClusters,
      });
    }
    const bytes = this.#read(blockBitmap, "block bitmap");
    const bitmap = new Bitmap(bits, bytes);
    if (this.#proved.block[group] === 1) return bitmap;
    const where = `group ${group} block bitmap`;
    this.#checkSum(where, bytes, superblock.clustersPerGroup, blockBitmapCsum);
    this.#counted(bitmap, { where, field: "free_blocks_count", free: freeClusters });
    this.#proved.block[group] = 1;
    return bitmap;
  }

  /** The bitmap of blocks to change; takes two credits. @throws EIO, EROFS */
  editBlocks(handle: Handle, group: number): Bitmap {
    const descriptor = this.#volume.groups.get(group);
    const bits = clustersOf(this.#volume, group);
    let copy: JournaledBlock;
    if ((descriptor.flags & EXT4_BG_BLOCK_UNINIT) === 0) {
      copy = handle.get(descriptor.blockBitmap, "block bitmap");
      this.#writer.blockBitmapChanged(handle, group, copy);
    } else {
      copy = handle.create(descriptor.blockBitmap);
      copy.bytes.set(initialBlockBitmap(this.#volume.superblock, descriptor));
      pad(copy, bits);
      this.#writer.blockBitmapChanged(handle, group, copy);
      const flags = descriptor.flags & ~EXT4_BG_BLOCK_UNINIT;
      this.#writer.change(handle, group, { flags });
      this.#proved.block[group] = 1;
    }
    return new Bitmap(bits, copy.bytes);
  }

  /**
   * The bitmap of inodes to change; takes two credits, and one more in a group that was never used.
   * @throws EUCLEAN when the descriptor counts otherwise, EBADMSG, EIO, EROFS
   */
  editInodes(handle: Handle, group: number): Bitmap {
    const { inodesPerGroup } = this.#volume.superblock;
    const { flags, inodeBitmap, inodeBitmapCsum, freeInodes } = this.#volume.groups.get(group);
    if ((flags & EXT4_BG_INODE_UNINIT) !== 0) return this.#createInodes(handle, group);
    if (this.#proved.inode[group] === 0) {
      const bytes = this.#read(inodeBitmap, "inode bitmap");
      const where = `group ${group} inode bitmap`;
      this.#checkSum(where, bytes, inodesPerGroup, inodeBitmapCsum);
      const bitmap = new Bitmap(inodesPerGroup, bytes);
      this.#counted(bitmap, { where, field: "free_inodes_count", free: freeInodes });
      this.#proved.inode[group] = 1;
    }
    const copy = handle.get(inodeBitmap, "inode bitmap");
    this.#writer.inodeBitmapChanged(handle, group, copy);
    return new Bitmap(inodesPerGroup, copy.bytes);
  }

  /** Linux gives a group both of its bitmaps with its first inode. */
  #createInodes(handle: Handle, group: number): Bitmap {
    const { groups, superblock } = this.#volume;
    const before = groups.get(group);
    if (before.freeInodes !== superblock.inodesPerGroup) {
      const rule = `a group that was never used has ${superblock.inodesPerGroup}`;
      throw corrupt(`group ${group}`, "free_inodes_count", before.freeInodes, rule);
    }
    const copy = handle.create(before.inodeBitmap);
    pad(copy, superblock.inodesPerGroup);
    if ((before.flags & EXT4_BG_BLOCK_UNINIT) !== 0) this.editBlocks(handle, group);
    this.#writer.inodeBitmapChanged(handle, group, copy);
    const flags = groups.get(group).flags & ~EXT4_BG_INODE_UNINIT;
    this.#writer.change(handle, group, { flags, itableUnused: superblock.inodesPerGroup });
    this.#proved.inode[group] = 1;
    return new Bitmap(superblock.inodesPerGroup, copy.bytes);
  }

  #read(block: number, what: string): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#volume.superblock.blockSize);
    this.#volume.buffers.read(block, bytes, what);
    return bytes;
  }

  #checkSum(where: string, bytes: Uint8Array, bits: number, stored: number): void {
    const { metadataCsum, checksumSeed, descSize } = this.#volume.superblock;
    if (!metadataCsum) return;
    const crc = crc32c(checksumSeed, bytes.subarray(0, bits / 8));
    const computed = descSize >= 64 ? crc : crc & 0xffff;
    if (computed !== stored) throw badChecksum(where, stored, computed);
  }

  /** A bitmap that its descriptor contradicts gives out what is in use. */
  #counted(
    bitmap: Bitmap,
    claim: { readonly where: string; readonly field: string; readonly free: number },
  ): Bitmap {
    const clear = bitmap.length - bitmap.count();
    if (clear === claim.free) return bitmap;
    const rule = `the bitmap has ${clear} clear bits`;
    throw corrupt(claim.where, claim.field, claim.free, rule);
  }
}

function pad({ bytes }: JournaledBlock, bits: number): void {
  const all = bytes.length * 8;
  new Bitmap(all, bytes).fill(bits, all - bits, true);
}
