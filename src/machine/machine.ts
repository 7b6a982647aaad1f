/**
 * A booted machine: its memory map, its devices, and who has what. The object most people hold.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { keepersOf, usersOver } from "../block/device-users.ts";
import type { DeviceNumber, DeviceNumbers } from "../block/device-numbers.ts";
import { mapRaw } from "../block/raw-device.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import type { RawMapOptions, RawMapping } from "../dax/raw-mapping.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { isShared } from "../dax/media-failures.ts";
import type { DaxHolder } from "../dax/operations.ts";
import { DeviceMapper } from "../dm/device-mapper.ts";
import type { Brd } from "../drivers/brd.ts";
import type { DaxRegion } from "../drivers/dax-region.ts";
import type { Dcssblk } from "../drivers/dcssblk.ts";
import type { DevDax } from "../drivers/device-dax.ts";
import type { Pmem, RemoveOptions } from "../drivers/pmem.ts";
import type { RamDevice } from "../drivers/ram-device.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import { closest } from "../lib/suggest.ts";
import type { CachedRange, DomainRange } from "../media/media.ts";
import type { ModelledMedia } from "../media/modelled.ts";
import type { WearOfRange } from "../media/wear-media.ts";
import { AddressRangeScrub } from "../platform/address-range-scrub.ts";
import { type ClaimOptions, type ClaimedRange, claimRange } from "../platform/claim.ts";
import type { E820Entry } from "../platform/e820.ts";
import { type IomemOptions, iomemText } from "../platform/iomem.ts";
import type { Region } from "../platform/regions.ts";
import type { ResourceTree } from "../platform/resources.ts";
import type { Backing } from "./backing.ts";
import type { DaxMode } from "./describe-special.ts";
import type { MachineDescription } from "./describe.ts";
import {
  MachineDisks,
  describeMappedDisk,
  describePartition,
  describePmem,
  describeRamDisk,
  mappedName,
  wornBy,
} from "./machine-disks.ts";
import type { DmDescription } from "./mapped.ts";
import { type MemoryFailure, memoryFailure, scrubTargetsOf } from "./memory-failure.ts";
import type { Slot } from "./slot.ts";
import type { SpecialDevices } from "./special-devices.ts";
import type { SpecialDisk } from "./special-disk.ts";

/** How devices end whose drivers are not the machine's to take off. */
const ENDS: Readonly<Partial<Record<MachineDevice["kind"], string>>> = {
  brd: "RAM disks end with the machine",
  partition: "name its disk",
  mapped: "remove it by machine.mapper",
  "device-dax": "bind and unbind it by machine.devDax(name)",
};

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
  /** Ranges that are not mapped write-back, a later one before an earlier; absent: none. */
  readonly caching?: readonly CachedRange[];
  readonly namespace: string | undefined;
  readonly backing: "ram" | "file" | "modelled" | "mapped";
  readonly file: string | undefined;
  /** What serves a device of device-dax; absent while nobody does. */
  readonly mode?: DaxMode;
  /** What the memory of a pmem disk went through; absent where nobody counts. */
  readonly wear?: WearOfRange;
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

  /**
   * Attaches the driver to one slot, by its name, or to a disk of axonram or dcssblk.
   * @throws ENODEV; EOPNOTSUPP for a device of another kind; and what refuses it
   */
  enable(name: string): Pmem | RamDevice | Dcssblk {
    this.#assertRunning("enable");
    return this.#driven("enable", name).attach();
  }

  /**
   * Takes the driver off one slot, by its name or its disk's, or off a disk of axonram or dcssblk.
   * With `whenIdle` nobody is asked, as when a driver is unbound: filesystems bring home what they
   * can, mappings end, and every later access is ENXIO; it is called when the last user has left,
   * and the slot can be enabled again.
   * @throws ENODEV; EOPNOTSUPP for a device of another kind; EBUSY while in use, unless `whenIdle`
   *   is given
   */
  disable(name: string, options: RemoveOptions = {}): boolean {
    this.#assertRunning("disable");
    return this.#driven("disable", name).detach(options);
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

  /** A disk, `mapper/NAME`, or a partition of one (`mapper/NAMEp1`). @throws ENODEV naming them */
  disk(name: string): BlockDevice {
    assertName("disk", name);
    for (const [device] of this.#disks()) if (device.name === name) return device;
    const mapped = this.mapper.devices.find((device) => mappedName(device) === name);
    if (mapped !== undefined) return mapped;
    const partition = name.startsWith("mapper/") ? this.mapper.lookup(`/dev/${name}`) : undefined;
    if (partition !== undefined) return partition.device;
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
   * @throws ENODEV; EOPNOTSUPP where it is not one run of memory that survives power loss, or no
   *   disk; EBUSY; EINVAL for what is no name, or no holder
   */
  claim(name: string, holder: DaxHolder, options: ClaimOptions = {}): ClaimedRange {
    assertName("claim", name);
    if (typeof (holder as DaxHolder | undefined)?.notifyFailure !== "function") {
      const detail = `a holder has a name and notifyFailure; given was ${givenText(holder)}`;
      throw new DaxError("EINVAL", { syscall: "claim", path: name, detail });
    }
    const device = this.hosts.find(name) ?? this.#refuseClaim(name);
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
      const users = usersOver(dax).filter(({ use }) => use !== "table");
      const used = dax.users > 0 || users.some(({ use }) => use !== "raw");
      if (!dax.alive || !(used || held)) continue;
      const detail = `${keepersOf(dax, users)}; unmount and close them first`;
      throw new DaxError("EBUSY", { syscall: "shutdown", path: name, detail });
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
      yield [
        pmem.disk,
        (device) => ({ ...describePmem(device, slot, pmem), ...wornBy(slot, pmem) }),
      ];
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

  /** @throws EOPNOTSUPP for a device that is there, and is none to be claimed; ENODEV */
  #refuseClaim(name: string): never {
    const special = this.#parts.special.daxDevices.find((device) => device.name === name);
    const kind = special?.name ?? this.devices().find((device) => device.name === name)?.kind;
    if (kind === undefined) throw unknown("claim", name, [...this.hosts.hosts()]);
    const why =
      special === undefined
        ? `it is a device of kind ${kind}`
        : `it is device-dax (driver ${special.driver ?? "none"}), whose ranges change hands`;
    const detail = `${why}; claim a pmem device that is whole and persistent`;
    throw new DaxError("EOPNOTSUPP", { syscall: "claim", path: name, detail });
  }

  /** What has a driver that can be taken off. */
  #driven(verb: string, name: string): Slot | SpecialDisk {
    const { special } = this.#parts;
    const slot = this.slots.find((one) => one.name === name || one.pmem?.name === name);
    const found = slot ?? special.disk(name);
    if (found !== undefined) return found;
    const other = this.devices().find((device) => device.name === name);
    const known = [...this.slots.map((one) => one.name), ...special.diskNames];
    if (other === undefined) throw unknown(verb, name, known);
    const detail = `it is a device of kind ${other.kind}; ${ENDS[other.kind] ?? ""}`;
    throw new DaxError("EOPNOTSUPP", { syscall: verb, path: name, detail });
  }

  #assertRunning(syscall: string): void {
    if (this.#running) return;
    throw new DaxError("ENXIO", { syscall, detail: `${this.description.name} was shut down` });
  }
}

function unknown(syscall: string, name: string, known: readonly string[]): DaxError {
  assertName(syscall, name);
  const guess = closest(name.slice(0, 64), known);
  const advice = guess === undefined ? "" : `; did you mean ${guess}?`;
  const list = known.length === 0 ? "none" : known.slice(0, 16).join(", ");
  return new DaxError("ENODEV", {
    syscall,
    path: name.slice(0, 64),
    detail: `this machine has ${list}${advice}`,
  });
}

/** @throws EINVAL for what is no name */
function assertName(syscall: string, name: unknown): void {
  if (typeof name === "string") return;
  const detail = `it takes the name of a device, such as "pmem0"; given was ${givenText(name)}`;
  throw new DaxError("EINVAL", { syscall, detail });
}
