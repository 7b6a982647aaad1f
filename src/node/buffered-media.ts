/**
 * Media without mapping: pieces of a backing (a file, an export) are read into memory when they are
 * looked at, and what was flushed is written back at the fence. It serves where foreign calls are
 * not to be had or nothing can be mapped, and has its price: nobody else's changes are seen, and
 * what is looked at stays in memory.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { checkOpen, isInside, refuseRange } from "../media/bounds.ts";
import { uniformDomain } from "../media/domains.ts";
import type {
  ByteRange,
  DomainRange,
  Durability,
  PersistenceDomain,
  Window,
} from "../media/media.ts";
import type { FileMedia, FileMediaCounters } from "./media-file.ts";
import { PageWriter } from "./page-writer.ts";

/** Bytes read at once, and so in a window, at most. */
const SEGMENT_BYTES = 4 * 2 ** 20;
/** Bytes that may be in memory; beyond this a window is ENOTSUP, unless segments are forgotten. */
const MOST_BUFFERED_BYTES = 2 ** 30;
const PAGE_SIZE = 4096;
const NONE: readonly ByteRange[] = [];

/** Bytes elsewhere, reached by copies. Ranges are inside, and multiples of `blockBytes`. */
export interface Backing {
  /** For messages: a file's name, a URI. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** What `write` and then `persist` reach. */
  readonly durability: Durability;
  /** What can be read and written at least: a power of two up to 64 KiB. */
  readonly blockBytes: number;
  /** Fills `target` from `offset`. @throws EIO and whatever else keeps it from that */
  read(offset: number, target: Uint8Array): void;
  /** Writes all of `source`. */
  write(offset: number, source: Uint8Array): void;
  /** All that was written is durable afterwards. */
  persist(): void;
  /** @throws EIO when it is not whole any more, so that nothing must be written to it */
  checkWhole(): void;
  /** Makes it `size` bytes long. @throws EINVAL for fewer bytes than now, EROFS, ENOTSUP */
  grow(size: number): void;
  close(): void;
}

/** How a backing becomes media. */
export interface BufferedOptions {
  /** What a power cut leaves; `adr` unless told otherwise, `volatile` where nothing lasts. */
  readonly domain?: PersistenceDomain;
  /** Bytes of a window; 4 MiB by default and at most. */
  readonly segmentBytes?: number;
  /** Bytes of the backing that may be in memory; 1 GiB by default. */
  readonly mostBytes?: number;
  /**
   * Read-only media lets go of the windows looked at first when `mostBytes` are in memory. What was
   * stored to a window that nobody holds is lost then.
   */
  readonly forget?: boolean;
  /** Why more than `mostBytes` cannot be in memory, for the message. */
  readonly limitHint?: string;
}

/** A window with the bytes under it. */
interface Segment extends Window {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** See the module. */
export class BufferedMedia implements FileMedia {
  readonly path: string;
  readonly mapped = false;
  readonly cacheControl = undefined;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly counters: FileMediaCounters = { flushes: 0, fences: 0, writes: 0, writtenBytes: 0 };
  readonly #backing: Backing;
  readonly #options: BufferedOptions;
  readonly #segmentBytes: number;
  #mostBytes: number;
  readonly #pages: PageWriter;
  /** By the start of the segment, the one looked at first in front. */
  readonly #segments = new Map<number, Segment>();
  /** Segments that were let go, for as long as somebody else holds their windows. */
  readonly #forgotten = new Map<number, WeakRef<Segment>>();
  #size: number;
  #domains: readonly DomainRange[];
  /** Where a growth began a new row of segments. */
  #rows: number[] = [0];
  #buffered = 0;
  #open = true;

  constructor(backing: Backing, options: BufferedOptions = {}) {
    this.#mostBytes = options.mostBytes ?? MOST_BUFFERED_BYTES;
    this.#backing = backing;
    this.#options = options;
    this.path = backing.path;
    this.readOnly = backing.readOnly;
    this.#segmentBytes = Math.min(options.segmentBytes ?? SEGMENT_BYTES, SEGMENT_BYTES);
    this.#size = backing.size;
    this.durability = backing.durability;
    this.#domains = this.#domainsOf(backing.size);
    const pageSize = Math.max(PAGE_SIZE, backing.blockBytes);
    this.#pages = new PageWriter(pageSize, false, (at, length) => this.#writePages(at, length));
  }

  get size(): number {
    return this.#size;
  }

  get domains(): readonly DomainRange[] {
    return this.#domains;
  }

