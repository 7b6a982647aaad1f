/**
 * What dmsetup prints, letter by letter as libdevmapper 1.02.185 does.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { DeviceMapper } from "./device-mapper.ts";
import { numberText } from "./device-directory.ts";
import { MappedDevice } from "./mapped-device.ts";
import type { Table } from "./table.ts";
import { TARGET_TYPES } from "./target-types.ts";
import type { Target } from "./target.ts";

/** Sectors that are read ahead unless told otherwise. */
const READ_AHEAD = 256;

/** Which lines of `dmsetup table` are wanted. */
export interface TableChoice {
  /** Of the table that waits. */
  readonly inactive?: boolean;
  /** Those with this target. */
  readonly target?: string | undefined;
}

/** `dmsetup table`. */
export function tableText(
  device: MappedDevice,
  { inactive = false, target }: TableChoice = {},
): string {
  return lines(inactive ? device.inactive : device.active, target, (each) => each.table());
}

/** `dmsetup status`; with `target`, only lines that have such a one. */
export function statusText(device: MappedDevice, target?: string): string {
  return lines(device.active, target, (each) => each.status());
}

function lines(
  table: Table | undefined,
  wanted: string | undefined,
  words: (target: Target) => string,
): string {
  if (table === undefined || table.placed.length === 0) return "\n";
  return table.placed
    .filter(({ type }) => wanted === undefined || type.name === wanted)
    .map(({ begin, length, type, target }) => `${begin} ${length} ${type.name} ${words(target)}\n`)
    .join("");
}

/** `dmsetup info`. */
export function infoText(device: MappedDevice): string {
  const { active, inactive } = device;
  const tables = [active === undefined ? "" : "LIVE", inactive === undefined ? "" : "INACTIVE"];
  const present = tables.filter((word) => word !== "").join(" & ");
  const running = device.readOnly ? "ACTIVE (READ-ONLY)" : "ACTIVE";
  const state = device.suspended ? "SUSPENDED" : running;
  const rows: readonly (readonly [string, string])[] = [
    ["Name:", device.name],
    ["State:", `${state}${device.deferred ? " (DEFERRED REMOVE)" : ""}`],
    ...(active === undefined ? [] : ([["Read Ahead:", String(READ_AHEAD)]] as const)),
    ["Tables present:", present === "" ? "None" : present],
    ["Open count:", String(device.openCount)],
    ["Event number:", String(device.events)],
    ["Major, minor:", `${device.number.major}, ${device.number.minor}`],
    ["Number of targets:", String(active?.placed.length ?? 0)],
  ];
  const text = rows.map(([label, value]) => `${label.padEnd(19)}${value}\n`).join("");
  return `${text}${device.uuid === "" ? "" : `UUID: ${device.uuid}\n`}\n`;
}

/** A column of `dmsetup info -c`. */
interface Column {
  readonly head: string;
  readonly width: number;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
  readonly cell: (device: MappedDevice) => string;
}

const COLUMNS: Readonly<Record<string, Column>> = {
  name: { head: "Name", width: 16, cell: ({ name }) => name },
  major: { head: "Maj", width: 3, isNumber: true, cell: ({ number }) => String(number.major) },
  minor: { head: "Min", width: 3, isNumber: true, cell: ({ number }) => String(number.minor) },
  attr: { head: "Stat", width: 4, cell: stateLetters },
  open: { head: "Open", width: 4, isNumber: true, cell: ({ openCount }) => String(openCount) },
  segments: {
    head: "Targ",
    width: 4,
    isNumber: true,
    cell: ({ active }) => String(active?.placed.length ?? 0),
  },
  events: { head: "Event", width: 6, isNumber: true, cell: ({ events }) => String(events) },
  uuid: { head: "UUID", width: 32, cell: ({ uuid }) => uuid },
};

const USUAL = "name,major,minor,attr,open,segments,events,uuid";

/**
 * `dmsetup info -c`: a row for each device.
 * @throws EINVAL for a field that there is not
 */
