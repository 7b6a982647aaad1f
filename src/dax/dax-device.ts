/**
 * The dax device: what everyone above a driver holds. It wraps the driver's operations with the
 * checks that must not be repeated in every driver (liveness, holder, write cache) and counts.
 *
 * @module
 */
import { DaxError, assert } from "../lib/errno.ts";
import { copyIn, fill } from "../lib/memory.ts";
import type { Stitched } from "../media/media.ts";
import {
  type AccessMode,
  type DaxHolder,
  type DaxOperations,
  type DaxSpan,
  PAGE_SIZE,
  type PageRange,
} from "./operations.ts";

/** What a device did so far; plain numbers, reset by nobody. */
export interface DaxCounters {
  directAccess: number;
  copiedIn: number;
  copiedOut: number;
  zeroedPages: number;
  flushes: number;
  flushedLines: number;
  fences: number;
  recoveryWrites: number;
}

/** How a device is made. */
export interface DaxDeviceOptions {
  readonly name: string;
  readonly pages: number;
  readonly operations: DaxOperations;
  /** Whether `flush` does anything: off for volatile memory and battery-backed caches. */
  readonly writeCache: boolean;
  /** Whether the device may back MAP_SYNC. */
  readonly synchronous: boolean;
}

/** A live (or killed) dax device. */
export class DaxDevice {
  readonly name: string;
  readonly pages: number;
  readonly synchronous: boolean;
  /** May be switched at run time, as `/sys/block/pmem0/dax/write_cache` is. */
  writeCache: boolean;
  readonly counters: DaxCounters = {
    directAccess: 0,
    copiedIn: 0,
    copiedOut: 0,
    zeroedPages: 0,
    flushes: 0,
    flushedLines: 0,
    fences: 0,
    recoveryWrites: 0,
  };
  readonly #operations: DaxOperations;
  #alive = true;
  #holder: DaxHolder | undefined;
  #users = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: DaxDeviceOptions) {
    assert(options.pages > 0, `${options.name}: a dax device has at least one page`);
    this.name = options.name;
    this.pages = options.pages;
    this.writeCache = options.writeCache;
    this.synchronous = options.synchronous;
    this.#operations = options.operations;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get holder(): DaxHolder | undefined {
    return this.#holder;
  }

  /** Read sections and pins that are open. */
  get users(): number {
    return this.#users;
  }

  /**
   * Which memory backs `pages` pages from `pgoff`? The answer may be shorter.
   * @throws ENXIO when dead, EINVAL for fewer than one page, ERANGE past the end, EHWPOISON
   */
  directAccess(pgoff: number, pages: number, mode: AccessMode = "access"): DaxSpan {
    this.#assertAlive("direct_access");
    if (pages < 1 || !Number.isSafeInteger(pages) || !Number.isSafeInteger(pgoff)) {
      throw new DaxError("EINVAL", {
        syscall: "direct_access",
        detail: `${this.name}: ${pages} pages at page ${pgoff}; the count must be at least 1`,
      });
    }
    this.#checkRange("direct_access", pgoff, 1);
    this.counters.directAccess++;
    const span = this.#operations.directAccess(pgoff, pages, mode);
    assert(span.pages >= 1 && span.pages <= pages, `${this.name}: ${span.pages} of ${pages} pages`);
    return span;
  }

  /** Zeroes whole pages; durable after the next fence. @throws ENXIO, ERANGE, EIO */
  zeroPageRange(pgoff: number, pages: number): void {
    this.#assertAlive("zero_page_range");
    this.#checkRange("zero_page_range", pgoff, pages);
    this.counters.zeroedPages += pages;
    this.#operations.zeroPageRange(pgoff, pages);
  }

  /** Zeroes exactly the given bytes, of any length; durable after the next fence. */
  zero(pgoff: number, start: number, length: number): void {
    let at = pgoff * PAGE_SIZE + start;
    const end = at + length;
    while (at < end) {
      const within = at % PAGE_SIZE;
      const whole = within === 0 ? Math.floor((end - at) / PAGE_SIZE) : 0;
      if (whole > 0) {
        this.zeroPageRange(at / PAGE_SIZE, whole);
        at += whole * PAGE_SIZE;
      } else {
        const run = Math.min(PAGE_SIZE - within, end - at);
        const page = Math.floor(at / PAGE_SIZE);
        const span = this.directAccess(page, 1);
        fill(span.memory, span.start + within, run, 0);
        this.flush(page, within, run);
        at += run;
      }
    }
  }

  /** Writes over poison; returns the bytes written. @throws ENXIO, ERANGE */
  recoveryWrite(pgoff: number, start: number, source: Uint8Array): number {
    this.#assertAlive("recovery_write");
    this.#checkBytes("recovery_write", pgoff, start, source.length);
    this.counters.recoveryWrites++;
    return this.#operations.recoveryWrite?.(pgoff, start, source) ?? 0;
  }

  /**
   * Copies in, so that the next fence makes it durable whatever the write-cache flag says of the
   * driver's strategy. Returns the bytes copied. @throws ENXIO, ERANGE, EHWPOISON
   */
  copyFromIter(pgoff: number, start: number, sources: readonly Uint8Array[]): number {
    this.#assertAlive("copy_from_iter");
    let length = 0;
    for (const source of sources) length += source.length;
    this.#checkBytes("copy_from_iter", pgoff, start, length);
    this.counters.copiedIn += length;
    return (
      this.#operations.copyFromIter?.(pgoff, start, sources) ??
      plainCopy(this, pgoff, start, sources)
    );
  }

  /**
   * Writes back the cache lines that `length` bytes touch, through the driver that translated them.
   * Nothing happens while the write cache is off.
   */
  flush(pgoff: number, start: number, length: number): void {
    if (!this.writeCache || this.#operations.flush === undefined) return;
    this.#assertAlive("flush");
    this.#checkBytes("flush", pgoff, start, length);
    this.counters.flushes++;
    const first = Math.floor(start / 64);
    this.counters.flushedLines += Math.floor((start + length + 63) / 64) - first;
    this.#operations.flush(pgoff, start, length);
  }

  /** Orders and completes earlier flushes and non-temporal copies. */
  fence(): void {
    this.counters.fences++;
    this.#operations.fence?.();
  }

  /**
   * Aliases the device: the given pages in their order as one array, or undefined where the driver
   * and its media cannot join them. Whoever holds the array keeps a read section open (`enter`).
   * @throws ENXIO, ERANGE, EHWPOISON
   */
  stitch(ranges: readonly PageRange[], writable = false): Stitched | undefined {
    this.#assertAlive("stitch");
    for (const { pgoff, pages } of ranges) this.#checkRange("stitch", pgoff, pages);
    return this.#operations.stitch?.(ranges, writable);
  }

  /**
   * Takes the device for a filesystem or a stacked device.
   * @throws EBUSY when another holder has it, ENXIO when dead
   */
  claim(holder: DaxHolder): void {
    this.#assertAlive("claim");
    if (this.#holder !== undefined && this.#holder !== holder) {
      throw new DaxError("EBUSY", {
        syscall: "claim",
        detail: `${this.name} is held by ${this.#holder.name}; unmount or remove that first`,
      });
    }
    this.#holder = holder;
  }

  /** Ends a claim; a holder that does not have the device changes nothing. */
  release(holder: DaxHolder): void {
    if (this.#holder === holder) this.#holder = undefined;
  }

  /** Opens a read section or a pin: while it lives, `kill` is not finished. @throws ENXIO */
  enter(): void {
    this.#assertAlive("enter");
    this.#users++;
  }

  /** Ends what `enter` opened. */
  exit(): void {
    assert(this.#users > 0, `${this.name}: exit without enter`);
    this.#users--;
    if (this.#users > 0 || this.#alive) return;
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const wake of waiting) wake();
  }

  /** Tells the holder that memory failed. Returns false when there is no holder. @throws ENXIO */
  notifyFailure(offset: number, length: number): boolean {
    this.#assertAlive("notify_failure");
    this.#holder?.notifyFailure(offset, length, "poison");
    return this.#holder !== undefined;
  }

  /**
   * Ends the device: new operations are refused at once, the holder is told, and `idle` is called
   * when the last read section and pin are gone (now, if there is none). Idempotent.
   */
  kill(idle: () => void = () => {}): void {
    if (this.#alive) {
      this.#holder?.notifyFailure(0, this.pages * PAGE_SIZE, "pre-remove");
      this.#alive = false;
      this.#holder = undefined;
    }
    if (this.#users === 0) idle();
    else this.#whenIdle.push(idle);
  }

  #assertAlive(syscall: string): void {
    if (!this.#alive) {
      throw new DaxError("ENXIO", { syscall, detail: `${this.name} was removed` });
    }
  }

  #checkRange(syscall: string, pgoff: number, pages: number): void {
    if (pgoff >= 0 && pages >= 0 && pgoff + pages <= this.pages) return;
    throw new DaxError("ERANGE", {
      syscall,
      detail: `${this.name}: pages ${pgoff}+${pages} leave the device of ${this.pages} pages`,
    });
  }

  #checkBytes(syscall: string, pgoff: number, start: number, length: number): void {
    const first = pgoff * PAGE_SIZE + start;
    if (first >= 0 && length >= 0 && first + length <= this.pages * PAGE_SIZE) return;
    throw new DaxError("ERANGE", {
      syscall,
      detail: `${this.name}: bytes ${first}+${length} leave the device of ${this.pages} pages`,
    });
  }
}

/** The copy of a device whose driver has none of its own: store, and write back what was stored. */
function plainCopy(
  device: DaxDevice,
  pgoff: number,
  start: number,
  sources: readonly Uint8Array[],
): number {
  let at = pgoff * PAGE_SIZE + start;
  const first = at;
  for (const source of sources) {
    for (let done = 0; done < source.length;) {
      const page = Math.floor(at / PAGE_SIZE);
      const within = at - page * PAGE_SIZE;
      const pages = Math.ceil((within + source.length - done) / PAGE_SIZE);
      const span = device.directAccess(page, pages);
      const run = Math.min(source.length - done, span.pages * PAGE_SIZE - within);
      copyIn(span.memory, span.start + within, source.subarray(done, done + run));
      device.flush(page, within, run);
      done += run;
      at += run;
    }
  }
  return at - first;
}
