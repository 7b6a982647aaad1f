/**
 * What pmem answers to a dax device: translation with the rules for bad blocks, copies that a fence
 * makes durable, and healing.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import type { PoisonMap } from "../block/poison-map.ts";
import type { MediaRange } from "../dax/media-range.ts";
import {
  type AccessMode,
  type DaxOperations,
  type DaxSpan,
  PAGE_SIZE,
  type PagePiece,
} from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import type { Stitched } from "../media/media.ts";

/** Operations over a range of media. */
export class PmemOperations implements DaxOperations {
  /** Absent where no byte of the range needs it: then nothing is counted as flushed either. */
  declare readonly flush?: (pgoff: number, start: number, length: number) => void;
  readonly #range: MediaRange;
  readonly #poison: PoisonMap;
  readonly #pages: number;
  readonly #pfn: number;

  /** `pfn` is the page frame of the first page. */
  constructor(range: MediaRange, poison: PoisonMap, pfn: number) {
    this.#range = range;
    this.#poison = poison;
    this.#pages = Math.floor(range.length / PAGE_SIZE);
    this.#pfn = pfn;
    if (range.hasCache) {
      this.flush = (pgoff, start, length) => range.flush(pgoff * PAGE_SIZE + start, length);
    }
  }

  directAccess(pgoff: number, pages: number, mode: AccessMode): DaxSpan {
    const left = this.#pages - pgoff;
    const most = pages < left ? pages : left;
    const bad = this.#poison.first(pgoff * PAGE_SIZE, most * PAGE_SIZE);
    if (bad === undefined) return this.#range.span(pgoff, most, this.#pfn);
    if (mode === "access") this.#refusePoison("direct_access", bad);
    // The pages up to the bad byte: without its page when it starts one, with it when it does not.
    const good = Math.ceil((bad - pgoff * PAGE_SIZE) / PAGE_SIZE);
    return this.#range.span(pgoff, Math.max(good, 1), this.#pfn);
  }

  zeroPageRange(pgoff: number, pages: number): void {
    const offset = pgoff * PAGE_SIZE;
    const length = pages * PAGE_SIZE;
    const bad = this.#poison.first(offset, length);
    if (bad !== undefined && !this.#poison.clear(offset, length)) {
      this.#refusePoison("zero_page_range", bad);
    }
    this.#range.zero(offset, length);
    this.#poison.forget(offset, length);
  }

  recoveryWrite(pgoff: number, start: number, source: Uint8Array): number {
    const offset = pgoff * PAGE_SIZE + start;
    if (this.#badIn(offset, source.length) === undefined) {
      return this.#range.write(offset, [source]);
    }
    if (offset % PAGE_SIZE !== 0 || source.length % PAGE_SIZE !== 0) return 0;
    if (!this.#poison.clear(offset, source.length)) return 0;
    const written = this.#range.write(offset, [source]);
    // Last: until the data is valid, the record keeps readers off.
    this.#poison.forget(offset, written);
    return written;
  }

  copyFromIter(pgoff: number, start: number, sources: readonly Uint8Array[]): number {
    const offset = pgoff * PAGE_SIZE + start;
    let length = 0;
    for (let i = 0; i < sources.length; i++) length += (sources[i] as Uint8Array).length;
    const bad = this.#badIn(offset, length);
    if (bad !== undefined) this.#refusePoison("copy_from_iter", bad);
    return this.#range.write(offset, sources);
  }

  fence(): void {
    this.#range.media.fence();
  }

  checkFault(): void {
    this.#range.media.checkFault?.();
  }

  stitch(pieces: readonly PagePiece[], writable: boolean): Stitched | undefined {
    const { media, start } = this.#range;
    return media.stitch?.(
      pieces.map((piece) => {
        if ("hole" in piece) return piece;
        const [offset, length] = [piece.pgoff * PAGE_SIZE, piece.pages * PAGE_SIZE];
        const bad = this.#poison.first(offset, length);
        if (bad !== undefined) this.#refusePoison("stitch", bad);
        return { start: start + offset, length };
      }),
      writable,
    );
  }

  /** The first bad byte of the pages that bytes lie in: a store to a part of one heals nothing. */
  #badIn(offset: number, length: number): number | undefined {
    const page = Math.floor(offset / PAGE_SIZE) * PAGE_SIZE;
    const pages = Math.ceil((offset + length - page) / PAGE_SIZE);
    return this.#poison.first(page, pages * PAGE_SIZE);
  }

  #refusePoison(syscall: string, bad: number): never {
    throw new DaxError("EHWPOISON", {
      syscall,
      detail:
        `page ${Math.floor(bad / PAGE_SIZE)} is poisoned at sector ` +
        `${Math.floor(bad / SECTOR_SIZE)}; overwrite the whole page to heal it`,
    });
  }
}
