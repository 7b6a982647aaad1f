/**
 * Mapped devices as plain data, for programs.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import type { MappedDevice } from "./mapped-device.ts";
import { numberText } from "./device-directory.ts";
import type { Table } from "./table.ts";

/** A line of a table, and what its target says of itself. */
export interface DescribedLine {
  /** The first sector of the device. */
  readonly start: number;
  /** Sectors. */
  readonly length: number;
  readonly target: string;
  /** As `dmsetup table` prints them. */
  readonly arguments: string;
  /** As `dmsetup status` prints it. */
  readonly status: string;
}

/** A mapped device. */
export interface MappedDescription {
  readonly name: string;
  /** Empty where there is none. */
  readonly uuid: string;
  /** `253:0` */
  readonly number: string;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  readonly suspended: boolean;
  readonly openCount: number;
  readonly events: number;
  /** Whether its memory can be reached directly. */
  readonly dax: boolean;
  /** Why not, where it cannot. */
  readonly daxReason: string | undefined;
  readonly table: readonly DescribedLine[];
  /** The table that waits for `resume`. */
  readonly inactive: readonly DescribedLine[] | undefined;
  /** The devices of the live table. */
  readonly devices: readonly { readonly name: string; readonly number: string }[];
}

/** Describes a device. */
export function describeMapped(device: MappedDevice): MappedDescription {
  const { name, uuid, number, sectors, readOnly, suspended, openCount, events } = device;
  const { active, inactive } = device;
  return {
    name,
    uuid,
    number: numberText(number),
    size: sectors * SECTOR_SIZE,
    readOnly,
    suspended,
    openCount,
    events,
    dax: device.dax !== undefined,
    daxReason: device.daxReason,
    table: linesOf(active),
    inactive: inactive === undefined ? undefined : linesOf(inactive),
    devices: (active?.legs ?? []).map(({ known }) => ({
      name: known.name,
      number: numberText(known.number),
    })),
  };
}

function linesOf(table: Table | undefined): DescribedLine[] {
  return (table?.placed ?? []).map(({ begin, length, type, target }) => ({
    start: begin,
    length,
    target: type.name,
    arguments: target.table(),
    status: target.status(),
  }));
}
