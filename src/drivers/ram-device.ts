/**
 * Volatile memory as a dax device and a disk: what brd and axonram have in common.
 *
 * @module
 */
import { keepersOf } from "../block/device-users.ts";
import type { BlockDevice } from "../block/block-device.ts";
import { DiskPartitions, type WrapDevice } from "../block/disk-partitions.ts";
import { MediaDisk } from "../block/media-disk.ts";
import { DaxDevice } from "../dax/dax-device.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import type { MediaRange } from "../dax/media-range.ts";
import { type DaxOperations, type DaxSpan, PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";

/** What every driver of volatile memory takes. */
export interface RamDeviceOptions {
  readonly name: string;
  /** Where the disk's dax device can be looked up. */
  readonly hosts?: DaxHosts;
  /** Put around the disk and around every partition. */
  readonly wrap?: WrapDevice;
}

/** No flush, no fence, no copy of its own: the dax device's plain copy is all it takes. */
class RamOperations implements DaxOperations {
  readonly #range: MediaRange;
  readonly #pfn: number;

  constructor(range: MediaRange, pfn: number) {
    this.#range = range;
    this.#pfn = pfn;
  }

  directAccess(pgoff: number, pages: number): DaxSpan {
    const left = Math.floor(this.#range.length / PAGE_SIZE) - pgoff;
    return this.#range.span(pgoff, Math.min(pages, left), this.#pfn);
  }

  zeroPageRange(pgoff: number, pages: number): void {
    this.#range.zero(pgoff * PAGE_SIZE, pages * PAGE_SIZE);
  }

  checkFault(): void {
    this.#range.media.checkFault?.();
  }
}

/** A device over volatile memory: use its driver's `create` function. */
export class RamDevice {
  readonly name: string;
  readonly dax: DaxDevice;
  readonly disk: BlockDevice;
  readonly partitions: DiskPartitions;
  readonly #hosts: DaxHosts | undefined;

  /** `pfn` is the page frame of the first page. @throws EBUSY for a name in use */
  constructor(range: MediaRange, pfn: number, options: RamDeviceOptions) {
    const { name, hosts, wrap } = options;
    this.name = name;
    this.dax = new DaxDevice({
      name,
      pages: Math.floor(range.length / PAGE_SIZE),
      operations: new RamOperations(range, pfn),
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
    const keepers = keepersOf(dax);
    if (keepers !== undefined) {
      const detail = `${keepers}; close them first`;
      throw new DaxError("EBUSY", { syscall: "remove", path: this.name, detail });
    }
    this.#hosts?.unregister(this.name, dax);
    this.partitions.clear();
    dax.kill();
  }
}
