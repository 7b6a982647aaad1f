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
