/**
 * Which bytes of a disk cannot be read: the table of bad blocks, and what the media itself reports.
 * Linux finds the second kind by a machine check; here every access asks first, because a load of
 * this stack cannot fail.
 *
 * @module
 */
import type { MediaRange } from "../dax/media-range.ts";
import type { ByteRange } from "../media/media.ts";
import { BadBlocks } from "./badblocks.ts";
import { SECTOR_SIZE } from "./block-device.ts";

/** Poison of one media range, in bytes from its start. */
export class PoisonMap {
  /** What was found or injected by hand; writing clears it. */
  readonly table: BadBlocks;
  readonly #range: MediaRange;

  constructor(range: MediaRange, table: BadBlocks = new BadBlocks()) {
    this.#range = range;
    this.table = table;
  }

  /** The first poisoned byte of the given ones; undefined when all are good. */
  first(offset: number, length: number): number | undefined {
    const { bad } = this.#range;
    if (bad.length === 0 && this.table.total === 0) return undefined;
    const found = firstIn(bad, offset, length);
    const sector = Math.floor(offset / SECTOR_SIZE);
    const sectors = Math.ceil((offset + length) / SECTOR_SIZE) - sector;
    const listed = this.table.first(sector, sectors);
    if (listed === undefined) return found;
    return Math.min(Math.max(listed.start * SECTOR_SIZE, offset), found ?? Infinity);
  }

  /**
   * Clears poison before bytes are written; false when some of it stays. The caller writes, and
   * then calls `forget`: the table keeps readers off until the data is valid.
   */
  clear(offset: number, length: number): boolean {
    const { bad } = this.#range;
    if (firstIn(bad, offset, length) === undefined) return true;
    return this.#range.clearPoison(offset, length) === length;
  }

  /** Takes whole sectors out of the table: they hold valid data now. */
  forget(offset: number, length: number): void {
    if (this.table.total === 0) return;
    const sector = Math.ceil(offset / SECTOR_SIZE);
    const sectors = Math.floor((offset + length) / SECTOR_SIZE) - sector;
    if (sectors > 0) this.table.clear(sector, sectors);
  }

  /** Everything that is bad, as far as a table holds it: sectors rounded outwards. */
  snapshot(): BadBlocks {
    const all = new BadBlocks();
    for (const { start, length } of this.table) addOrStop(all, start, length);
    for (const { start, length } of this.#range.bad) {
      const sector = Math.floor(start / SECTOR_SIZE);
      addOrStop(all, sector, Math.ceil((start + length) / SECTOR_SIZE) - sector);
    }
    return all;
  }
}

/** A full table is no error here: Linux too shows the records that fit. */
function addOrStop(table: BadBlocks, sector: number, sectors: number): void {
  if (table.records + Math.ceil(sectors / 512) < 512) table.add(sector, sectors);
}

function firstIn(bad: readonly ByteRange[], offset: number, length: number): number | undefined {
  let low = 0;
  let high = bad.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = bad[middle] as ByteRange;
    if (range.start + range.length <= offset) low = middle + 1;
    else high = middle;
  }
  const range = bad[low];
  if (range === undefined || range.start >= offset + length) return undefined;
  return Math.max(range.start, offset);
}