export function infoColumns(
  devices: readonly MappedDevice[],
  fields: string = USUAL,
  bare = false,
): string {
  const columns = fields.split(",").map((name) => columnOf(name.trim()));
  const rows = devices.map((device) => columns.map(({ cell }) => cell(device)));
  const widths = columns.map(({ width }, i) =>
    Math.max(width, ...rows.map((row) => (row[i] as string).length)),
  );
  const head = columns.map((column, i) => column.head.padEnd(widths[i] as number));
  const body = rows.map((row) =>
    row.map((cell, i) => {
      const width = widths[i] as number;
      return columns[i]?.isNumber === true ? cell.padStart(width) : cell.padEnd(width);
    }),
  );
  return [...(bare ? [] : [head]), ...body].map((row) => `${row.join(" ")}\n`).join("");
}

function columnOf(name: string): Column {
  const column = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : undefined;
  if (column !== undefined) return column;
  throw new DaxError("EINVAL", {
    syscall: "dmsetup",
    detail: `"${name.slice(0, 40)}" is no field; there are ${Object.keys(COLUMNS).join(", ")}`,
  });
}

function stateLetters(device: MappedDevice): string {
  const live = device.active === undefined ? "-" : "L";
  const waiting = device.inactive === undefined ? "-" : "I";
  return `${live}${waiting}${device.suspended ? "s" : "-"}${device.readOnly ? "r" : "w"}`;
}

/** `dmsetup deps`; a device that was opened last comes first. */
export function depsText(device: MappedDevice, names = false): string {
  const legs = (device.active?.legs ?? []).toReversed();
  const words = legs.map(({ known: { number, name, device: leg } }) => {
    if (!names) return ` (${number.major}, ${number.minor})`;
    return ` (${leg instanceof MappedDevice ? `dm-${number.minor}` : name})`;
  });
  return `${legs.length} dependencies\t:${words.join("")}\n`;
}

/** `dmsetup ls --tree`: from the devices that nothing stands on, downwards. */
export function treeText(mapper: DeviceMapper): string {
  const below = new Set(
    mapper.devices.flatMap(({ active }) => (active?.legs ?? []).map(({ device }) => device)),
  );
  const roots = byName(mapper).filter((device) => !below.has(device));
  if (roots.length === 0) return "No devices found\n";
  return roots
    .map((root) => `${root.name} (${numberText(root.number)})\n${branches(root, "")}`)
    .join("");
}

function branches(device: MappedDevice, indent: string): string {
  const legs = (device.active?.legs ?? []).toReversed();
  return legs
    .map(({ known, device: leg }, index) => {
      const last = index === legs.length - 1;
      const line = `${indent} ${last ? "`" : "|"}-${leg instanceof MappedDevice ? leg.name : ""}`;
      const under =
        leg instanceof MappedDevice ? branches(leg, `${indent} ${last ? " " : "|"} `) : "";
      return `${line} (${numberText(known.number)})\n${under}`;
    })
    .join("");
}

/** `dmsetup ls`; with `target`, the devices that have such a target. */
export function listText(mapper: DeviceMapper, target?: string): string {
  const devices = byName(mapper).filter(
    ({ active }) => target === undefined || active?.placed.some(({ type }) => type.name === target),
  );
  if (devices.length === 0) return "No devices found\n";
  return devices
    .map(({ name, number }) => {
      const text = target === undefined ? numberText(number) : `${number.major}, ${number.minor}`;
      return `${name}\t(${text})\n`;
    })
    .join("");
}

/** `dmsetup targets`. */
export function targetsText(): string {
  return [...TARGET_TYPES.values()]
    .map(({ name, version }) => `${name.padEnd(16)} v${version.join(".")}\n`)
    .join("");
}

/** All devices in the order in which dmsetup lists them. */
export function byName(mapper: DeviceMapper): readonly MappedDevice[] {
  return mapper.devices.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
