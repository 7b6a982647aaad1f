/**
 * The resource tree as `/proc/iomem` shows it, and its first inhabitants: the e820 map.
 *
 * @module
 */
import {
  E820_TYPE_ACPI,
  E820_TYPE_NVS,
  E820_TYPE_PMEM,
  E820_TYPE_PRAM,
  E820_TYPE_RAM,
  E820_TYPE_RESERVED,
  E820_TYPE_RESERVED_KERN,
  E820_TYPE_SOFT_RESERVED,
} from "../format/e820.ts";
import { type E820Entry, type PlatformProfile, resourceName } from "./e820.ts";
import type { ResourceAttributes, ResourceDescriptor, ResourceTree } from "./resources.ts";

/** Levels that the text indents; deeper nodes stay at the last. */
const MAX_IORES_LEVEL = 5;

/** Who reads `/proc/iomem`. */
export interface IomemOptions {
  /** Without CAP_SYS_ADMIN all addresses read as zero. True by default. */
  readonly privileged?: boolean;
}

/** The text of `/proc/iomem` (or `/proc/ioports`), every line with its newline. */
export function iomemText(tree: ResourceTree, options: IomemOptions = {}): string {
  const { privileged = true } = options;
  const width = tree.root.last < 0x1_0000n ? 4 : 8;
  const hex = (address: bigint): string =>
    (privileged ? address : 0n).toString(16).padStart(width, "0");
  let text = "";
  for (const [{ start, last, name }, depth] of tree.walk()) {
    const indent = "  ".repeat(Math.min(depth, MAX_IORES_LEVEL));
    text += `${indent}${hex(start)}-${hex(last)} : ${name === "" ? "<BAD>" : name}\n`;
  }
  return text;
}

const MIB = 1n << 20n;

const DESCRIPTORS: ReadonlyMap<number, ResourceDescriptor> = new Map([
  [E820_TYPE_ACPI, "acpi-tables"],
  [E820_TYPE_NVS, "acpi-nv-storage"],
  [E820_TYPE_RESERVED, "reserved"],
  [E820_TYPE_SOFT_RESERVED, "soft-reserved"],
  [E820_TYPE_PMEM, "persistent-memory"],
  [E820_TYPE_PRAM, "persistent-memory-legacy"],
]);

const LATE: Readonly<Record<PlatformProfile, ReadonlySet<number>>> = {
  "v4.1": new Set([E820_TYPE_RESERVED, E820_TYPE_PRAM]),
  modern: new Set([E820_TYPE_RESERVED, E820_TYPE_SOFT_RESERVED, E820_TYPE_PRAM, E820_TYPE_PMEM]),
};

/** What an entry of the map becomes in the tree. */
function attributesOf(entry: E820Entry, profile: PlatformProfile): ResourceAttributes {
  return {
    name: resourceName(entry.type, profile),
    busy: isBusy(entry, profile),
    systemRam: entry.type === E820_TYPE_RAM || entry.type === E820_TYPE_RESERVED_KERN,
    descriptor: DESCRIPTORS.get(entry.type) ?? "none",
  };
}

/**
 * Persistent and reserved ranges wait to be claimed by a driver, unless they start in the first
 * MiB, which belongs to the platform.
 */
function isBusy(entry: E820Entry, profile: PlatformProfile): boolean {
  return entry.start < MIB || !LATE[profile].has(entry.type);
}

/** Early in boot: everything that nobody else may claim. */
export function reserveEarly(
  tree: ResourceTree,
  entries: readonly E820Entry[],
  profile: PlatformProfile = "modern",
): void {
  for (const entry of entries) {
    if (entry.length === 0n || !isBusy(entry, profile)) continue;
    // A conflict means that an earlier entry says so already; the kernel drops the later one too.
    tree.tryInsert(entry, attributesOf(entry, profile));
  }
}

/**
 * After the buses were scanned: the claimable rest, widened where it meets something partly, and a
 * filler behind each RAM entry up to where memory modules plausibly end. Returns boot-log lines.
 */
export function reserveLate(
  tree: ResourceTree,
  entries: readonly E820Entry[],
  profile: PlatformProfile = "modern",
): string[] {
  for (const entry of entries) {
    if (entry.length === 0n || isBusy(entry, profile)) continue;
    // Only an entry past the end of the address space finds no place.
    if (entry.start + entry.length <= tree.root.last + 1n) {
      tree.insertExpanding(entry, attributesOf(entry, profile));
    }
  }
  const log: string[] = [];
  for (const entry of entries) {
    if (entry.type !== E820_TYPE_RAM) continue;
    const start = entry.start + entry.length;
    const align = bufferAlignment(start);
    const past = ((start + align - 1n) / align) * align;
    if (past <= start) continue;
    log.push(`e820: reserve RAM buffer [mem ${hex8(start)}-${hex8(past - 1n)}]`);
    tree.reserveGaps({ start, length: past - start }, "RAM buffer");
  }
  return log;
}

function bufferAlignment(address: bigint): bigint {
  if (address < MIB) return 64n << 10n;
  return address < 16n * MIB ? MIB : 64n * MIB;
}

function hex8(address: bigint): string {
  return `0x${address.toString(16).padStart(8, "0")}`;
}
