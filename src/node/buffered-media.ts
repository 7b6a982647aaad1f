/**
 * A file as media without mapping: pieces of it are read into memory when they are looked at, and
 * what was flushed is written back at the fence. It serves where foreign calls cannot be made, and
 * has their price: nobody else's changes are seen, and what is looked at stays in memory.
 *
 * @module
 */
import { fdatasyncSync, readSync, writeSync } from "node:fs";
import { DaxError } from "../lib/errno.ts";
import { checkOpen, isInside, refuseRange } from "../media/bounds.ts";
import { uniformDomain } from "../media/domains.ts";
import type { ByteRange, DomainRange, Durability, Window } from "../media/media.ts";
import { closeUnlocked } from "./file-lock.ts";
import {
  domainOf,
  growFile,
  type FileMedia,
  type FileMediaCounters,
  type MediaFile,
  type OpenFileOptions,
  presentBytes,
} from "./media-file.ts";
import { whyNoLibc } from "./libc.unsafe.ts";
import { PageWriter } from "./page-writer.ts";
import { typed } from "./system-error.ts";

/** Bytes read at once, and so in a window, at most. */
const SEGMENT_BYTES = 4 * 2 ** 20;
/** Bytes of the file that may be in memory; beyond this a window is ENOTSUP. */
const MOST_BUFFERED_BYTES = 2 ** 30;
const PAGE_SIZE = 4096;
const NONE: readonly ByteRange[] = [];

/** A window with the bytes under it. */
interface Segment extends Window {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** See the module. */
export class BufferedFileMedia implements FileMedia {
  readonly path: string;
  readonly mapped = false;
  readonly cacheControl = undefined;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly counters: FileMediaCounters = { flushes: 0, fences: 0, writes: 0, writtenBytes: 0 };
  readonly #file: MediaFile;
  readonly #options: OpenFileOptions;
  readonly #segmentBytes: number;
  readonly #mostBytes: number;
  readonly #pages: PageWriter;
  /** By the start of the segment. */
  readonly #segments = new Map<number, Segment>();
  #size: number;
  #domains: readonly DomainRange[];
  /** Where a growth began a new row of segments. */
  #rows: number[] = [0];
  #buffered = 0;
  #open = true;

  /**
   * @param mostBytes of the file that may be in memory
   * @throws ENOTSUP when cache-line write-back is demanded
   */
  constructor(file: MediaFile, options: OpenFileOptions, mostBytes = MOST_BUFFERED_BYTES) {
    if (options.flush === "cache-line") {
      throw new DaxError("ENOTSUP", {
        syscall: "open",
        path: file.path,
        detail: `no cache-line write-back without mapping; install koffi (${whyNoLibc()})`,
      });
    }
    this.#mostBytes = mostBytes;
    this.#file = file;
    this.#options = options;
    this.path = file.path;
    this.readOnly = file.readOnly;
    this.#segmentBytes = Math.min(options.segmentBytes ?? SEGMENT_BYTES, SEGMENT_BYTES);
    this.#size = file.size;
    this.durability = file.inRam ? "volatile" : "fsync";
    this.#domains = uniformDomain(file.size, domainOf(this.durability, options));
    this.#pages = new PageWriter(PAGE_SIZE, false, (at, length) => this.#writePages(at, length));
  }

  get size(): number {
    return this.#size;
  }

  get domains(): readonly DomainRange[] {
    return this.#domains;
  }

  /** @throws EIO, ENOTSUP when as much of the file as may be is in memory already */
  window(offset: number): Window {
    if (!this.#open || !isInside(this.#size, offset, 1)) this.#refuse("window", offset, 1);
    const row = this.#rows.findLast((start) => start <= offset) ?? 0;
    const start = offset - ((offset - row) % this.#segmentBytes);
    return this.#segments.get(start) ?? this.#read(start);
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
    this.#checkWhole();
    this.#pages.write();
    typed(this.path, () => fdatasyncSync(this.#file.fd));
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
    growFile(this.#file, this.#size, size);
    if (size === this.#size) return;
    this.#rows.push(this.#size);
    this.#size = size;
    this.#domains = uniformDomain(size, domainOf(this.durability, this.#options));
  }

  /**
   * Writes back what was stored and never flushed too, as a mapping would in its own time; only
   * pages that differ are written, so that holes of the file stay holes.
   * @throws EIO, ENOSPC when that fails; the media is closed all the same
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      if (this.readOnly) return;
      this.#checkWhole();
      if (this.#pages.waiting) {
        this.#pages.write();
        typed(this.path, () => fdatasyncSync(this.#file.fd));
      }
      for (const segment of this.#segments.values()) this.#writeBack(segment);
    } finally {
      this.#segments.clear();
      closeUnlocked(this.#file.fd);
    }
  }

  #read(start: number): Segment {
    const row = this.#rows.findIndex((from) => from > start);
    const end = row === -1 ? this.#size : this.#rows[row]!;
    const length = Math.min(this.#segmentBytes, end - start);
    if (this.#buffered + length > this.#mostBytes) {
      throw new DaxError("ENOTSUP", {
        syscall: "window",
        path: this.path,
        detail:
          `${this.#buffered} bytes of it are in memory, and without mapping no more may be; ` +
          `install koffi (${whyNoLibc()})`,
      });
    }
    const bytes = new Uint8Array(length);
    readFully(this.#file, start, bytes);
    const segment = { start, length, memory: new DataView(bytes.buffer), bytes };
    this.#segments.set(start, segment);
    this.#buffered += length;
    return segment;
  }

  /** Writing beyond the end would make a file of which a part is lost look whole. */
  #checkWhole(): void {
    const present = presentBytes(this.#file, this.#size);
    if (present === this.#size) return;
    throw new DaxError("EIO", {
      syscall: "fence",
      path: this.path,
      detail: `the file was cut to ${present} of ${this.#size} bytes behind our back`,
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
    readFully(this.#file, start, before);
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const page = bytes.subarray(at, at + PAGE_SIZE);
      if (Buffer.compare(page, before.subarray(at, at + PAGE_SIZE)) !== 0) {
        this.#write(start + at, page);
      }
    }
  }

  #write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const count = typed(this.path, () =>
        writeSync(this.#file.fd, bytes, done, bytes.length - done, offset + done),
      );
      done += count;
    }
    this.counters.writes++;
    this.counters.writtenBytes += bytes.length;
  }

  #refuse(syscall: string, offset: number, length: number): never {
    refuseRange(this.#open, syscall, this.#size, offset, length, this.path);
  }
}

/** Fills `target`. @throws EIO where the file ends before: it was cut behind our back */
function readFully({ fd, path }: MediaFile, offset: number, target: Uint8Array): void {
  for (let done = 0; done < target.length;) {
    const count = typed(path, () =>
      readSync(fd, target, done, target.length - done, offset + done),
    );
    if (count === 0) {
      throw new DaxError("EIO", {
        syscall: "read",
        path,
        detail: `it ends at ${offset + done}: it was cut behind our back`,
      });
    }
    done += count;
  }
}
