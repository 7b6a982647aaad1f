/**
 * A machine in the words of `ndctl list`: the same keys in the same order, so that scripts which
 * read one read the other. ndctl 76.1's own output is the judge.
 *
 * @module
 */
import type { Region } from "../platform/regions.ts";
import type { Machine } from "./machine.ts";
import type { Slot } from "./slot.ts";

/** What may stand in a listing. */
export type Json = string | number | readonly Json[] | { readonly [key: string]: Json };

/** `ndctl list`'s options; with none of the first four, namespaces are listed. */
export interface NdctlListOptions {
  /** `-B` */
  readonly buses?: boolean;
  /** `-D` */
  readonly dimms?: boolean;
  /** `-R` */
  readonly regions?: boolean;
  /** `-N` */
  readonly namespaces?: boolean;
  /** `-i`: what is disabled, too. */
  readonly idle?: boolean;
  /** `-u`: sizes for people, numbers of hardware in hexadecimal, no list around a single item. */
  readonly human?: boolean;
  /** `-M`: bad blocks. */
  readonly mediaErrors?: boolean;
}

interface Bus {
  readonly provider: string;
  readonly name: string;
  readonly slots: readonly (Slot & { readonly region: Region })[];
}

/** The buses that have something on them, in the order in which they were found. */
function busesOf(machine: Machine): Bus[] {
  const buses: Bus[] = [];
  for (const provider of ["ACPI.NFIT", "e820"] as const) {
    const slots = machine.slots.filter(
      (slot): slot is Slot & { readonly region: Region } => slot.region?.provider === provider,
    );
    if (slots.length > 0) buses.push({ provider, name: `ndbus${buses.length}`, slots });
  }
  return buses;
}

/** What `ndctl list` prints; undefined where it prints nothing. */
export function ndctlList(machine: Machine, options: NdctlListOptions = {}): Json | undefined {
  const { buses = false, dimms = false, regions = false } = options;
  const namespaces = options.namespaces ?? !(buses || dimms || regions);
  const lister = new Lister({ ...options, buses, dimms, regions, namespaces });
  const found = busesOf(machine);
  if (buses) {
    return lister.alone(
      found.map((bus) => ({ provider: bus.provider, dev: bus.name, ...lister.parts([bus]) })),
    );
  }
  const parts = lister.parts(found);
  const kinds = Object.values(parts);
  // ndctl counts the namespaces inside its last region as a kind of their own.
  const last = parts["regions"]?.at(-1);
  const inside = typeof last === "object" && "namespaces" in last ? 1 : 0;
  if (kinds.length + inside > 1) return parts;
  return kinds[0] === undefined ? undefined : lister.alone(kinds[0]);
}

type Selection = NdctlListOptions &
  Required<Pick<NdctlListOptions, "buses" | "dimms" | "regions" | "namespaces">>;

class Lister {
  readonly #options: Selection;

  constructor(options: Selection) {
    this.#options = options;
  }

  /** A list that stands alone: for people, one item needs no brackets. */
  alone(items: readonly Json[]): Json | undefined {
    if (items.length > 1 || this.#options.human !== true) {
      return items.length === 0 ? undefined : items;
    }
    return items[0];
  }

