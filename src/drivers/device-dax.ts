/**
 * A device-dax instance, `daxR.N`: ranges of a region under one name, served by one of three
 * drivers. Its verbs are the files `size`, `align` and `mapping` of Linux's `/sys/bus/dax`, and the
 * files `bind` and `unbind` of the drivers there.
 *
 * It is not a dax device (`DaxDevice`): that exists while a driver serves it.
 *
 * @module
 */
import { keepersOf } from "../block/device-users.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import { DaxDevice } from "../dax/dax-device.ts";
import { MediaRange } from "../dax/media-range.ts";
import { NO_OPERATIONS } from "../dax/no-operations.ts";
import { type DaxOperations, PAGE_SIZE } from "../dax/operations.ts";
import { RAW_INO } from "../dax/raw-freeze.ts";
import { TracedOperations } from "../dax/traced-operations.ts";
import { DaxError } from "../lib/errno.ts";
import type { Resource } from "../platform/resources.ts";
import { DaxFile } from "./dax-file.ts";
import { type DeviceRange, inOrder, pagesOf, sizeOf } from "./dax-ranges.ts";
import type { DaxRegion } from "./dax-region.ts";
import { DAX_UNIT, type PhysicalRange, checkAlignment, grown, shrunk } from "./dax-space.ts";
import { type Addressing, FsdevOperations } from "./fsdev.ts";
import { KmemMemory } from "./kmem.ts";
import { type ServedRange, serve } from "./served-range.ts";

/**
 * Who serves a device:
 * - `device_dax`: programs map it, and nothing else;
 * - `fsdev_dax`: a filesystem takes it (`fsDaxGet`), and nobody maps it;
 * - `kmem`: it is memory of the machine.
 */
export type DaxDriver = "device_dax" | "fsdev_dax" | "kmem";
const DRIVERS: readonly DaxDriver[] = ["device_dax", "fsdev_dax", "kmem"];

/** How a driver serves a device. */
export interface BindOptions {
  /** `fsdev_dax`: how ranges are shown; `linear` unless given. */
  readonly addressing?: Addressing;
  /** Whether the write cache is on: as the memory has it unless given. */
  readonly writeCache?: boolean;
}

/** How a device is resized. */
export interface ResizeOptions {
  /**
   * Waits for who uses the device: called with him and the number of the attempt, try by try; the
   * answer says whether to try again.
   */
  readonly whenBusy?: (user: string, attempt: number) => boolean;
}

/** What a driver made of a device. */
interface Service {
  readonly driver: DaxDriver;
  /** How it was bound. */
  readonly options: BindOptions;
  /** Of drivers that have one. */
  readonly dax: DaxDevice | undefined;
  /** What mappings of `device_dax` go to: the same memory with its operations. */
  readonly pages: DaxDevice | undefined;
  readonly ranges: readonly ServedRange[];
  readonly memory: KmemMemory | undefined;
  /** Gives back what the driver took. */
  readonly release: () => void;
}

/** One device of a {@link DaxRegion}, which makes it. */
export class DevDax {
  readonly name: string;
  readonly id: number;
  readonly region: DaxRegion;
  #align: number;
  #ranges: readonly DeviceRange[];
  #service: Service | undefined;

  constructor(region: DaxRegion, id: number, ranges: readonly DeviceRange[]) {
    this.name = `dax${region.id}.${id}`;
    this.id = id;
    this.region = region;
    this.#align = region.align;
    this.#ranges = inOrder(ranges);
  }

