/**
 * Poison: a list of bad blocks laid over any media, as a test or a damaged DIMM needs it.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { RangeSet } from "../lib/range-set.ts";
import { checkBounds } from "./bounds.ts";
import type {
  ByteRange,
  CachedRange,
  DomainRange,
  Durability,
  Media,
  StitchPiece,
  Stitched,
  Window,
} from "./media.ts";

/** Bytes in a block that is good or bad as a whole, as badblocks counts them. */
const SECTOR_SIZE = 512;
/** Bytes in a cache line. */
const LINE = 64;

/** How poison is laid. */
export interface PoisonOptions {
  /** Bytes in a block that is good or bad as a whole; a power of two, 512 by default. */
  readonly granularity?: number;
}

/**
 * Another media with bad blocks. Memory itself is the other's: who reads is expected to ask
 * {@link Media.badRanges} first, as the drivers do, for a load has no way to fail.
 *
 * A processor that met poison has it in its cache. So what was cleared is bad to loads as before
 * until {@link PoisonMedia.invalidate}: the media is healed, the lines are stale.
 */
export class PoisonMedia implements Media {
  readonly granularity: number;
  declare readonly copyNonTemporal?: (offset: number, source: Uint8Array) => void;
  declare readonly stitch?: (
    pieces: readonly StitchPiece[],
    writable: boolean,
  ) => Stitched | undefined;
  declare readonly checkFault?: () => void;
  readonly #inner: Media;
  readonly #bad = new RangeSet();
  /** Cleared, and still in caches. */
  readonly #stale = new RangeSet();
  #listed: readonly ByteRange[] | undefined;
  #innerListed: readonly ByteRange[] = [];

  /** @throws EINVAL for a granularity that is not a power of two */
  constructor(inner: Media, options: PoisonOptions = {}) {
    const granularity = options.granularity ?? SECTOR_SIZE;
    if (!Number.isSafeInteger(Math.log2(granularity)) || granularity < 1) {
      throw new DaxError("EINVAL", {
        detail: `poison granularity ${granularity} is not a power of two`,
      });
    }
    this.granularity = granularity;
    this.#inner = inner;
    // Absent stays absent: callers choose their way by what a media offers.
    if (inner.copyNonTemporal !== undefined) {
      this.copyNonTemporal = (offset, source) => inner.copyNonTemporal?.(offset, source);
    }
    if (inner.stitch !== undefined) {
      this.stitch = (pieces, writable) => inner.stitch?.(pieces, writable);
    }
    if (inner.checkFault !== undefined) this.checkFault = () => inner.checkFault?.();
  }

  get size(): number {
    return this.#inner.size;
  }

  get durability(): Durability {
    return this.#inner.durability;
  }

  get readOnly(): boolean {
    return this.#inner.readOnly;
  }

  get domains(): readonly DomainRange[] {
    return this.#inner.domains;
  }

  get caching(): readonly CachedRange[] | undefined {
    return this.#inner.caching;
  }

  window(offset: number): Window {
    return this.#inner.window(offset);
  }

  flush(offset: number, length: number): void {
    this.#inner.flush(offset, length);
  }

  fence(): void {
    this.#inner.fence();
  }

  /** What loads meet: blocks poisoned here or below, and stale lines, merged. */
  badRanges(): readonly ByteRange[] {
    const below = this.#inner.badRanges();
    if (this.#listed === undefined || below !== this.#innerListed) {
      const more = below.length > 0 || this.#stale.count > 0;
      const all = more ? new RangeSet([...this.#bad, ...this.#stale, ...below]) : this.#bad;
      this.#innerListed = below;
      this.#listed = [...all];
    }
    return this.#listed;
  }

  /**
   * Makes every block that the range touches bad, cut at the end of the media. The bytes stay.
   * @throws EINVAL, ERANGE, ENXIO after close
   */
  injectPoison(offset: number, length: number): void {
    this.#inner.badRanges();
    checkBounds("injectPoison", this.size, offset, length);
    if (length === 0) return;
    const start = offset - (offset % this.granularity);
    const blocks = Math.ceil((offset + length - start) / this.granularity);
    this.#bad.add(start, Math.min(blocks * this.granularity, this.size - start));
    this.#listed = undefined;
  }

  /**
   * Clears the blocks that lie wholly inside the range, and no others: a block that is touched in
   * part stays bad. The last block of the media may be a short one. Loads meet what was cleared
   * until it is invalidated.
   */
  clearPoison(offset: number, length: number): number {
    const goodBelow = this.#inner.clearPoison(offset, length);
    const first = Math.ceil(offset / this.granularity) * this.granularity;
    const end = offset + length;
    const last = end === this.size ? end : end - (end % this.granularity);
    if (last > first) this.#clear(first, last - first);
    const below = goodBelow === length ? [] : this.#inner.badRanges();
    let bad = 0;
    for (const run of new RangeSet([...this.#bad, ...below]).intersect(offset, length)) {
      bad += run.length;
    }
    return length - bad;
  }

  /** Caches forget what they hold of the lines that the range touches. */
  invalidate(offset: number, length: number): void {
    this.#inner.badRanges();
    checkBounds("invalidate", this.size, offset, length);
    this.#inner.invalidate?.(offset, length);
    if (length === 0 || this.#stale.count === 0) return;
    const first = offset - (offset % LINE);
    const past = Math.ceil((offset + length) / LINE) * LINE;
    if (this.#stale.remove(first, past - first) > 0) this.#listed = undefined;
  }

  #clear(start: number, length: number): void {
    const bad = [...this.#bad.intersect(start, length)];
    if (bad.length === 0) return;
    for (const run of bad) this.#stale.add(run.start, run.length);
    this.#bad.remove(start, length);
    this.#listed = undefined;
  }

  close(): void {
    this.#inner.close();
  }
}
