/**
 * Filesystem blocks as memory. On a device with dax a block *is* the media; otherwise it is copied
 * through a bounded cache. Blocks that a journal replayed or changed in memory win over both.
 *
 * @module
 */
import { type DaxSpan, PAGE_SIZE } from "../dax/operations.ts";
import type { ByteStore, DaxRange } from "../dax/iomap.ts";
import { DaxError, assert, isDaxError } from "../lib/errno.ts";
import { type Memory, copyOut } from "../lib/memory.ts";
import { type BlockDevice, SECTOR_SIZE } from "./block-device.ts";

/** A block: its byte `i` is byte `at + i` of `memory`, which may be far larger than the block. */
export interface BlockBuffer {
  readonly memory: Memory;
  readonly at: number;
}

/** How much a cache may hold, where blocks have to be copied. */
export interface BuffersOptions {
  /** Bytes; 4 MiB unless given, and never less than sixteen blocks. */
  readonly cacheBytes?: number;
}

/** The blocks of one device at one block size; also a {@link ByteStore} in which replay wins. */
export class Buffers implements ByteStore {
  readonly device: BlockDevice;
  /** Bytes. */
  readonly blockSize: number;
  /** Whole blocks that the device holds. */
  readonly blocks: number;
  readonly #range: DaxRange | undefined;
  readonly #limit: number;
  /** Least recently used first. */
  readonly #copies = new Map<number, BlockBuffer>();
  readonly #overlay = new Map<number, BlockBuffer>();

  constructor(device: BlockDevice, blockSize: number, options: BuffersOptions = {}) {
    assert(
      Number.isInteger(Math.log2(blockSize)),
      () => `block size ${blockSize} is no power of two`,
    );
    this.device = device;
    this.blockSize = blockSize;
    this.blocks = Math.floor((device.sectors * SECTOR_SIZE) / blockSize);
    this.#range = device.metadataBySector === true ? undefined : device.dax;
    this.#limit = Math.max(16, Math.floor((options.cacheBytes ?? 4 << 20) / blockSize));
  }

