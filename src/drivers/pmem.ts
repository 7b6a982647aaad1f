/**
 * pmem: a range of persistent memory as a disk and a dax device (Linux 4.1's driver and today's,
 * where they differ by profile).
 *
 * @module
 */
import { keepersOf } from "../block/device-users.ts";
import type { BlockDevice } from "../block/block-device.ts";
import type { DeviceNumber, DeviceNumbers, KernelProfile } from "../block/device-numbers.ts";
import { DiskPartitions, type WrapDevice } from "../block/disk-partitions.ts";
import { MediaDisk } from "../block/media-disk.ts";
import { PoisonMap } from "../block/poison-map.ts";
import { DaxDevice } from "../dax/dax-device.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { MediaRange, type MediaRangeOptions } from "../dax/media-range.ts";
import { makeOld } from "../dax/old-devices.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { TracedOperations } from "../dax/traced-operations.ts";
import type { Tracer } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { PmemOperations } from "./pmem-operations.ts";

/** Where a driver claims its physical addresses: the resource tree. */
export interface RegionClaims {
  /** @throws EBUSY naming who has them */
  request(range: { readonly start: bigint; readonly length: bigint }, name: string): unknown;
  /** Gives exactly that range back. */
  release(range: { readonly start: bigint; readonly length: bigint }): unknown;
}

/** How a pmem device is made. */
export interface PmemOptions extends MediaRangeOptions {
  /** `pmem0`. */
  readonly name: string;
  /** Physical address of the first byte; a page. */
  readonly physicalStart: number;
  /** `modern` unless given; `v4.1` maps uncached, so that every write is durable at once. */
  readonly profile?: KernelProfile;
  /** On when some byte of the range needs a flush or a fence, unless given. */
  readonly writeCache?: boolean;
  readonly readOnly?: boolean;
  /** Where the disk's dax device can be looked up. */
  readonly hosts?: DaxHosts;
  readonly resources?: RegionClaims;
  /** The addresses that are claimed, where the device does not show all of them. */
  readonly claims?: { readonly start: bigint; readonly length: bigint };
  /** The name of the claim in `/proc/iomem`: the namespace's, else the disk's. */
  readonly claimName?: string;
  readonly numbers?: DeviceNumbers;
  /** The disk's index among the driver's disks; 0 unless given. */
  readonly index?: number;
  /** Put around the disk and around every partition. */
  readonly wrap?: WrapDevice;
  /** Told of every dax operation: translations, copies, zeroing, healing, flushes, fences. */
  readonly trace?: Tracer;
}

/** How a device is removed. */
export interface RemoveOptions {
  /** Without it a device in use is EBUSY; with it, it is called when the last user has left. */
  readonly whenIdle?: () => void;
}

/** A pmem device: use {@link createPmem}. */
export class Pmem {
  readonly name: string;
  readonly dax: DaxDevice;
  readonly disk: BlockDevice;
  readonly partitions: DiskPartitions;
  /** Bad blocks of the whole range; its table takes more of them by hand. */
  readonly poison: PoisonMap;
  readonly range: MediaRange;
  /** Of the disk; undefined without numbers. */
  readonly number: DeviceNumber | undefined;
  readonly #options: PmemOptions;
  #removed = false;

  constructor(range: MediaRange, options: PmemOptions) {
    const { name, physicalStart, wrap, numbers, index = 0, profile = "modern" } = options;
    this.name = name;
    this.range = range;
    this.poison = new PoisonMap(range);
    const operations = new PmemOperations(range, this.poison, physicalStart / PAGE_SIZE);
    const { trace } = options;
    this.dax = new DaxDevice({
      name,
      pages: Math.floor(range.length / PAGE_SIZE),
      operations: trace === undefined ? operations : new TracedOperations(operations, name, trace),
      writeCache: options.writeCache ?? range.needsFence,
      synchronous: isSynchronous(range),
    });
    if (profile === "v4.1") makeOld(this.dax);
    range.bind(this.dax);
    const disk = new MediaDisk({
      name,
      range,
      device: this.dax,
      poison: this.poison,
      readOnly: options.readOnly ?? range.media.readOnly,
      uncached: profile === "v4.1",
    });
    this.disk = wrap === undefined ? disk : wrap(disk);
    this.#options = options;
    this.number = numbers?.assign(index, 0);
    this.partitions = new DiskPartitions(this.disk, options);
  }

