/**
 * The orphan file: blocks full of inode numbers, so that orphans need not be chained through the
 * superblock and their inodes (`fs/ext4/orphan.c`).
 *
 * @module
 */
import { EXT4_ORPHAN_BLOCK_MAGIC, Ext4OrphanBlockTail } from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { FileMap } from "./file-map.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";

const TAIL = sizeof(Ext4OrphanBlockTail);

/** Blocks of an orphan file, at most (`EXT4_MAX_ORPHAN_FILE_BLOCKS`). */
const MOST_BLOCKS = 512;

/** A block of the file. */
interface OrphanBlock {
  readonly number: number;
  free: number;
  /** No slot is free below this one. */
  lowest: number;
}

/** Where an inode is listed. */
interface Slot {
  readonly block: OrphanBlock;
  readonly index: number;
}

/** The orphan file of a mounted filesystem. */
export class OrphanFile {
  readonly #volume: Volume;
  readonly #record: InodeRecord;
  readonly #slots: number;
  readonly #blocks: OrphanBlock[] = [];
  readonly #listed = new Map<number, Slot>();

  /** Reads all of it. @throws EUCLEAN, EBADMSG for a file that cannot be, EIO */
  constructor(volume: Volume) {
    const { orphanFileInum, blockSize } = volume.superblock;
    this.#volume = volume;
    this.#record = volume.record(orphanFileInum);
    this.#slots = (blockSize - TAIL) / 4;
    const blocks = this.#record.size / blockSize;
    if (!Number.isInteger(blocks) || blocks < 1 || blocks > MOST_BLOCKS) {
      const rule = `not from 1 to ${MOST_BLOCKS} blocks`;
      throw corrupt(this.#where, "size", this.#record.size, rule);
    }
    const map = new FileMap(volume, this.#record);
    for (let logical = 0; logical < blocks; logical++) {
      const block = map.blockOf(logical);
      if (block === undefined) throw corrupt(this.#where, "block", logical, "a hole");
      this.#load(block);
    }
  }

  /** The inodes that are listed. */
  get inos(): Iterable<number> {
    return this.#listed.keys();
  }

  /** How many are listed. */
  get count(): number {
    return this.#listed.size;
  }

  has(ino: number): boolean {
    return this.#listed.has(ino);
  }

  /** Lists an inode; false when the file is full. Takes a credit. @throws EIO, EROFS */
  add(handle: Handle, ino: number): boolean {
    const block = this.#blocks.find(({ free }) => free > 0);
    if (block === undefined) return false;
    const { memory } = handle.get(block.number, "orphan file");
    let index = block.lowest;
    while (memory.getUint32(index * 4, true) !== 0) index++;
    this.#store(handle, block, index, ino);
    block.free--;
    block.lowest = index + 1;
    this.#listed.set(ino, { block, index });
    return true;
  }

  /** Takes an inode that is listed off the file. Takes a credit. @throws EIO, EROFS */
  remove(handle: Handle, ino: number): void {
    const slot = this.#listed.get(ino);
    if (slot === undefined) return;
    const { block, index } = slot;
    this.#store(handle, block, index, 0);
    block.free++;
    block.lowest = Math.min(block.lowest, index);
    this.#listed.delete(ino);
  }

  get #where(): string {
    return `orphan file (inode ${this.#volume.superblock.orphanFileInum})`;
  }

  #load(number: number): void {
    const bytes = new Uint8Array(this.#volume.superblock.blockSize);
    this.#volume.buffers.read(number, bytes, "orphan file");
    const view = new DataView(bytes.buffer);
    const at = bytes.length - TAIL;
    const magic = Ext4OrphanBlockTail.magic.get(view, at);
    if (magic !== EXT4_ORPHAN_BLOCK_MAGIC) {
      throw corrupt(`${this.#where} block ${number}`, "magic", magic, "not 0xb10ca04");
    }
    const stored = Ext4OrphanBlockTail.checksum.get(view, at);
    const computed = this.#checksum(number, bytes);
    if (this.#volume.superblock.metadataCsum && stored !== computed) {
      throw badChecksum(`${this.#where} block ${number}`, stored, computed);
    }
    const block = { number, free: 0, lowest: 0 };
    for (let index = 0; index < this.#slots; index++) {
      const ino = view.getUint32(index * 4, true);
      if (ino === 0) block.free++;
      else this.#listed.set(ino, { block, index });
    }
    this.#blocks.push(block);
  }

  #store(handle: Handle, { number }: OrphanBlock, index: number, ino: number): void {
    const { memory, bytes } = handle.get(number, "orphan file");
    memory.setUint32(index * 4, ino, true);
    if (!this.#volume.superblock.metadataCsum) return;
    const at = bytes.length - TAIL;
    Ext4OrphanBlockTail.checksum.set(memory, at, this.#checksum(number, bytes));
  }

  #checksum(number: number, bytes: Uint8Array): number {
    const place = new DataView(new ArrayBuffer(8));
    place.setUint32(0, number % 2 ** 32, true);
    place.setUint32(4, Math.floor(number / 2 ** 32), true);
    const seeded = crc32c(this.#record.seed, new Uint8Array(place.buffer));
    return crc32c(seeded, bytes.subarray(0, bytes.length - TAIL));
  }
}
