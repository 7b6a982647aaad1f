/**
 * The disks of a machine as legs of mapped devices, and mapped devices as disks of the machine.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import type { DeviceNumber } from "../block/device-numbers.ts";
import { type DeviceLookup, type KnownDevice, numberText } from "../dm/device-directory.ts";
import { Partition } from "../block/partition.ts";
import type { MappedDevice } from "../dm/mapped-device.ts";
import type { Brd } from "../drivers/brd.ts";
import type { Pmem } from "../drivers/pmem.ts";
import type { ByteRange, CachedRange } from "../media/media.ts";
import type { MachineDevice } from "./machine.ts";
import type { Slot } from "./slot.ts";

/** A disk or partition with what describes it. */
type DescribedDisk = readonly [BlockDevice, (device: BlockDevice) => MachineDevice];

/** Linux's major for local use: of what has no number of its own. */
const LOCAL_MAJOR = 240;

/** What tables may name, beside mapped devices. */
export class MachineDisks implements DeviceLookup {
  readonly #disks: () => Iterable<DescribedDisk>;
  /** Numbers that were given to disks without one: a table keeps naming the same. */
  readonly #given = new Map<string, DeviceNumber>();

  constructor(disks: () => Iterable<DescribedDisk>) {
    this.#disks = disks;
  }

  find(word: string): KnownDevice | undefined {
    const name = word.startsWith("/dev/") ? word.slice("/dev/".length) : word;
    for (const [device, describe] of this.#disks()) {
      const number = describe(device).number ?? this.#numberOf(device.name);
      if (device.name === name || numberText(number) === word) {
        return { name: device.name, number, device };
      }
    }
    return undefined;
  }

  #numberOf(name: string): DeviceNumber {
    const given = this.#given.get(name) ?? { major: LOCAL_MAJOR, minor: this.#given.size };
    this.#given.set(name, given);
    return given;
  }
}

/** As it is found below `/dev`. */
export function mappedName({ name }: MappedDevice): string {
  return `mapper/${name}`;
}

/** What a machine says of a mapped device. */
export function describeMappedDisk(device: MappedDevice): MachineDevice {
  return {
    name: mappedName(device),
    kind: "mapped",
    parent: undefined,
    size: device.sectors * SECTOR_SIZE,
    readOnly: device.readOnly,
    number: device.number,
    physicalStart: undefined,
    writeCache: device.dax?.device.writeCache ?? false,
    domains: [],
    namespace: undefined,
    backing: "mapped",
    file: undefined,
    targets: device.active?.placed.map(({ type }) => type.name) ?? [],
  };
}

/** What a machine says of a pmem disk. */
export function describePmem(device: BlockDevice, slot: Slot, pmem: Pmem): MachineDevice {
  return {
    name: device.name,
    kind: "pmem",
    parent: undefined,
    size: device.sectors * SECTOR_SIZE,
    readOnly: device.readOnly,
    number: pmem.number,
    physicalStart: pmem.physicalStart,
    writeCache: pmem.dax.writeCache,
    domains: pmem.range.domains,
    ...mappedAs(pmem.range.caching),
    namespace: slot.region?.namespace.name,
    backing: slot.backing?.kind ?? "ram",
    file: slot.backing?.file,
  };
}

/** What the memory of a disk went through, where that is counted. */
export function wornBy({ backing }: Slot, pmem: Pmem): Pick<MachineDevice, "wear"> {
  if (backing?.counted === undefined) return {};
  return { wear: backing.counted.wear(pmem.range.start, pmem.range.length) };
}

/** What a machine says of a RAM disk. */
export function describeRamDisk(device: BlockDevice, brd: Brd): MachineDevice {
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

/** What a machine says of a partition of `whole`. */
export function describePartition(
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
    ...mappedAs(clip(whole.caching ?? [], start, size)),
  };
}

/** How a device is mapped, where that is not write-back. */
export function mappedAs(caching: readonly CachedRange[]): Pick<MachineDevice, "caching"> {
  return caching.every((range) => range.caching === "write-back") ? {} : { caching };
}

function clip<T extends ByteRange>(ranges: readonly T[], start: number, length: number): T[] {
  const inside: T[] = [];
  for (const range of ranges) {
    const from = Math.max(range.start, start);
    const to = Math.min(range.start + range.length, start + length);
    if (from < to) inside.push({ ...range, start: from - start, length: to - from });
  }
  return inside;
}
