/**
 * The blocks of a directory: found, proved intact, and told apart into leaves and index blocks.
 *
 * @module
 */
import {
  DxCountlimit,
  DxEntry,
  DxTail,
  EXT4_FT_DIR_CSUM,
  Ext4DirEntry2,
  Ext4DirEntryTail,
} from "../../format/ext-directory.ts";
import { EXT4_INDEX_FL } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_COMPAT_DIR_INDEX } from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { EntryScanner, recordLength } from "./directory-entries.ts";
import { countLimitOffset, indexChecksum } from "./directory-seal.ts";
import { hasCompat } from "./features.ts";
import type { FileMap } from "./file-map.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { MetadataBlock } from "./metadata-blocks.ts";
import type { Volume } from "./volume.ts";

const TAIL = sizeof(Ext4DirEntryTail);

/** A directory that has blocks, which is every one that is not inline. */
export class DirectoryBlocks {
  readonly volume: Volume;
  readonly record: InodeRecord;
  readonly #map: FileMap;
  readonly #rootName: string;
  // The block that was named last: names are asked for with every look into a block.
  #lastIndex = 0;
  #lastName: string;

  /** @throws EUCLEAN for a size that no directory has */
  constructor(volume: Volume, record: InodeRecord, map: FileMap) {
    const { blockSize, blocks, metadataCsum } = volume.superblock;
    this.volume = volume;
    this.record = record;
    this.#map = map;
    this.#rootName = `inode ${record.ino} directory block 0`;
    this.#lastName = this.#rootName;
    const { count } = this;
    if (record.size === 0 || !Number.isInteger(count) || count > blocks) {
      const rule = `not from 1 to ${blocks} blocks of ${blockSize} bytes`;
      throw corrupt(`inode ${record.ino} directory`, "size", record.size, rule);
    }
    const feature = hasCompat(volume.superblock, EXT4_FEATURE_COMPAT_DIR_INDEX);
    if (record.has(EXT4_INDEX_FL) && !feature && metadataCsum) {
      const rule = "the filesystem has no dir_index feature";
      throw corrupt(`inode ${record.ino} directory`, "flags", "index", rule);
    }
  }

  /** How many blocks the directory has; it grows. */
  get count(): number {
    return this.record.size / this.volume.superblock.blockSize;
  }

  /** Whether names are found by hash. */
  get isIndexed(): boolean {
    const { superblock } = this.volume;
    const feature = hasCompat(superblock, EXT4_FEATURE_COMPAT_DIR_INDEX);
    return feature && this.record.has(EXT4_INDEX_FL);
  }

  /** For errors. */
  where(index: number): string {
    if (index === 0) return this.#rootName;
    if (index !== this.#lastIndex) {
      this.#lastIndex = index;
      this.#lastName = `inode ${this.record.ino} directory block ${index}`;
    }
    return this.#lastName;
  }

  /** The block of the device behind a block of the directory. @throws EUCLEAN for a hole */
  blockOf(index: number): number {
    const number = this.#map.blockOf(index);
    if (number === undefined) {
      throw corrupt(this.where(index), "mapping", "a hole", "directories have none");
    }
    return number;
  }

  /** A block of the directory, its checksum verified. @throws EUCLEAN, EBADMSG, EIO */
  get(index: number): MetadataBlock {
    const block = this.volume.blocks.get(this.blockOf(index), this.where(index), "mapping");
    if (!this.volume.superblock.metadataCsum) return block;
    const { seed } = this.record;
    const role = this.isIndexBlock(block, index) ? "directory index" : "directory leaf";
    if (block.isProved(role, seed)) return block;
    if (role === "directory leaf") this.#checkLeaf(block, index);
    else this.#checkIndex(block, index);
    block.prove(role, seed);
    return block;
  }

  /** The entries of a block; those of an index block are all unused, but for the root's two. */
  scan(block: MetadataBlock, index: number): EntryScanner {
    const { superblock } = this.volume;
    const { bytes, view } = block;
    const tail = superblock.metadataCsum && !this.isIndexBlock(block, index) ? TAIL : 0;
    return new EntryScanner(superblock, bytes, view, 0, bytes.length - tail, this.where(index));
  }

  /** Index blocks other than the root look like one entry as long as the block. */
  isIndexBlock({ view, bytes }: MetadataBlock, index: number): boolean {
    if (!this.isIndexed) return false;
    if (index === 0) return true;
    return recordLength(Ext4DirEntry2.recLen.get(view, 0), bytes.length) === bytes.length;
  }

  #checkLeaf({ view, bytes }: MetadataBlock, index: number): void {
    const at = bytes.length - TAIL;
    const { reservedZero1, recLen, reservedZero2, reservedFt, checksum } = Ext4DirEntryTail;
    const shaped =
      reservedZero1.get(view, at) === 0 &&
      recLen.get(view, at) === TAIL &&
      reservedZero2.get(view, at) === 0 &&
      reservedFt.get(view, at) === EXT4_FT_DIR_CSUM;
    if (!shaped) {
      throw corrupt(this.where(index), "tail", "no checksum entry", "metadata_csum needs one");
    }
    const stored = checksum.get(view, at);
    const computed = crc32c(this.record.seed, bytes.subarray(0, at));
    if (stored !== computed) throw badChecksum(this.where(index), stored, computed);
  }

  #checkIndex({ view, bytes }: MetadataBlock, index: number): void {
    const at = countLimitOffset(index);
    const limit = DxCountlimit.limit.get(view, at);
    const count = DxCountlimit.count.get(view, at);
    const tail = at + limit * sizeof(DxEntry);
    if (tail + sizeof(DxTail) > bytes.length) {
      throw corrupt(this.where(index), "limit", limit, "no room for a checksum behind it");
    }
    if (count > limit) throw corrupt(this.where(index), "count", count, `the limit is ${limit}`);
    const computed = indexChecksum(this.record.seed, bytes, at, limit, count);
    const stored = DxTail.checksum.get(view, tail);
    if (stored !== computed) throw badChecksum(this.where(index), stored, computed);
  }
}