  /** @throws EIO, ENOTSUP when as much of it as may be is in memory already */
  window(offset: number): Window {
    if (!this.#open || !isInside(this.#size, offset, 1)) this.#refuse("window", offset, 1);
    const row = this.#rows.findLast((start) => start <= offset) ?? 0;
    const start = offset - ((offset - row) % this.#segmentBytes);
    return this.#segments.get(start) ?? this.#remembered(start) ?? this.#read(start);
  }

  flush(offset: number, length: number): void {
    if (!this.#open || !isInside(this.#size, offset, length)) this.#refuse("flush", offset, length);
    this.counters.flushes++;
    if (!this.readOnly) this.#pages.add(offset, length);
  }

  fence(): void {
    checkOpen(this.#open, "fence", this.path);
    this.counters.fences++;
    if (!this.#pages.waiting) return;
    this.#backing.checkWhole();
    this.#pages.write();
    this.#backing.persist();
  }

  /**
   * Leaves the backing to somebody who writes to it past the windows: what is in memory is
   * forgotten, and there are no windows any more.
   * @throws EIO, ENOSPC where something was flushed and cannot be written back
   */
  protected leave(): void {
    this.fence();
    this.#mostBytes = 0;
    this.#segments.clear();
    this.#forgotten.clear();
  }

  badRanges(): readonly ByteRange[] {
    checkOpen(this.#open, "badRanges", this.path);
    return NONE;
  }

  clearPoison(offset: number, length: number): number {
    if (!this.#open || !isInside(this.#size, offset, length)) {
      this.#refuse("clearPoison", offset, length);
    }
    return length;
  }

  grow(size: number): void {
    checkOpen(this.#open, "grow", this.path);
    this.#backing.grow(size);
    if (size === this.#size) return;
    this.#rows.push(this.#size);
    this.#size = size;
    this.#domains = this.#domainsOf(size);
  }

  /**
   * Writes back what was stored and never flushed too, as a mapping would in its own time; only
   * pages that differ are written, so that holes of the backing stay holes.
   * @throws EIO, ENOSPC when that fails; the media is closed all the same
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      if (this.readOnly) return;
      this.#backing.checkWhole();
      if (this.#pages.waiting) {
        this.#pages.write();
        this.#backing.persist();
      }
      for (const segment of this.#segments.values()) this.#writeBack(segment);
    } finally {
      this.#segments.clear();
      this.#forgotten.clear();
      this.#backing.close();
    }
  }

  #domainsOf(size: number): readonly DomainRange[] {
    const domain = this.durability === "volatile" ? "volatile" : "adr";
    return uniformDomain(size, this.#options.domain ?? domain);
  }

  #read(start: number): Segment {
    const row = this.#rows.findIndex((from) => from > start);
    const end = row === -1 ? this.#size : this.#rows[row]!;
    const length = Math.min(this.#segmentBytes, end - start);
    this.#makeRoom(length);
    const bytes = new Uint8Array(length);
    this.#backing.read(start, bytes);
    return this.#keep({ start, length, memory: new DataView(bytes.buffer), bytes });
  }

  #keep(segment: Segment): Segment {
    this.#segments.set(segment.start, segment);
    this.#buffered += segment.length;
    return segment;
  }

  #makeRoom(length: number): void {
    while (this.#buffered + length > this.#mostBytes) {
      const [oldest] = this.#segments.values();
      const forget = this.readOnly && this.#options.forget === true;
      if (!forget || oldest === undefined) this.#refuseMore();
      this.#segments.delete(oldest.start);
      this.#forgotten.set(oldest.start, new WeakRef(oldest));
      this.#buffered -= oldest.length;
    }
  }

  /** A segment that was let go and that somebody holds: a window is the same object always. */
  #remembered(start: number): Segment | undefined {
    const segment = this.#forgotten.get(start)?.deref();
    if (segment === undefined) return undefined;
    this.#makeRoom(segment.length);
    this.#forgotten.delete(start);
    return this.#keep(segment);
  }

  #refuseMore(): never {
    const hint = this.#options.limitHint;
    throw new DaxError("ENOTSUP", {
      syscall: "window",
      path: this.path,
      detail:
        `${this.#buffered} bytes of it are in memory, and without mapping no more may be` +
        (hint === undefined ? "" : `; ${hint}`),
    });
  }

  /** Writes whole pages, cut to the media; what was never looked at was never stored to. */
  #writePages(at: number, length: number): void {
    const end = Math.min(at + length, this.#size);
    for (const { start, bytes } of this.#segments.values()) {
      const from = Math.max(at, start);
      const to = Math.min(end, start + bytes.length);
      if (to > from) this.#write(from, bytes.subarray(from - start, to - start));
    }
  }

  #writeBack({ start, bytes }: Segment): void {
    const before = new Uint8Array(bytes.length);
    this.#backing.read(start, before);
    const page = Math.max(PAGE_SIZE, this.#backing.blockBytes);
    for (let at = 0; at < bytes.length; at += page) {
      const now = bytes.subarray(at, at + page);
      if (Buffer.compare(now, before.subarray(at, at + page)) !== 0) this.#write(start + at, now);
    }
  }

  #write(offset: number, bytes: Uint8Array): void {
    this.#backing.write(offset, bytes);
    this.counters.writes++;
    this.counters.writtenBytes += bytes.length;
  }

  #refuse(syscall: string, offset: number, length: number): never {
    refuseRange(this.#open, syscall, this.#size, offset, length, this.path);
  }
}
