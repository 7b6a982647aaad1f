/**
 * A booted machine: its memory map, its devices, and who has what. The object most people hold.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import type { DeviceNumber, DeviceNumbers } from "../block/device-numbers.ts";
import { mapRaw } from "../block/raw-device.ts";
import { Partition } from "../block/partition.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import type { RawMapOptions, RawMapping } from "../dax/raw-mapping.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { isShared } from "../dax/media-failures.ts";
import type { DaxHolder } from "../dax/operations.ts";
import { DeviceMapper } from "../dm/device-mapper.ts";
import type { Brd } from "../drivers/brd.ts";
import type { DaxRegion } from "../drivers/dax-region.ts";
import type { DevDax } from "../drivers/device-dax.ts";
import type { Pmem, RemoveOptions } from "../drivers/pmem.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { closest } from "../lib/suggest.ts";
import type { DomainRange } from "../media/media.ts";
import type { ModelledMedia } from "../media/modelled.ts";
import { AddressRangeScrub } from "../platform/address-range-scrub.ts";
import { type ClaimOptions, type ClaimedRange, claimRange } from "../platform/claim.ts";
import type { E820Entry } from "../platform/e820.ts";
import { type IomemOptions, iomemText } from "../platform/iomem.ts";
import type { Region } from "../platform/regions.ts";
import type { ResourceTree } from "../platform/resources.ts";
import type { Backing } from "./backing.ts";
import type { DaxMode } from "./describe-special.ts";
import type { MachineDescription } from "./describe.ts";
import { MachineDisks, describeMappedDisk, mappedName } from "./machine-disks.ts";
import type { DmDescription } from "./mapped.ts";
import { type MemoryFailure, memoryFailure, scrubTargetsOf } from "./memory-failure.ts";
import type { Slot } from "./slot.ts";
import type { SpecialDevices } from "./special-devices.ts";

/** What booting puts together. */
export interface MachineParts {
  readonly description: MachineDescription;
  /** From the seed. */
  readonly uuid: string;
  readonly environment: Environment;
  readonly memoryMap: readonly E820Entry[];
  readonly resources: ResourceTree;
  readonly hosts: DaxHosts;
  readonly numbers: DeviceNumbers;
  readonly slots: readonly Slot[];
  readonly ramDisks: readonly Brd[];
  readonly special: SpecialDevices;
  /** Media to close at the end. */
  readonly backings: readonly Backing[];
  readonly log: string[];
}

/** A disk or a partition of the machine. */
export interface MachineDevice {
  /** `pmem0`, `pmem0p1`, `ram0`, `mapper/NAME` */
  readonly name: string;
  readonly kind: "pmem" | "brd" | "axonram" | "dcssblk" | "device-dax" | "partition" | "mapped";
  /** The whole disk of a partition. */
  readonly parent: string | undefined;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  readonly number: DeviceNumber | undefined;
  /** Physical address of the first byte; undefined for RAM disks. */
  readonly physicalStart: number | undefined;
  /** Whether the write-cache flag is on: stores must be flushed. */
  readonly writeCache: boolean;
  /** In bytes of the device. */
  readonly domains: readonly DomainRange[];
  readonly namespace: string | undefined;
  readonly backing: "ram" | "file" | "modelled" | "mapped";
  readonly file: string | undefined;
  /** What serves a device of device-dax; absent while nobody does. */
  readonly mode?: DaxMode;
  /** The targets of a mapped device, in the order of its table. */
  readonly targets?: readonly string[];
}

/** A machine; {@link bootMachine} makes one. */
export class Machine {
  readonly description: MachineDescription;
  readonly uuid: string;
  readonly environment: Environment;
  /** The memory map that the kernel works with in the end. */
  readonly memoryMap: readonly E820Entry[];
  readonly resources: ResourceTree;
  /** Dax devices by the names of their disks. */
  readonly hosts: DaxHosts;
  readonly numbers: DeviceNumbers;
  /** Persistent ranges, attached or not. */
  readonly slots: readonly Slot[];
  /** The devices of device-mapper; more can be made. */
  readonly mapper: DeviceMapper;
  readonly #parts: MachineParts;
  readonly #unmapped = new Map<DmDescription, DaxError>();
  #running = true;
  #scrub: AddressRangeScrub | undefined;

