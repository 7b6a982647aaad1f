/**
 * The operations behind a dax device: the second waist. It answers "which memory backs these
 * pages?", and keeps every store's way to durability (`flush`) with whoever translated the address.
 *
 * @module
 */
import type { Memory } from "../lib/memory.ts";
import type { Range } from "../lib/range-set.ts";
import type { Hole, Stitched } from "../media/media.ts";

/** Bytes in a page; `pgoff` and `pages` everywhere count these. */
export const PAGE_SIZE = 4096;

/** Whether a translation over poison fails (`access`) or is for healing it (`recovery-write`). */
export type AccessMode = "access" | "recovery-write";

/** A run of pages that is contiguous in memory. */
export interface DaxSpan {
  readonly memory: Memory;
  /** The byte of `memory` at which the first page starts. */
  readonly start: number;
  /** At least 1, and possibly fewer than asked: short answers are legal, and every caller loops. */
  readonly pages: number;
  /** Physical page frame number of the first page. */
  readonly pfn: number;
}

/** A run of pages of a device. */
export interface PageRange {
  readonly pgoff: number;
  readonly pages: number;
}

/** What a stitched mapping shows at one place; the length of a hole is in bytes. */
export type PagePiece = PageRange | Hole;

/**
 * What a driver or a device-mapper target supplies. A driver may assume that `DaxDevice` has
 * checked liveness, and that `pgoff` and `pages` are integers inside the device.
 */
export interface DaxOperations {
  /**
   * Which memory backs `pages` pages from `pgoff`?
   * @throws ERANGE past the end, EHWPOISON over poison in mode `access`
   */
  directAccess(pgoff: number, pages: number, mode: AccessMode): DaxSpan;
  /** Zeroes whole pages, durably after the next fence; clears poison where it can. */
  zeroPageRange(pgoff: number, pages: number): void;
  /**
   * Writes over poison: clears it for whole pages, copies, returns the bytes written (0 when the
   * range is not whole pages or the poison stays).
   */
  recoveryWrite?(pgoff: number, start: number, source: Uint8Array): number;
  /** Copies in so that a fence makes it durable. Absent: a plain copy. Returns bytes copied. */
  copyFromIter?(pgoff: number, start: number, sources: readonly Uint8Array[]): number;
  /** Writes back the cache lines of the range. Absent: nothing to do (volatile). */
  flush?(pgoff: number, start: number, length: number): void;
  /** Orders and completes earlier flushes. Absent: nothing to do. */
  fence?(): void;
  /**
   * Aliases the device: one contiguous array over the given pieces in their order, as
   * `Media.stitch` makes it; a driver only turns pages into bytes of its media. Absent, or
   * `undefined`: the fragments cannot be joined.
   */
  stitch?(pieces: readonly PagePiece[], writable: boolean): Stitched | undefined;
  /** As `Media.checkFault`: EIO when a load met memory that was gone. Absent: loads cannot fail. */
  checkFault?(): void;
}

/** Who is told when memory fails or the device goes away: a filesystem or a stacked device. */
export interface DaxHolder {
  readonly name: string;
  /**
   * `length` bytes at `offset` of the device are gone; of these only `ranges`, where they are not
   * all of them. A device about to be removed passes its whole range with reason `pre-remove`, and
   * one that loses a leg everything from the first to the last byte that lay there.
   */
  notifyFailure(
    offset: number,
    length: number,
    reason: "poison" | "pre-remove",
    ranges?: readonly Range[],
  ): void;
}
