/**
 * A range of a media as a driver uses it: loads and stores at byte offsets, and stores that the
 * next fence makes durable. Each driver chooses its own way of copying; there is no global helper,
 * because what durability takes is the driver's knowledge.
 *
 * @module
 */
import { DaxError, assert } from "../lib/errno.ts";
import { copyIn, copyOut, fill } from "../lib/memory.ts";
import { rangeAround } from "../media/domains.ts";
import { healMedia } from "../media/heal.ts";
import type {
  ByteRange,
  CachedRange,
  Caching,
  DomainRange,
  Media,
  PersistenceDomain,
} from "../media/media.ts";
import { CACHE_LINE, type DaxDevice, linesOf } from "./dax-device.ts";
import { type DaxSpan, PAGE_SIZE } from "./operations.ts";

/** Bytes from which a copy goes around the cache, where the media can: below it costs more. */
const NON_TEMPORAL_FROM = 1024;

const WAYS: Readonly<Record<Caching, Way>> = {
  "write-back": "flush",
  "write-through": "fence",
  "write-combining": "fence",
  uncached: "nothing",
};

/** What a driver takes of a media. */
export interface MediaRangeOptions {
  readonly media: Media;
  /** A page of the media. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Of the media; what the media says of itself unless given. */
  readonly domains?: readonly DomainRange[];
  /**
   * Copies of at least so many bytes use the media's non-temporal stores where it has them; 0 for
   * all, Infinity for none. The bytes and their durability are the same either way.
   */
  readonly nonTemporalFrom?: number;
}

/** What makes stores durable: lines written back and a fence, a fence alone, or nothing more. */
type Way = "flush" | "fence" | "nothing";

interface WayRange extends ByteRange {
  readonly way: Way;
}

/** Bytes of a media, `offset` 0 being the first byte of the range. */
export class MediaRange {
  readonly media: Media;
  readonly start: number;
  readonly length: number;
  readonly domains: readonly DomainRange[];
  /** How bytes are mapped, where that is not write-back; a later entry before an earlier one. */
  readonly caching: readonly CachedRange[];
  /** The domain of every byte; undefined for a mixed range. */
  readonly domain: PersistenceDomain | undefined;
  /** Whether some byte needs its cache line written back. */
  readonly hasCache: boolean;
  /** Whether some byte needs a fence, at least. */
  readonly needsFence: boolean;
  readonly #ways: readonly WayRange[];
  /** That of every byte; undefined for a mixed range. */
  readonly #way: Way | undefined;
  readonly #nonTemporalFrom: number;
  #device: DaxDevice | undefined;
  /** The media's list of bad ranges when it was last looked at, and those inside this range. */
  #listed: readonly ByteRange[] | undefined;
  #bad: readonly ByteRange[] = [];

  /** @throws EINVAL for a range that does not start on a page or leaves the media */
  constructor(options: MediaRangeOptions) {
    const { media, start, length } = options;
    const inside = start >= 0 && length > 0 && start + length <= media.size;
    if (!inside || !Number.isSafeInteger(start + length) || start % PAGE_SIZE !== 0) {
      throw new DaxError("EINVAL", {
        detail: `bytes ${start}+${length} are no range of whole pages in ${media.size} bytes`,
      });
    }
    this.media = media;
    this.start = start;
    this.length = length;
    this.domains = within(options.domains ?? media.domains, start, length);
    const first = this.domains[0];
    this.domain = this.domains.length === 1 ? first?.domain : undefined;
    this.caching = clippedCaching(media.caching ?? [], start, length);
    this.#ways = waysOf(this.domains, this.caching);
    this.#way = this.#ways.length === 1 ? this.#ways[0]?.way : undefined;
    this.hasCache = this.#ways.some(({ way }) => way === "flush");
    this.needsFence = this.#ways.some(({ way }) => way !== "nothing");
    this.#nonTemporalFrom = options.nonTemporalFrom ?? NON_TEMPORAL_FROM;
  }

