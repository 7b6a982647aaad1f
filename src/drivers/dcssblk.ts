/**
 * dcssblk: shared memory segments of z/VM as one disk. A device of several segments translates up
 * to the end of a segment and no further; a segment that is shared read-only makes it read-only.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import { DaxDisk } from "../block/dax-disk.ts";
import { DaxDevice } from "../dax/dax-device.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { MediaRange } from "../dax/media-range.ts";
import { type DaxOperations, type DaxSpan, PAGE_SIZE } from "../dax/operations.ts";
import { DaxError, assert } from "../lib/errno.ts";
import { uniformDomain } from "../media/domains.ts";
import type { Media } from "../media/media.ts";

/** z/VM's segment types: shared or exclusive, writable, read-only or not saved. */
export type SegmentType = "SW" | "EW" | "SR" | "ER" | "SN" | "EN";

/** One segment of a device. */
export interface Segment {
  readonly type: SegmentType;
  /** A page of the media. */
  readonly start: number;
  /** Bytes; whole pages. */
  readonly length: number;
  /** Physical address of the first byte; a page. */
  readonly physicalStart: number;
}

/** How segments become a disk; it is called `dcssblk0`. */
export interface DcssblkOptions {
  readonly name: string;
  readonly media: Media;
  readonly segments: readonly Segment[];
  readonly hosts?: DaxHosts;
}

/** A device of segments: use {@link createDcssblk}. */
export interface Dcssblk {
  readonly name: string;
  readonly dax: DaxDevice;
  readonly disk: BlockDevice;
}

/** A segment and where it lies in the device. */
interface Placed {
  readonly first: number;
  readonly pages: number;
  readonly pfn: number;
  readonly range: MediaRange;
}

class SegmentOperations implements DaxOperations {
  readonly #segments: readonly Placed[];
  readonly #readOnly: boolean;
  /** Present to refuse, where there is something to refuse; else the plain copy serves. */
  declare readonly copyFromIter?: () => never;

  constructor(segments: readonly Placed[], readOnly: boolean) {
    this.#segments = segments;
    this.#readOnly = readOnly;
    if (readOnly) this.copyFromIter = refuseStore;
  }

  directAccess(pgoff: number, pages: number): DaxSpan {
    const { first, pages: held, pfn, range } = this.#at(pgoff);
    return range.span(pgoff - first, Math.min(pages, first + held - pgoff), pfn);
  }

  zeroPageRange(pgoff: number, pages: number): void {
    if (this.#readOnly) refuseStore();
    for (let page = pgoff; page < pgoff + pages;) {
      const { first, pages: held, range } = this.#at(page);
      const run = Math.min(first + held, pgoff + pages) - page;
      range.zero((page - first) * PAGE_SIZE, run * PAGE_SIZE);
      page += run;
    }
  }

  #at(pgoff: number): Placed {
    const found = this.#segments.find(({ first, pages }) => pgoff < first + pages);
    assert(found !== undefined, () => `page ${pgoff} lies in no segment`);
    return found;
  }
}

function refuseStore(): never {
  throw new DaxError("EROFS", { detail: "a segment of the device is shared read-only" });
}

/**
 * Makes one disk of segments, in their order.
 * @throws EINVAL for no segments, or one that is not whole pages of the media; EBUSY for a name in
 *   use
 */
export function createDcssblk(options: DcssblkOptions): Dcssblk {
  const { name, media, segments, hosts } = options;
  const domains = uniformDomain(media.size, "volatile");
  const placed: Placed[] = [];
  let first = 0;
  for (const { start, length, physicalStart } of segments) {
    if (length % PAGE_SIZE !== 0 || physicalStart % PAGE_SIZE !== 0) break;
    const range = new MediaRange({ media, start, length, domains });
    const pages = length / PAGE_SIZE;
    placed.push({ first, pages, pfn: physicalStart / PAGE_SIZE, range });
    first += pages;
  }
  if (placed.length === 0 || placed.length < segments.length) {
    throw new DaxError("EINVAL", {
      syscall: "probe",
      path: name,
      detail: `segment ${placed.length} of ${segments.length} is missing or not whole pages`,
    });
  }
  const readOnly = segments.some(({ type }) => type === "SR" || type === "ER");
  const dax = new DaxDevice({
    name,
    pages: first,
    operations: new SegmentOperations(placed, readOnly),
    writeCache: false,
    synchronous: true,
  });
  const disk = new DaxDisk(dax, { readOnly });
  hosts?.register(name, dax);
  return { name, dax, disk };
}
