/**
 * The dax device: what everyone above a driver holds. It wraps the driver's operations with the
 * checks that must not be repeated in every driver (liveness, holder, write cache) and counts.
 *
 * The error contract is Linux's (`dax_direct_access`, `dax_zero_page_range`, `dax_recovery_write`),
 * with three deliberate differences: counts are bounds-checked here and not by luck in the driver,
 * `zeroPageRange` takes any number of pages, and copies into a dead device throw ENXIO where Linux
 * says "0 bytes".
 *
 * @module
 */
import { DaxError, assert, isDaxError } from "../lib/errno.ts";
import { type Memory, copyIn, fill } from "../lib/memory.ts";
import type { Stitched } from "../media/media.ts";
import {
  type AccessMode,
  type DaxHolder,
  type DaxOperations,
  type DaxSpan,
  PAGE_SIZE,
  type PagePiece,
} from "./operations.ts";

/** Bytes in a cache line, on every CPU this stack knows. */
export const CACHE_LINE = 64;

/** What a device did so far; plain numbers, reset by nobody. */
export interface DaxCounters {
  directAccess: number;
  /** Bytes. */
  copiedIn: number;
  /** Bytes; of `copiedIn`, those that went around the cache. */
  nonTemporal: number;
  /** Bytes. */
  copiedOut: number;
  zeroedPages: number;
  /** Calls that wrote cache lines back; none while the write cache is off. */
  flushes: number;
  flushedLines: number;
  fences: number;
  recoveryWrites: number;
}

/** Counters at zero. */
export function newDaxCounters(): DaxCounters {
  return {
    directAccess: 0,
    copiedIn: 0,
    nonTemporal: 0,
    copiedOut: 0,
    zeroedPages: 0,
    flushes: 0,
    flushedLines: 0,
    fences: 0,
    recoveryWrites: 0,
  };
}

