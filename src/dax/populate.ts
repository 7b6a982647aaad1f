/**
 * Faults that are taken ahead, of all pages of a range: MAP_POPULATE and mlock. Where the file has
 * nothing, whole 2 MiB of zeros are mapped, as Linux does it, and one answer of the filesystem is
 * enough for all of them that it tells of: a hole of a terabyte costs what one of a page does.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { FaultedFile } from "./fault-backing.ts";
import { type FaultArea, type Request, handleFault, traceFault, whyNotHuge } from "./fault.ts";
import { PMD_ORDER, PMD_PAGES, alignedTo } from "./frames.ts";
import { PAGE_SIZE } from "./operations.ts";
import type { Translation } from "./page-table.ts";
import type { Steps } from "./steps.ts";
import { daxTrace } from "./trace-events.ts";

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
    const run = write ? 0 : table.zerosFrom(index) || (yield* mapZeros(area, index, stop));
    if (run === 0) {
      const isThere = table.resolve(index, SCRATCH) && (SCRATCH.writable || !write);
      if (!isThere) yield* handleFault(area, index, write);
    }
    index += Math.max(1, run);
  }
}

/** Maps a hole that begins there, as far as it is whole 2 MiB; returns how many pages. */
function* mapZeros(area: FaultArea, index: number, stop: number): Steps<number> {
  const { space, table, file, hugeZero } = area;
  const { entries, layout, counters } = space;
  if (!hugeZero || index % PMD_PAGES !== 0) return 0;
  yield* layout.share();
  try {
    space.follow(file);
    if (whyNotHuge(area, index, false) !== undefined) return 0;
    const last = Math.min(area.first + area.pages, stop, Math.ceil(file.size / PAGE_SIZE));
    const free = entries.freeFrom(index, Math.max(0, last - index));
    const pages = free === 0 ? 0 : alignedTo(PMD_ORDER, holeAt(file, index, free));
    if (pages === 0) return 0;
    entries.addZeros(index, pages);
    table.mapZeros(index, pages);
    counters.pmdFaults += pages / PMD_PAGES;
    for (let at = index; daxTrace.sink !== undefined && at < index + pages; at += PMD_PAGES)
      traceHole(area, at);
    return pages;
  } finally {
    layout.unshare();
  }
}

/** How many pages from `index` on, at most `pages`, the file has nothing for. */
function holeAt(file: FaultedFile, index: number, pages: number): number {
  const at = index * PAGE_SIZE;
  let end = at;
  // Neighbouring answers are one hole: some filesystems tell of them piece by piece.
  while (end < at + pages * PAGE_SIZE) {
    const map = file.iomapBegin(end, at + pages * PAGE_SIZE - end, "report");
    if (map.type !== "hole" && map.type !== "unwritten") break;
    if (map.offset + map.length <= end) refuseStandstill(map.offset + map.length, end);
    end = map.offset + map.length;
  }
  return Math.min(pages, Math.floor((end - at) / PAGE_SIZE));
}

function refuseStandstill(end: number, at: number): never {
  const detail = `the filesystem was asked about byte ${at}, and answers of bytes up to ${end}`;
  throw new DaxError("EUCLEAN", { syscall: "mmap", detail });
}

function traceHole(area: FaultArea, index: number): void {
  const request: Request = { index, order: PMD_ORDER, write: false };
  traceFault(area, "dax_pmd_fault", request);
  traceFault(area, "dax_pmd_load_hole", request);
  traceFault(area, "dax_pmd_fault_done", request, { result: "NOPAGE" });
}
