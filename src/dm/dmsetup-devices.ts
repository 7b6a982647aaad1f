/**
 * Which device a command of dmsetup means, and how errors name it.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { DeviceMapper } from "./device-mapper.ts";
import { ioctl } from "./dmsetup-ioctl.ts";
import { type Given, isByOption, UsageError } from "./dmsetup-options.ts";
import { mangled, unmangled } from "./mangling.ts";
import type { MappedDevice } from "./mapped-device.ts";

const FOLDER = "/dev/mapper/";

/** A device by name, or by `-u` or `-j -m`; the ioctl's error when there is none. */
export function deviceOf(mapper: DeviceMapper, given: Given, name: string): MappedDevice {
  const found = lookUp(mapper, given);
  if (found !== undefined) return found;
  // These two look before they ask.
  if (name === "status" || name === "info") throw new UsageError("Device does not exist.");
  return missing(given, name);
}

/** @throws UsageError, as an ioctl that finds no device; `kernel` is what that logs */
export function missing(given: Given, name: string, kernel?: string): never {
  return ioctl(name, told(given), () => {
    const path = told(given).trim();
    const detail = kernel ?? `there is no mapped device "${path.slice(0, 200)}"`;
    throw new DaxError("ENXIO", { syscall: "dmsetup", path, detail });
  });
}

/** The device that is meant; undefined where there is none. @throws UsageError without a name */
export function lookUp(mapper: DeviceMapper, given: Given): MappedDevice | undefined {
  const { operands, values } = given;
  if (!isByOption(given)) {
    const [word] = operands;
    if (word === undefined) throw new UsageError("No device specified.");
    return byWord(mapper, word);
  }
  const uuid = values.get("uuid");
  if (uuid !== undefined) {
    const plain = unmangled(uuid, "uuid");
    return plain === "" ? undefined : mapper.devices.find((device) => device.uuid === plain);
  }
  const [major, minor] = numberOf(given) ?? [];
  return mapper.devices.find(({ number }) => number.major === major && number.minor === minor);
}

function byWord(mapper: DeviceMapper, word: string): MappedDevice | undefined {
  const { devices } = mapper;
  if (!word.includes("/")) {
    const plain = unmangled(word);
    return devices.find(({ name }) => name === plain);
  }
  const name = word.startsWith(FOLDER) ? unmangled(word.slice(FOLDER.length)) : undefined;
  const minor = /^\/dev\/dm-(\d+)$/u.exec(word)?.[1];
  const found = devices.find(
    (device) => device.name === name || String(device.number.minor) === minor,
  );
  if (found === undefined) throw new UsageError(`Device ${word} not found`);
  return found;
}

/** `-j` and `-m`, as `atoi` reads them. */
export function numberOf({ values }: Given): readonly [number, number] | undefined {
  const [major, minor] = [values.get("major"), values.get("minor")];
  if (major === undefined || minor === undefined) return undefined;
  return [digits(major), digits(minor)];
}

/** The number that a word begins with; 0 without one. */
export function digits(word: string): number {
  return Number(/^\s*([+-]?\d{1,15})/u.exec(word)?.[1] ?? 0);
}

/** How dmsetup names a device in an error: as it was named. */
export function told(given: Given): string {
  const { operands, values } = given;
  if (!isByOption(given)) {
    const word = operands[0] ?? "";
    const name = word.startsWith(FOLDER) ? word.slice(FOLDER.length) : word;
    return `${mangled(unmangled(name))} `;
  }
  const uuid = values.get("uuid");
  return uuid === undefined ? ` (${values.get("major")}:${values.get("minor")})` : ` ${uuid}`;
}

/** The operands behind the one that names the device. */
export function behind(given: Given): readonly string[] {
  return isByOption(given) ? given.operands : given.operands.slice(1);
}
