/**
 * Memory that fails under a running machine: from a physical address to the device, and from there
 * to all who stand on it, down to the files that are lost (Linux: `memory_failure` of a page of a
 * dax device, and the machine check that libnvdimm turns into bad blocks).
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import { type MediaFailure, hearFailures } from "../dax/media-failures.ts";
import type { Pmem } from "../drivers/pmem.ts";
import type { ScrubTarget } from "../platform/address-range-scrub.ts";
import type { Slot } from "./slot.ts";

/** What became of a failure. */
export interface MemoryFailure {
  /** The disk: `pmem0`. */
  readonly device: string;
  /** Bytes of the disk: whole sectors. */
  readonly start: number;
  readonly length: number;
  /** Who was told, from below upwards: mapped devices, filesystems with what was there. */
  readonly told: readonly MediaFailure[];
}

/** What of a slot can be scrubbed: the memory of its device, while it has one. */
export function scrubTargetsOf({ pmem }: Pick<Slot, "pmem">): ScrubTarget[] {
  if (pmem === undefined) return [];
  const { poison, physicalStart, range } = pmem;
  const bad = Array.from(poison.snapshot(), ({ start, length }) => ({
    start: start * SECTOR_SIZE,
    length: length * SECTOR_SIZE,
  }));
  const persistent = range.domain !== "volatile";
  const clear = (offset: number, length: number): number => {
    if (!poison.clear(offset, length)) return 0;
    poison.forget(offset, length);
    return length;
  };
  return [{ start: physicalStart, length: range.length, persistent, bad, clear }];
}

/** Bad blocks first, so that whoever is told finds them. @throws ENOSPC for a full table */
export function memoryFailure(pmem: Pmem, address: number, length: number): MemoryFailure {
  const { range, poison, physicalStart, dax, name } = pmem;
  const offset = address - physicalStart;
  const start = offset - (offset % SECTOR_SIZE);
  const stop = Math.min(Math.ceil((offset + length) / SECTOR_SIZE) * SECTOR_SIZE, range.length);
  const run = stop - start;
  poison.table.add(start / SECTOR_SIZE, Math.ceil(run / SECTOR_SIZE));
  const told = hearFailures(() => void dax.notifyFailure(start, run));
  return { device: name, start, length: run, told };
}
