/**
 * All exhibits, in the order in which the arguments were had.
 *
 * @module
 */
import { deviceDaxReads } from "./device-dax-reads.ts";
import type { Exhibit } from "./exhibit.ts";
import { firstLeg } from "./first-leg.ts";
import { gatedFlushes } from "./gated-flushes.ts";
import { liveFreeze } from "./live-freeze.ts";
import { memmapCopies } from "./memmap-copies.ts";

/** Every exhibit. */
export const EXHIBITS: readonly Exhibit[] = [
  memmapCopies,
  liveFreeze,
  gatedFlushes,
  firstLeg,
  deviceDaxReads,
];
