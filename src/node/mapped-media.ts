/**
 * A file as media, mapped into this process: windows are its pages, and nothing is copied.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { checkBounds, checkOpen, isInside, refuseRange } from "../media/bounds.ts";
import { uniformDomain } from "../media/domains.ts";
import type {
  ByteRange,
  DomainRange,
  Durability,
  StitchPiece,
  Stitched,
  Window,
} from "../media/media.ts";
import { BadPages } from "./bad-pages.ts";
import { closeUnlocked } from "./file-lock.ts";
import { flushMethod } from "./flush-method.ts";
import { HostMapping, longestView } from "./host-mapping.unsafe.ts";
import type { Libc } from "./libc.unsafe.ts";
import type { CacheControl } from "./machine-code.unsafe.ts";
import {
  domainOf,
  growFile,
  type FileMedia,
  type FileMediaCounters,
  LONGEST_WINDOW,
  type MediaFile,
  type OpenFileOptions,
  presentBytes,
} from "./media-file.ts";
import { PageWriter } from "./page-writer.ts";
import { type SharedMapping, Shares } from "./shares.ts";

/** What `#last` is before the first window and after close: no offset is inside. */
const NOWHERE: Window = { start: 0, length: 0, memory: new DataView(new ArrayBuffer(0)) };

/**
 * A part of the file that was mapped at once: the file as opened, and one for each growth. It
 * starts on a page.
 */
interface Part {
  readonly start: number;
  readonly length: number;
  readonly mapping: HostMapping;
  readonly windows: (Window | undefined)[];
}

/** Closes files that nobody closed; the mappings have a backstop of their own. */
const backstop = new FinalizationRegistry<number>((fd) => closeUnlocked(fd));

/** See the module. */
export class MappedFileMedia implements FileMedia {
  readonly path: string;
  readonly mapped = true;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly counters: FileMediaCounters = { flushes: 0, fences: 0, writes: 0, writtenBytes: 0 };
  declare readonly copyNonTemporal?: (offset: number, source: Uint8Array) => void;
  readonly #libc: Libc;
  readonly #file: MediaFile;
  readonly #options: OpenFileOptions;
  readonly #segmentBytes: number;
  /** Set where flush means cache-line write-back. */
  readonly #cache: CacheControl | undefined;
  /** Set where flush means msync. */
  readonly #pages: PageWriter | undefined;
  readonly #stitches = new Set<HostMapping>();
  readonly #bad: BadPages;
  readonly #shares = new Shares();
  #parts: Part[];
  #last = NOWHERE;
  #size: number;
  #domains: readonly DomainRange[];
  #open = true;
  /** The byte from which pages failed because the file ended there; with `followCuts`. */
  #cutAt = Number.POSITIVE_INFINITY;

  /** @throws ENOMEM and whatever else mmap says; the file is left open then */
  constructor(libc: Libc, file: MediaFile, options: OpenFileOptions) {
    this.#libc = libc;
    this.#file = file;
    this.#options = options;
    this.#segmentBytes = options.segmentBytes ?? LONGEST_WINDOW;
    this.#bad = new BadPages(libc.pageSize);
    this.path = file.path;
    this.readOnly = file.readOnly;
    this.#size = file.size;
    const part = this.#map(0, file.size);
    this.#parts = [part];
    const method = flushMethod(file, part.mapping.synchronous, options);
    this.durability = method.durability;
    this.#cache = method.cache;
    if (method.pages) {
      this.#pages = new PageWriter(libc.pageSize, true, (at, length) => this.#msync(at, length));
    }
    this.#domains = uniformDomain(file.size, domainOf(this.durability, options));
    if (this.#cache?.copy !== undefined) {
      const copy = this.#cache.copy;
      this.copyNonTemporal = (offset, source) => this.#copyNonTemporal(offset, source, copy);
    }
    backstop.register(this, file.fd, this);
  }

  get size(): number {
    return this.#size;
  }

  get domains(): readonly DomainRange[] {
    return this.#domains;
  }

