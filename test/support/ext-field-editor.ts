/**
 * Edits ext images field by field, and makes the checksums right again where that is wanted, so
 * that a check has to find the edit itself and not just a bad checksum.
 */
import { Ext4DirEntry2, Ext4DirEntryTail } from "../../src/format/ext-directory.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import {
  EXT4_EXTENTS_FL,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4Inode,
  Ext4InodeExtra,
} from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { descriptorBlock } from "../../src/fs/ext/geometry.ts";
import { descriptorChecksum } from "../../src/fs/ext/groups.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Findings } from "../../src/fs/ext/check-context.ts";
import { parseForCheck } from "../../src/fs/ext/check-superblock.ts";
import type { Superblock } from "../../src/fs/ext/superblock.ts";
import { crc32c, crc32cLe32 } from "../../src/lib/crc32c.ts";
import type { Field } from "../../src/lib/struct.ts";

type NumberField = Field<number>;

/** An image that is edited in place. */
export class ExtEditor {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly superblock: Superblock;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const raw = new DataView(bytes.slice(1024, 2048).buffer);
    const parsed = parseForCheck(raw, new RamDisk({ name: "ram0", bytes }), new Findings());
    if (parsed === undefined) throw new Error("the image has no superblock to go by");
    this.superblock = parsed;
  }

  block(block: number): Uint8Array<ArrayBuffer> {
    const { blockSize } = this.superblock;
    return this.bytes.subarray(block * blockSize, (block + 1) * blockSize);
  }

  // Superblock.

  getSuper(field: NumberField): number {
    return field.get(this.view, 1024);
  }

  setSuper(field: NumberField, value: number): void {
    field.set(this.view, 1024, value);
    this.sealSuper();
  }

  sealSuper(): void {
    if (!this.superblock.metadataCsum) return;
    const sum = crc32c(0xffff_ffff, this.bytes.subarray(1024, 1024 + 0x3fc));
    Ext4SuperBlock.checksum.set(this.view, 1024, sum);
  }

  // Group descriptors.

  descriptorAt(group: number): number {
    const { descriptorsPerBlock, descSize, blockSize } = this.superblock;
    const block = descriptorBlock(this.superblock, Math.floor(group / descriptorsPerBlock));
    return block * blockSize + (group % descriptorsPerBlock) * descSize;
  }

  getGroup(group: number, field: NumberField): number {
    return field.get(this.view, this.descriptorAt(group));
  }

  setGroup(group: number, field: NumberField, value: number): void {
    field.set(this.view, this.descriptorAt(group), value);
    this.sealGroup(group);
  }

  sealGroup(group: number): void {
    const at = this.descriptorAt(group);
    const bytes = this.bytes.slice(at, at + this.superblock.descSize);
    const sum = descriptorChecksum(this.superblock, group, bytes);
    if (sum !== undefined) Ext4GroupDesc.checksum.set(this.view, at, sum);
  }

  /** Makes the checksum of a bitmap right. */
  sealBitmap(group: number, kind: "block" | "inode"): void {
    const { metadataCsum, checksumSeed, descSize } = this.superblock;
    if (!metadataCsum) return;
    const block = kind === "block" ? Ext4GroupDesc.blockBitmapLo : Ext4GroupDesc.inodeBitmapLo;
    const { clustersPerGroup, inodesPerGroup } = this.superblock;
    const bits = kind === "block" ? clustersPerGroup : inodesPerGroup;
    const bitmap = this.block(this.getGroup(group, block)).subarray(0, bits / 8);
    const sum = crc32c(checksumSeed, bitmap);
    const [low, high] =
      kind === "block"
        ? [Ext4GroupDesc.blockBitmapCsumLo, Ext4GroupDesc.blockBitmapCsumHi]
        : [Ext4GroupDesc.inodeBitmapCsumLo, Ext4GroupDesc.inodeBitmapCsumHi];
    low.set(this.view, this.descriptorAt(group), sum & 0xffff);
    if (descSize >= 64) high.set(this.view, this.descriptorAt(group), sum >>> 16);
    this.sealGroup(group);
  }

  /** Flips a bit of a bitmap. */
  flipBit(group: number, kind: "block" | "inode", bit: number): void {
    const field = kind === "block" ? Ext4GroupDesc.blockBitmapLo : Ext4GroupDesc.inodeBitmapLo;
    const bitmap = this.block(this.getGroup(group, field));
    bitmap[bit >> 3] = (bitmap[bit >> 3] as number) ^ (1 << (bit & 7));
    this.sealBitmap(group, kind);
  }

  // Inodes.

  inodeAt(ino: number): number {
    const { inodesPerGroup, inodeSize, blockSize } = this.superblock;
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const table = this.getGroup(group, Ext4GroupDesc.inodeTableLo);
    return table * blockSize + ((ino - 1) % inodesPerGroup) * inodeSize;
  }

  get(ino: number, field: NumberField): number {
    return field.get(this.view, this.inodeAt(ino));
  }

  set(ino: number, field: NumberField, value: number): void {
    field.set(this.view, this.inodeAt(ino), value);
    this.sealInode(ino);
  }

  getExtra(ino: number, field: NumberField): number {
    return field.get(this.view, this.inodeAt(ino) + 128);
  }

  setExtra(ino: number, field: NumberField, value: number): void {
    field.set(this.view, this.inodeAt(ino) + 128, value);
    this.sealInode(ino);
  }

  /** A word of the block map, by its byte in the inode's 60. */
  mapWord(ino: number, byte: number): number {
    return this.view.getUint32(this.inodeAt(ino) + Ext4Inode.block.offset + byte, true);
  }

  setMapWord(ino: number, byte: number, value: number): void {
    this.view.setUint32(this.inodeAt(ino) + Ext4Inode.block.offset + byte, value, true);
    this.sealInode(ino);
  }

  /** Where the checksums of an inode's blocks start. */
  seed(ino: number): number {
    const generation = this.get(ino, Ext4Inode.generation);
    return crc32cLe32(crc32cLe32(this.superblock.checksumSeed, ino), generation);
  }

  sealInode(ino: number): void {
    const { metadataCsum, inodeSize } = this.superblock;
    if (!metadataCsum) return;
    const at = this.inodeAt(ino);
    const wide = inodeSize > 128 && this.getExtra(ino, Ext4InodeExtra.extraIsize) >= 4;
    Ext4Inode.checksumLo.set(this.view, at, 0);
    if (wide) Ext4InodeExtra.checksumHi.set(this.view, at + 128, 0);
    const sum = crc32c(this.seed(ino), this.bytes.subarray(at, at + inodeSize));
    Ext4Inode.checksumLo.set(this.view, at, sum & 0xffff);
    if (wide) Ext4InodeExtra.checksumHi.set(this.view, at + 128, sum >>> 16);
  }

  hasExtents(ino: number): boolean {
    return (this.get(ino, Ext4Inode.flags) & EXT4_EXTENTS_FL) !== 0;
  }

  /** The block at the start of a file, of which the map is a root extent or a direct block. */
  firstBlock(ino: number): number {
    if (!this.hasExtents(ino)) return this.mapWord(ino, 0);
    return this.mapWord(ino, 12 + Ext4Extent.startLo.offset);
  }

  /** The first block of an extent tree's nodes; undefined for a tree without. */
  firstNode(ino: number): number | undefined {
    if (!this.hasExtents(ino)) return undefined;
    const base = this.inodeAt(ino) + Ext4Inode.block.offset;
    if (Ext4ExtentHeader.depth.get(this.view, base) === 0) return undefined;
    return this.mapWord(ino, 12 + 4);
  }

  /** Makes the checksum of an extent block right. */
  sealNode(ino: number, block: number): void {
    if (!this.superblock.metadataCsum) return;
    const bytes = this.block(block);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = 12 + 12 * Ext4ExtentHeader.max.get(view, 0);
    if (at + 4 > bytes.length) return;
    view.setUint32(at, crc32c(this.seed(ino), bytes.subarray(0, at)), true);
  }

  // Directories.

  /** The byte of the image at which the entry for `name` starts, in a linear block or a leaf. */
  entryAt(block: number, name: string): number | undefined {
    const { blockSize } = this.superblock;
    const start = block * blockSize;
    for (let at = start; at < start + blockSize;) {
      const length = Ext4DirEntry2.recLen.get(this.view, at);
      const size = Ext4DirEntry2.nameLen.get(this.view, at);
      const found = Buffer.from(this.bytes.subarray(at + 8, at + 8 + size)).toString("latin1");
      if (found === name && Ext4DirEntry2.inode.get(this.view, at) !== 0) return at;
      if (length < 12) return undefined;
      at += length;
    }
    return undefined;
  }

  /** Makes the checksum of a directory's leaf right. */
  sealLeaf(ino: number, block: number): void {
    if (!this.superblock.metadataCsum) return;
    const bytes = this.block(block);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = bytes.length - 12;
    Ext4DirEntryTail.checksum.set(view, at, crc32c(this.seed(ino), bytes.subarray(0, at)));
  }

  /** Makes the checksum of an index root or node right; its countlimit is at `at`. */
  sealIndex(ino: number, block: number, at: number): void {
    if (!this.superblock.metadataCsum) return;
    const bytes = this.block(block);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const tail = at + 8 * view.getUint16(at, true);
    if (tail + 8 > bytes.length) return;
    let sum = crc32c(this.seed(ino), bytes.subarray(0, at + 8 * view.getUint16(at + 2, true)));
    sum = crc32c(crc32c(sum, bytes.subarray(tail, tail + 4)), new Uint8Array(4));
    view.setUint32(tail + 4, sum, true);
  }

  /** Makes the checksum of an attribute block right. */
  sealAttributes(block: number): void {
    const { metadataCsum, checksumSeed } = this.superblock;
    if (!metadataCsum) return;
    const bytes = this.block(block);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    Ext4XattrHeader.checksum.set(view, 0, 0);
    const number = new DataView(new ArrayBuffer(8));
    number.setUint32(0, block, true);
    const seeded = crc32c(checksumSeed, new Uint8Array(number.buffer));
    Ext4XattrHeader.checksum.set(view, 0, crc32c(seeded, bytes));
  }
}
