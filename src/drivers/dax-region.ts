/**
 * A dax region: physical memory that is dealt out to device-dax instances, `daxR.N`. Its verbs are
 * the files `create` and `delete` of Linux's `/sys/bus/dax`.
 *
 * @module
 */
import type { DaxHosts } from "../dax/hosts.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import type { Tracer } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import type { DomainRange, Media } from "../media/media.ts";
import type { ResourceTree } from "../platform/resources.ts";
import { type DeviceRange, checkRanges, pagesOf, sizeOf } from "./dax-ranges.ts";
import { DAX_UNIT, type PhysicalRange, checkAlignment } from "./dax-space.ts";
import { type DaxDriver, DevDax } from "./device-dax.ts";

/** How a region is made. */
export interface DaxRegionOptions {
  /** The R of `daxR.N`. */
  readonly id: number;
  readonly media: Media;
  /** Where the region begins on the media; a page. */
  readonly start: number;
  /** Physical address of the first byte; a page. */
  readonly physicalStart: number;
  /** Bytes; whole pages. */
  readonly length: number;
  /** Of the media; what the media says of itself unless given. */
  readonly domains?: readonly DomainRange[];
  /** Alignment of new devices: 2 MiB unless given. */
  readonly align?: number;
  /**
   * A region whose layout is given, as that of a pmem namespace: one device, and no verb changes
   * it. Its ranges are in pages of the device and physical addresses.
   */
  readonly layout?: readonly DeviceRange[];
  /** The node that the memory is near to; 0 unless given. Below 0: none, and so no system RAM. */
  readonly targetNode?: number;
  /** Bytes of a block of system RAM; 128 MiB unless given. */
  readonly memoryBlock?: number;
  /** Drivers that there are; all unless given. */
  readonly drivers?: readonly DaxDriver[];
  /** Where drivers claim addresses. */
  readonly resources?: ResourceTree;
  /** Where dax devices of drivers that filesystems use can be looked up. */
  readonly hosts?: DaxHosts;
  /** Told of every operation of drivers that have some. */
  readonly trace?: Tracer;
}

/** Memory for device-dax instances. */
export class DaxRegion {
  readonly id: number;
  readonly options: DaxRegionOptions;
  /** Of new devices. */
  readonly align: number;
  readonly targetNode: number;
  readonly #devices: DevDax[] = [];
  #next = 0;
  #alive = true;

  /** @throws EINVAL for what is no range of whole pages, or an alignment that no fault has */
  constructor(options: DaxRegionOptions) {
    const { id, start, physicalStart, length, media, layout } = options;
    this.id = id;
    this.options = options;
    this.align = options.align ?? DAX_UNIT;
    this.targetNode = options.targetNode ?? 0;
    checkRanges(`region${id}`, [{ pgoff: 0, start: physicalStart, length }]);
    if (start % PAGE_SIZE !== 0 || start < 0 || start + length > media.size) {
      const detail = `bytes ${start}+${length} of media of ${media.size}`;
      throw new DaxError("EINVAL", { syscall: "probe", path: `region${id}`, detail });
    }
    checkAlignment(`region${id}`, this.align);
    if (layout !== undefined) this.#checkLayout(layout);
    this.#add(layout ?? []);
  }

  /** Physical addresses. */
  get span(): PhysicalRange {
    return { start: this.options.physicalStart, length: this.options.length };
  }

  /** Whether its devices are as they were made, for good. */
  get isStatic(): boolean {
    return this.options.layout !== undefined;
  }

  /** False when its driver was taken off. */
  get alive(): boolean {
    return this.#alive;
  }

  get devices(): readonly DevDax[] {
    return this.#devices;
  }

  /** Bytes that no device has. */
  get availableSize(): number {
    return this.#devices.reduce((left, { size }) => left - size, this.span.length);
  }

  /** A device by name. @throws ENXIO naming those there are, EINVAL for what is no name */
  device(name: string): DevDax {
    return this.#find("device", name);
  }

  /**
   * Makes a device without memory; `resize` gives it some.
   * @throws ENXIO when the region is gone, EINVAL when it is static, ENOSPC when it is used up
   */
  create(): DevDax {
    this.assertChangeable("create");
    if (this.availableSize === 0) {
      throw this.refusal("ENOSPC", "create", "all of it is in use; shrink a device first");
    }
    return this.#add([]);
  }

  /**
   * Ends a device. Number 0 stays, so that a region always has one.
   * @throws ENXIO for a name it has not, EBUSY for one that has a driver or memory, or number 0;
   *   EINVAL when the region is static, and for what is no name
   */
  delete(name: string): void {
    this.assertChangeable("delete");
    const device = this.#find("delete", name);
    if (device.driver !== undefined || device.size > 0) {
      const why = device.driver === undefined ? `${device.size} bytes` : `driver ${device.driver}`;
      throw this.refusal("EBUSY", "delete", `${name} has ${why}; take that first`);
    }
    if (device.id === 0) throw this.refusal("EBUSY", "delete", `${name} stays with its region`);
    this.#devices.splice(this.#devices.indexOf(device), 1);
  }

  /**
   * Takes the region's driver off: nothing of it can be changed or bound any more. Idempotent.
   * @throws EBUSY while a device has a driver
   */
  remove(): void {
    const bound = this.#devices.find(({ driver }) => driver !== undefined);
    if (bound !== undefined) {
      throw this.refusal("EBUSY", "remove", `${bound.name} has driver ${bound.driver}; unbind it`);
    }
    this.#alive = false;
  }

  /** @throws ENXIO when the region is gone, EINVAL when it is static */
  assertChangeable(syscall: string): void {
    if (!this.#alive) throw this.refusal("ENXIO", syscall, "the region was removed");
    if (this.isStatic) throw this.refusal("EINVAL", syscall, "the region is static");
  }

  /** An error that names the region. */
  refusal(
    code: "EBUSY" | "EINVAL" | "ENOSPC" | "ENXIO",
    syscall: string,
    detail: string,
  ): DaxError {
    return new DaxError(code, { syscall, path: `dax region ${this.id}`, detail });
  }

  #find(syscall: string, name: string): DevDax {
    const found = this.#devices.find((device) => device.name === name);
    if (found !== undefined) return found;
    const known = this.#devices.map((device) => device.name).join(", ");
    if (typeof name === "string") {
      throw this.refusal("ENXIO", syscall, `${name.slice(0, 64)} is none of ${known}`);
    }
    const given = `given was ${givenText(name)}`;
    throw this.refusal("EINVAL", syscall, `it takes the name of a device, of ${known}; ${given}`);
  }

  #add(ranges: readonly DeviceRange[]): DevDax {
    const device = new DevDax(this, this.#next++, ranges);
    this.#devices.push(device);
    return device;
  }

  #checkLayout(layout: readonly DeviceRange[]): void {
    const name = `dax${this.id}.0`;
    checkRanges(name, layout);
    const { start, length } = this.span;
    for (const range of layout) {
      const inside = range.start >= start && range.start + range.length <= start + length;
      const aligned = [range.pgoff * PAGE_SIZE, range.start, range.length].every(
        (value) => value % this.align === 0,
      );
      if (inside && aligned) continue;
      const where = `0x${range.start.toString(16)}+${range.length}`;
      throw this.refusal("EINVAL", "probe", `${where} leaves the region, or its alignment`);
    }
    if (pagesOf(layout) * PAGE_SIZE > Number.MAX_SAFE_INTEGER || sizeOf(layout) === 0) {
      throw this.refusal("EINVAL", "probe", "a layout has at least one range");
    }
  }
}