  /**
   * Aliases a block where the device has dax, else answers a cached copy; either stays valid for
   * as long as the device lives. `what` names the structure in errors (`"inode table"`).
   * @throws EUCLEAN for a block outside the device, EIO over poison
   */
  get(block: number, what = "block"): BlockBuffer {
    if (!(block >= 0 && block < this.blocks && Number.isInteger(block))) this.#refuse(block, what);
    if (this.#overlay.size > 0) {
      const replayed = this.#overlay.get(block);
      if (replayed !== undefined) return replayed;
    }
    const alias = this.#alias(block);
    // Not kept: when its page has healed, the block is what lies there again.
    if (alias === "poisoned") return viewOf(this.#load(block, what));
    return alias ?? this.#copy(block);
  }

  /**
   * Fills `target` from byte `within` of a block. Unlike loads through what `get` answers, it says
   * when the memory was gone: zeros read from a file that was cut are no metadata.
   * @throws EUCLEAN for a block outside the device, EIO
   */
  read(block: number, target: Uint8Array, what: string, within = 0): void {
    const { memory, at } = this.get(block, what);
    copyOut(memory, at + within, target);
    this.#range?.device.checkFault();
  }

  /**
   * From now on `get(block)` and `readBytes` answer `bytes` (aliased, not copied); nothing is
   * written to the device. @throws EUCLEAN for a block outside the device
   */
  overlay(block: number, bytes: Uint8Array): void {
    if (!(block >= 0 && block < this.blocks && Number.isInteger(block))) {
      this.#refuse(block, "replayed block");
    }
    assert(bytes.length === this.blockSize, () => `${bytes.length} bytes for a block`);
    this.#overlay.set(block, viewOf(bytes));
    this.#copies.delete(block);
  }

  /**
   * Writes a block, or its first sectors, to the device; what is laid over it stays. `fua`: durable
   * when it returns. @throws EUCLEAN for a block outside the device, EIO, EROFS
   */
  write(block: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    if (!(block >= 0 && block < this.blocks && Number.isInteger(block))) {
      this.#refuse(block, "written block");
    }
    assert(source.length <= this.blockSize, () => `${source.length} bytes for a block`);
    this.#copies.delete(block);
    this.device.write((block * this.blockSize) / SECTOR_SIZE, source, flags);
  }

  /** Forgets what is laid over a block: the device's bytes show again. */
  dropOverlay(block: number): void {
    this.#overlay.delete(block);
  }

  /** What is laid over the device, as `overlay` was given it. */
  *overlays(): Generator<readonly [block: number, buffer: BlockBuffer]> {
    yield* this.#overlay;
  }

  /** How many blocks are replayed. */
  get overlaid(): number {
    return this.#overlay.size;
  }

  /**
   * How many of `count` blocks from `block` come before the first replayed one: `count` when none
   * is, 0 when the first is. File data in front of it may be reached through dax.
   */
  beforeOverlay(block: number, count: number): number {
    if (this.#overlay.size === 0) return count;
    let first = count;
    if (this.#overlay.size < count) {
      for (const key of this.#overlay.keys()) {
        if (key >= block && key - block < first) first = key - block;
      }
      return first;
    }
    for (let i = 0; i < count; i++) if (this.#overlay.has(block + i)) return i;
    return count;
  }

  /** Copies bytes out, replayed blocks included. @throws EIO */
  readBytes(offset: number, target: Uint8Array): void {
    if (this.#overlay.size === 0) {
      this.device.readBytes(offset, target);
      return;
    }
    for (let done = 0; done < target.length;) {
      const at = offset + done;
      const block = Math.floor(at / this.blockSize);
      const within = at - block * this.blockSize;
      const left = target.length - done;
      const blocks = Math.ceil((within + left) / this.blockSize);
      const clear = this.beforeOverlay(block, blocks) * this.blockSize - within;
      const run = Math.min(left, clear > 0 ? clear : this.blockSize - within);
      const piece = target.subarray(done, done + run);
      if (clear > 0) this.device.readBytes(at, piece);
      else {
        const { memory, at: start } = this.get(block);
        copyOut(memory, start + within, piece);
      }
      done += run;
    }
  }

  /** Refused: these buffers are for reading. @throws EROFS */
  writeBytes(): never {
    throw new DaxError("EROFS", { syscall: "write", path: this.device.name });
  }

  #alias(block: number): BlockBuffer | "poisoned" | undefined {
    const range = this.#range;
    if (range === undefined) return undefined;
    const start = block * this.blockSize;
    if (start + this.blockSize > range.length) return undefined;
    const byte = range.start + start;
    const pgoff = Math.floor(byte / PAGE_SIZE);
    const within = byte - pgoff * PAGE_SIZE;
    const pages = Math.ceil((within + this.blockSize) / PAGE_SIZE);
    const span = translate(range, pgoff, pages);
    if (span === undefined) return "poisoned";
    // A block that ends in other memory than it starts in cannot be one view.
    if (span.pages < pages) return undefined;
    return { memory: span.memory, at: span.start + within };
  }

  #copy(block: number): BlockBuffer {
    const known = this.#copies.get(block);
    if (known !== undefined) {
      this.#copies.delete(block);
      this.#copies.set(block, known);
      return known;
    }
    const bytes = new Uint8Array(this.blockSize);
    this.device.readBytes(block * this.blockSize, bytes);
    const buffer = viewOf(bytes);
    this.#copies.set(block, buffer);
    if (this.#copies.size > this.#limit) {
      for (const oldest of this.#copies.keys()) {
        this.#copies.delete(oldest);
        break;
      }
    }
    return buffer;
  }

  /** A block of a page of which something is bad; @throws EIO when that is in the block. */
  #load(block: number, what: string): Uint8Array {
    const bytes = new Uint8Array(this.blockSize);
    try {
      this.device.readBytes(block * this.blockSize, bytes);
      return bytes;
    } catch (error) {
      if (!isDaxError(error, "EIO")) throw error;
      throw new DaxError("EIO", {
        syscall: "read",
        path: this.device.name,
        detail: `${what} ${block} lies on poisoned memory; only writing it anew heals it`,
      });
    }
  }

  #refuse(block: number, what: string): never {
    throw new DaxError("EUCLEAN", {
      syscall: "read",
      path: this.device.name,
      detail: `${what} ${block} lies outside the device of ${this.blocks} blocks; run a check`,
    });
  }
}

/** Undefined over poison: a block beside it in its page can be read all the same, by request. */
function translate({ device }: DaxRange, pgoff: number, pages: number): DaxSpan | undefined {
  try {
    return device.directAccess(pgoff, pages, "access");
  } catch (error) {
    if (!isDaxError(error, "EHWPOISON")) throw error;
    return undefined;
  }
}

function viewOf(bytes: Uint8Array): BlockBuffer {
  return { memory: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0 };
}