  get cacheControl(): string | undefined {
    return this.#cache?.name;
  }

  /** Whether a fault of the mapping is survived. */
  get guarded(): boolean {
    return this.#parts.every((part) => part.mapping.guarded);
  }

  window(offset: number): Window {
    if (this.#bad.failing) return this.#find(offset);
    const last = this.#last;
    const within = offset - last.start;
    if (within >= 0 && within < last.length && Number.isInteger(offset)) return last;
    return this.#find(offset);
  }

  flush(offset: number, length: number): void {
    if (!this.#open || !isInside(this.#size, offset, length)) this.#refuse("flush", offset, length);
    this.counters.flushes++;
    if (this.#cache !== undefined) this.#flushLines(this.#cache, offset, length);
    else this.#pages?.add(offset, length);
    if (this.#bad.failing) this.#checkGood("flush", offset, length);
  }

  fence(): void {
    checkOpen(this.#open, "fence", this.path);
    this.counters.fences++;
    this.#cache?.drain();
    if (this.#pages !== undefined && this.#pages.waiting) {
      this.#pages.write();
      // What was cut off the file is gone, and msync does not say so.
      this.#checkWhole("fence");
    }
    if (this.#bad.failing) this.#takeFaults("fence");
  }

  checkFault(): void {
    checkOpen(this.#open, "checkFault", this.path);
    if (this.#bad.failing) this.#takeFaults("checkFault");
  }

  badRanges(): readonly ByteRange[] {
    checkOpen(this.#open, "badRanges", this.path);
    if (this.#cutAt < this.#size) this.#mend();
    return this.#bad.list;
  }

  /** Pages that failed are mapped anew where the file has them (again). */
  clearPoison(offset: number, length: number): number {
    if (!this.#open || !isInside(this.#size, offset, length)) {
      this.#refuse("clearPoison", offset, length);
    }
    const end = this.#presentBytes();
    for (const run of this.#bad.inside(offset, length)) {
      const { pageSize } = this.#libc;
      const first = Math.ceil(run.start / pageSize) * pageSize;
      const past = run.start + run.length;
      const whole = past === this.#size ? past : past - (past % pageSize);
      const until = Math.min(whole, end);
      if (until > first) this.#repair(first, until - first);
    }
    return length - this.#bad.overlap(offset, length);
  }

  stitch(pieces: readonly StitchPiece[], writable: boolean): Stitched | undefined {
    checkOpen(this.#open, "stitch", this.path);
    this.#checkPieces(pieces, writable);
    const { pageSize } = this.#libc;
    const inner = pieces.slice(0, -1);
    const starts = pieces.map((piece) => ("hole" in piece ? 0 : piece.start));
    if (inner.some((piece) => piece.length % pageSize !== 0)) return undefined;
    if (starts.some((start) => start % pageSize !== 0)) return undefined;
    const mapping = new HostMapping(this.#libc, {
      fd: this.#file.fd,
      path: this.path,
      pieces: pieces.map((piece) => ({
        start: "hole" in piece ? undefined : piece.start,
        length: piece.length,
      })),
      shared: writable,
      sync: this.#synchronous,
      faults: (this.#options.guard ?? true) ? this.#bad.sink : undefined,
    });
    this.#stitches.add(mapping);
    return {
      bytes: new Uint8Array(mapping.view(0, mapping.length)),
      release: () => {
        this.#stitches.delete(mapping);
        mapping.release();
      },
    };
  }

  grow(size: number): void {
    checkOpen(this.#open, "grow", this.path);
    growFile(this.#file, this.#size, size);
    if (size === this.#size) return;
    const border = this.#cutAtPage();
    this.#parts.push(this.#map(border, size - border));
    this.#last = NOWHERE;
    this.#size = size;
    this.#domains = uniformDomain(size, domainOf(this.durability, this.#options));
  }

  share(): SharedMapping {
    checkOpen(this.#open, "share", this.path);
    const { path, readOnly, durability, cacheControl } = this;
    const { kind, fd } = this.#file;
    const { pageSize } = this.#libc;
    const runs = this.#parts.map(({ start, length, mapping }) => {
      return { start, length, address: mapping.address };
    });
    const size = this.#size;
    const share = { path, kind, fd, size, pageSize, readOnly, durability, cacheControl, runs };
    return this.#shares.lend(share);
  }

  close(): void {
    if (!this.#open) return;
    this.#shares.checkNone(this.path);
    this.#cache?.drain();
    this.#open = false;
    this.#last = NOWHERE;
    const mappings = this.#mappings();
    this.#stitches.clear();
    this.#parts = [];
    backstop.unregister(this);
    try {
      for (const mapping of mappings) mapping.release();
    } finally {
      closeUnlocked(this.#file.fd);
    }
  }

  #mappings(): HostMapping[] {
    return [...this.#stitches, ...this.#parts.map((part) => part.mapping)];
  }

  get #synchronous(): boolean {
    return this.#parts[0]?.mapping.synchronous ?? false;
  }

  #map(start: number, length: number): Part {
    const mapping = new HostMapping(this.#libc, {
      fd: this.#file.fd,
      path: this.path,
      pieces: [{ start, length }],
      shared: !this.readOnly,
      sync: !this.#file.inRam,
      faults: (this.#options.guard ?? true) ? this.#bad.sink : undefined,
    });
    return { start, length, mapping, windows: [] };
  }

  /**
   * Where the next part starts: the last page, if the file fills only some of it, goes there whole,
   * so that no page lies in two windows. Windows that somebody keeps show the same memory as ever.
   */
  #cutAtPage(): number {
    const border = this.#size - (this.#size % this.#libc.pageSize);
    const part = this.#parts.at(-1)!;
    if (border === this.#size) return border;
    const windows = part.windows.map((window) => {
      if (window === undefined || window.start + window.length <= border) return window;
      const { start, memory } = window;
      const { buffer, byteOffset } = memory as DataView<ArrayBuffer>;
      const length = Math.max(0, border - start);
      return { start, length, memory: new DataView(buffer, byteOffset, length) };
    });
    this.#parts[this.#parts.length - 1] = { ...part, length: border - part.start, windows };
    return border;
  }

  #find(offset: number): Window {
    if (!this.#open || !isInside(this.#size, offset, 1)) this.#refuse("window", offset, 1);
    if (this.#bad.failing) this.#checkGood("window", offset, 1);
    const part = this.#partAt(offset);
    const index = Math.floor((offset - part.start) / this.#segmentBytes);
    const window = (part.windows[index] ??= this.#view(part, index));
    this.#last = window;
    return window;
  }

  #view(part: Part, index: number): Window {
    const at = index * this.#segmentBytes;
    const length = Math.min(this.#segmentBytes, part.length - at);
    return { start: part.start + at, length, memory: new DataView(part.mapping.view(at, length)) };
  }

  #partAt(offset: number): Part {
    let low = 0;
    let high = this.#parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#parts[middle]!.start <= offset) low = middle;
      else high = middle - 1;
    }
    return this.#parts[low]!;
  }

  /** Calls `each` with the address of every run of the range that lies in one mapping. */
  #runs(offset: number, length: number, each: (address: number, from: number, n: number) => void) {
    for (let done = 0; done < length;) {
      const part = this.#partAt(offset + done);
      const within = offset + done - part.start;
      const run = Math.min(length - done, part.length - within);
      each(part.mapping.address + within, done, run);
      done += run;
    }
  }

  #flushLines(cache: CacheControl, offset: number, length: number): void {
    const first = this.#parts[0]!;
    if (offset + length <= first.length) cache.flush(first.mapping.address + offset, length);
    else this.#runs(offset, length, (address, _from, run) => cache.flush(address, run));
  }

  #copyNonTemporal(
    offset: number,
    source: Uint8Array,
    copy: (address: number, source: Uint8Array) => void,
  ): void {
    const { length } = source;
    if (!this.#open || !isInside(this.#size, offset, length)) {
      this.#refuse("copyNonTemporal", offset, length);
    }
    if (this.readOnly) {
      throw new DaxError("EROFS", { syscall: "copyNonTemporal", path: this.path });
    }
    const first = this.#parts[0]!;
    if (offset + length <= first.length) copy(first.mapping.address + offset, source);
    else {
      this.#runs(offset, length, (address, from, run) =>
        copy(address, source.subarray(from, from + run)),
      );
    }
    if (this.#bad.failing) this.#checkGood("copyNonTemporal", offset, length);
  }

  #msync(at: number, pages: number): void {
    const length = Math.min(pages, this.#size - at);
    this.#runs(at, length, (_address, from, run) => {
      const part = this.#partAt(at + from);
      part.mapping.msync(at + from - part.start, run);
    });
    this.counters.writes++;
    this.counters.writtenBytes += length;
  }

  #repair(start: number, length: number): void {
    for (const mapping of this.#mappings()) mapping.repair(start, length);
    this.#bad.repaired(start, length);
  }

  /** Makes faults that came to light an error, once; the pages stay on the bad list. */
  #takeFaults(syscall: string): void {
    const mappings = this.#mappings();
    const locate = (address: number) =>
      mappings.find((each) => each.offsetAt(address) !== undefined)?.offsetAt(address);
    const intact = () => {
      const present = this.#presentBytes();
      return present < this.#size ? present : 0;
    };
    const first = this.#bad.take(this.#size, locate, intact);
    if (first === undefined) return;
    if (this.#options.followCuts === true) this.#noteCut();
    throw this.#gone(syscall, first);
  }

  #noteCut(): void {
    const present = this.#presentBytes();
    if (present < this.#size) this.#cutAt = Math.min(this.#cutAt, present);
  }

  /** What was cut off and is there again is good. */
  #mend(): void {
    const present = this.#presentBytes();
    if (present > this.#cutAt) this.clearPoison(this.#cutAt, present - this.#cutAt);
    if (present === this.#size) this.#cutAt = Number.POSITIVE_INFINITY;
  }

  #checkGood(syscall: string, offset: number, length: number): void {
    this.#takeFaults(syscall);
    const bad = this.#bad.first(offset, length);
    if (bad !== undefined) throw this.#gone(syscall, bad.start);
  }

  #presentBytes(): number {
    return presentBytes(this.#file, this.#size);
  }

  #gone(syscall: string, offset: number): DaxError {
    const present = this.#presentBytes();
    const why =
      present < this.#size
        ? `the file was cut to ${present} of ${this.#size} bytes behind our back`
        : "the device failed there, or the file system is full";
    return new DaxError("EIO", {
      syscall,
      path: this.path,
      detail: `the page at offset ${offset} is gone: ${why}; loads read zeros, stores are lost`,
    });
  }

  #checkWhole(syscall: string): void {
    const present = this.#presentBytes();
    if (present < this.#size) throw this.#gone(syscall, present);
  }

  #checkPieces(pieces: readonly StitchPiece[], writable: boolean): void {
    const refuse = (code: "EROFS" | "EINVAL" | "EFBIG", detail: string) =>
      new DaxError(code, { syscall: "stitch", path: this.path, detail });
    if (writable && this.readOnly) throw refuse("EROFS", "it was opened readOnly");
    let total = 0;
    for (const piece of pieces) {
      if ("hole" in piece) {
        if (writable) throw refuse("EINVAL", "a hole cannot be stored to; allocate it first");
        checkBounds("stitch", Number.MAX_SAFE_INTEGER, 0, piece.length, this.path);
      } else checkBounds("stitch", this.#size, piece.start, piece.length, this.path);
      if (piece.length === 0) throw refuse("EINVAL", "a piece is empty");
      total += piece.length;
    }
    if (total === 0) throw refuse("EINVAL", "there are no pieces");
    if (total > longestView) {
      throw refuse("EFBIG", `${total} bytes; an array holds ${longestView} on this Node`);
    }
  }

  #refuse(syscall: string, offset: number, length: number): never {
    refuseRange(this.#open, syscall, this.#size, offset, length, this.path);
  }
}
