/**
 * brd: a RAM disk. Volatile, so that nothing is ever flushed; no discard (Linux's brd lost it: a
 * page that goes away under a mapping cannot be told to whoever mapped it).
 *
 * @module
 */
import { MediaRange } from "../dax/media-range.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { uniformDomain } from "../media/domains.ts";
import type { Media } from "../media/media.ts";
import { RamMedia } from "../media/ram.ts";
import { RamDevice, type RamDeviceOptions } from "./ram-device.ts";

/** How a RAM disk is made; it is called `ram0`. */
export interface BrdOptions extends RamDeviceOptions {
  /** Bytes; whole pages. */
  readonly size: number;
  /** Memory of this process unless given: modelled memory, for instance. */
  readonly media?: Media;
  /** Or memory that the machine was given, as long as the disk: `KmemMemory.take`. */
  readonly range?: MediaRange;
}

/** A RAM disk. */
export type Brd = RamDevice;

/**
 * Makes a RAM disk.
 * @throws EINVAL for a size that is no whole number of pages, EBUSY for a name in use
 */
export function createBrd(options: BrdOptions): Brd {
  const { name, size, range } = options;
  const whole = size >= PAGE_SIZE && size % PAGE_SIZE === 0 && Number.isSafeInteger(size);
  if (!whole || (range !== undefined && range.length !== size)) {
    throw new DaxError("EINVAL", {
      syscall: "probe",
      path: name,
      detail: `a RAM disk of ${size} bytes; give a multiple of ${PAGE_SIZE}, as long as its memory`,
    });
  }
  return new RamDevice(range ?? rangeOf(options), 0, options);
}

function rangeOf({ size, media = new RamMedia(size) }: BrdOptions): MediaRange {
  const domains = uniformDomain(media.size, "volatile");
  return new MediaRange({ media, start: 0, length: size, domains });
}
