/**
 * The devices of a machine that are no pmem and no RAM disk: device-dax, axonram, dcssblk.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import { DaxDisk } from "../block/dax-disk.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { createAxonram } from "../drivers/axonram.ts";
import { DaxRegion } from "../drivers/dax-region.ts";
import { createDcssblk } from "../drivers/dcssblk.ts";
import type { DaxDriver, DevDax } from "../drivers/device-dax.ts";
import { memoryBlockSize } from "../drivers/kmem.ts";
import type { Tracer } from "../lib/environment.ts";
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { CachedRange } from "../media/media.ts";
import { RamMedia } from "../media/ram.ts";
import type { AddressRange, ResourceTree } from "../platform/resources.ts";
import type { Backing, PlacedBacking } from "./backing.ts";
import type {
  DaxMode,
  DaxRegionDescription,
  DcssblkDescription,
  SpecialDescription,
} from "./describe-special.ts";
import { mappedAs } from "./machine-disks.ts";
import type { MachineDevice } from "./machine.ts";
import { DescriptionError } from "./shape.ts";
import { SpecialDisk } from "./special-disk.ts";

/** Where such memory lies. */
export interface PlacedSpecial {
  readonly dax: readonly PlacedBacking[];
  readonly axonram: readonly AddressRange[];
  /** Of all disks, one after the other. */
  readonly segments: readonly AddressRange[];
}

/** What the devices share with the rest of the machine. */
export interface SpecialContext {
  readonly resources: ResourceTree;
  readonly hosts: DaxHosts;
  readonly trace: Tracer;
  /** Drivers of device-dax that there are. */
  readonly drivers: readonly DaxDriver[];
  /** Where ordinary memory ends. */
  readonly ramEnd: number;
  /** Media to close at the end. */
  readonly backings: Backing[];
}

/** Whose driver has which of daxctl's words. */
const DRIVERS: Readonly<Record<DaxMode, DaxDriver>> = {
  devdax: "device_dax",
  fsdev: "fsdev_dax",
  "system-ram": "kmem",
};

/** The word for what a driver makes of a device. */
export const DAX_MODES: Readonly<Record<DaxDriver, DaxMode>> = {
  device_dax: "devdax",
  fsdev_dax: "fsdev",
  kmem: "system-ram",
};

/** Devices of a machine that are made once, when it boots. */
export class SpecialDevices {
  /** Dax regions, in the order of their description. */
  readonly regions: readonly DaxRegion[];
  readonly #backings: readonly Backing[];
  readonly #disks: readonly SpecialDisk[];
  readonly #wanted = new Map<DevDax, DaxMode>();
  readonly #refused = new Map<DevDax, DaxError>();
  /** The disks of devices that serve filesystems; one for each binding. */
  readonly #faces = new WeakMap<DaxDevice, BlockDevice>();

  /** @throws DescriptionError where a description does not fit the memory map, or its region */
  constructor(
    description: SpecialDescription,
    placed: PlacedSpecial,
    soft: readonly (AddressRange & { readonly id: number })[],
    context: SpecialContext,
  ) {
    this.#backings = placed.dax.map(({ backing }) => backing);
    this.regions = description.dax.map((described, i) =>
      this.#makeRegion(described, placed.dax[i] as PlacedBacking, soft, context, i),
    );
    const banks = placed.axonram.map((range, i) => makeBank(range, i, context));
    let first = 0;
    const segmented = description.dcssblk.map((disk, i) => {
      const ranges = placed.segments.slice(first, (first += disk.segments.length));
      return makeSegmented(disk, ranges, i, context);
    });
    this.#disks = [...banks, ...segmented];
  }

  /** Devices of device-dax, region by region. */
  get daxDevices(): readonly DevDax[] {
    return this.regions.flatMap(({ devices }) => devices);
  }