/** What stores pass while bytes of a device stand still. */
export interface StoreGate {
  /** @throws EAGAIN when one of `length` bytes from `start` may not change now */
  pass(start: number, length: number, syscall: string): void;
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
  /** Changes for stacked devices only, when they get another table. */
  pages: number;
  /** As `pages`. */
  synchronous: boolean;
  /** May be switched at run time, as `/sys/block/pmem0/dax/write_cache` is. */
  writeCache: boolean;
  readonly counters: DaxCounters = newDaxCounters();
  /** There while any of its bytes stand still; `RawFreeze` sees to it. @internal */
  gate: StoreGate | undefined;
  readonly #operations: DaxOperations;
  /** The memory of the last answer and its bytes, which cost more to ask for than a translation. */
  #memory: Memory | undefined;
  #memorySize = 0;
  #state: "alive" | "dying" | "dead" = "alive";
  #holder: DaxHolder | undefined;
  #users = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: DaxDeviceOptions) {
    const { name, pages } = options;
    assert(
      Number.isSafeInteger(pages) && pages > 0,
      () => `${name}: a dax device has at least one page`,
    );
    assert(
      Number.isSafeInteger(pages * PAGE_SIZE),
      () => `${name}: ${pages} pages are more than 2^53 bytes`,
    );
    this.name = name;
    this.pages = pages;
    this.writeCache = options.writeCache;
    this.synchronous = options.synchronous;
    this.#operations = options.operations;
  }

  /** False from the moment at which `kill` has told the holder. */
  get alive(): boolean {
    return this.#state !== "dead";
  }

  get holder(): DaxHolder | undefined {
    return this.#holder;
  }

  /** Read sections and pins that are open. */
  get users(): number {
    return this.#users;
  }

  /**
   * Aliases memory: which of it backs `pages` pages from `pgoff`? The answer may be shorter, and
   * every caller loops.
   * @throws ENXIO when dead, EINVAL for fewer than one page, ERANGE past the end, EHWPOISON, EIO
   *   for a driver that answers what cannot be
   */
  directAccess(pgoff: number, pages: number, mode: AccessMode = "access"): DaxSpan {
    if (this.#state === "dead") this.#refuseDead("direct_access");
    const whole = Number.isSafeInteger(pages) && Number.isSafeInteger(pgoff);
    if (!(whole && pages >= 1 && pgoff >= 0 && pgoff < this.pages)) {
      this.#refuseAccess(pgoff, pages);
    }
    this.counters.directAccess++;
    const span = this.#operations.directAccess(pgoff, pages, mode);
    if (this.#isAnswer(span, pages)) return span;
    return this.#clamp(span, pgoff, pages);
  }

  /**
   * Zeroes whole pages; durable after the next fence. Poison inside is cleared.
   * @throws ENXIO when dead, EINVAL, ERANGE past the end, EIO for poison that stays, EAGAIN while
   *   the device is frozen, as everything else here that stores
   */
  zeroPageRange(pgoff: number, pages: number): void {
    if (this.#state === "dead") this.#refuseDead("zero_page_range");
    this.#checkPages("zero_page_range", pgoff, pages);
    if (pages === 0) return;
    this.gate?.pass(pgoff * PAGE_SIZE, pages * PAGE_SIZE, "zero_page_range");
    this.counters.zeroedPages += pages;
    try {
      this.#operations.zeroPageRange(pgoff, pages);
    } catch (error) {
      throw asInputOutput(error);
    }
  }

  /**
   * Zeroes exactly the given bytes, of any length; durable after the next fence.
   * @throws as `zeroPageRange`; EIO also for a part of a poisoned page
   */
  zero(pgoff: number, start: number, length: number): void {
    if (this.#state === "dead") this.#refuseDead("zero");
    this.#checkBytes("zero", pgoff, start, length);
    let at = pgoff * PAGE_SIZE + start;
    const stop = at + length;
    this.gate?.pass(at, length, "zero");
    while (at < stop) {
      const within = at % PAGE_SIZE;
      const whole = within === 0 ? Math.floor((stop - at) / PAGE_SIZE) : 0;
      if (whole > 0) {
        this.zeroPageRange(at / PAGE_SIZE, whole);
        at += whole * PAGE_SIZE;
      } else {
        const run = Math.min(PAGE_SIZE - within, stop - at);
        this.#zeroPart(Math.floor(at / PAGE_SIZE), within, run);
        at += run;
      }
    }
  }

  /**
   * Writes over poison; returns the bytes written: 0 when the driver cannot heal, when the poison
   * stays, or when the range is poisoned and not whole pages.
   * @throws ENXIO when dead, EINVAL, ERANGE past the end
   */
  recoveryWrite(pgoff: number, start: number, source: Uint8Array): number {
    if (this.#state === "dead") this.#refuseDead("recovery_write");
    this.#checkBytes("recovery_write", pgoff, start, source.length);
    this.gate?.pass(pgoff * PAGE_SIZE + start, source.length, "recovery_write");
    this.counters.recoveryWrites++;
    return this.#operations.recoveryWrite?.(pgoff, start, source) ?? 0;
  }

  /**
   * Copies in, so that the next fence makes it durable; sources may be empty. Returns the bytes
   * copied, which are fewer than given only when a source shrank meanwhile.
   * @throws ENXIO when dead, EINVAL, ERANGE past the end, EHWPOISON
   */
  copyFromIter(pgoff: number, start: number, sources: readonly Uint8Array[]): number {
    if (this.#state === "dead") this.#refuseDead("copy_from_iter");
    let length = 0;
    for (let i = 0; i < sources.length; i++) length += (sources[i] as Uint8Array).length;
    this.#checkBytes("copy_from_iter", pgoff, start, length);
    this.gate?.pass(pgoff * PAGE_SIZE + start, length, "copy_from_iter");
    const operations = this.#operations;
    const copied =
      operations.copyFromIter === undefined
        ? plainCopy(this, pgoff, start, sources)
        : operations.copyFromIter(pgoff, start, sources);
    this.counters.copiedIn += copied;
    return copied;
  }

  /**
   * Writes back the cache lines that `length` bytes touch, through the driver that translated them.
   * Nothing happens while the write cache is off. A killed device still flushes: sections and pins
   * that were open before `kill` end in an orderly way.
   * @throws EINVAL, ERANGE past the end
   */
  flush(pgoff: number, start: number, length: number): void {
    if (!this.writeCache || length === 0) return;
    const operations = this.#operations;
    if (operations.flush === undefined) return;
    this.#checkBytes("flush", pgoff, start, length);
    this.counters.flushes++;
    this.counters.flushedLines += linesOf(start, length);
    operations.flush(pgoff, start, length);
  }

  /** Orders and completes earlier flushes and non-temporal copies. */
  fence(): void {
    this.counters.fences++;
    this.#operations.fence?.();
  }

  /**
   * To be called after loads through a span: a load itself cannot fail.
   * @throws EIO when one of them met memory that was gone; what it read was zeros
   */
  checkFault(): void {
    const operations = this.#operations;
    if (operations.checkFault !== undefined) operations.checkFault();
  }

  /**
   * Aliases the device: the given pages and holes in their order as one array, or undefined where
   * the driver and its media cannot join them. Whoever holds the array keeps a read section open
   * (`enter`). Stores through an array that is not `writable` are private to it.
   * @throws ENXIO when dead, ERANGE past the end, EHWPOISON, and as `Media.stitch`
   */
  stitch(pieces: readonly PagePiece[], writable = false): Stitched | undefined {
    if (this.#state === "dead") this.#refuseDead("stitch");
    for (const piece of pieces) {
      if (!("hole" in piece)) this.#checkPages("stitch", piece.pgoff, piece.pages);
    }
    return this.#operations.stitch?.(pieces, writable);
  }

  /**
   * Takes the device for a filesystem or a stacked device. Not claiming at all is legal too: then
   * nobody is told of failures.
   * @throws EBUSY when another holder has it, ENXIO when dead
   */
  claim(holder: DaxHolder): void {
    if (this.#state !== "alive") this.#refuseDead("claim");
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
    if (this.#state === "dead") this.#refuseDead("enter");
    this.#users++;
  }

  /** Ends what `enter` opened. */
  exit(): void {
    assert(this.#users > 0, () => `${this.name}: exit without enter`);
    this.#users--;
    if (this.#users > 0 || this.#state !== "dead") return;
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const wake of waiting) wake();
  }

  /** Tells the holder that memory failed. Returns false when there is no holder. @throws ENXIO */
  notifyFailure(offset: number, length: number): boolean {
    if (this.#state === "dead") this.#refuseDead("notify_failure");
    this.#holder?.notifyFailure(offset, length, "poison");
    return this.#holder !== undefined;
  }

  /**
   * Ends the device. The holder is told first, while it can still write and flush; then new
   * operations are refused, and `idle` is called when the last read section and pin are gone (now,
   * if there is none). Idempotent: the holder is told once, every `idle` is called once.
   */
  kill(idle: () => void = () => {}): void {
    if (this.#state === "alive") {
      this.#state = "dying";
      try {
        this.#holder?.notifyFailure(0, this.pages * PAGE_SIZE, "pre-remove");
      } finally {
        this.#state = "dead";
        this.#holder = undefined;
      }
    }
    if (this.#users === 0 && this.#state === "dead") idle();
    else this.#whenIdle.push(idle);
  }

  /** A short run inside one page. */
  #zeroPart(pgoff: number, within: number, run: number): void {
    try {
      const span = this.directAccess(pgoff, 1);
      fill(span.memory, span.start + within, run, 0);
    } catch (error) {
      throw asInputOutput(error);
    }
    this.flush(pgoff, within, run);
  }

  /** Whether a driver's answer is whole pages of memory that is there. */
  #isAnswer(span: DaxSpan | undefined, asked: number): boolean {
    if (!span) return false;
    const { memory, start, pages } = span;
    if (memory !== this.#memory) {
      const size = memory?.byteLength;
      if (size === undefined) return false;
      this.#memory = memory;
      this.#memorySize = size;
    }
    const whole = Number.isSafeInteger(start) && Number.isSafeInteger(pages);
    const fits = start >= 0 && start + pages * PAGE_SIZE <= this.#memorySize;
    return whole && fits && pages >= 1 && pages <= asked;
  }

  /** Of an answer that is longer than the question, what was asked for; no driver is trusted. */
  #clamp(span: DaxSpan | undefined, pgoff: number, pages: number): DaxSpan {
    const clamped = span && span.pages > pages ? { ...span, pages } : span;
    if (clamped && this.#isAnswer(clamped, pages)) return clamped;
    const found = clamped?.pages;
    const size = clamped?.memory?.byteLength;
    const isNothing = typeof found === "number" && !(found >= 1);
    const what = isNothing
      ? "nothing"
      : `to ${found} pages at byte ${clamped?.start} of memory of ${size} bytes`;
    throw new DaxError(isNothing ? "ERANGE" : "EIO", {
      syscall: "direct_access",
      detail: `${this.name}: its driver translates page ${pgoff} ${what}`,
    });
  }

  #refuseDead(syscall: string): never {
    throw new DaxError("ENXIO", { syscall, detail: `${this.name} was removed` });
  }

  #refuseAccess(pgoff: number, pages: number): never {
    if (!(pages >= 1 && Number.isSafeInteger(pages) && Number.isSafeInteger(pgoff))) {
      throw new DaxError("EINVAL", {
        syscall: "direct_access",
        detail: `${this.name}: ${pages} pages at page ${pgoff}; the count must be at least 1`,
      });
    }
    throw new DaxError("ERANGE", {
      syscall: "direct_access",
      detail: `${this.name}: page ${pgoff} lies outside the device of ${this.pages} pages`,
    });
  }

  #checkPages(syscall: string, pgoff: number, pages: number): void {
    const whole = Number.isSafeInteger(pgoff) && Number.isSafeInteger(pages) && pages >= 0;
    if (whole && pgoff >= 0 && pages <= this.pages - pgoff) return;
    throw new DaxError(whole ? "ERANGE" : "EINVAL", {
      syscall,
      detail: `${this.name}: pages ${pgoff}+${pages} leave the device of ${this.pages} pages`,
    });
  }

  #checkBytes(syscall: string, pgoff: number, start: number, length: number): void {
    const first = pgoff * PAGE_SIZE + start;
    const whole = Number.isInteger(pgoff) && Number.isInteger(first) && length % 1 === 0;
    if (whole && first >= 0 && length >= 0 && length <= this.pages * PAGE_SIZE - first) return;
    throw new DaxError(whole && length >= 0 ? "ERANGE" : "EINVAL", {
      syscall,
      detail: `${this.name}: bytes ${first}+${length} leave the device of ${this.pages} pages`,
    });
  }
}

/** Cache lines that `length` bytes at `start` touch; lines begin at multiples of 64. */
export function linesOf(start: number, length: number): number {
  if (length === 0) return 0;
  return Math.floor((start + length - 1) / CACHE_LINE) - Math.floor(start / CACHE_LINE) + 1;
}

/** Poison is EHWPOISON to who addresses memory, and EIO to who asks for an operation. */
function asInputOutput(error: unknown): unknown {
  if (!isDaxError(error, "EHWPOISON")) return error;
  const { syscall, detail } = error;
  return new DaxError("EIO", {
    ...(syscall === undefined ? {} : { syscall }),
    ...(detail === undefined ? {} : { detail }),
  });
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
