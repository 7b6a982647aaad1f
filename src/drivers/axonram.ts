/**
 * axonram: the memory of an Axon DDR2 bank of a Cell blade as a disk. Like brd, but at an address.
 * Linux dropped it in 4.16; it stays here as the plainest user of the dax operations.
 *
 * @module
 */
import { MediaRange } from "../dax/media-range.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { uniformDomain } from "../media/domains.ts";
import type { Media } from "../media/media.ts";
import { RamDevice, type RamDeviceOptions } from "./ram-device.ts";

/** How a bank becomes a disk; it is called `axonram0`. */
export interface AxonramOptions extends RamDeviceOptions {
  readonly media: Media;
  /** A page of the media. */
  readonly start: number;
  /** Bytes; what is behind the last whole page is not used. */
  readonly length: number;
  /** Physical address of the first byte; a page. */
  readonly physicalStart: number;
}

/**
 * Makes a disk of a bank.
 * @throws EINVAL for a range of less than a page or off page borders, EBUSY for a name in use
 */
export function createAxonram(options: AxonramOptions): RamDevice {
  const { name, media, start, physicalStart } = options;
  const length = Math.floor(options.length / PAGE_SIZE) * PAGE_SIZE;
  if (!(length > 0 && physicalStart >= 0) || physicalStart % PAGE_SIZE !== 0) {
    throw new DaxError("EINVAL", {
      syscall: "probe",
      path: name,
      detail: `${options.length} bytes at address ${physicalStart}; it takes a page, at a page`,
    });
  }
  const domains = uniformDomain(media.size, "volatile");
  const range = new MediaRange({ media, start, length, domains });
  return new RamDevice(range, physicalStart / PAGE_SIZE, options);
}
