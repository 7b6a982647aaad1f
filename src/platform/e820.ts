/**
 * What the kernel makes of an e820 map: names, boot-log lines, and which memory counts as what.
 * Addresses are `bigint` throughout the platform floor, because firmware tables reach 2^64 - 1;
 * only a range that becomes a device must lie below 2^53.
 *
 * @module
 */
import {
  E820_MAX_ENTRIES_ZEROPAGE,
  E820_TYPE_ACPI,
  E820_TYPE_NVS,
  E820_TYPE_PMEM,
  E820_TYPE_PRAM,
  E820_TYPE_RAM,
  E820_TYPE_RESERVED,
  E820_TYPE_RESERVED_KERN,
  E820_TYPE_SOFT_RESERVED,
  E820_TYPE_UNUSABLE,
  type E820Entry,
} from "../format/e820.ts";

export type { E820Entry } from "../format/e820.ts";

/** Whose behaviour is shown: Linux 4.1, where pmem appeared, or a current one (6.12). */
export type PlatformProfile = "v4.1" | "modern";

/** Room in the kernel's table: the zero page's, and three for each of 1024 NUMA nodes with EFI. */
export const E820_MAX_ENTRIES = E820_MAX_ENTRIES_ZEROPAGE + 3 * 1024;

/** One past the highest address. */
export const ADDRESS_SPACE = 1n << 64n;

const PAGE_SHIFT = 12n;

/** One past the last byte, modulo 2^64 as the kernel computes it. */
export function endOf({ start, length }: Pick<E820Entry, "start" | "length">): bigint {
  return BigInt.asUintN(64, start + length);
}

/** The name in `/proc/iomem` and in the firmware map. */
export function resourceName(type: number, profile: PlatformProfile = "modern"): string {
  const old = profile === "v4.1";
  switch (type) {
    case E820_TYPE_RAM:
    case E820_TYPE_RESERVED_KERN:
      return "System RAM";
    case E820_TYPE_ACPI:
      return "ACPI Tables";
    case E820_TYPE_NVS:
      return "ACPI Non-volatile Storage";
    case E820_TYPE_UNUSABLE:
      return "Unusable memory";
    case E820_TYPE_PRAM:
      return old ? "Persistent RAM" : "Persistent Memory (legacy)";
    default:
      return old ? "reserved" : modernResourceName(type);
  }
}

function modernResourceName(type: number): string {
  switch (type) {
    case E820_TYPE_RESERVED:
      return "Reserved";
    case E820_TYPE_PMEM:
      return "Persistent Memory";
    case E820_TYPE_SOFT_RESERVED:
      return "Soft Reserved";
    default:
      return "Unknown E820 type";
  }
}

/** The word in the boot log: `usable`, `persistent (type 12)`. */
export function bootLogWord(type: number, profile: PlatformProfile = "modern"): string {
  switch (type) {
    case E820_TYPE_RAM:
    case E820_TYPE_RESERVED_KERN:
      return "usable";
    case E820_TYPE_RESERVED:
      return "reserved";
    case E820_TYPE_ACPI:
      return "ACPI data";
    case E820_TYPE_NVS:
      return "ACPI NVS";
    case E820_TYPE_UNUSABLE:
      return "unusable";
    case E820_TYPE_PRAM:
      return "persistent (type 12)";
    default:
      break;
  }
  if (profile === "modern" && type === E820_TYPE_PMEM) return "persistent (type 7)";
  if (profile === "modern" && type === E820_TYPE_SOFT_RESERVED) return "soft reserved";
  return `type ${type}`;
}

/** Words a machine description may use for a type, beside the number itself. */
export const TYPE_WORDS: ReadonlyMap<string, number> = new Map([
  ["usable", E820_TYPE_RAM],
  ["reserved", E820_TYPE_RESERVED],
  ["acpi-data", E820_TYPE_ACPI],
  ["acpi-nvs", E820_TYPE_NVS],
  ["unusable", E820_TYPE_UNUSABLE],
  ["persistent", E820_TYPE_PMEM],
  ["persistent-legacy", E820_TYPE_PRAM],
  ["soft-reserved", E820_TYPE_SOFT_RESERVED],
]);

/** The map as the boot log prints it, one line an entry; `who` is `BIOS-e820` or `user`. */
export function bootLogLines(
  entries: readonly E820Entry[],
  who: string,
  profile: PlatformProfile = "modern",
): string[] {
  return entries.map((entry) => {
    const last = BigInt.asUintN(64, entry.start + entry.length - 1n);
    const word = bootLogWord(entry.type, profile);
    return `${who}: [mem 0x${hex16(entry.start)}-0x${hex16(last)}] ${word}`;
  });
}

function hex16(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

/**
 * One past the highest page frame that counts as memory: RAM, in Linux 4.1 legacy persistent memory
 * too, today ACPI tables too.
 */
export function maxPfn(entries: readonly E820Entry[], profile: PlatformProfile = "modern"): bigint {
  const second = profile === "v4.1" ? E820_TYPE_PRAM : E820_TYPE_ACPI;
  let highest = 0n;
  for (const entry of entries) {
    if (entry.type !== E820_TYPE_RAM && entry.type !== second) continue;
    const pfn = endOf(entry) >> PAGE_SHIFT;
    if (pfn > highest) highest = pfn;
  }
  return highest;
}

/** A run of page frames: `[start, start + length)`. */
export interface PfnRange {
  readonly start: bigint;
  readonly length: bigint;
}

/**
 * The page frames below {@link maxPfn} that hibernation does not save: gaps, and everything that is
 * not RAM, persistent memory included. `entries` must be sanitised.
 */
export function nosaveRanges(
  entries: readonly E820Entry[],
  profile: PlatformProfile = "modern",
): PfnRange[] {
  const limit = maxPfn(entries, profile);
  const ranges: { start: bigint; length: bigint }[] = [];
  let saved = 0n;
  const skip = (to: bigint): void => {
    const past = to < limit ? to : limit;
    if (past > saved) ranges.push({ start: saved, length: past - saved });
  };
  for (const entry of entries) {
    if (entry.type !== E820_TYPE_RAM && entry.type !== E820_TYPE_RESERVED_KERN) continue;
    // A page only partly RAM is not saved.
    const first = (entry.start + 0xfffn) >> PAGE_SHIFT;
    const past = (entry.start + entry.length) >> PAGE_SHIFT;
    if (past <= first) continue;
    skip(first);
    saved = past;
  }
  skip(limit);
  return ranges;
}