  /** Modules, regions and namespaces of some buses, those that were asked for and are there. */
  parts(buses: readonly Bus[]): Record<string, readonly Json[]> {
    const { dimms, regions, namespaces } = this.#options;
    const slots = buses.flatMap((bus) => bus.slots);
    const parts: Record<string, readonly Json[]> = {};
    const modules = slots.filter(hasModule);
    if (dimms && modules.length > 0) parts["dimms"] = modules.map((_, i) => this.#dimm(i));
    if (regions) {
      const listed = slots.map((slot) => this.#region(slot, modules.indexOf(slot)));
      if (listed.length > 0) parts["regions"] = listed;
    } else if (namespaces) {
      const listed = this.#namespaces(slots);
      if (listed.length > 0) parts["namespaces"] = listed;
    }
    return parts;
  }

  #dimm(index: number): Json {
    return { dev: `nmem${index}`, handle: this.#hex(index + 1), phys_id: this.#hex(0) };
  }

  #region(slot: Slot & { readonly region: Region }, module: number): Json {
    const { region } = slot;
    const namespaces = this.#options.namespaces ? this.#namespaces([slot]) : [];
    const mapping = {
      dimm: `nmem${module}`,
      offset: this.#hex(0),
      length: this.#hex(Number(region.length)),
      position: 0,
    };
    return {
      dev: region.name,
      size: this.#size(Number(region.length)),
      align: this.#size(Number(region.align)),
      available_size: 0,
      max_available_extent: 0,
      type: "pmem",
      ...(this.#options.dimms && module !== -1 ? { mappings: [mapping] } : {}),
      ...this.#badBlocks(slot),
      persistence_domain: region.persistence,
      ...(namespaces.length === 0 ? {} : { namespaces }),
    };
  }

  #namespaces(slots: readonly (Slot & { readonly region: Region })[]): Json[] {
    const listed = slots.filter(({ pmem }) => pmem !== undefined || this.#options.idle === true);
    return listed.map((slot) => this.#namespace(slot));
  }

  #namespace(slot: Slot & { readonly region: Region }): Json {
    const { pmem, region } = slot;
    const { name, mode, map } = region.namespace;
    return {
      dev: name,
      mode,
      ...(mode === "fsdax" ? { map: map === "dev" ? map : "mem" } : {}),
      size: this.#size(pmem?.range.length ?? Number(region.length)),
      sector_size: 512,
      ...(pmem === undefined ? { state: "disabled" } : { blockdev: pmem.name }),
      ...cachingOf(slot),
      ...this.#badBlocks(slot),
    };
  }

  /** Bad blocks in sectors of the region, which a namespace without a label shares. */
  #badBlocks({ pmem }: Slot): { badblock_count?: number; badblocks?: Json } {
    if (this.#options.mediaErrors !== true || pmem === undefined) return {};
    const bad = pmem.range.bad.map(({ start, length }) => {
      const first = Math.floor(start / 512);
      return { offset: first, length: Math.ceil((start + length) / 512) - first };
    });
    if (bad.length === 0) return {};
    const count = bad.reduce((sum, { length }) => sum + length, 0);
    return { badblock_count: count, badblocks: bad };
  }

  #size(bytes: number): string | number {
    return this.#options.human === true ? ndctlSize(bytes) : bytes;
  }

  #hex(value: number): string | number {
    if (this.#options.human !== true) return value;
    return value === 0 ? "0" : `0x${value.toString(16)}`;
  }
}

/** How it is mapped, where that is not write-back, which is all that ndctl knows. */
function cachingOf({ pmem }: Slot): { caching?: Json } {
  const ways = pmem?.range.caching ?? [];
  const [first] = ways;
  if (first === undefined) return {};
  if (ways.length === 1 && first.length === pmem?.range.length) return { caching: first.caching };
  return {
    caching: ways.map(({ start, length, caching }) => ({ offset: start, length, type: caching })),
  };
}

/** Modules are what the NFIT describes; what an e820 map marks has none. */
function hasModule({ region }: Slot & { readonly region: Region }): boolean {
  return region.mappings > 0;
}

/** Units of ndctl's sizes: below how many bytes, the names, and the bytes in one. */
const UNITS = [
  [2n << 30n, "MiB", 1n << 20n, "MB", 1_000_000n],
  [2n << 40n, "GiB", 1n << 30n, "GB", 1_000_000_000n],
  [1n << 64n, "TiB", 1n << 40n, "TB", 1_000_000_000_000n],
] as const;

/** A size as `ndctl -u` shows it: `64.00 MiB (67.11 MB)`, and the plain number below 5000 KiB. */
export function ndctlSize(bytes: number): string | number {
  if (bytes < 5000 * 1024) return bytes;
  const exact = BigInt(bytes);
  const [, iec, iecUnit, si, siUnit] = UNITS.find(([limit]) => exact < limit) ?? UNITS[2];
  return `${hundredths(exact, iecUnit)} ${iec} (${hundredths(exact, siUnit)} ${si})`;
}

/** Rounded half up on the second decimal. */
function hundredths(bytes: bigint, unit: bigint): string {
  const value = ((bytes * 200n) / unit + 1n) / 2n;
  return `${value / 100n}.${String(value % 100n).padStart(2, "0")}`;
}

/** Text as ndctl and daxctl print it: json-c's, which escapes slashes and sets no space. */
export function listText(value: Json | undefined): string {
  return value === undefined ? "" : `${render(value, "")}\n`;
}

function render(value: Json, indent: string): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value).replaceAll("/", "\\/");
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const items = isList
    ? value.map((item: Json) => inner + render(item, inner))
    : Object.entries(value).map(([key, item]) => `${inner}"${key}":${render(item, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  return items.length === 0
    ? `${open}${close}`
    : `${open}\n${items.join(",\n")}\n${indent}${close}`;
}
