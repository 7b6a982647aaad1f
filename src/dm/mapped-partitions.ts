/**
 * Partitions of mapped devices. Linux looks for none there; kpartx makes them, as linear devices
 * with these names. Here they are found when somebody asks for one by its name.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import type { DeviceNumber } from "../block/device-numbers.ts";
import { DiskPartitions } from "../block/disk-partitions.ts";
import { isDaxError } from "../lib/errno.ts";
import { type KnownDevice, numberText } from "./device-directory.ts";
import type { MappedDevice } from "./mapped-device.ts";

/** A major for local use that no directory of disks gives out. */
const MAJOR = 241;

/** A partition that somebody asked for. */
interface Found {
  readonly of: MappedDevice;
  readonly index: number;
  readonly number: DeviceNumber;
}

/** The partitions of the devices of one mapper. */
export class MappedPartitions {
  readonly #tables = new WeakMap<MappedDevice, DiskPartitions>();
  /** Tables of devices print numbers, so what was found once is found by its number as well. */
  readonly #found: Found[] = [];

  /**
   * The partition `NAME1`, or `NAMEp1` where the name ends in a digit, of one of `devices`.
   * @throws EIO, EUCLEAN, EBADMSG for a table that cannot be read
   */
  find(devices: Iterable<MappedDevice>, word: string): KnownDevice | undefined {
    const name = word.startsWith("/dev/mapper/") ? word.slice("/dev/mapper/".length) : word;
    for (const device of devices) {
      const known = this.#found.find(
        ({ of, number }) => of === device && numberText(number) === name,
      );
      const index = known?.index ?? indexOf(name, device.name);
      const partition = index === undefined ? undefined : this.#partition(device, index);
      if (index === undefined || partition === undefined) continue;
      const { number } = known ?? this.#numbered(device, index);
      return { name: `mapper/${partition.name}`, number, device: partition };
    }
    return undefined;
  }

  #partition(device: MappedDevice, index: number): BlockDevice | undefined {
    let table = this.#tables.get(device);
    if (table === undefined) {
      table = new DiskPartitions(device);
      this.#tables.set(device, table);
    }
    try {
      table.rescan();
    } catch (error) {
      // Of a device in use, what was found before stays.
      if (!isDaxError(error, "EBUSY")) throw error;
    }
    return table.devices.get(index);
  }

  #numbered(device: MappedDevice, index: number): Found {
    const known = this.#found.find((found) => found.of === device && found.index === index);
    if (known !== undefined) return known;
    const number = { major: MAJOR, minor: this.#found.length };
    const found = { of: device, index, number };
    this.#found.push(found);
    return found;
  }
}

/** Which partition of a device a name means. */
function indexOf(name: string, device: string): number | undefined {
  if (!name.startsWith(device)) return undefined;
  const rest = name.slice(device.length);
  const digits = /^(p?)([1-9]\d{0,2})$/u.exec(rest);
  if (digits === null || (digits[1] === "p") !== /\d$/u.test(device)) return undefined;
  return Number(digits[2]);
}