  /** Bytes. */
  get size(): number {
    return sizeOf(this.#ranges);
  }

  /** Bytes that a fault maps at once. */
  get align(): number {
    return this.#align;
  }

  /** In the order of their pages, which is that in which a region dealt them out. */
  get ranges(): readonly DeviceRange[] {
    return this.#ranges;
  }

  /** Who serves it; undefined for nobody. */
  get driver(): DaxDriver | undefined {
    return this.#service?.driver;
  }

  /** What its driver offers; undefined without one, and for system RAM. */
  get dax(): DaxDevice | undefined {
    return this.#service?.dax;
  }

  /** Its ranges with their memory; none without a driver. */
  get served(): readonly ServedRange[] {
    return this.#service?.ranges ?? [];
  }

  /** What it gives the machine, while its driver is `kmem`. */
  get memory(): KmemMemory | undefined {
    return this.#service?.memory;
  }

  /**
   * Changes the size, as `dev_dax_resize` deals space out; nothing changes when it cannot. Linux
   * knows no other way than to unbind, resize and bind again. With `whenBusy` that is done here,
   * once nobody uses or maps the device any more: what is under way has ended before the size
   * changes, and nobody's mapping ends. Who held what the driver served looks it up anew.
   * @throws ENXIO when the region or the device is gone, EINVAL for a static one or a size that is
   *   no multiple of the alignment and of 2 MiB, EBUSY while a driver has it, or it is used and
   *   nobody waits; ENOSPC; as `bind`, with the size changed
   */
  resize(bytes: number, { whenBusy }: ResizeOptions = {}): void {
    this.#assertChangeable("size");
    const unit = Math.max(this.#align, DAX_UNIT);
    if (!(Number.isSafeInteger(bytes) && bytes >= 0) || bytes % unit !== 0) {
      throw this.#refusal("EINVAL", "size", `${bytes} bytes are no multiple of ${unit}`);
    }
    if (whenBusy === undefined) this.#assertUnbound("size");
    this.#resized(bytes);
    if (whenBusy !== undefined) this.#waitIdle(whenBusy);
    // Much may have happened meanwhile.
    this.#assertChangeable("size");
    const ranges = this.#resized(bytes);
    const { driver, options } = this.#service ?? {};
    this.unbind();
    this.#ranges = ranges;
    if (driver !== undefined && bytes > 0) this.bind(driver, options);
  }

  /** @throws EBUSY when nobody waits any more for who uses it */
  #waitIdle(whenBusy: NonNullable<ResizeOptions["whenBusy"]>): void {
    for (let attempt = 1; ; attempt++) {
      const { pages } = this.#service ?? {};
      const space = pages === undefined ? undefined : AddressSpaces.of(pages).get(RAW_INO);
      const [area] = space?.areas ?? [];
      const user = area?.describe() ?? this.#user();
      if (user === undefined) return;
      if (whenBusy(user, attempt)) continue;
      throw this.#refusal("EBUSY", "size", `${user}; nobody waits for it any more`);
    }
  }

  /** Who holds it, has raw bytes of it, or uses memory that it gives. */
  #user(): string | undefined {
    const { dax, pages, memory } = this.#service ?? {};
    for (const device of [dax, pages]) {
      const keepers = device === undefined ? undefined : keepersOf(device);
      if (keepers !== undefined) return keepers;
    }
    const used = memory?.used ?? 0;
    return used > 0 ? `${used} bytes of it are in use` : undefined;
  }

