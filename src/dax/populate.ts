/**
 * Faults that are taken ahead, of all pages of a range: MAP_POPULATE and mlock. A hole is mapped as
 * far as it reaches: one of a terabyte costs what one of a page does.
 *
 * @module
 */
import type { FaultArea } from "./fault-area.ts";
import { handleFault } from "./fault.ts";
import type { Translation } from "./page-table.ts";
import type { Steps } from "./steps.ts";
import { mapZeros } from "./zero-pages.ts";

const SCRATCH: Translation = { index: -1, frame: undefined, start: 0, writable: false };

/**
 * Maps the pages from `first` to below `stop`, for loads or for stores as well. What has no memory
 * stays without. @throws as a load or a store to any of them
 */
export function* populating(
  area: FaultArea,
  first: number,
  stop: number,
  write: boolean,
): Steps<void> {
  const { table, space, file } = area;
  for (let index = first; index < stop;) {
    space.follow(file);
    const run = write ? 0 : table.zerosFrom(index) || (yield* zeros(area, index, stop));
    if (run === 0) {
      const isThere = table.resolve(index, SCRATCH) && (SCRATCH.writable || !write);
      if (!isThere) yield* handleFault(area, index, write);
    }
    index += Math.max(1, run);
  }
}

function* zeros(area: FaultArea, index: number, stop: number): Steps<number> {
  const { space, file } = area;
  yield* space.layout.share();
  try {
    space.follow(file);
    return mapZeros(area, index, stop);
  } finally {
    space.layout.unshare();
  }
}
