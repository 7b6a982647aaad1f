/**
 * Metadata blocks as private copies, so that what was checked is what is read. A small cache keeps
 * the last ones, with what was proved about each.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import { corrupt } from "./corruption.ts";
import type { Handle } from "./handle.ts";
import { Recent } from "./recent.ts";
import type { SharedReads, VolumeOptions } from "./shared-reads.ts";
import type { Superblock } from "./superblock.ts";
import type { JournaledBlock } from "./transaction.ts";

/** Bytes that the cache of a filesystem holds that is read. */
const CACHE_BYTES = 2 << 20;
/** Where names are made, every one of a large directory falls into another block. */
export const WRITER_CACHE_BYTES = 32 << 20;

/** What a block has been proved to be, for the inode whose checksum seed is `seed`. */
export type BlockRole = "extent" | "indirect" | "directory leaf" | "directory index" | "xattr";

/** A block's bytes, copied off the media. */
export class MetadataBlock {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  #role: BlockRole | undefined;
  #seed = 0;

  constructor(number: number, bytes: Uint8Array<ArrayBuffer>) {
    this.number = number;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  /** True when {@link prove} was called with the same arguments, and nothing else since. */
  isProved(role: BlockRole, seed: number): boolean {
    return this.#role === role && this.#seed === seed;
  }

  /** Notes that the block is intact in this role. */
  prove(role: BlockRole, seed: number): void {
    this.#role = role;
    this.#seed = seed;
  }
}

/** A block that waits for its checksum. */
interface Unsealed {
  readonly block: MetadataBlock;
  seal: () => void;
}

/** The metadata blocks of one filesystem. */
export class MetadataBlocks {
  readonly #buffers: Buffers;
  readonly #first: number;
  readonly #blocks: number;
  readonly #cache: Recent<MetadataBlock>;
  readonly #shared: SharedReads | undefined;
  /** Blocks whose checksums are still to be made, which must not be read anew before. */
  readonly #unsealed = new Map<number, Unsealed>();

  /**
   * The superblock (or what lies before it) is in `firstDataBlock`, so no metadata can be. At least
   * sixteen blocks are kept.
   */
  constructor(
    buffers: Buffers,
    { firstDataBlock, blocks }: Pick<Superblock, "firstDataBlock" | "blocks">,
    { cacheBytes = CACHE_BYTES, shared }: VolumeOptions = {},
  ) {
    this.#buffers = buffers;
    this.#first = firstDataBlock;
    this.#blocks = blocks;
    this.#shared = shared;
    this.#cache = new Recent(Math.max(16, Math.floor(cacheBytes / buffers.blockSize)));
  }

  /** True when `count` blocks from `block` can belong to a file. */
  isInside(block: number, count: number): boolean {
    return block > this.#first && count > 0 && block + count <= this.#blocks;
  }

  /**
   * A copy of a block that `what` refers to by `field`.
   * @throws EUCLEAN when the number leaves the filesystem, EIO
   */
  get(block: number, what: string, field: string): MetadataBlock {
    const known = this.#cache.get(block) ?? this.#unsealed.get(block)?.block;
    if (known !== undefined) return known;
    if (!this.isInside(block, 1)) {
      throw corrupt(what, field, block, `not among the ${this.#blocks} blocks of the filesystem`);
    }
    const fresh = this.#shared === undefined ? this.#read(block, what) : this.#share(block);
    this.#cache.set(block, fresh);
    return fresh;
  }

  #read(block: number, what: string): MetadataBlock {
    const bytes = new Uint8Array(this.#buffers.blockSize);
    this.#buffers.read(block, bytes, what);
    return new MetadataBlock(block, bytes);
  }

  #share(block: number): MetadataBlock {
    const shared = this.#shared as SharedReads;
    const { blockSize: length } = this.#buffers;
    const make = (bytes: Uint8Array<ArrayBuffer>) => new MetadataBlock(block, bytes);
    return shared.read(shared.blocks, block, { offset: block * length, length }, make);
  }

  /**
   * From now on `get` answers a handle's private copy of a block, which aliases it. A writer calls
   * this whenever it has changed and sealed a block, in each transaction anew.
   */
  put({ block, bytes }: JournaledBlock, role: BlockRole, seed: number): void {
    const changed = new MetadataBlock(block, bytes);
    changed.prove(role, seed);
    this.#cache.set(block, changed);
    this.#unsealed.delete(block);
  }

  /** As {@link put}, for a block that `seal` gives its checksum when the transaction commits. */
  putUnsealed(
    handle: Handle,
    { block: number, bytes }: JournaledBlock,
    role: BlockRole,
    seed: number,
    seal: () => void,
  ): void {
    const known = this.#unsealed.get(number);
    if (known?.block.bytes === bytes) {
      known.block.prove(role, seed);
      known.seal = seal;
      return;
    }
    const block = new MetadataBlock(number, bytes);
    block.prove(role, seed);
    this.#cache.set(number, block);
    this.#unsealed.set(number, { block, seal });
    handle.onSeal(() => this.#seal(block));
  }

  #seal(block: MetadataBlock): void {
    const waiting = this.#unsealed.get(block.number);
    // It was freed since, or became another block with a copy of its own.
    if (waiting?.block !== block) return;
    this.#unsealed.delete(block.number);
    waiting.seal();
  }

  /** Forgets a block that was freed, or that holds something else now. */
  forget(block: number): void {
    this.#cache.delete(block);
    this.#unsealed.delete(block);
  }
}