  /** The ranges that the device would have. */
  #resized(bytes: number): readonly DeviceRange[] {
    const unit = Math.max(this.#align, DAX_UNIT);
    const { size } = this;
    if (bytes <= size) return shrunk(this.#ranges, size - bytes);
    const { span } = this.region;
    const wider = grown(span, this.#others(), this.#ranges, bytes - size, unit);
    if (wider !== undefined) return wider;
    const left = this.region.availableSize;
    const detail = `${bytes - size} bytes more; the region has ${left}, aligned or not`;
    throw this.#refusal("ENOSPC", "size", detail);
  }

  /**
   * Sets the alignment: 4 KiB, 2 MiB or 1 GiB.
   * @throws EINVAL for others, and where a range does not keep it; EBUSY while a driver has it;
   *   ENXIO when the region or the device is gone
   */
  setAlign(align: number): void {
    this.#assertChangeable("align");
    this.#assertUnbound("align");
    checkAlignment(this.name, align);
    const wrong = this.#ranges.find(({ start, length }) => start % align > 0 || length % align > 0);
    if (wrong !== undefined) {
      const where = `0x${wrong.start.toString(16)}+${wrong.length}`;
      throw this.#refusal("EINVAL", "align", `range ${where} is no multiple of ${align}`);
    }
    this.#align = align;
  }

  /**
   * Adds a range at an exact place, as the text `start-end` in hexadecimal, `end` being its last
   * address. Linux takes a range off the alignment and does nothing; here that is an error.
   * @throws EINVAL for a text or a range that cannot be, EBUSY for addresses that a device has or
   *   while a driver has this one, ENXIO when the region or the device is gone
   */
  addMapping(text: string): void {
    this.#assertChangeable("mapping");
    this.#assertUnbound("mapping");
    const { start, length } = this.#parseMapping(text);
    const unit = Math.max(this.#align, DAX_UNIT);
    if (start % unit !== 0 || length % unit !== 0) {
      throw this.#refusal("EINVAL", "mapping", `${text.slice(0, 64)} is no multiple of ${unit}`);
    }
    const { span } = this.region;
    if (start < span.start || start + length > span.start + span.length) {
      throw this.#refusal("EINVAL", "mapping", `${text.slice(0, 64)} leaves the region`);
    }
    const taken = [...this.#others(), ...this.#ranges].find(
      (range) => range.start < start + length && start < range.start + range.length,
    );
    if (taken !== undefined) {
      const where = `0x${taken.start.toString(16)}+${taken.length}`;
      throw this.#refusal("EBUSY", "mapping", `${text.slice(0, 64)} meets ${where}, in use`);
    }
    this.#ranges = [...this.#ranges, { pgoff: this.size / PAGE_SIZE, start, length }];
  }

  /**
   * Has a driver serve it; all of its addresses are claimed under its name.
   * @throws EBUSY when a driver has it, or somebody the addresses; ENXIO for one without memory, or
   *   when the region or the device is gone; EOPNOTSUPP, EINVAL where the driver cannot serve what
   *   there is, or is none
   */
  bind(driver: DaxDriver, options: BindOptions = {}): void {
    if (!this.region.alive) throw this.#refusal("ENXIO", "bind", "its region was removed");
    this.#assertThere("bind");
    const { drivers = DRIVERS } = this.region.options;
    if (!DRIVERS.includes(driver) || !drivers.includes(driver)) {
      const there = `there is ${drivers.join(", ")}`;
      throw this.#refusal("EINVAL", "bind", `no driver "${driver as string}"; ${there}`);
    }
    this.#assertUnbound("bind");
    if (this.size === 0) throw this.#refusal("ENXIO", "bind", "it has no memory; resize it first");
    this.#service = driver === "kmem" ? this.#serveMemory() : this.#serveDax(driver, options);
  }

  /**
   * Opens the character device.
   * @throws ENXIO without a driver, or when the device is gone; EOPNOTSUPP when its driver offers
   *   no mapping
   */
  open(): DaxFile {
    this.#assertThere("open");
    const { driver, dax, pages } = this.#service ?? {};
    if (driver === undefined) throw this.#refusal("ENXIO", "open", "no driver serves it");
    if (dax === undefined || pages === undefined) {
      throw this.#refusal("EOPNOTSUPP", "open", `driver ${driver} offers no mapping`);
    }
    return new DaxFile(this, dax, pages);
  }

  /**
   * Takes the driver off: no new operation starts, and mappings end. Returns false when there was
   * none.
   * @throws ENXIO when the device is gone; EBUSY while somebody holds it, uses memory of it,
   *   or has raw bytes of it that cannot be taken back
   */
  unbind(): boolean {
    this.#assertThere("unbind");
    const service = this.#service;
    if (service === undefined) return false;
    const { dax, pages, memory } = service;
    const space = pages === undefined ? undefined : AddressSpaces.of(pages).get(RAW_INO);
    space?.revoke(`${this.name}: its driver was taken off`);
    this.assertIdle("unbind");
    memory?.offline();
    dax?.kill();
    pages?.kill();
    service.release();
    this.#service = undefined;
    return true;
  }

  /** @throws EBUSY while somebody holds it, has raw bytes of it, or uses memory that it gives */
  assertIdle(syscall: string): void {
    const user = this.#user();
    if (user !== undefined) throw this.#refusal("EBUSY", syscall, user);
  }

  #serveDax(driver: "device_dax" | "fsdev_dax", options: BindOptions): Service {
    const { region, name } = this;
    const claims = this.#claim();
    try {
      const ranges = this.#ranges.map((range) => serve(range, this.#memoryOf(range)));
      const operations = new FsdevOperations(name, ranges, options.addressing);
      const device = {
        name,
        pages: pagesOf(ranges),
        writeCache: options.writeCache ?? ranges.some(({ memory }) => memory.needsFence),
        synchronous: isSynchronous(region.options.media.durability),
      };
      const served = new DaxDevice({ ...device, operations: this.#traced(operations) });
      for (const { memory } of ranges) memory.bind(served);
      const isForFiles = driver === "fsdev_dax";
      const dax = isForFiles ? served : new DaxDevice({ ...device, operations: NO_OPERATIONS });
      if (isForFiles) region.options.hosts?.register(name, dax);
      const release = (): void => {
        region.options.hosts?.unregister(name, dax);
        operations.release();
        this.#unclaim(claims);
      };
      const pages = isForFiles ? undefined : served;
      return { driver, options, dax, pages, ranges, memory: undefined, release };
    } catch (error) {
      this.#unclaim(claims);
      throw error;
    }
  }

  #serveMemory(): Service {
    const { targetNode, options } = this.region;
    const memory = new KmemMemory({
      name: this.name,
      ranges: this.#ranges,
      media: options.media,
      mediaStart: options.start - options.physicalStart,
      node: targetNode,
      ...(options.memoryBlock === undefined ? {} : { block: options.memoryBlock }),
      ...(options.resources === undefined ? {} : { resources: options.resources }),
    });
    return {
      driver: "kmem",
      options: {},
      dax: undefined,
      pages: undefined,
      ranges: [],
      memory,
      release: () => {},
    };
  }

  #traced(operations: FsdevOperations): DaxOperations {
    const { trace } = this.region.options;
    return trace === undefined ? operations : new TracedOperations(operations, this.name, trace);
  }

  #memoryOf({ start, length }: DeviceRange): MediaRange {
    const { media, start: first, physicalStart, domains } = this.region.options;
    const at = first + start - physicalStart;
    return new MediaRange({
      media,
      start: at,
      length,
      ...(domains === undefined ? {} : { domains }),
    });
  }

  #claim(): Resource[] {
    const claims: Resource[] = [];
    try {
      for (const { start, length } of this.#ranges) {
        const range = { start: BigInt(start), length: BigInt(length) };
        const claim = this.region.options.resources?.request(range, this.name);
        if (claim !== undefined) claims.push(claim);
      }
    } catch (error) {
      this.#unclaim(claims);
      throw error;
    }
    return claims;
  }