  constructor(parts: MachineParts) {
    this.#parts = parts;
    this.description = parts.description;
    this.uuid = parts.uuid;
    this.environment = parts.environment;
    this.memoryMap = parts.memoryMap;
    this.resources = parts.resources;
    this.hosts = parts.hosts;
    this.numbers = parts.numbers;
    this.slots = parts.slots;
    const { environment } = parts;
    this.mapper = new DeviceMapper({ devices: new MachineDisks(() => this.#disks()), environment });
  }

  get running(): boolean {
    return this.#running;
  }

  /** What the kernel would have said, line by line. */
  get log(): readonly string[] {
    return this.#parts.log;
  }

  /** Regions in the order of their ids; none in Linux 4.1. */
  get regions(): readonly Region[] {
    return this.slots.flatMap(({ region }) => (region === undefined ? [] : [region]));
  }

  /** Slots that have no driver because attaching failed. */
  get failures(): readonly { readonly slot: Slot; readonly error: DaxError }[] {
    return this.slots.flatMap((slot) =>
      slot.error === undefined ? [] : [{ slot, error: slot.error }],
    );
  }

  /**
   * Devices of the description that there are not: mapped ones whose tables were refused, and those
   * of device-dax that their drivers refused.
   */
  get unmapped(): readonly { readonly name: string; readonly error: DaxError }[] {
    const tables = Array.from(this.#unmapped, ([{ name }, error]) => ({ name, error }));
    return [...this.#parts.special.failures, ...tables];
  }

  /** Regions of device-dax, whose verbs change what devices there are. */
  get daxRegions(): readonly DaxRegion[] {
    return this.#parts.special.regions;
  }

  /** A device of device-dax, by its name. @throws ENODEV naming those there are */
  devDax(name: string): DevDax {
    const devices = this.#parts.special.daxDevices;
    const found = devices.find((device) => device.name === name);
    if (found !== undefined) return found;
    const known = devices.map((device) => device.name);
    throw unknown("devdax", name, known);
  }

  /** The text of `/proc/iomem`. */
  iomem(options: IomemOptions = {}): string {
    return iomemText(this.resources, options);
  }

  /**
   * Attaches the driver to every slot that has none, and makes the mapped devices that there are
   * not yet. A slot that refuses stays disabled, with its reason in `failures`, or `unmapped`, and
   * the rest goes on. Returns how many slots were attached.
   */
  probe(): number {
    this.#assertRunning("probe");
    let attached = 0;
    for (const slot of this.slots) {
      if (slot.pmem !== undefined) continue;
      try {
        slot.attach();
        attached++;
        this.environment.trace.event("machine.attach", { slot: slot.name });
      } catch (error) {
        if (!isDaxError(error)) throw error;
        this.environment.trace.event("machine.refuse", { slot: slot.name, code: error.code });
      }
    }
    this.#parts.special.probe();
    for (const each of this.description.dm) this.#map(each);
    return attached;
  }

  /** Attaches the driver to one slot, by its name. @throws ENODEV, and what refuses it */
  enable(name: string): Pmem {
    this.#assertRunning("enable");
    return this.#slot("enable", name).attach();
  }

  /**
   * Takes the driver off one slot, by its name or its disk's. With `whenIdle` nobody is asked, as
   * when a driver is unbound: filesystems bring home what they can, mappings end, and every later
   * access is ENXIO; it is called when the last user has left, and the slot can be enabled again.
   * @throws ENODEV; EBUSY while in use, unless `whenIdle` is given
   */
  disable(name: string, options: RemoveOptions = {}): boolean {
    this.#assertRunning("disable");
    return this.#slot("disable", name).detach(options);
  }

  /** The firmware's scrub of all devices' memory; what it clears is no bad block any more. */
  get scrub(): AddressRangeScrub {
    this.#scrub ??= new AddressRangeScrub(() => this.slots.flatMap(scrubTargetsOf), {
      clearErrorUnit: SECTOR_SIZE,
    });
    return this.#scrub;
  }

  /**
   * The processor has met memory that it cannot correct, at a physical address: what of it belongs
   * to a device is listed as bad, and everybody who stands on that is told.
   * @throws EFAULT for an address that is no device's; ENOSPC when the table of bad blocks is full
   */
  memoryFailure(address: number, length = 1): MemoryFailure {
    this.#assertRunning("memory_failure");
    const pmem = this.slots.map((slot) => slot.pmem).find((one) => one?.holdsAddress(address));
    if (pmem !== undefined) return memoryFailure(pmem, address, length);
    const detail = `0x${address.toString(16)} is memory of no device`;
    throw new DaxError("EFAULT", { syscall: "memory_failure", detail });
  }

  /** A disk, a partition or `mapper/NAME`. @throws ENODEV naming those there are */
  disk(name: string): BlockDevice {
    for (const [device] of this.#disks()) if (device.name === name) return device;
    const mapped = this.mapper.devices.find((device) => mappedName(device) === name);
    if (mapped !== undefined) return mapped;
    const known = this.devices().map((device) => device.name);
    throw unknown("disk", name, known);
  }

  /**
   * Aliases memory: maps a disk, a partition, a mapped device or one of device-dax raw.
   * @throws ENODEV; EOPNOTSUPP for one without dax, and for disks of a machine that forbids it; and
   *   as `mapRaw`, `DaxFile.map`
   */
  map(name: string, options: RawMapOptions = {}): RawMapping {
    const device = this.#parts.special.daxDevices.find((one) => one.name === name);
    if (device !== undefined) return device.open().map(options);
    if (this.description.rawMappings) return mapRaw(this.disk(name), options);
    const detail = "this machine has rawMappings: false; mount a filesystem, or use device-dax";
    throw new DaxError("EOPNOTSUPP", { syscall: "mmap", path: name, detail });
  }

  /** The dax device of a disk. @throws ENODEV */
  dax(name: string): DaxDevice {
    const device = this.hosts.find(name);
    if (device !== undefined) return device;
    throw unknown("dax", name, [...this.hosts.hosts()]);
  }

  /** Modelled memory behind a disk, which knows what was done to it; undefined for other kinds. */
  modelled(name: string): ModelledMedia | undefined {
    return this.slots.find(({ pmem }) => pmem?.name === name)?.backing?.modelled;
  }

  /**
   * Takes the memory of a disk for a user that stores and flushes by itself.
   * @throws ENODEV, EOPNOTSUPP where it is not one run of memory that survives power loss, EBUSY
   */
  claim(name: string, holder: DaxHolder, options: ClaimOptions = {}): ClaimedRange {
    const device = this.dax(name);
    const pmem = this.slots.find((slot) => slot.pmem?.dax === device)?.pmem;
    const lost = pmem?.range.domains.find(({ domain }) => domain === "volatile");
    if (lost !== undefined) {
      throw new DaxError("EOPNOTSUPP", {
        syscall: "claim",
        path: name,
        detail: `bytes ${lost.start}+${lost.length} are volatile; claim memory that persists`,
      });
    }
    return claimRange(device, this.resources, holder, options);
  }

  /** Every disk and partition, in the order of attaching, and then mapped devices. */
  devices(): MachineDevice[] {
    const disks = [...this.#disks()].map(([device, describe]) => describe(device));
    const others = this.#parts.special.others();
    return [...disks, ...others, ...this.mapper.devices.map(describeMappedDisk)];
  }

  /**
   * Takes all drivers off and closes all media. Idempotent.
   * @throws EBUSY naming the first device in use, with nothing changed; what mapped devices may
   *   have between each other is no use
   */
  shutdown(): void {
    if (!this.#running) return;
    const { ramDisks, special, backings } = this.#parts;
    this.mapper.assertIdle();
    const pmems = this.slots.flatMap(({ pmem }) => pmem ?? []);
    const owners = [...pmems, ...ramDisks, ...special.daxOwners];
    for (const { name, dax } of owners) {
      const held = dax.holder !== undefined && !isShared(dax.holder);
      if (!dax.alive || (dax.users === 0 && !held)) continue;
      const holder = dax.holder === undefined ? "" : `, held by ${dax.holder.name}`;
      throw new DaxError("EBUSY", {
        syscall: "shutdown",
        path: name,
        detail: `${dax.users} mappings or operations${holder}; unmount and close them first`,
      });
    }
    special.assertIdle();
    this.#running = false;
    this.mapper.removeAll();
    special.shutdown();
    for (const slot of this.slots.toReversed()) slot.detach();
    for (const disk of ramDisks.toReversed()) disk.remove();
    for (const { media } of backings) media.close();
  }

  /** Makes a mapped device; a table that is refused is told of, and can be tried again. */
  #map(described: DmDescription): void {
    const { name, table, uuid, readOnly, dax } = described;
    if (this.mapper.find(name) !== undefined) return;
    try {
      this.mapper.create(name, table, { uuid, readOnly, dax });
      this.#unmapped.delete(described);
      this.environment.trace.event("machine.map", { name });
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#unmapped.set(described, error);
      this.environment.trace.event("machine.refuse", { name, code: error.code });
    }
  }

  /** Every disk and partition with what describes it. */
  *#disks(): Generator<readonly [BlockDevice, (device: BlockDevice) => MachineDevice]> {
    for (const slot of this.slots) {
      const { pmem } = slot;
      if (pmem === undefined) continue;
      yield [pmem.disk, (device) => describePmem(device, slot, pmem)];
      for (const [index, partition] of pmem.partitions.devices) {
        yield [
          partition,
          (device) => describePartition(device, describePmem(pmem.disk, slot, pmem), pmem, index),
        ];
      }
    }
    for (const brd of this.#parts.ramDisks) {
      yield [brd.disk, (device) => describeRamDisk(device, brd)];
      for (const [index, partition] of brd.partitions.devices) {
        yield [
          partition,
          (device) => describePartition(device, describeRamDisk(brd.disk, brd), brd, index),
        ];
      }
    }
    yield* this.#parts.special.disks();
  }

  #slot(verb: string, name: string): Slot {
    const found = this.slots.find((slot) => slot.name === name || slot.pmem?.name === name);
    if (found !== undefined) return found;
    throw unknown(
      verb,
      name,
      this.slots.map((slot) => slot.name),
    );
  }

  #assertRunning(syscall: string): void {
    if (this.#running) return;
    throw new DaxError("ENXIO", { syscall, detail: `${this.description.name} was shut down` });
  }
}

function describePmem(device: BlockDevice, slot: Slot, pmem: Pmem): MachineDevice {
  return {
    name: device.name,
    kind: "pmem",
    parent: undefined,
    size: device.sectors * SECTOR_SIZE,
    readOnly: device.readOnly,
    number: pmem.number,
    physicalStart: Number(slot.range.start),
    writeCache: pmem.dax.writeCache,
    domains: pmem.range.domains,
    namespace: slot.region?.namespace.name,
    backing: slot.backing?.kind ?? "ram",
    file: slot.backing?.file,
  };
}

function describeRamDisk(device: BlockDevice, brd: Brd): MachineDevice {
  const size = device.sectors * SECTOR_SIZE;
  return {
    name: device.name,
    kind: "brd",
    parent: undefined,
    size,
    readOnly: device.readOnly,
    number: undefined,
    physicalStart: undefined,
    writeCache: brd.dax.writeCache,
    domains: [{ start: 0, length: size, domain: "volatile" }],
    namespace: undefined,
    backing: "ram",
    file: undefined,
  };
}

function describePartition(
  device: BlockDevice,
  whole: MachineDevice,
  { partitions }: Pick<Pmem, "partitions">,
  index: number,
): MachineDevice {
  const start = device instanceof Partition ? device.start * SECTOR_SIZE : 0;
  const size = device.sectors * SECTOR_SIZE;
  return {
    ...whole,
    name: device.name,
    kind: "partition",
    parent: whole.name,
    size,
    readOnly: device.readOnly,
    number: partitions.number(index),
    physicalStart: whole.physicalStart === undefined ? undefined : whole.physicalStart + start,
    domains: clip(whole.domains, start, size),
  };
}

function clip(domains: readonly DomainRange[], start: number, length: number): DomainRange[] {
  return domains.flatMap((range) => {
    const from = Math.max(range.start, start);
    const to = Math.min(range.start + range.length, start + length);
    if (from >= to) return [];
    return [{ start: from - start, length: to - from, domain: range.domain }];
  });
}

function unknown(syscall: string, name: string, known: readonly string[]): DaxError {
  const guess = closest(name.slice(0, 64), known);
  const advice = guess === undefined ? "" : `; did you mean ${guess}?`;
  const list = known.length === 0 ? "none" : known.slice(0, 16).join(", ");
  return new DaxError("ENODEV", {
    syscall,
    path: name.slice(0, 64),
    detail: `this machine has ${list}${advice}`,
  });
}
