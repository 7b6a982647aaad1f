/**
 * How the space of a region is dealt out: Linux's rules for a device that grows or shrinks
 * (`dev_dax_resize`), as functions from layouts to layouts. Two differences, both so that nothing
 * is left half done: a hole counts only as far as it is aligned for the device, and a device that
 * finds too little gets nothing.
 *
 * @module
 */
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { type DeviceRange, sizeOf } from "./dax-ranges.ts";

/** Bytes of which every device and every change of one is a multiple, whatever its alignment. */
export const DAX_UNIT = 2 * 2 ** 20;

/** What faults of a device map at once: 4 KiB, 2 MiB or 1 GiB. */
export const DAX_ALIGNMENTS: readonly number[] = [PAGE_SIZE, DAX_UNIT, 2 ** 30];

/** Physical addresses `[start, start + length)`. */
export interface PhysicalRange {
  readonly start: number;
  readonly length: number;
}

/** The layout of one device while it grows. */
class Growth {
  readonly ranges: DeviceRange[];
  readonly #region: PhysicalRange;
  readonly #others: readonly PhysicalRange[];
  readonly #align: number;

  constructor(
    region: PhysicalRange,
    others: readonly PhysicalRange[],
    own: readonly DeviceRange[],
    align: number,
  ) {
    this.#region = region;
    this.#others = others;
    this.ranges = [...own];
    this.#align = align;
  }

  /** Takes up to so many bytes of the first hole; returns how many, 0 when there is none. */
  step(wanted: number): number {
    const taken = [...this.#others, ...this.ranges].toSorted((a, b) => a.start - b.start);
    let before: PhysicalRange | undefined;
    let at = this.#region.start;
    for (const next of [...taken, { start: this.#region.start + this.#region.length, length: 0 }]) {
      const bytes = this.#take(at, next.start, before, wanted);
      if (bytes > 0) return bytes;
      before = next;
      at = next.start + next.length;
    }
    return 0;
  }

  /** Of the hole `[from, to)`, behind the range `before`. */
  #take(from: number, to: number, before: PhysicalRange | undefined, wanted: number): number {
    const last = this.ranges.at(-1);
    if (last !== undefined && before === last && this.#isHighest(last)) {
      const bytes = Math.min(downTo(to - from, this.#align), wanted);
      if (bytes > 0) this.ranges[this.ranges.length - 1] = { ...last, length: last.length + bytes };
      return bytes;
    }
    const start = Math.ceil(from / this.#align) * this.#align;
    const bytes = Math.min(downTo(to - start, this.#align), wanted);
    if (bytes <= 0) return 0;
    const pgoff = sizeOf(this.ranges) / PAGE_SIZE;
    this.ranges.push({ pgoff, start, length: bytes });
    return bytes;
  }

  #isHighest({ pgoff }: DeviceRange): boolean {
    return this.ranges.every((range) => range.pgoff <= pgoff);
  }
}

function downTo(bytes: number, align: number): number {
  return Math.max(0, Math.floor(bytes / align)) * align;
}

/**
 * The layout of a device that got `bytes` more: holes of the region are filled in the order of
 * their addresses. What lies behind the device's last range extends it, any other hole becomes a
 * range of its own at the next page. Undefined where the region has too little room.
 *
 * `own` is in the order in which the ranges were made; lengths are multiples of `align`.
 */
export function grown(
  region: PhysicalRange,
  others: readonly PhysicalRange[],
  own: readonly DeviceRange[],
  bytes: number,
  align: number,
): readonly DeviceRange[] | undefined {
  const growth = new Growth(region, others, own, align);
  for (let left = bytes; left > 0;) {
    const got = growth.step(left);
    if (got === 0) return undefined;
    left -= got;
  }
  return growth.ranges;
}

/** The layout of a device that lost `bytes`: from its last range backwards. */
export function shrunk(own: readonly DeviceRange[], bytes: number): readonly DeviceRange[] {
  const ranges = [...own];
  for (let left = bytes; left > 0;) {
    const last = ranges.pop();
    if (last === undefined) break;
    const lost = Math.min(left, last.length);
    left -= lost;
    if (lost < last.length) ranges.push({ ...last, length: last.length - lost });
  }
  return ranges;
}

/** @throws EINVAL unless it is an alignment that devices may have */
export function checkAlignment(path: string, align: number): void {
  if (DAX_ALIGNMENTS.includes(align)) return;
  const detail = `an alignment of ${align}; it takes 4096, 2097152 or 1073741824`;
  throw new DaxError("EINVAL", { syscall: "align", path, detail });
}