  /** Physical address of the first byte. */
  get physicalStart(): number {
    return this.#options.physicalStart;
  }

  /** Whether a physical address is of its memory. */
  holdsAddress(address: number): boolean {
    const { physicalStart } = this;
    return address >= physicalStart && address < physicalStart + this.range.length;
  }

  /** True when the addresses are free again. */
  get removed(): boolean {
    return this.#removed;
  }

  /**
   * Removes the device: no new operation starts, the disk and the lookup by name are gone at once,
   * the claim on the addresses ends when the last read section and pin are gone. Idempotent.
   * @throws EBUSY naming the user, with the device untouched, unless `whenIdle` is given
   */
  remove(options: RemoveOptions = {}): void {
    const { dax } = this;
    if (options.whenIdle === undefined) this.#assertUnused();
    this.#options.hosts?.unregister(this.name, dax);
    this.partitions.clear();
    dax.kill(() => {
      this.#release();
      options.whenIdle?.();
    });
  }

  #assertUnused(): void {
    const keepers = keepersOf(this.dax);
    if (keepers === undefined) return;
    const detail = `${keepers}; close them, or remove with whenIdle`;
    throw new DaxError("EBUSY", { syscall: "remove", path: this.name, detail });
  }

  #release(): void {
    if (this.#removed) return;
    this.#removed = true;
    const { resources, numbers } = this.#options;
    resources?.release(claimOf(this.#options));
    if (this.number !== undefined) numbers?.release(this.number);
  }
}

/**
 * Makes a pmem device over a range of media: claims the addresses, maps, registers the dax device
 * under the disk's name, scans for partitions. What was done is undone when a step fails.
 * @throws EINVAL for a range of less than a page or off page borders, EBUSY for addresses that
 *   somebody has (EINVAL in profile `v4.1`, as its driver says) or a disk name in use, what the
 *   media throws
 */
export function createPmem(options: PmemOptions): Pmem {
  const { name, length, physicalStart, resources, hosts } = options;
  const fits =
    length >= PAGE_SIZE && physicalStart >= 0 && Number.isSafeInteger(physicalStart + length);
  if (!fits || physicalStart % PAGE_SIZE !== 0) {
    throw new DaxError("EINVAL", {
      syscall: "probe",
      path: name,
      detail: `${length} bytes at address ${physicalStart}; it takes a page, at a page's address`,
    });
  }
  claim(options);
  let pmem: Pmem | undefined;
  try {
    const range = new MediaRange(options);
    // The first look at the memory: a media that cannot show its first page makes no device.
    range.media.window(range.start);
    pmem = new Pmem(range, options);
    hosts?.register(name, pmem.dax);
  } catch (error) {
    if (pmem === undefined) resources?.release(claimOf(options));
    else pmem.remove();
    throw error;
  }
  pmem.partitions.scan();
  return pmem;
}

function claim(options: PmemOptions): void {
  const { resources, name, claimName = name, profile } = options;
  try {
    resources?.request(claimOf(options), claimName);
  } catch (error) {
    if (profile !== "v4.1" || !isDaxError(error, "EBUSY")) throw error;
    throw new DaxError("EINVAL", {
      syscall: "probe",
      path: name,
      detail: `could not reserve region: ${error.detail ?? error.message}`,
    });
  }
}

function claimOf(options: PmemOptions): { readonly start: bigint; readonly length: bigint } {
  const { claims, physicalStart, length } = options;
  return claims ?? { start: BigInt(physicalStart), length: BigInt(length) };
}

/** Whether stores that were flushed and fenced are durable without a system call. */
function isSynchronous({ media }: MediaRange): boolean {
  return media.durability !== "msync" && media.durability !== "fsync";
}
