/**
 * A disk of volatile memory at an address, axonram or dcssblk, with or without its driver. The
 * memory is there without one, too, and holds what it held.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { keepersOf } from "../block/device-users.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import type { Dcssblk } from "../drivers/dcssblk.ts";
import type { RemoveOptions } from "../drivers/pmem.ts";
import type { RamDevice } from "../drivers/ram-device.ts";
import { DaxError } from "../lib/errno.ts";
import type { AddressRange, Resource, ResourceTree } from "../platform/resources.ts";
import type { MachineDevice } from "./machine.ts";

/** What a driver makes of the memory. */
export type ServedDisk = Dcssblk | RamDevice;

/** What a disk is made of. */
export interface SpecialDiskOptions {
  readonly name: string;
  readonly kind: "axonram" | "dcssblk";
  /** Claimed under the name while there is a driver. */
  readonly ranges: readonly AddressRange[];
  readonly resources: ResourceTree;
  readonly hosts: DaxHosts;
  /** Puts the driver on the memory. */
  readonly make: () => ServedDisk;
}

/** One of them. */
export class SpecialDisk {
  readonly name: string;
  readonly kind: "axonram" | "dcssblk";
  readonly #options: SpecialDiskOptions;
  #served: ServedDisk | undefined;

  /** Attaches the driver. @throws as {@link attach} */
  constructor(options: SpecialDiskOptions) {
    this.name = options.name;
    this.kind = options.kind;
    this.#options = options;
    this.attach();
  }

  /** The disk and its dax device; undefined without a driver. */
  get served(): ServedDisk | undefined {
    return this.#served;
  }

  /**
   * Attaches the driver; nothing happens when it is attached.
   * @throws EBUSY for addresses or a name that somebody has, and as the driver
   */
  attach(): ServedDisk {
    if (this.#served !== undefined) return this.#served;
    const claims = this.#claim();
    try {
      const served = this.#options.make();
      this.#served = served;
      this.#release = () => this.#unclaim(claims);
      return served;
    } catch (error) {
      this.#unclaim(claims);
      throw error;
    }
  }

  /**
   * Takes the driver off; returns false when none was attached. The addresses are free again when
   * the last user has left. @throws EBUSY while in use, unless `whenIdle` is given
   */
  detach({ whenIdle }: RemoveOptions = {}): boolean {
    const served = this.#served;
    if (served === undefined) return false;
    const { name, dax } = served;
    const keepers = whenIdle === undefined ? keepersOf(dax) : undefined;
    if (keepers !== undefined) {
      const detail = `${keepers}; close them, or disable with whenIdle`;
      throw new DaxError("EBUSY", { syscall: "remove", path: name, detail });
    }
    this.#options.hosts.unregister(name, dax);
    this.#served = undefined;
    const release = this.#release;
    dax.kill(() => {
      release();
      whenIdle?.();
    });
    return true;
  }

  /** What the disk is, for a list. */
  describe({ name, sectors, readOnly }: BlockDevice): MachineDevice {
    const size = sectors * SECTOR_SIZE;
    return {
      name,
      kind: this.kind,
      parent: undefined,
      size,
      readOnly,
      number: undefined,
      physicalStart: Number(this.#options.ranges[0]?.start ?? 0n),
      writeCache: false,
      domains: [{ start: 0, length: size, domain: "volatile" }],
      namespace: undefined,
      backing: "ram",
      file: undefined,
    };
  }

  /** Gives back what the driver that is attached has claimed. */
  #release: () => void = () => {};

  #claim(): Resource[] {
    const { ranges, resources, name } = this.#options;
    const claims: Resource[] = [];
    try {
      for (const { start, length } of ranges) {
        claims.push(resources.request({ start, length }, name));
      }
    } catch (error) {
      this.#unclaim(claims);
      throw error;
    }
    return claims;
  }

  #unclaim(claims: readonly Resource[]): void {
    for (const claim of claims) this.#options.resources.remove(claim);
  }
}
