/**
 * A page cache over a block device: pages of ordinary memory that shadow the device, as Linux has
 * them over a disk without dax. Reads go through them, writes stay in them until somebody flushes.
 *
 * Each byte is copied twice on its way (device to page, page to reader) and lies in memory twice.
 * What that buys is counted as well: a page that is written a thousand times is written to the
 * device once. There is no dax through it, since nobody may see the memory below before the cache
 * has been written back.
 *
 * @module
 */
import { PAGE_SIZE } from "../dax/operations.ts";
import { assert } from "../lib/errno.ts";
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "./block-device.ts";
import type { SectorRange } from "./device-users.ts";
import { checkBytes, checkRequest, checkSectors, checkWritable } from "./request.ts";

/** What was copied, in bytes. */
export interface PageCacheCounters {
  /** Device to pages. */
  filled: number;
  /** Pages to readers. */
  copiedOut: number;
  /** Writers to pages. */
  copiedIn: number;
  /** Pages to the device. */
  writtenBack: number;
}

/** A page of the cache, which may be lent: then it is the same memory for everybody. */
interface CachedPage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  dirty: boolean;
}

/** A device behind a cache of its pages. */
export class PageCache implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly dax: undefined;
  readonly counters: PageCacheCounters = { filled: 0, copiedOut: 0, copiedIn: 0, writtenBack: 0 };
  readonly #device: BlockDevice;
  readonly #pages = new Map<number, CachedPage>();

  constructor(device: BlockDevice) {
    this.#device = device;
    this.name = device.name;
    this.sectors = device.sectors;
    this.limits = device.limits;
    this.dax = undefined;
  }

  get readOnly(): boolean {
    return this.#device.readOnly;
  }

  /** Pages that lie in memory. */
  get cached(): number {
    return this.#pages.size;
  }

  /** Pages that the device has not seen as they are now. */
  get dirty(): number {
    let count = 0;
    for (const { dirty } of this.#pages.values()) if (dirty) count++;
    return count;
  }

  hold(user: DeviceUser, range?: SectorRange): () => void {
    return this.#device.hold?.(user, range) ?? (() => {});
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.#device.users?.(range) ?? [];
  }

  read(sector: number, target: Uint8Array): void {
    checkRequest(this, "read", sector, target.length);
    this.#load(sector * SECTOR_SIZE, target);
  }

  readBytes(offset: number, target: Uint8Array): void {
    checkBytes(this, "read", offset, target.length);
    this.#load(offset, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    checkWritable(this);
    checkRequest(this, "write", sector, source.length);
    this.#store(sector * SECTOR_SIZE, source);
    if (flags?.fua === true) this.#writeThrough(sector * SECTOR_SIZE, source.length);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    checkWritable(this);
    checkBytes(this, "write", offset, source.length);
    this.#store(offset, source);
  }

  writeZeroes(sector: number, sectors: number): void {
    checkWritable(this);
    checkSectors(this, "write_zeroes", sector, sectors);
    this.invalidate(sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
    this.#device.writeZeroes(sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    // Pages at its ends hold bytes that nobody discards.
    this.invalidate(sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
    this.#device.discard(sector, sectors);
  }

  flush(): void {
    for (const [index, page] of this.#pages) this.#clean(index, page);
    this.#device.flush();
  }

  /**
   * Lends a page: the memory itself, which everybody else reads too, so that a transfer needs no
   * copy of its own. What is stored to it is written back when the page is `dirtied`.
   */
  lend(index: number, dirtied = false): Uint8Array {
    const page = this.#page(index, true);
    page.dirty ||= dirtied;
    return page.bytes;
  }

  /**
   * Writes back and forgets what is cached of a range, as who is about to go around the cache must:
   * what was read before would stay as it was.
   */
  invalidate(offset: number, length: number): void {
    this.#each(offset, length, (index, page) => this.#clean(index, page));
    this.#forget(offset, length);
  }

  #load(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = offset + done;
      const within = at % PAGE_SIZE;
      const run = Math.min(PAGE_SIZE - within, target.length - done);
      const { bytes } = this.#page((at - within) / PAGE_SIZE, true);
      target.set(bytes.subarray(within, within + run), done);
      done += run;
    }
    this.counters.copiedOut += target.length;
  }

  #store(offset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length;) {
      const at = offset + done;
      const within = at % PAGE_SIZE;
      const run = Math.min(PAGE_SIZE - within, source.length - done);
      const index = (at - within) / PAGE_SIZE;
      // A page that is written whole need not be read.
      const page = this.#page(index, run < this.#lengthOf(index));
      page.bytes.set(source.subarray(done, done + run), within);
      page.dirty = true;
      done += run;
    }
    this.counters.copiedIn += source.length;
  }

  #page(index: number, fill: boolean): CachedPage {
    const known = this.#pages.get(index);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(this.#lengthOf(index));
    assert(bytes.length > 0, () => `${this.name}: page ${index} lies behind the end`);
    if (fill) {
      this.#device.readBytes(index * PAGE_SIZE, bytes);
      this.counters.filled += bytes.length;
    }
    const page = { bytes, dirty: false };
    this.#pages.set(index, page);
    return page;
  }

  /** The last page of a device may be short. */
  #lengthOf(index: number): number {
    return Math.min(PAGE_SIZE, this.sectors * SECTOR_SIZE - index * PAGE_SIZE);
  }

  #clean(index: number, page: CachedPage, fua = false): void {
    if (!page.dirty) return;
    this.#device.write((index * PAGE_SIZE) / SECTOR_SIZE, page.bytes, { fua });
    this.counters.writtenBack += page.bytes.length;
    page.dirty = false;
  }

  #writeThrough(offset: number, length: number): void {
    this.#each(offset, length, (index, page) => this.#clean(index, page, true));
  }

  #forget(offset: number, length: number): void {
    this.#each(offset, length, (index) => this.#pages.delete(index));
  }

  #each(offset: number, length: number, visit: (index: number, page: CachedPage) => void): void {
    const last = Math.floor((offset + length - 1) / PAGE_SIZE);
    for (let index = Math.floor(offset / PAGE_SIZE); index <= last; index++) {
      const page = this.#pages.get(index);
      if (page !== undefined) visit(index, page);
    }
  }
}