  #unclaim(claims: readonly Resource[]): void {
    for (const claim of claims) this.region.options.resources?.remove(claim);
  }

  #others(): PhysicalRange[] {
    const others = this.region.devices.filter((device) => device !== this);
    return others.flatMap((device) => device.ranges);
  }

  #parseMapping(text: string): PhysicalRange {
    const [, first, last] =
      /^(?:0x)?([0-9a-f]{1,16})-(?:0x)?([0-9a-f]{1,16})\n?$/iu.exec(text) ?? [];
    const start = Number(`0x${first ?? "x"}`);
    const length = Number(`0x${last ?? "x"}`) - start + 1;
    if (Number.isSafeInteger(start) && Number.isSafeInteger(start + length) && length > 0) {
      return { start, length };
    }
    const detail = `"${text.slice(0, 64)}" is no range such as 140000000-14fffffff`;
    throw this.#refusal("EINVAL", "mapping", detail);
  }

  /** A deleted device has no memory to deal with: others may have what it would take. */
  #assertThere(syscall: string): void {
    if (this.region.devices.includes(this)) return;
    const there = this.region.devices.map(({ name }) => name).join(", ");
    throw this.#refusal("ENXIO", syscall, `it was deleted; its region has ${there}`);
  }

  #assertChangeable(syscall: string): void {
    this.region.assertChangeable(syscall);
    this.#assertThere(syscall);
  }

  #assertUnbound(syscall: string): void {
    const { driver } = this;
    if (driver === undefined) return;
    throw this.#refusal("EBUSY", syscall, `driver ${driver} has it; unbind it first`);
  }

  #refusal(
    code: "EBUSY" | "EINVAL" | "ENOSPC" | "ENXIO" | "EOPNOTSUPP",
    syscall: string,
    detail: string,
  ): DaxError {
    return new DaxError(code, { syscall, path: this.name, detail });
  }
}

function isSynchronous(durability: string): boolean {
  return durability !== "msync" && durability !== "fsync";
}
