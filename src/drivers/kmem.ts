/**
 * kmem: ranges of a device-dax instance as memory of the machine. Whatever the media keeps, as
 * system RAM it promises nothing.
 *
 * Memory is handed over in blocks, so that the ragged ends of a range are left out. What is in use
 * cannot be taken back.
 *
 * @module
 */
import { MediaRange } from "../dax/media-range.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { uniformDomain } from "../media/domains.ts";
import type { Media } from "../media/media.ts";
import type { Resource, ResourceTree } from "../platform/resources.ts";
import type { DeviceRange } from "./dax-ranges.ts";
import type { PhysicalRange } from "./dax-space.ts";

const MIB = 2 ** 20;
/** Bytes of a block of memory, as x86 has it in machines with less than 64 GiB. */
const MEMORY_BLOCK = 128 * MIB;
const MOST_BLOCK = 2048 * MIB;
const LARGE_MACHINE = 64 * 1024 * MIB;

/** The name of the memory in `/proc/iomem`. */
const KMEM_NAME = "System RAM (kmem)";

/** How memory is handed over. */
export interface KmemOptions {
  /** `dax0.0` */
  readonly name: string;
  readonly ranges: readonly DeviceRange[];
  readonly media: Media;
  /** What must be added to a physical address to have the byte of the media. */
  readonly mediaStart: number;
  /** The node that the memory becomes a part of. */
  readonly node: number;
  /** Bytes of a memory block: a power of two; 128 MiB unless given. */
  readonly block?: number;
  readonly resources?: ResourceTree;
}

/**
 * Bytes of a memory block on x86: 128 MiB, and from 64 GiB of memory on the largest power of two up
 * to 2 GiB that the end of memory is a multiple of.
 */
export function memoryBlockSize(ramEnd: number): number {
  if (ramEnd < LARGE_MACHINE) return MEMORY_BLOCK;
  let block = MOST_BLOCK;
  while (block > MEMORY_BLOCK && ramEnd % block !== 0) block /= 2;
  return block;
}

/** A piece of memory in use. */
interface Loan {
  readonly range: MediaRange;
  readonly start: number;
}

/** Memory that a device gives to its machine. */
export class KmemMemory {
  readonly node: number;
  /** Bytes of a block. */
  readonly block: number;
  /** What was handed over, on borders of blocks. */
  readonly ranges: readonly PhysicalRange[];
  readonly #options: KmemOptions;
  readonly #claims: Resource[] = [];
  readonly #loans: Loan[] = [];
  #online = true;

  /**
   * @throws EINVAL for memory that belongs to no node, or that holds no whole block; EBUSY when
   *   somebody has the addresses of the first range
   */
  constructor(options: KmemOptions) {
    const { name, node, block = MEMORY_BLOCK } = options;
    this.#options = options;
    this.node = node;
    this.block = block;
    if (node < 0) throw refused("EINVAL", name, `invalid node ${node}: it lies near to none`);
    if (!(block >= PAGE_SIZE && Number.isSafeInteger(Math.log2(block)))) {
      throw refused("EINVAL", name, `blocks of ${block} bytes; they are a power of two`);
    }
    const inner = options.ranges.flatMap((range) => withinBlocks(range, block));
    if (inner.length === 0) {
      throw refused("EINVAL", name, `no range holds a whole memory block of ${block} bytes`);
    }
    this.ranges = this.#handOver(inner);
  }

  /** Bytes. */
  get size(): number {
    return this.ranges.reduce((sum, { length }) => sum + length, 0);
  }

  /** How many blocks it is. */
  get blocks(): number {
    return this.size / this.block;
  }

  /** How many of them the machine uses. */
  get onlineBlocks(): number {
    return this.#online ? this.blocks : 0;
  }

  /** Bytes in use. */
  get used(): number {
    return this.#loans.reduce((sum, { range }) => sum + range.length, 0);
  }

  /**
   * Aliases media: memory for whoever needs some; it is volatile, whatever the media is.
   * @throws EINVAL unless it is whole pages, ENOMEM when no run of it is free, ENXIO after
   *   `offline`
   */
  take(length: number): MediaRange {
    const { name, media, mediaStart } = this.#options;
    if (!this.#online) throw refused("ENXIO", name, "the memory was taken back");
    if (!(length > 0) || length % PAGE_SIZE !== 0) {
      throw refused("EINVAL", name, `${length} bytes are not whole pages`);
    }
    const start = this.#room(length);
    if (start === undefined) throw refused("ENOMEM", name, `no run of ${length} bytes is free`);
    const domains = uniformDomain(media.size, "volatile");
    const range = new MediaRange({ media, start: start + mediaStart, length, domains });
    this.#loans.push({ range, start });
    return range;
  }

  /** Gives memory back. @throws EINVAL for what was not taken here */
  give(range: MediaRange): void {
    const index = this.#loans.findIndex((loan) => loan.range === range);
    if (index === -1) throw refused("EINVAL", this.#options.name, "that memory is not its own");
    this.#loans.splice(index, 1);
  }

  /**
   * Takes all of it back from the machine. Idempotent.
   * @throws EBUSY while some is in use: then all of it stays
   */
  offline(): void {
    if (!this.#online) return;
    if (this.#loans.length > 0) {
      throw refused("EBUSY", this.#options.name, `${this.used} bytes of it are in use`);
    }
    this.#online = false;
    for (const claim of this.#claims) this.#options.resources?.remove(claim);
  }

  /** Claims each range. One that somebody has is passed over, unless it is the first. */
  #handOver(inner: readonly PhysicalRange[]): PhysicalRange[] {
    const { name, resources } = this.#options;
    if (resources === undefined) return [...inner];
    const got: PhysicalRange[] = [];
    for (const range of inner) {
      const addresses = { start: BigInt(range.start), length: BigInt(range.length) };
      try {
        // The device describes; who is busy with the addresses is the memory below it.
        this.#claims.push(resources.request(addresses, name, { busy: false, systemRam: true }));
        resources.request(addresses, KMEM_NAME, { systemRam: true });
        got.push(range);
      } catch (error) {
        if (got.length === 0) throw error;
      }
    }
    return got;
  }

  #room(length: number): number | undefined {
    const taken = this.#loans.toSorted((a, b) => a.start - b.start);
    for (const { start, length: bytes } of this.ranges) {
      let at = start;
      for (const loan of taken) {
        if (loan.start < at || loan.start >= start + bytes) continue;
        if (loan.start - at >= length) return at;
        at = loan.start + loan.range.length;
      }
      if (start + bytes - at >= length) return at;
    }
    return undefined;
  }
}

function withinBlocks({ start, length }: DeviceRange, block: number): PhysicalRange[] {
  const first = Math.ceil(start / block) * block;
  const past = Math.floor((start + length) / block) * block;
  return past > first ? [{ start: first, length: past - first }] : [];
}

function refused(
  code: "EBUSY" | "EINVAL" | "ENOMEM" | "ENXIO",
  path: string,
  detail: string,
): DaxError {
  return new DaxError(code, { syscall: "kmem", path, detail });
}
