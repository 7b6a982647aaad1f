/**
 * The firmware of a described machine: its memory map before the kernel looks at it, and where
 * memory modules without an address go.
 *
 * @module
 */
import {
  E820_TYPE_PRAM,
  E820_TYPE_RAM,
  E820_TYPE_RESERVED,
  E820_TYPE_SOFT_RESERVED,
  type E820Entry,
} from "../format/e820.ts";
import type { AddressRange } from "../platform/resources.ts";
import { parseMemmap } from "../platform/memmap.ts";
import type { MachineDescription } from "./describe.ts";

const GIB = 1n << 30n;
const LOW_RAM_END = 3n * GIB;
const HIGH_RAM_START = 4n * GIB;
/** What lies above is no memory that modules could follow: reserved windows of the platform. */
const MODULE_LIMIT = 1n << 46n;

/** Type 6 of firmware before ACPI 4.0, which meant by it what became type 12. */
const E820_TYPE_OLD_PRAM = 6;

/**
 * The map of a PC with `ram` bytes: the first 640 KiB less the BIOS's data, memory from 1 MiB up to
 * the hole below 4 GiB, the flash at its end, and the rest of memory from 4 GiB up.
 */
function ramMap(ram: number): E820Entry[] {
  const bytes = BigInt(ram);
  const low = bytes < LOW_RAM_END ? bytes : LOW_RAM_END;
  const high = bytes - low;
  return [
    { start: 0n, length: 0x9_fc00n, type: E820_TYPE_RAM },
    { start: 0x9_fc00n, length: 0x6_0400n, type: E820_TYPE_RESERVED },
    { start: 0x10_0000n, length: low - 0x10_0000n, type: E820_TYPE_RAM },
    { start: 0xfffc_0000n, length: 0x4_0000n, type: E820_TYPE_RESERVED },
    { start: HIGH_RAM_START, length: high, type: E820_TYPE_RAM },
  ];
}

/** The firmware's map; `modules` are those that it reports as type 12, `soft` is set aside. */
export function firmwareMap(
  description: MachineDescription,
  modules: readonly AddressRange[],
  soft: readonly AddressRange[] = [],
): E820Entry[] {
  const { e820, ram, treat6AsPram } = description;
  const entries = [...(e820 ?? ramMap(ram))];
  for (const { start, length } of modules) entries.push({ start, length, type: E820_TYPE_PRAM });
  for (const { start, length } of soft) {
    entries.push({ start, length, type: E820_TYPE_SOFT_RESERVED });
  }
  if (!treat6AsPram) return entries;
  return entries.map(({ start, length, type }) => ({
    start,
    length,
    type: type === E820_TYPE_OLD_PRAM ? E820_TYPE_PRAM : type,
  }));
}

/** Memory that wants an address: a place of its own, or any. */
export interface Unplaced {
  readonly start?: bigint | undefined;
  readonly size: number;
}

/**
 * A start address for every module: its own, or the next GiB behind all memory that is described or
 * marked, in the order of the modules.
 */
export function placeModules(
  description: MachineDescription,
  modules: readonly Unplaced[],
): AddressRange[] {
  const lengths = modules.map(({ size }) => BigInt(size));
  let next = HIGH_RAM_START;
  const above = ({ start, length }: AddressRange): void => {
    const past = start + length;
    if (start < MODULE_LIMIT && past > next) next = past;
  };
  for (const entry of firmwareMap(description, [])) above(entry);
  for (const { option } of description.memmap) {
    for (const { effect } of parseMemmap(option)) if (effect?.kind === "add") above(effect);
  }
  for (const [i, { start }] of modules.entries()) {
    if (start !== undefined) above({ start, length: lengths[i] as bigint });
  }
  return modules.map(({ start }, i) => {
    const length = lengths[i] as bigint;
    if (start !== undefined) return { start, length };
    const placed = ((next + GIB - 1n) / GIB) * GIB;
    next = placed + length;
    return { start: placed, length };
  });
}
