/**
 * Damages ext images on purpose: finds structures, changes fields, and makes checksums good again
 * so that the damage is found by its meaning. Every change can be undone.
 */
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Buffers } from "../../src/block/buffers.ts";
import {
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit,
} from "../../src/format/ext-directory.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import { Ext4ExtentHeader, Ext4Inode, Ext4InodeExtra } from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { descriptorBlock } from "../../src/fs/ext/geometry.ts";
import { descriptorChecksum } from "../../src/fs/ext/groups.ts";
import { type InodeRecord, inodeChecksum } from "../../src/fs/ext/inode-record.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { crc32c, crc32cLe32 } from "../../src/lib/crc32c.ts";
import { silent } from "../../src/lib/environment.ts";
import type { Field } from "../../src/lib/struct.ts";
import { PatchedBytes } from "./patched-bytes.ts";

/** A field to change: of which structure, at which byte of the image. */
export interface Spot {
  readonly base: number;
  readonly field: Field<number>;
}

/** An image that can be damaged and restored. */
export class ExtEditor extends PatchedBytes {
  /** Of the image as it was at first. */
  readonly volume: Volume;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super(bytes);
    const disk = new RamDisk({ name: "ram0", bytes: Uint8Array.from(bytes) });
    const superblock = readSuperblock(disk);
    this.volume = new Volume(superblock, new Buffers(disk, superblock.blockSize), silent);
  }

  /** Bytes in a block. */
  get blockSize(): number {
    return this.volume.superblock.blockSize;
  }

  /** Changes a number. */
  set({ base, field }: Spot, value: number): void {
    const bytes = new Uint8Array(field.size);
    field.set(new DataView(bytes.buffer), -field.offset, value);
    this.write(base + field.offset, bytes);
  }

  /** Byte of the image at which an inode starts. */
  inodeAt(ino: number): number {
    const { inodesPerGroup, inodeSize } = this.volume.superblock;
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const slot = (ino - 1) % inodesPerGroup;
    return this.volume.groups.get(group).inodeTable * this.blockSize + slot * inodeSize;
  }

  /** Byte of the image at which a group descriptor starts. */
  descriptorAt(group: number): number {
    const { descriptorsPerBlock, descSize } = this.volume.superblock;
    const block = descriptorBlock(this.volume.superblock, Math.floor(group / descriptorsPerBlock));
    return block * this.blockSize + (group % descriptorsPerBlock) * descSize;
  }

  /** Makes the superblock's checksum good. */
  sealSuperblock(): void {
    if (!this.volume.superblock.metadataCsum) return;
    const body = this.bytes.subarray(1024, 1024 + Ext4SuperBlock.checksum.offset);
    this.set({ base: 1024, field: Ext4SuperBlock.checksum }, crc32c(0xffff_ffff, body));
  }

  /** Makes a group descriptor's checksum good. */
  sealDescriptor(group: number): void {
    const base = this.descriptorAt(group);
    const { superblock } = this.volume;
    const bytes = this.bytes.subarray(base, base + superblock.descSize);
    const checksum = descriptorChecksum(superblock, group, bytes);
    if (checksum !== undefined) this.set({ base, field: Ext4GroupDesc.checksum }, checksum);
  }

  /** Makes an inode's checksum good; its blocks keep theirs. */
  sealInode(ino: number): void {
    if (!this.volume.superblock.metadataCsum) return;
    const base = this.inodeAt(ino);
    const { inodeSize } = this.volume.superblock;
    const bytes = this.bytes.slice(base, base + inodeSize);
    const view = new DataView(bytes.buffer);
    const extraSize = inodeSize > 128 ? Ext4InodeExtra.extraIsize.get(view, 128) : 0;
    const checksum = inodeChecksum({
      bytes,
      seed: this.seedOf(ino),
      extraSize,
      view,
    } as InodeRecord);
    this.set({ base, field: Ext4Inode.checksumLo }, checksum & 0xffff);
    if (extraSize < 4) return;
    this.set({ base: base + 128, field: Ext4InodeExtra.checksumHi }, checksum >>> 16);
  }

  /** Where the checksums of an inode's blocks start. */
  seedOf(ino: number): number {
    const generation = Ext4Inode.generation.get(this.view, this.inodeAt(ino));
    return crc32cLe32(crc32cLe32(this.volume.superblock.checksumSeed, ino), generation);
  }

  /** Makes an extent block's checksum good. */
  sealExtents(ino: number, block: number): void {
    const base = block * this.blockSize;
    const tail = 12 + 12 * Ext4ExtentHeader.max.get(this.view, base);
    if (tail + 4 > this.blockSize) return;
    this.#seal(base + tail, crc32c(this.seedOf(ino), this.bytes.subarray(base, base + tail)));
  }

  /** Makes a directory leaf's checksum good. */
  sealLeaf(ino: number, block: number): void {
    const base = block * this.blockSize;
    const tail = base + this.blockSize - 4;
    this.#seal(tail, crc32c(this.seedOf(ino), this.bytes.subarray(base, tail - 8)));
  }

  /** Makes the checksum of a hash tree's block good; `root` tells the two layouts apart. */
  sealIndex(ino: number, block: number, root: boolean): void {
    const base = block * this.blockSize;
    const at = root ? DX_ROOT_INFO_OFFSET + 8 : DX_NODE_COUNTLIMIT_OFFSET;
    const limit = DxCountlimit.limit.get(this.view, base + at);
    const count = DxCountlimit.count.get(this.view, base + at);
    const tail = at + limit * 8;
    if (tail + 8 > this.blockSize || count > limit) return;
    let crc = crc32c(this.seedOf(ino), this.bytes.subarray(base, base + at + count * 8));
    crc = crc32c(crc, this.bytes.subarray(base + tail, base + tail + 4));
    this.#seal(base + tail + 4, crc32c(crc, new Uint8Array(4)));
  }

  /** Makes an attribute block's checksum good. */
  sealXattrs(block: number): void {
    const base = block * this.blockSize;
    const { checksum } = Ext4XattrHeader;
    let crc = crc32cLe32(crc32cLe32(this.volume.superblock.checksumSeed, block), 0);
    crc = crc32c(crc, this.bytes.subarray(base, base + checksum.offset));
    crc = crc32c(crc, new Uint8Array(4));
    crc = crc32c(crc, this.bytes.subarray(base + checksum.offset + 4, base + this.blockSize));
    this.#seal(base + checksum.offset, crc);
  }

  #seal(at: number, checksum: number): void {
    if (!this.volume.superblock.metadataCsum) return;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, checksum, true);
    this.write(at, bytes);
  }
}
