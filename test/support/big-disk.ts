/**
 * Large ext filesystems for tests of allocation: nothing of them exists but what was written, the
 * superblock, the descriptors, and bitmaps as a test wants them.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Ext4GroupDesc as GD } from "../../src/format/ext-group.ts";
import { Ext4SuperBlock as SB } from "../../src/format/ext-superblock.ts";
import { Bitmap } from "../../src/lib/bitmap.ts";

const BLOCK = 4096;
const PER_GROUP = 32_768;
const INODES = 32;
/** Blocks of each group from here on are its bitmaps and its inode table. */
const OWN = 1024;

/** What a filesystem of groups of 128 MiB looks like. */
export interface BigDiskPlan {
  readonly groups: number;
  /** Which clusters of a group are in use, besides the filesystem's own; nothing unless given. */
  readonly fill?: (bitmap: Bitmap, group: number) => void;
  /** Inodes of each group that are in use. */
  readonly inodes?: number;
}

/** A sparse device. */
export class BigDisk implements BlockDevice {
  readonly name = "big0";
  readonly sectors: number;
  readonly limits = { logicalBlockSize: 512, physicalBlockSize: 4096 };
  readonly readOnly = false;
  readonly dax = undefined;
  readonly #plan: BigDiskPlan;
  readonly #blocks = new Map<number, Uint8Array>();

  constructor(plan: BigDiskPlan) {
    this.#plan = plan;
    this.sectors = plan.groups * PER_GROUP * (BLOCK / 512);
    this.#makeSuperblock();
    for (let group = 0; group < plan.groups; group++) this.#makeDescriptor(group);
  }

  /** Blocks at the start of a group that are the filesystem's own. */
  static readonly own = OWN + 3;

  readBytes(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = offset + done;
      const block = Math.floor(at / BLOCK);
      const within = at % BLOCK;
      const part = this.#block(block).subarray(within, within + target.length - done);
      target.set(part, done);
      done += part.length;
    }
  }

  writeBytes(offset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length;) {
      const at = offset + done;
      const within = at % BLOCK;
      const block = this.#block(Math.floor(at / BLOCK));
      const part = source.subarray(done, done + BLOCK - within);
      block.set(part, within);
      this.#blocks.set(Math.floor(at / BLOCK), block);
      done += part.length;
    }
  }

  read(sector: number, target: Uint8Array): void {
    this.readBytes(sector * 512, target);
  }

  write(sector: number, source: Uint8Array): void {
    this.writeBytes(sector * 512, source);
  }

  writeZeroes(sector: number, sectors: number): void {
    this.writeBytes(sector * 512, new Uint8Array(sectors * 512));
  }

  discard(): void {}

  flush(): void {}

  #block(block: number): Uint8Array {
    const known = this.#blocks.get(block);
    if (known !== undefined) return known;
    const group = Math.floor(block / PER_GROUP);
    const within = block % PER_GROUP;
    if (within === OWN) return this.#bitmap(group).bytes;
    const bytes = new Uint8Array(BLOCK);
    if (within === OWN + 1) {
      const bitmap = new Bitmap(BLOCK * 8, bytes);
      bitmap.fill(0, BLOCK * 8, true);
      const used = this.#usedInodes(group);
      bitmap.fill(used, INODES - used, false);
    }
    return bytes;
  }

  #usedInodes(group: number): number {
    return Math.max(this.#plan.inodes ?? 0, group === 0 ? 11 : 0);
  }

  #bitmap(group: number): Bitmap {
    const bitmap = new Bitmap(PER_GROUP);
    this.#plan.fill?.(bitmap, group);
    bitmap.fill(0, BigDisk.own, true);
    return bitmap;
  }

  #makeSuperblock(): void {
    const { groups } = this.#plan;
    const view = new DataView(new ArrayBuffer(1024));
    const blocks = groups * PER_GROUP;
    SB.inodesCount.set(view, 0, groups * INODES);
    SB.blocksCountLo.set(view, 0, blocks);
    SB.logBlockSize.set(view, 0, 2);
    SB.logClusterSize.set(view, 0, 2);
    SB.blocksPerGroup.set(view, 0, PER_GROUP);
    SB.clustersPerGroup.set(view, 0, PER_GROUP);
    SB.inodesPerGroup.set(view, 0, INODES);
    SB.magic.set(view, 0, 0xef53);
    SB.state.set(view, 0, 1);
    SB.revLevel.set(view, 0, 1);
    SB.firstIno.set(view, 0, 11);
    SB.inodeSize.set(view, 0, 128);
    SB.featureIncompat.set(view, 0, 0x2);
    SB.featureRoCompat.set(view, 0, 0x1);
    this.writeBytes(1024, new Uint8Array(view.buffer));
  }

  #makeDescriptor(group: number): void {
    const view = new DataView(new ArrayBuffer(32));
    const start = group * PER_GROUP;
    GD.blockBitmapLo.set(view, 0, start + OWN);
    GD.inodeBitmapLo.set(view, 0, start + OWN + 1);
    GD.inodeTableLo.set(view, 0, start + OWN + 2);
    const bitmap = this.#bitmap(group);
    GD.freeBlocksCountLo.set(view, 0, PER_GROUP - bitmap.count());
    GD.freeInodesCountLo.set(view, 0, INODES - this.#usedInodes(group));
    this.writeBytes(BLOCK + group * 32, new Uint8Array(view.buffer));
  }
}
