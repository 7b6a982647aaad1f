/**
 * brd: a RAM disk. Volatile, so that nothing is ever flushed; no discard (Linux's brd lost it: a
 * page that goes away under a mapping cannot be told to whoever mapped it).
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import { DiskPartitions, type WrapDevice } from "../block/disk-partitions.ts";
import { MediaDisk } from "../block/media-disk.ts";
import { DaxDevice } from "../dax/dax-device.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { MediaRange } from "../dax/media-range.ts";
import { type DaxOperations, type DaxSpan, PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { uniformDomain } from "../media/domains.ts";
import type { Media } from "../media/media.ts";
import { RamMedia } from "../media/ram.ts";

/** How a RAM disk is made. */
export interface BrdOptions {
  /** `ram0`. */
  readonly name: string;
  /** Bytes; whole pages. */
  readonly size: number;
  /** Memory of this process unless given: modelled memory, for instance. */
  readonly media?: Media;
  /** Where the disk's dax device can be looked up. */
  readonly hosts?: DaxHosts;
  /** Put around the disk and around every partition. */
  readonly wrap?: WrapDevice;
}

/** No flush, no fence, no copy of its own: the dax device's plain copy is all it takes. */
class BrdOperations implements DaxOperations {
  readonly #range: MediaRange;

  constructor(range: MediaRange) {
    this.#range = range;
  }

  directAccess(pgoff: number, pages: number): DaxSpan {
    const left = this.#range.length / PAGE_SIZE - pgoff;
    return this.#range.span(pgoff, Math.min(pages, left), 0);
  }

  zeroPageRange(pgoff: number, pages: number): void {
    this.#range.zero(pgoff * PAGE_SIZE, pages * PAGE_SIZE);
  }

  checkFault(): void {
    this.#range.media.checkFault?.();
  }
}

/** A RAM disk: use {@link createBrd}. */
export class Brd {
  readonly name: string;
  readonly dax: DaxDevice;
  readonly disk: BlockDevice;
  readonly partitions: DiskPartitions;
  readonly #hosts: DaxHosts | undefined;

  constructor(range: MediaRange, options: BrdOptions) {
    const { name, size, hosts, wrap } = options;
    this.name = name;
    this.dax = new DaxDevice({
      name,
      pages: size / PAGE_SIZE,
      operations: new BrdOperations(range),
      writeCache: false,
      synchronous: true,
    });
    range.bind(this.dax);
    const disk = new MediaDisk({ name, range, device: this.dax });
    this.disk = wrap === undefined ? disk : wrap(disk);
    this.partitions = new DiskPartitions(this.disk, wrap === undefined ? {} : { wrap });
    this.#hosts = hosts;
    hosts?.register(name, this.dax);
    this.partitions.scan();
  }

  /** Ends the disk. Idempotent. @throws EBUSY while it is in use */
  remove(): void {
    const { dax } = this;
    if (dax.alive && (dax.users > 0 || dax.holder !== undefined)) {
      throw new DaxError("EBUSY", {
        syscall: "remove",
        path: this.name,
        detail: `${dax.users} mappings or operations; close them first`,
      });
    }
    this.#hosts?.unregister(this.name, dax);
    this.partitions.clear();
    dax.kill();
  }
}

/**
 * Makes a RAM disk.
 * @throws EINVAL for a size that is no whole number of pages, EBUSY for a name in use
 */
export function createBrd(options: BrdOptions): Brd {
  const { name, size, media = new RamMedia(size) } = options;
  if (!(size >= PAGE_SIZE) || size % PAGE_SIZE !== 0 || !Number.isSafeInteger(size)) {
    throw new DaxError("EINVAL", {
      syscall: "probe",
      path: name,
      detail: `a RAM disk of ${size} bytes; give a multiple of ${PAGE_SIZE}`,
    });
  }
  const domains = uniformDomain(media.size, "volatile");
  return new Brd(new MediaRange({ media, start: 0, length: size, domains }), options);
}
