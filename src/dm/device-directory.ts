/**
 * Which devices a table can name: `/dev` for device-mapper.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import type { DeviceNumber } from "../block/device-numbers.ts";
import { DaxError } from "../lib/errno.ts";

/** A device and what it is called. */
export interface KnownDevice {
  /** Without `/dev/`: `pmem0`, `mapper/home`. */
  readonly name: string;
  readonly number: DeviceNumber;
  readonly device: BlockDevice;
  /** Sectors that it has now, where that may be fewer than when it was opened. */
  readonly present?: () => number;
  /** Somebody opens or closes it: devices that count their users. */
  readonly opened?: (by: 1 | -1) => void;
}

/** Somewhere to look devices up; a machine may have its own. */
export interface DeviceLookup {
  /**
   * By `/dev/NAME`, `NAME` or `MAJOR:MINOR`.
   * @throws what is in the way of one that is there
   */
  find(word: string): KnownDevice | undefined;
}

/** The major of devices that were not given a number: Linux's for local use. */
const LOCAL_MAJOR = 240;

/** Devices by name and number. */
export class DeviceDirectory implements DeviceLookup {
  readonly #names = new Map<string, KnownDevice>();
  readonly #numbers = new Map<string, KnownDevice>();
  #minor = 0;

  /**
   * Adds a device under its own name, or another; without a number it gets one.
   * @throws EEXIST for a name or a number that is taken
   */
  add(device: BlockDevice, given: Partial<Omit<KnownDevice, "device">> = {}): KnownDevice {
    const name = bare(given.name ?? device.name);
    const number = given.number ?? { major: LOCAL_MAJOR, minor: this.#minor++ };
    const known: KnownDevice = { ...given, name, number, device };
    const taken = this.#names.get(name) ?? this.#numbers.get(numberText(number));
    if (taken !== undefined) {
      throw new DaxError("EEXIST", {
        path: name,
        detail: `${taken.name} has that name or the number ${numberText(taken.number)}`,
      });
    }
    this.#names.set(name, known);
    this.#numbers.set(numberText(number), known);
    return known;
  }

  /** Forgets a device; one that is not known does not matter. */
  remove(name: string): void {
    const known = this.#names.get(bare(name));
    if (known === undefined) return;
    this.#names.delete(known.name);
    this.#numbers.delete(numberText(known.number));
  }

  find(word: string): KnownDevice | undefined {
    return this.#numbers.get(word) ?? this.#names.get(bare(word));
  }
}

/** `MAJOR:MINOR`, as tables print devices. */
export function numberText({ major, minor }: DeviceNumber): string {
  return `${major}:${minor}`;
}

function bare(word: string): string {
  return word.startsWith("/dev/") ? word.slice("/dev/".length) : word;
}
