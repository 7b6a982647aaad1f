/**
 * Media in the memory of this process: volatile, and fast to make.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { checkOpen, checkSize, isInside, refuseRange } from "./bounds.ts";
import { coverWithDomains, uniformDomain } from "./domains.ts";
import type { ByteRange, CachedRange, DomainRange, Durability, Media, Window } from "./media.ts";

/** Bytes in one piece of memory unless told otherwise: what every engine grants. */
const SEGMENT_BYTES = 2 ** 30;
/** Segments end on page borders, so that no page is split between two windows. */
const PAGE_SIZE = 4096;
const NONE: readonly ByteRange[] = [];

/** How RAM media is made. */
export interface RamMediaOptions {
  /** What a modelled machine says of the bytes; by default all are `volatile`. */
  readonly domains?: readonly DomainRange[];
  /** And how it maps them; write-back unless given. */
  readonly caching?: readonly CachedRange[];
  readonly readOnly?: boolean;
  /** Bytes of the longest window, a multiple of 4096. */
  readonly segmentBytes?: number;
}

/** Zeroed memory. Pieces are allocated when they are first looked at. */
export class RamMedia implements Media {
  readonly size: number;
  readonly durability: Durability = "volatile";
  readonly readOnly: boolean;
  readonly domains: readonly DomainRange[];
  readonly caching: readonly CachedRange[];
  readonly #segmentBytes: number;
  #segments: (Window | undefined)[];
  #open = true;

  /** @throws EINVAL for a size, segment size or domains that cannot be */
  constructor(size: number, options: RamMediaOptions = {}) {
    checkSize("ram", size);
    const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    if (!(segmentBytes > 0) || segmentBytes % PAGE_SIZE !== 0) {
      throw new DaxError("EINVAL", {
        syscall: "ram",
        detail: `segmentBytes is ${segmentBytes}; give a multiple of ${PAGE_SIZE}`,
      });
    }
    this.size = size;
    this.readOnly = options.readOnly ?? false;
    this.domains =
      options.domains === undefined
        ? uniformDomain(size, "volatile")
        : coverWithDomains(size, options.domains);
    this.caching = options.caching ?? [];
    this.#segmentBytes = segmentBytes;
    this.#segments = [];
  }

  /** RAM media over the given bytes: it aliases them. @throws EINVAL for none */
  static over(bytes: Uint8Array<ArrayBuffer>, options: RamMediaOptions = {}): RamMedia {
    const media = new RamMedia(bytes.length, {
      ...options,
      segmentBytes: Math.ceil(bytes.length / PAGE_SIZE) * PAGE_SIZE || PAGE_SIZE,
    });
    const memory = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    media.#segments[0] = { start: 0, length: bytes.length, memory };
    return media;
  }

  window(offset: number): Window {
    if (!this.#open || !isInside(this.size, offset, 1)) this.#refuse("window", offset, 1);
    const index = Math.floor(offset / this.#segmentBytes);
    return this.#segments[index] ?? this.#allocate(index);
  }

  flush(offset: number, length: number): void {
    if (!this.#open || !isInside(this.size, offset, length)) this.#refuse("flush", offset, length);
  }

  fence(): void {
    checkOpen(this.#open, "fence");
  }

  badRanges(): readonly ByteRange[] {
    checkOpen(this.#open, "badRanges");
    return NONE;
  }

  clearPoison(offset: number, length: number): number {
    if (!this.#open || !isInside(this.size, offset, length)) {
      this.#refuse("clearPoison", offset, length);
    }
    return length;
  }

  close(): void {
    this.#open = false;
    this.#segments = [];
  }

  /** @throws ENOMEM when the engine has no such piece of memory left */
  #allocate(index: number): Window {
    const start = index * this.#segmentBytes;
    const length = Math.min(this.#segmentBytes, this.size - start);
    let memory: DataView;
    try {
      memory = new DataView(new ArrayBuffer(length));
    } catch (error) {
      throw new DaxError("ENOMEM", {
        syscall: "window",
        detail: `no memory for ${length} bytes of RAM media at ${start}: ${String(error)}`,
      });
    }
    const window: Window = { start, length, memory };
    this.#segments[index] = window;
    return window;
  }

  #refuse(syscall: string, offset: number, length: number): never {
    refuseRange(this.#open, syscall, this.size, offset, length);
  }
}