  /** The device whose write-cache flag gates write-back and whose counters count it. */
  bind(device: DaxDevice): void {
    assert(
      this.#device === undefined,
      () => `${device.name}: its media range has a device already`,
    );
    this.#device = device;
  }

  /**
   * Aliases the pages that one window of the media shows from `pgoff` on: fewer than asked at a
   * seam between windows. `pfn` is that of page 0.
   */
  span(pgoff: number, pages: number, pfn: number): DaxSpan {
    const at = this.start + pgoff * PAGE_SIZE;
    const window = this.media.window(at);
    const start = at - window.start;
    const left = window.length - start;
    const whole = left >= pages * PAGE_SIZE ? pages : Math.floor(left / PAGE_SIZE);
    return { memory: window.memory, start, pages: whole, pfn: pfn + pgoff };
  }

  /** Fills `target`. @throws EIO when the memory is gone */
  read(offset: number, target: Uint8Array): void {
    let at = this.start + offset;
    for (let done = 0; done < target.length;) {
      const window = this.media.window(at);
      const from = at - window.start;
      const run = Math.min(window.length - from, target.length - done);
      // A view costs more than a short copy.
      const part = run === target.length ? target : target.subarray(done, done + run);
      copyOut(window.memory, from, part);
      done += run;
      at += run;
    }
    this.media.checkFault?.();
  }

