/**
 * The table of bad blocks of a disk: what `/sys/block/pmem0/badblocks` shows and takes.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { type Range, RangeSet } from "../lib/range-set.ts";

/** Records in a table: it is one page of 64-bit words. */
const MAX_RECORDS = 512;
/** Sectors in a record: the length takes nine bits. */
const RECORD_SECTORS = 512;
/** Sectors that 54 bits can number, as far as they are safe integers. */
const MAX_SECTORS = 2 ** 53;

/** Bad sectors, sorted, merged where they touch. */
export class BadBlocks {
  #sectors = new RangeSet();

  /** Bad sectors. */
  get total(): number {
    return this.#sectors.total;
  }

  /** Records that the table takes; a run of more than 512 sectors takes several. */
  get records(): number {
    return recordsOf(this.#sectors);
  }

  /**
   * Adds sectors; known ones stay.
   * @throws EINVAL for sectors that cannot be, ENOSPC when the table would take more than 512
   *   records: then nothing is added
   */
  add(sector: number, sectors: number): void {
    const sane = sector >= 0 && sectors >= 1 && sector + sectors <= MAX_SECTORS;
    if (!sane || !Number.isSafeInteger(sector) || !Number.isSafeInteger(sectors)) {
      throw new DaxError("EINVAL", {
        detail: `bad blocks ${sector}+${sectors}; give a sector and a length of at least 1`,
      });
    }
    const grown = new RangeSet(this.#sectors);
    grown.add(sector, sectors);
    if (recordsOf(grown) > MAX_RECORDS) {
      throw new DaxError("ENOSPC", {
        detail: `the table of bad blocks holds ${MAX_RECORDS} records and is full`,
      });
    }
    this.#sectors = grown;
  }

  /** Removes sectors; those that were not bad do not matter. */
  clear(sector: number, sectors: number): void {
    if (this.#sectors.count > 0) this.#sectors.remove(sector, sectors);
  }

  /** The first bad run inside the given sectors, cut to them; undefined when all are good. */
  first(sector: number, sectors: number): Range | undefined {
    if (!this.#sectors.overlaps(sector, sectors)) return undefined;
    for (const run of this.#sectors.intersect(sector, sectors)) return run;
    return undefined;
  }

  /** One line for each record: `sector length`. */
  toString(): string {
    let text = "";
    for (const { start, length } of this.#sectors) {
      for (let done = 0; done < length; done += RECORD_SECTORS) {
        text += `${start + done} ${Math.min(RECORD_SECTORS, length - done)}\n`;
      }
    }
    return text;
  }

  /** What is written to the sysfs file: `sector` or `sector length`. @throws EINVAL, ENOSPC */
  parse(text: string): void {
    const match = /^(\d{1,16})(?: +(\d{1,16}))?\n?$/u.exec(text);
    if (match === null) {
      throw new DaxError("EINVAL", {
        detail: `"${text.slice(0, 40)}" is not "SECTOR" or "SECTOR LENGTH"`,
      });
    }
    this.add(Number(match[1]), Number(match[2] ?? 1));
  }

  /** Bad runs, ascending. */
  *[Symbol.iterator](): IterableIterator<Range> {
    yield* this.#sectors;
  }
}

function recordsOf(sectors: RangeSet): number {
  let records = 0;
  for (const { length } of sectors) records += Math.ceil(length / RECORD_SECTORS);
  return records;
}
