/**
 * The fields of `dmsetup info -c`.
 *
 * @module
 */
import { numberText } from "./device-directory.ts";
import type { DeviceMapper } from "./device-mapper.ts";
import { UsageError } from "./dmsetup-options.ts";
import { MappedDevice } from "./mapped-device.ts";
import { mangled } from "./mangling.ts";
import type { Field } from "./report-layout.ts";
import { NAME_PARTS, splitName } from "./split-name.ts";

/** A device, and whom it stands with. */
export interface InfoRow {
  readonly device: MappedDevice;
  readonly mapper: DeviceMapper;
}

/** The devices of its live table; the one that was opened last comes first. */
export function legsOf(device: MappedDevice): readonly {
  readonly number: string;
  readonly name: string;
  /** As `/sys/block` has it. */
  readonly block: string;
  readonly mapped: MappedDevice | undefined;
}[] {
  const legs = (device.active?.legs ?? []).toReversed();
  return legs.map(({ known, device: leg }) => {
    const mapped = leg instanceof MappedDevice ? leg : undefined;
    const block = mapped === undefined ? known.name : `dm-${known.number.minor}`;
    return { number: numberText(known.number), name: mapped?.name ?? known.name, block, mapped };
  });
}

/** The devices that stand on it. */
function above({ device, mapper }: InfoRow): readonly MappedDevice[] {
  return mapper.devices
    .filter(({ active }) => active?.legs.some((leg) => leg.device === device) === true)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The kernel makes the disk of a device with its first table. */
function blockName({ number, loaded }: MappedDevice): string {
  if (loaded) return `dm-${number.minor}`;
  throw new UsageError(`Could not resolve block device name for ${numberText(number)}.`);
}

function tables({ active, inactive }: MappedDevice): string {
  if (active !== undefined) return inactive === undefined ? "Live" : "Both";
  return inactive === undefined ? "None" : "Inactive";
}

function letters(device: MappedDevice): string {
  const live = device.active === undefined ? "-" : "L";
  const waiting = device.inactive === undefined ? "-" : "I";
  return `${live}${waiting}${device.suspended ? "s" : "-"}${device.readOnly ? "r" : "w"}`;
}

type Cell = (device: MappedDevice, row: InfoRow) => string;

function text(id: string, head: string, width: number, cell: Cell): Field<InfoRow> {
  return { id, head, width, cell: (row) => cell(row.device, row) };
}

function count(
  id: string,
  head: string,
  width: number,
  cell: (device: MappedDevice, row: InfoRow) => number,
): Field<InfoRow> {
  return { id, head, width, isNumber: true, cell: (row) => String(cell(row.device, row)) };
}

/** As a shell's list. */
function joined<T>(items: readonly T[], name: (item: T) => string): string {
  return items.map((item) => name(item)).join(",");
}

const NAMES: readonly Field<InfoRow>[] = [
  text("name", "Name", 16, ({ name }) => name),
  text("mangled_name", "MangledName", 16, ({ name }) => mangled(name)),
  text("unmangled_name", "UnmangledName", 16, ({ name }) => name),
  text("uuid", "UUID", 32, ({ uuid }) => uuid),
  text("mangled_uuid", "MangledUUID", 32, ({ uuid }) => mangled(uuid)),
  text("unmangled_uuid", "UnmangledUUID", 32, ({ uuid }) => uuid),
  count("read_ahead", "RAhead", 6, ({ loaded, readAhead }) => (loaded ? readAhead : 0)),
];

const STATES: readonly Field<InfoRow>[] = [
  text("blkdevname", "BlkDevName", 16, (device) => blockName(device)),
  text("attr", "Stat", 4, (device) => letters(device)),
  text("tables_loaded", "Tables", 6, (device) => tables(device)),
  text("suspended", "Suspended", 9, ({ suspended }) => (suspended ? "Suspended" : "Active")),
  text("readonly", "Read-only", 9, ({ readOnly }) => (readOnly ? "Read-only" : "Writeable")),
  text("devno", "DevNo", 5, ({ number }) => numberText(number)),
  count("major", "Maj", 3, ({ number }) => number.major),
  count("minor", "Min", 3, ({ number }) => number.minor),
  count("open", "Open", 4, ({ openCount }) => openCount),
  count("segments", "Targ", 4, ({ active }) => active?.placed.length ?? 0),
  count("events", "Event", 6, ({ events }) => events),
];

const RELATIONS: readonly Field<InfoRow>[] = [
  count("device_count", "#Devs", 5, (device) => legsOf(device).length),
  text("devs_used", "DevNamesUsed", 16, (device) =>
    joined(
      legsOf(device).filter(({ mapped }) => mapped !== undefined),
      ({ name }) => name,
    ),
  ),
  text("devnos_used", "DevNosUsed", 16, (device) => joined(legsOf(device), ({ number }) => number)),
  text("blkdevs_used", "BlkDevNamesUsed", 16, (device) =>
    joined(legsOf(device), ({ block }) => block),
  ),
  count("device_ref_count", "#Refs", 5, (_, row) => above(row).length),
  text("names_using_dev", "RefNames", 8, (_, row) => joined(above(row), ({ name }) => name)),
  text("devnos_using_dev", "RefDevNos", 9, (_, row) =>
    joined(above(row), ({ number }) => numberText(number)),
  ),
];

/** Nothing here says that a name is LVM's. */
const PARTS: readonly Field<InfoRow>[] = NAME_PARTS.map(({ id, head, width, cell }) => ({
  id,
  head,
  width,
  cell: ({ device }) => cell(splitName(device.name, "")),
}));

/** Every field. */
export const INFO_FIELDS: readonly Field<InfoRow>[] = [...NAMES, ...STATES, ...RELATIONS, ...PARTS];

function ids(fields: readonly Field<InfoRow>[]): string {
  return fields.map(({ id }) => id).join(",");
}

/** Names of several fields together. */
export const INFO_GROUPS: Readonly<Record<string, string>> = {
  all: ids(INFO_FIELDS),
  name_all: ids(NAMES),
  info_all: ids(STATES),
  deps_all: "device_count,devnos_used,blkdevs_used",
  splitname_all: ids(PARTS),
};

/** What is shown unless told otherwise. */
export const USUAL_FIELDS = "name,major,minor,attr,open,segments,events,uuid";
