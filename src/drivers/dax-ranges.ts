/**
 * The ranges of a device-dax instance: which page of the device lies at which physical address. One
 * table, and one way to look it up, for every driver that serves such a device.
 *
 * @module
 */
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";

/** A run of physical memory, and where it stands in its device. */
export interface DeviceRange {
  /** The first page of the device that lies here. */
  readonly pgoff: number;
  /** Physical address of it. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** The ranges in the order of their pages, as the look-ups here take them. */
export function inOrder<R extends DeviceRange>(ranges: readonly R[]): readonly R[] {
  return ranges.toSorted((a, b) => a.pgoff - b.pgoff);
}

/** The range that holds a page; undefined for a page that none has. Ranges are {@link inOrder}. */
export function rangeAt<R extends DeviceRange>(ranges: readonly R[], pgoff: number): R | undefined {
  let low = 0;
  let high = ranges.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((ranges[middle] as R).pgoff <= pgoff) low = middle;
    else high = middle - 1;
  }
  const range = ranges[low];
  if (range === undefined || pgoff < range.pgoff) return undefined;
  return pgoff < range.pgoff + range.length / PAGE_SIZE ? range : undefined;
}

/**
 * Physical address of a page, if `length` bytes from there lie in one range; else undefined. Two
 * ranges are not one even where the second goes on from the first (Linux: dax_pgoff_to_phys).
 * Ranges are {@link inOrder}.
 */
export function physicalOf(
  ranges: readonly DeviceRange[],
  pgoff: number,
  length: number,
): number | undefined {
  const range = rangeAt(ranges, pgoff);
  if (range === undefined) return undefined;
  const within = (pgoff - range.pgoff) * PAGE_SIZE;
  return within + length <= range.length ? range.start + within : undefined;
}

/** Pages of the device, its holes included: one past the last page of any range. */
export function pagesOf(ranges: readonly DeviceRange[]): number {
  return ranges.reduce((most, { pgoff, length }) => Math.max(most, pgoff + length / PAGE_SIZE), 0);
}

/** Bytes that a device has. */
export function sizeOf(ranges: readonly DeviceRange[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}

/**
 * Checks a table that somebody wrote.
 * @throws EINVAL for none, for parts of pages, for pages or addresses that two ranges claim
 */
export function checkRanges(name: string, ranges: readonly DeviceRange[]): void {
  for (const [i, range] of ranges.entries()) {
    const { pgoff, start, length } = range;
    const whole =
      [pgoff, start, length].every((value) => Number.isSafeInteger(value) && value >= 0) &&
      length > 0 &&
      start % PAGE_SIZE === 0 &&
      length % PAGE_SIZE === 0 &&
      Number.isSafeInteger(start + length) &&
      Number.isSafeInteger(pgoff * PAGE_SIZE + length);
    if (!whole) throw refused(name, range, "is not whole pages");
    const twin = ranges.slice(0, i).find((other) => meets(range, other));
    if (twin !== undefined) throw refused(name, range, `meets ${wordsOf(twin)}`);
  }
}

function meets(a: DeviceRange, b: DeviceRange): boolean {
  const [aPages, bPages] = [a.length / PAGE_SIZE, b.length / PAGE_SIZE];
  return (
    (a.pgoff < b.pgoff + bPages && b.pgoff < a.pgoff + aPages) ||
    (a.start < b.start + b.length && b.start < a.start + a.length)
  );
}

function refused(name: string, range: DeviceRange, why: string): DaxError {
  const detail = `${wordsOf(range)} ${why}`;
  return new DaxError("EINVAL", { syscall: "create", path: name, detail });
}

function wordsOf({ pgoff, start, length }: DeviceRange): string {
  return `range 0x${start.toString(16)}+${length} at page ${pgoff}`;
}
