/**
 * What each block of a writecache holds, in memory and on the cache device.
 *
 * An entry counts when its number is smaller than the superblock's: so all that was written since
 * the last commit counts at once, or not at all.
 *
 * @module
 */
import {
  MEMORY_SUPERBLOCK_MAGIC,
  MEMORY_SUPERBLOCK_VERSION,
  WRITECACHE_FREE,
  WritecacheEntry,
  WritecacheSuper,
} from "../../format/dm-writecache.ts";
import { DaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import type { CacheMemory } from "./writecache-memory.ts";

const SUPER = sizeof(WritecacheSuper);
const ENTRY = sizeof(WritecacheEntry);
/** Blocks that a cache may have: each takes some fifty bytes of memory. */
export const MOST_BLOCKS = 1 << 24;

/** Where the blocks of a cache lie. */
export interface CacheLayout {
  readonly blocks: number;
  /** The byte at which the first block begins. */
  readonly data: number;
}

/** The byte at which blocks begin behind so many entries. */
export function dataStart(blocks: number, blockSize: number): number {
  return Math.ceil((SUPER + ENTRY * blocks) / blockSize) * blockSize;
}

/** How many blocks fit into so many bytes, with their entries in front of them. */
export function layoutOf(size: number, blockSize: number): CacheLayout {
  let blocks = Math.floor(size / (blockSize + ENTRY));
  while (blocks > 0 && dataStart(blocks, blockSize) + blocks * blockSize > size) blocks--;
  return { blocks, data: dataStart(blocks, blockSize) };
}

/** Entries of a cache. */
export class CacheTable {
  readonly layout: CacheLayout;
  readonly blockSize: number;
  readonly #memory: CacheMemory;
  /** The block with what was written last, by sector; the oldest first. */
  readonly #newest = new Map<number, number>();
  /** The committed block of a sector that has a newer one, which is not. */
  readonly #older = new Map<number, number>();
  /** Blocks that are not committed, and their sectors. */
  readonly #uncommitted = new Map<number, number>();
  #free: number[] = [];
  #freed: number[] = [];
  #seq = 0n;

  constructor(memory: CacheMemory, layout: CacheLayout, blockSize: number) {
    this.#memory = memory;
    this.layout = layout;
    this.blockSize = blockSize;
  }

  get free(): number {
    return this.#free.length + this.#freed.length;
  }

  get uncommitted(): number {
    return this.#uncommitted.size;
  }

  /** Sectors with blocks, those that were written first in front. */
  get sectors(): IterableIterator<number> {
    return this.#newest.keys();
  }

  /** The block with what a sector holds. */
  block(sector: number): number | undefined {
    return this.#newest.get(sector);
  }

  isCommitted(block: number): boolean {
    return !this.#uncommitted.has(block);
  }

  /** The byte of the cache device at which a block begins. */
  place(block: number): number {
    return this.layout.data + block * this.blockSize;
  }

  /** A free block for a sector; undefined when there is none. Its data come before `insert`. */
  take(): number | undefined {
    if (this.#free.length === 0) {
      this.#free = this.#freed.toReversed();
      this.#freed = [];
    }
    return this.#free.pop();
  }

  /** A block holds a sector from now on; it counts after the next commit. */
  insert(block: number, sector: number): void {
    const before = this.#newest.get(sector);
    if (before !== undefined) this.#older.set(sector, before);
    this.#newest.delete(sector);
    this.#newest.set(sector, block);
    this.#uncommitted.set(block, sector);
    this.#writeEntry(block, BigInt(sector), this.#seq);
  }

  /** Everything counts: data and entries are durable first, then the number that says so. */
  commit(): void {
    this.#memory.persist();
    this.#seq++;
    this.#writeSeq();
    const gone = [...this.#uncommitted.values()].filter((sector) => this.#older.has(sector));
    this.#uncommitted.clear();
    for (const sector of gone) {
      this.#release(this.#older.get(sector) as number);
      this.#older.delete(sector);
    }
    if (gone.length > 0) this.#memory.persist();
  }

  /** Forgets what the sectors hold; durable when it returns. */
  forget(sectors: Iterable<number>): void {
    let any = false;
    for (const sector of sectors) {
      const block = this.#newest.get(sector);
      if (block === undefined) continue;
      any = true;
      this.#newest.delete(sector);
      this.#uncommitted.delete(block);
      this.#release(block);
      const older = this.#older.get(sector);
      if (older !== undefined) this.#release(older);
      this.#older.delete(sector);
    }
    if (any) this.#memory.persist();
  }

  /** Makes an empty cache: the magic comes last, so that nothing is one before. */
  format(): void {
    const { blocks, data } = this.layout;
    const piece = new Uint8Array(1 << 16).fill(0xff);
    const stop = SUPER + ENTRY * blocks;
    const head = new Uint8Array(SUPER);
    const view = new DataView(head.buffer);
    WritecacheSuper.blockSize.set(view, 0, this.blockSize);
    WritecacheSuper.nBlocks.set(view, 0, BigInt(blocks));
    this.#memory.writeMetadata(0, head);
    for (let at = SUPER; at < stop; at += piece.length) {
      this.#memory.writeMetadata(at, piece.subarray(0, Math.min(piece.length, stop - at)));
    }
    if (data > stop) this.#memory.writeMetadata(stop, new Uint8Array(data - stop));
    this.#memory.persist();
    WritecacheSuper.magic.set(view, 0, MEMORY_SUPERBLOCK_MAGIC);
    WritecacheSuper.version.set(view, 0, MEMORY_SUPERBLOCK_VERSION);
    this.#memory.writeSuper(0, head.subarray(0, 8));
  }

  /**
   * Reads all entries, and erases those that no commit covers and those that a newer one replaced.
   * That is durable with the next commit, before which nobody depends on it.
   * @throws EINVAL when two say the same with the same number
   */
  resume(): void {
    const { blocks } = this.layout;
    const bytes = new Uint8Array(SUPER + ENTRY * blocks);
    this.#memory.read(0, bytes);
    const view = new DataView(bytes.buffer);
    this.#seq = WritecacheSuper.seqCount.get(view, 0);
    for (const map of [this.#newest, this.#older, this.#uncommitted]) map.clear();
    const numbers = new Map<number, bigint>();
    const kept = new Map<number, number>();
    const free = new Set<number>();
    for (let block = 0; block < blocks; block++) {
      const at = SUPER + ENTRY * block;
      const seq = WritecacheEntry.seqCount.get(view, at);
      const sector = WritecacheEntry.originalSector.get(view, at);
      free.add(block);
      if (seq === WRITECACHE_FREE) continue;
      if (seq >= this.#seq || sector >= 1n << 53n) {
        this.#writeEntry(block, sector, WRITECACHE_FREE);
        continue;
      }
      const known = kept.get(Number(sector));
      if (known !== undefined) {
        const before = numbers.get(Number(sector)) as bigint;
        if (before === seq) refuseTwins(known, block, Number(sector));
        this.#writeEntry(before < seq ? known : block, sector, WRITECACHE_FREE);
        if (before > seq) continue;
        free.add(known);
      }
      free.delete(block);
      kept.set(Number(sector), block);
      numbers.set(Number(sector), seq);
    }
    const byAge = [...kept].toSorted(([a], [b]) => {
      return Number((numbers.get(a) as bigint) - (numbers.get(b) as bigint));
    });
    for (const [sector, block] of byAge) this.#newest.set(sector, block);
    this.#free = [...free].toReversed();
    this.#freed = [];
  }

  #release(block: number): void {
    const at = SUPER + ENTRY * block + WritecacheEntry.seqCount.offset;
    this.#memory.writeMetadata(at, new Uint8Array(8).fill(0xff));
    this.#freed.push(block);
  }

  #writeEntry(block: number, sector: bigint, seq: bigint): void {
    const bytes = new Uint8Array(ENTRY);
    const view = new DataView(bytes.buffer);
    WritecacheEntry.originalSector.set(view, 0, sector);
    WritecacheEntry.seqCount.set(view, 0, seq);
    this.#memory.writeMetadata(SUPER + ENTRY * block, bytes);
  }

  #writeSeq(): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, this.#seq, true);
    this.#memory.writeSuper(WritecacheSuper.seqCount.offset, bytes);
  }
}

function refuseTwins(one: number, other: number, sector: number): never {
  throw new DaxError("EINVAL", {
    detail: `two identical entries: blocks ${one} and ${other} hold sector ${sector}`,
  });
}
