/**
 * What dmsetup prints, letter by letter as libdevmapper 1.02.185 does.
 *
 * @module
 */
import { numberText } from "./device-directory.ts";
import type { DeviceMapper } from "./device-mapper.ts";
import { UsageError } from "./dmsetup-options.ts";
import { legsOf } from "./info-fields.ts";
import type { MappedDevice } from "./mapped-device.ts";
import type { Table } from "./table.ts";
import type { Target, TargetType } from "./target.ts";
import { TARGET_TYPES } from "./target-types.ts";
import { byName } from "./tree-report.ts";

/** Which lines of a table are wanted. */
export interface TableChoice {
  /** Of the table that waits. */
  readonly inactive?: boolean;
  /** Those with this target. */
  readonly target?: string | undefined;
}

/** `dmsetup table`. */
export function tableText(device: MappedDevice, choice: TableChoice = {}): string {
  return lines(device, choice, (each) => each.table());
}

/** `dmsetup status`. */
export function statusText(device: MappedDevice, choice: TableChoice = {}): string {
  return lines(device, choice, (each) => each.status());
}

function lines(
  { active, inactive }: MappedDevice,
  { inactive: waiting = false, target: wanted }: TableChoice,
  words: (target: Target) => string,
): string {
  const table: Table | undefined = waiting ? inactive : active;
  if (table === undefined) return wanted === undefined ? "\n" : "";
  return table.placed
    .filter(({ type }) => wanted === undefined || type.name === wanted)
    .map(({ begin, length, type, target }) => `${begin} ${length} ${type.name} ${words(target)}\n`)
    .join("");
}

function escaped(text: string): string {
  return text.replaceAll(/[\\,;]/gu, String.raw`\$&`);
}

/** `dmsetup table --concise`: what `create --concise` takes. */
export function conciseText(devices: readonly MappedDevice[], choice: TableChoice): string {
  const entries = devices.map((device) => {
    const { name, uuid, number, readOnly } = device;
    const table = lines(device, choice, (each) => each.table())
      .split("\n")
      .slice(0, -1);
    const words = [name, uuid].map((word) => escaped(word));
    const rows = table.filter((row) => row !== "").map((row) => escaped(row));
    return [...words, number.minor, readOnly ? "ro" : "rw", ...rows].join(",");
  });
  return `${entries.join(";")}\n`;
}

/** `dmsetup info`; with `inactive`, of the table that waits. */
export function infoText(device: MappedDevice, { inactive: waiting = false } = {}): string {
  const { active, inactive } = device;
  const tables = [active === undefined ? "" : "LIVE", inactive === undefined ? "" : "INACTIVE"];
  const present = tables.filter((word) => word !== "").join(" & ");
  const running = device.readOnly ? "ACTIVE (READ-ONLY)" : "ACTIVE";
  const state = device.suspended ? "SUSPENDED" : running;
  const targets = (waiting ? inactive : active)?.placed.length ?? 0;
  const rows: readonly (readonly [string, string])[] = [
    ["Name:", device.name],
    ["State:", `${state}${device.deferred ? " (DEFERRED REMOVE)" : ""}`],
    ...(device.loaded ? ([["Read Ahead:", String(device.readAhead)]] as const) : []),
    ["Tables present:", present === "" ? "None" : present],
    ["Open count:", String(device.openCount)],
    ["Event number:", String(device.events)],
    ["Major, minor:", `${device.number.major}, ${device.number.minor}`],
    ["Number of targets:", String(targets)],
  ];
  const text = rows.map(([label, value]) => `${label.padEnd(19)}${value}\n`).join("");
  return `${text}${device.uuid === "" ? "" : `UUID: ${device.uuid}\n`}\n`;
}

/** `dmsetup deps`; a device that was opened last comes first. */
export function depsText(device: MappedDevice, shown = ""): string {
  const legs = legsOf(device).map(({ number, name, block }) => {
    if (shown === "devname") return ` (${name})`;
    return shown === "blkdevname" ? ` (${block})` : ` (${number.replace(":", ", ")})`;
  });
  return `${legs.length} dependencies\t:${legs.join("")}\n`;
}

/** `dmsetup ls`; with `target`, the devices that have such a target. */
export function listText(mapper: DeviceMapper, target?: string, shown = ""): string {
  const devices = byName(mapper);
  if (devices.length === 0) return "No devices found\n";
  return devices
    .filter(
      ({ active }) =>
        target === undefined || active?.placed.some(({ type }) => type.name === target),
    )
    .map((device) => {
      const { name, number } = device;
      const text =
        target === undefined ? shownAs(device, shown) : `${number.major}, ${number.minor}`;
      return `${name}\t(${text})\n`;
    })
    .join("");
}

/** The kernel knows the name of a device by its disk, which comes with its first table. */
function shownAs({ name, number, loaded }: MappedDevice, shown: string): string {
  if (loaded && shown === "devname") return name;
  return loaded && shown === "blkdevname" ? `dm-${number.minor}` : numberText(number);
}

/** `dmsetup targets`. */
export function targetsText(): string {
  return [...TARGET_TYPES.values()].map((type) => versionText(type)).join("");
}

/** A line of `dmsetup targets` and `dmsetup target-version`. */
export function versionText({ name, version }: TargetType): string {
  return `${name.padEnd(16)} v${version.join(".")}\n`;
}

/** Something of a report could not be told; the rest is. */
export class PartError extends UsageError {
  readonly stdout: string;

  constructor(message: string, stdout: string) {
    super(message);
    this.stdout = stdout;
  }
}
