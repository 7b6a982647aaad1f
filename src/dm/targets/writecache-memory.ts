/**
 * Where a writecache keeps its blocks and what it knows of them: persistent memory that is stored
 * to directly, or a disk whose metadata lie in memory and are written when they are committed.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import type { DaxRange } from "../../dax/iomap.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";

/** Bytes of a cache device, from its start sector on. */
export interface CacheMemory {
  /** Bytes. */
  readonly size: number;
  read(offset: number, target: Uint8Array): void;
  /** Stores a block; durable after `persist`. */
  writeBlock(offset: number, source: Uint8Array): void;
  /** Stores metadata; durable after `persist`. */
  writeMetadata(offset: number, source: Uint8Array): void;
  /** All that was stored is durable. */
  persist(): void;
  /** Stores a part of the superblock: at once or not at all, and durable when it returns. */
  writeSuper(offset: number, source: Uint8Array): void;
}

/** Persistent memory. */
export class PmemMemory implements CacheMemory {
  readonly size: number;
  readonly #range: DaxRange;
  readonly #start: number;
  readonly #device: BlockDevice;

  constructor(device: BlockDevice, range: DaxRange, startSector: number) {
    this.#device = device;
    this.#range = range;
    this.#start = startSector * SECTOR_SIZE;
    this.size = range.length - this.#start;
  }

  read(offset: number, target: Uint8Array): void {
    this.#device.readBytes(this.#start + offset, target);
  }

  writeBlock(offset: number, source: Uint8Array): void {
    const at = this.#range.start + this.#start + offset;
    const page = Math.floor(at / PAGE_SIZE);
    this.#range.device.copyFromIter(page, at - page * PAGE_SIZE, [source]);
  }

  writeMetadata(offset: number, source: Uint8Array): void {
    this.writeBlock(offset, source);
  }

  persist(): void {
    this.#range.device.fence();
  }

  writeSuper(offset: number, source: Uint8Array): void {
    this.writeBlock(offset, source);
    this.#range.device.fence();
  }
}

/** Bytes of metadata that are written together. */
const PIECE = 4096;

/** A disk, with its metadata in memory. */
export class DiskMemory implements CacheMemory {
  readonly size: number;
  readonly #device: BlockDevice;
  readonly #start: number;
  readonly #metadata: Uint8Array;
  /** Pieces of metadata that changed. */
  readonly #dirty = new Set<number>();

  /** `metadata`: bytes in front of the blocks, a multiple of a sector. */
  constructor(device: BlockDevice, startSector: number, metadata: number) {
    this.#device = device;
    this.#start = startSector;
    this.size = (device.sectors - startSector) * SECTOR_SIZE;
    this.#metadata = new Uint8Array(metadata);
    device.read(startSector, this.#metadata);
  }

  read(offset: number, target: Uint8Array): void {
    if (offset < this.#metadata.length) {
      target.set(this.#metadata.subarray(offset, offset + target.length));
    } else this.#device.read(this.#start + offset / SECTOR_SIZE, target);
  }

  writeBlock(offset: number, source: Uint8Array): void {
    this.#device.write(this.#start + offset / SECTOR_SIZE, source);
  }

  writeMetadata(offset: number, source: Uint8Array): void {
    this.#metadata.set(source, offset);
    const last = Math.floor((offset + source.length - 1) / PIECE);
    for (let piece = Math.floor(offset / PIECE); piece <= last; piece++) this.#dirty.add(piece);
  }

  persist(): void {
    for (const piece of [...this.#dirty].toSorted((a, b) => a - b)) this.#writePiece(piece);
    this.#dirty.clear();
    this.#device.flush();
  }

  writeSuper(offset: number, source: Uint8Array): void {
    this.#metadata.set(source, offset);
    const bytes = this.#metadata.slice(0, SECTOR_SIZE);
    this.#device.write(this.#start, bytes, { fua: true });
  }

  #writePiece(piece: number): void {
    const bytes = this.#metadata.slice(piece * PIECE, (piece + 1) * PIECE);
    this.#device.write(this.#start + (piece * PIECE) / SECTOR_SIZE, bytes);
  }
}