  /** Stores all sources one after the other, durably after the next fence; returns the bytes. */
  write(offset: number, sources: readonly Uint8Array[]): number {
    let at = offset;
    // What was stored through the cache and not yet written back: [dirty, at).
    let dirty = offset;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i] as Uint8Array;
      const { length } = source;
      const head = this.#headOf(at, length);
      const body = head < 0 ? 0 : length - head - ((length - head) % CACHE_LINE);
      if (body === 0) this.#store(at, source);
      else if (body === length) {
        // All of it goes around the cache, and no view of a part has to be made.
        this.#writeBack(dirty, at - dirty);
        this.#storeAround(at, source);
        dirty = at + length;
      } else {
        this.#store(at, source.subarray(0, head));
        this.#writeBack(dirty, at + head - dirty);
        this.#storeAround(at + head, source.subarray(head, head + body));
        dirty = at + head + body;
        this.#store(dirty, source.subarray(head + body));
      }
      at += length;
    }
    this.#writeBack(dirty, at - dirty);
    return at - offset;
  }

  /** Zeroes bytes, durably after the next fence. */
  zero(offset: number, length: number): void {
    let at = this.start + offset;
    for (let left = length; left > 0;) {
      const window = this.media.window(at);
      const from = at - window.start;
      const run = Math.min(window.length - from, left);
      fill(window.memory, from, run, 0);
      left -= run;
      at += run;
    }
    this.#writeBack(offset, length);
  }

  /**
   * Writes back cache lines, leaving out what needs none: ranges whose caches have a battery,
   * volatile ones, and those that are not mapped write-back. Constant time unless the range is
   * mixed.
   */
  flush(offset: number, length: number): void {
    if (this.#way === "flush") {
      this.media.flush(this.start + offset, length);
      return;
    }
    if (this.#way !== undefined) return;
    const stop = offset + length;
    for (let at = offset; at < stop;) {
      const range = rangeAround(this.#ways, at);
      const until = Math.min(range.start + range.length, stop);
      if (range.way === "flush") this.media.flush(this.start + at, until - at);
      at = until;
    }
  }

  /** Poisoned bytes inside the range, sorted and disjoint, as offsets into it. */
  get bad(): readonly ByteRange[] {
    const listed = this.media.badRanges();
    if (listed !== this.#listed) {
      this.#listed = listed;
      this.#bad = listed.length === 0 ? [] : clip(listed, this.start, this.length);
    }
    return this.#bad;
  }

  /** Clears poison, from caches too, and returns how many bytes of the range are good now. */
  clearPoison(offset: number, length: number): number {
    return healMedia(this.media, this.start + offset, length);
  }

  /** Bytes in front of the lines of a copy that may go around the cache; below 0: none may. */
  #headOf(offset: number, length: number): number {
    if (length < this.#nonTemporalFrom || this.media.copyNonTemporal === undefined) return -1;
    if (this.#device?.writeCache !== true || !this.#isCached(offset, length)) return -1;
    const head = (CACHE_LINE - ((this.start + offset) % CACHE_LINE)) % CACHE_LINE;
    return head + CACHE_LINE <= length ? head : -1;
  }

  #isCached(offset: number, length: number): boolean {
    if (this.#way !== undefined) return this.#way === "flush";
    const range = rangeAround(this.#ways, offset);
    return range.way === "flush" && offset + length <= range.start + range.length;
  }

  #store(offset: number, source: Uint8Array): void {
    let at = this.start + offset;
    for (let done = 0; done < source.length;) {
      const window = this.media.window(at);
      const from = at - window.start;
      const run = Math.min(window.length - from, source.length - done);
      const whole = run === source.length;
      copyIn(window.memory, from, whole ? source : source.subarray(done, done + run));
      done += run;
      at += run;
    }
  }

  #storeAround(offset: number, source: Uint8Array): void {
    this.media.copyNonTemporal?.(this.start + offset, source);
    if (this.#device !== undefined) this.#device.counters.nonTemporal += source.length;
  }

  #writeBack(offset: number, length: number): void {
    const device = this.#device;
    if (length === 0 || device?.writeCache !== true || !this.hasCache) return;
    device.counters.flushes++;
    device.counters.flushedLines += linesOf(offset, length);
    this.flush(offset, length);
  }
}

function clippedCaching(
  caching: readonly CachedRange[],
  start: number,
  length: number,
): CachedRange[] {
  return caching.flatMap((range) =>
    clip([range], start, length).map((part) => ({
      start: part.start,
      length: part.length,
      caching: range.caching,
    })),
  );
}

/** Domains cut where the way of mapping changes; equal neighbours are one. */
function waysOf(
  domains: readonly DomainRange[],
  caching: readonly CachedRange[],
): readonly WayRange[] {
  const ways: WayRange[] = [];
  const borders = caching.flatMap(({ start, length }) => [start, start + length]);
  for (const range of domains) {
    const past = range.start + range.length;
    const inside = borders.filter((border) => border > range.start && border < past);
    const cuts = [range.start, ...new Set(inside.toSorted((a, b) => a - b)), past];
    for (const [i, start] of cuts.slice(0, -1).entries()) {
      const length = (cuts[i + 1] as number) - start;
      const mapped = caching.findLast((c) => c.start <= start && start < c.start + c.length);
      const way = range.domain === "adr" ? WAYS[mapped?.caching ?? "write-back"] : "nothing";
      const last = ways.at(-1);
      if (last?.way === way) ways[ways.length - 1] = { ...last, length: last.length + length };
      else ways.push({ start, length, way });
    }
  }
  return ways;
}

/** Ranges cut to `[start, start + length)`, as offsets into it. */
function clip(ranges: readonly ByteRange[], start: number, length: number): readonly ByteRange[] {
  const inside: ByteRange[] = [];
  for (const range of ranges) {
    const from = Math.max(range.start, start);
    const to = Math.min(range.start + range.length, start + length);
    if (to > from) inside.push({ start: from - start, length: to - from });
  }
  return inside;
}

function within(
  domains: readonly DomainRange[],
  start: number,
  length: number,
): readonly DomainRange[] {
  const inside: DomainRange[] = [];
  for (const range of domains) {
    for (const part of clip([range], start, length)) {
      const last = inside.at(-1);
      // Neighbours that the clipping or the caller left equal are one range: that is what uniform
      // is.
      if (last?.domain === range.domain) {
        inside[inside.length - 1] = { ...last, length: last.length + part.length };
      } else inside.push({ ...part, domain: range.domain });
    }
  }
  const covered = inside.reduce((sum, range) => sum + range.length, 0);
  if (covered === length) return inside;
  throw new DaxError("EINVAL", {
    detail: `the persistence domains say nothing of some of bytes ${start}+${length}`,
  });
}
