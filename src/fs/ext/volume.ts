/**
 * What every part of the driver works on: one device with one checked superblock.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import type { Buffers } from "../../block/buffers.ts";
import type { Tracer } from "../../lib/environment.ts";
import { corrupt } from "./corruption.ts";
import { MapBudget } from "./file-map.ts";
import { type GroupDescriptor, Groups } from "./groups.ts";
import { InodeRecord } from "./inode-record.ts";
import { MetadataBlocks } from "./metadata-blocks.ts";
import type { SharedReads, VolumeOptions } from "./shared-reads.ts";
import type { Superblock } from "./superblock.ts";

/** Records of inodes share arrays of this size, so that one kept for long keeps little else. */
const SLAB_BYTES = 4096;

/** A device, its superblock, and bounded caches of what was read of it. */
export class Volume {
  readonly device: BlockDevice;
  readonly superblock: Superblock;
  /** The device's blocks, over which a replayed journal wins. */
  readonly buffers: Buffers;
  readonly blocks: MetadataBlocks;
  readonly groups: Groups;
  readonly mapBudget = new MapBudget();
  /** Inodes that changed in the running transaction: their table has them when it is sealed. */
  readonly unsealed = new Map<number, InodeRecord>();
  /** Whether a journal that was replayed in memory lies over the device. */
  readonly replays: boolean;
  readonly trace: Tracer;
  readonly #shared: SharedReads | undefined;
  #slab = new Uint8Array(0);
  #slabUsed = 0;

  constructor(
    superblock: Superblock,
    buffers: Buffers,
    trace: Tracer,
    options: VolumeOptions = {},
  ) {
    this.device = buffers.device;
    this.superblock = superblock;
    this.buffers = buffers;
    this.replays = buffers.overlaid > 0;
    this.trace = trace;
    this.#shared = options.shared;
    this.groups = new Groups(superblock, buffers, options.shared);
    this.blocks = new MetadataBlocks(buffers, superblock, options);
  }

  /**
   * Reads an inode and proves its bytes. Any number of the inode tables will do, reserved and
   * deleted ones too.
   * @throws EUCLEAN, EBADMSG, EIO
   */
  record(ino: number): InodeRecord {
    if (this.#shared !== undefined) return this.#sharedRecord(ino, this.#shared);
    const { block, at } = this.placeOf(ino);
    const bytes = this.takeRecord();
    const changed = this.unsealed.get(ino);
    if (changed !== undefined) {
      bytes.set(changed.bytes);
      return new InodeRecord(this.superblock, ino, bytes, true);
    }
    this.buffers.read(block, bytes, "inode table block", at);
    return new InodeRecord(this.superblock, ino, bytes);
  }

  #sharedRecord(ino: number, shared: SharedReads): InodeRecord {
    const { inodeSize: length, blockSize } = this.superblock;
    const { descriptor, slot } = this.#place(ino);
    const offset = descriptor.inodeTable * blockSize + slot * length;
    const make = (bytes: Uint8Array<ArrayBuffer>) => new InodeRecord(this.superblock, ino, bytes);
    return shared.read(descriptor, ino, { offset, length }, make);
  }

  /** The block of the inode tables that holds an inode, and the byte in it. @throws EUCLEAN, EIO */
  placeOf(ino: number): { readonly block: number; readonly at: number } {
    const { inodeSize, blockSize } = this.superblock;
    const { descriptor, slot } = this.#place(ino);
    const byte = slot * inodeSize;
    return {
      block: descriptor.inodeTable + Math.floor(byte / blockSize),
      at: byte % blockSize,
    };
  }

  /** Room for one record, zeros: an allocation for each would cost more than reading it. */
  takeRecord(): Uint8Array<ArrayBuffer> {
    const { inodeSize: size } = this.superblock;
    if (this.#slabUsed + size > this.#slab.length) {
      this.#slab = new Uint8Array(Math.max(SLAB_BYTES, size));
      this.#slabUsed = 0;
    }
    const start = this.#slabUsed;
    this.#slabUsed = start + size;
    return this.#slab.subarray(start, start + size);
  }

  /** Whether the inode lies in the part of its table that was never used. */
  isNeverUsed(ino: number): boolean {
    const { descriptor, slot } = this.#place(ino);
    return slot >= this.superblock.inodesPerGroup - descriptor.itableUnused;
  }

  #place(ino: number): { descriptor: GroupDescriptor; slot: number } {
    const { inodes, inodesPerGroup } = this.superblock;
    if (!(ino >= 1 && ino <= inodes && Number.isInteger(ino))) {
      throw corrupt("inode", "number", ino, `not from 1 to ${inodes}`);
    }
    const group = Math.floor((ino - 1) / inodesPerGroup);
    return { descriptor: this.groups.get(group), slot: (ino - 1) % inodesPerGroup };
  }
}