  /** Devices whose drivers refused them. */
  get failures(): readonly { readonly name: string; readonly error: DaxError }[] {
    return Array.from(this.#refused, ([{ name }, error]) => ({ name, error }));
  }

  /** Dax devices of disks, which somebody may hold or use. */
  get daxOwners(): readonly { readonly name: string; readonly dax: DaxDevice }[] {
    return this.#disks.flatMap(({ served }) => served ?? []);
  }

  /** A disk by its name, with or without its driver. @internal */
  disk(name: string): SpecialDisk | undefined {
    return this.#disks.find((disk) => disk.name === name);
  }

  /** Names of disks, with or without their drivers. @internal */
  get diskNames(): readonly string[] {
    return this.#disks.map(({ name }) => name);
  }

  /** Binds the devices that are bound to nothing as they were described. */
  probe(): void {
    for (const [device, mode] of this.#wanted) {
      if (device.driver !== undefined) continue;
      try {
        device.bind(DRIVERS[mode]);
        this.#refused.delete(device);
      } catch (error) {
        if (!isDaxError(error)) throw error;
        this.#refused.set(device, error);
      }
    }
  }

  /** @throws EBUSY naming the first device of device-dax in use */
  assertIdle(): void {
    for (const device of this.daxDevices) device.assertIdle("shutdown");
  }

  /** Takes all drivers off. @throws EBUSY while a device is in use */
  shutdown(): void {
    for (const device of this.daxDevices) device.unbind();
    // Raw arrays that nobody can take back keep no machine up.
    for (const disk of this.#disks) disk.detach({ whenIdle: () => {} });
  }

  /** Every disk with what describes it: device-dax is one while it serves filesystems. */
  *disks(): Generator<readonly [BlockDevice, (device: BlockDevice) => MachineDevice]> {
    for (const each of this.#disks) {
      const { served } = each;
      if (served !== undefined) yield [served.disk, (device) => each.describe(device)];
    }
    for (const device of this.daxDevices) {
      const { dax, driver } = device;
      if (dax === undefined || driver !== "fsdev_dax") continue;
      const disk = this.#faces.get(dax) ?? new DaxDisk(dax);
      this.#faces.set(dax, disk);
      yield [disk, () => this.#describe(device)];
    }
  }

  /** Devices that are no disks: those that programs map, and memory that the machine was given. */
  *others(): Generator<MachineDevice> {
    for (const device of this.daxDevices) {
      if (device.size > 0 && device.driver !== "fsdev_dax") yield this.#describe(device);
    }
  }

  #makeRegion(
    described: DaxRegionDescription,
    { start, length, backing }: PlacedBacking,
    soft: readonly (AddressRange & { readonly id: number })[],
    { resources, hosts, trace, ramEnd, drivers }: SpecialContext,
    index: number,
  ): DaxRegion {
    const found = soft.find((range) => range.start === start && range.length === length);
    if (found === undefined) {
      const detail = ": the memory map does not set exactly these addresses aside";
      throw new DescriptionError(["dax", index], detail);
    }
    const region = new DaxRegion({
      id: found.id,
      media: backing.media,
      start: 0,
      physicalStart: Number(start),
      length: Number(length),
      ...(backing.domains === undefined ? {} : { domains: backing.domains }),
      targetNode: described.targetNode,
      memoryBlock: memoryBlockSize(ramEnd),
      drivers,
      resources,
      hosts,
      trace,
    });
    for (const [i, wanted] of described.devices.entries()) {
      const device = i === 0 ? region.devices[0] : region.create();
      try {
        device?.setAlign(wanted.align);
        device?.resize(wanted.size ?? region.availableSize);
      } catch (error) {
        if (!isDaxError(error)) throw error;
        const detail = `: ${error.detail ?? error.message}`;
        throw new DescriptionError(["dax", index, "devices", i], detail);
      }
      if (device !== undefined) this.#wanted.set(device, wanted.mode);
    }
    return region;
  }

  #describe(device: DevDax): MachineDevice {
    const backing = this.#backings[this.regions.indexOf(device.region)];
    const { served, driver, dax, ranges, size } = device;
    return {
      name: device.name,
      kind: "device-dax",
      parent: undefined,
      size,
      readOnly: backing?.media.readOnly ?? false,
      number: undefined,
      physicalStart: ranges[0]?.start,
      writeCache: dax?.writeCache ?? false,
      domains:
        driver === "kmem"
          ? [{ start: 0, length: size, domain: "volatile" }]
          : served.flatMap(({ pgoff, memory }) =>
              memory.domains.map((range) => ({ ...range, start: range.start + pgoff * 4096 })),
            ),
      ...(driver === "kmem" ? {} : mappedAs(cachingOf(served))),
      namespace: undefined,
      backing: backing?.kind ?? "ram",
      file: backing?.file,
      ...(driver === undefined ? {} : { mode: DAX_MODES[driver] }),
    };
  }
}

function cachingOf(served: DevDax["served"]): CachedRange[] {
  return served.flatMap(({ pgoff, memory }) =>
    memory.caching.map((range) => ({ ...range, start: range.start + pgoff * 4096 })),
  );
}

function makeBank(range: AddressRange, index: number, context: SpecialContext): SpecialDisk {
  const name = `axonram${index}`;
  const { resources, hosts } = context;
  const length = Number(range.length);
  const media = memoryOf(length, context);
  const options = { name, media, start: 0, length, physicalStart: Number(range.start), hosts };
  const make = () => createAxonram(options);
  return new SpecialDisk({ name, kind: "axonram", ranges: [range], resources, hosts, make });
}

function makeSegmented(
  { segments }: DcssblkDescription,
  ranges: readonly AddressRange[],
  index: number,
  context: SpecialContext,
): SpecialDisk {
  const name = `dcssblk${index}`;
  const { resources, hosts } = context;
  let at = 0;
  const placed = ranges.map(({ start, length }, i) => {
    const segment = {
      type: segments[i]?.type ?? "SW",
      start: at,
      length: Number(length),
      physicalStart: Number(start),
    };
    at += Number(length);
    return segment;
  });
  const media = memoryOf(at, context);
  const make = () => createDcssblk({ name, media, segments: placed, hosts });
  return new SpecialDisk({ name, kind: "dcssblk", ranges, resources, hosts, make });
}

function memoryOf(length: number, { backings }: SpecialContext): RamMedia {
  const media = new RamMedia(length);
  backings.push({
    media,
    length,
    domains: undefined,
    domain: "volatile",
    kind: "ram",
    file: undefined,
    modelled: undefined,
  });
  return media;
}
