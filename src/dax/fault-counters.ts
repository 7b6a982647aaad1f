/**
 * What faults and write-backs of a file came to; plain numbers, reset by nobody.
 *
 * @module
 */

/** Why 512 pages were not mapped as one. */
export type FallbackReason =
  /** Address and place in the file are not the same within 2 MiB. */
  | "colour"
  /** A store to a private mapping: copies are made page by page. */
  | "private"
  /** The 2 MiB reach out of what is mapped. */
  | "range"
  /** They reach past the end of the file. */
  | "end"
  /** Some of their pages are mapped one by one already. */
  | "conflict"
  /** The extent is shorter, or does not begin there. */
  | "extent"
  /** The memory is in pieces, or begins in the midst of 2 MiB. */
  | "alignment"
  /** The device answered with an error, or there is no dax. */
  | "device"
  /** There is no huge page of zeros. */
  | "zero";

/** Counters of one file. */
export interface FaultCounters {
  /** Faults of single pages; of them those that changed a read-only page to a writable one. */
  pteFaults: number;
  writeProtectFaults: number;
  pmdFaults: number;
  /** Faults for which the filesystem had to make blocks. */
  majorFaults: number;
  /** Faults that found everything done, or gone, and were begun anew. */
  retries: number;
  /** Pages that private mappings copied. */
  copies: number;
  /** Faults that waited until the filesystem's metadata was durable (MAP_SYNC). */
  syncFaults: number;
  /** By reason, PMD faults that became PTE faults. */
  readonly fallbacks: Record<FallbackReason, number>;
  /** Pages, huge ones counted once, that lost the permission to be stored to. */
  writeProtected: number;
  /** Pages, huge ones counted once, that were unmapped. */
  unmapped: number;
  /** Entries that were written back, and their bytes. */
  writtenBack: number;
  flushedBytes: number;
}

/** Counters at zero. */
export function newFaultCounters(): FaultCounters {
  return {
    pteFaults: 0,
    writeProtectFaults: 0,
    pmdFaults: 0,
    majorFaults: 0,
    retries: 0,
    copies: 0,
    syncFaults: 0,
    fallbacks: {
      colour: 0,
      private: 0,
      range: 0,
      end: 0,
      conflict: 0,
      extent: 0,
      alignment: 0,
      device: 0,
      zero: 0,
    },
    writeProtected: 0,
    unmapped: 0,
    writtenBack: 0,
    flushedBytes: 0,
  };
}
