/**
 * The firmware's memory map as the boot protocol hands it over: packed entries of 20 bytes.
 *
 * @module
 */
import { DaxError, assert } from "../lib/errno.ts";
import type { Memory } from "../lib/memory.ts";
import { sizeof, struct } from "../lib/struct.ts";

/** Ordinary memory. */
export const E820_TYPE_RAM = 1;
/** What nobody may use unasked. */
export const E820_TYPE_RESERVED = 2;
/** ACPI tables, reclaimable once read. */
export const E820_TYPE_ACPI = 3;
/** ACPI non-volatile storage. */
export const E820_TYPE_NVS = 4;
/** Memory found faulty. */
export const E820_TYPE_UNUSABLE = 5;
/** Persistent memory as ACPI 6 and UEFI define it; its device comes from the NFIT. */
export const E820_TYPE_PMEM = 7;
/** Persistent memory as firmware before ACPI 6 marked it; its device comes from this entry. */
export const E820_TYPE_PRAM = 12;
/** Memory that holds what the boot loader handed to the kernel. */
export const E820_TYPE_RESERVED_KERN = 128;
/** Memory set aside for a specific purpose: `EFI_MEMORY_SP`. */
export const E820_TYPE_SOFT_RESERVED = 0xefff_ffff;

/** The most entries that the boot protocol's zero page carries. */
export const E820_MAX_ENTRIES_ZEROPAGE = 128;

/** `struct boot_e820_entry` */
export const BootE820Entry = /* @__PURE__ */ struct("boot_e820_entry", 20, (at) => ({
  addr: at.bigLe64(),
  size: at.bigLe64(),
  type: at.le32(),
}));

/** One entry; addresses reach 2^64 - 1, so they are `bigint`. */
export interface E820Entry {
  readonly start: bigint;
  /** Bytes; an entry of none is legal and vanishes when the map is sanitised. */
  readonly length: bigint;
  readonly type: number;
}

/**
 * Reads `count` packed entries from the start of `memory` (all that fit by default).
 * @throws EINVAL when fewer lie there, or when `count` is left out and bytes remain
 */
export function decodeE820(memory: Memory, count?: number): E820Entry[] {
  const size = sizeof(BootE820Entry);
  const fit = Math.floor(memory.byteLength / size);
  if (count === undefined && memory.byteLength % size !== 0) {
    throw new DaxError("EINVAL", {
      detail: `e820 table: ${memory.byteLength} bytes are not a multiple of ${size}`,
    });
  }
  if (count !== undefined && !(count >= 0 && count <= fit)) {
    throw new DaxError("EINVAL", {
      detail: `e820 table: ${count} entries claimed, ${memory.byteLength} bytes hold ${fit}`,
    });
  }
  return Array.from({ length: count ?? fit }, (_, i) => ({
    start: BootE820Entry.addr.get(memory, i * size),
    length: BootE820Entry.size.get(memory, i * size),
    type: BootE820Entry.type.get(memory, i * size),
  }));
}

/** Writes the entries, packed, from the start of `memory`, which must have room for them. */
export function encodeE820(memory: Memory, entries: readonly E820Entry[]): void {
  const size = sizeof(BootE820Entry);
  assert(memory.byteLength >= entries.length * size, "encodeE820: no room for the table");
  for (const [i, { start, length, type }] of entries.entries()) {
    BootE820Entry.addr.set(memory, i * size, start);
    BootE820Entry.size.set(memory, i * size, length);
    BootE820Entry.type.set(memory, i * size, type);
  }
}
