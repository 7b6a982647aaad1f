/**
 * Huge pages of zeros: what a hole of a file is mapped to where it is 2 MiB or more, with no memory
 * behind it and nothing to be written back. Neighbours are kept as runs, so that one answer of the
 * filesystem is enough for all that it tells of.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { type FaultArea, type FaultRequest, traceFault, whyNotHuge } from "./fault-area.ts";
import type { FaultedFile } from "./fault-backing.ts";
import { PMD_ORDER, PMD_PAGES, alignedTo } from "./frames.ts";
import { PAGE_SIZE } from "./operations.ts";
import { daxTrace } from "./trace-events.ts";

/**
 * Maps zeros to a hole that begins at a page, up to `stop` at most, as far as it is whole 2 MiB and
 * nobody has entries there; returns how many pages. Who calls shares the layout.
 */
export function mapZeros(area: FaultArea, index: number, stop: number): number {
  const { space, table, file, hugeZero } = area;
  const { entries, counters } = space;
  if (!hugeZero || index % PMD_PAGES !== 0) return 0;
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
  const request: FaultRequest = { index, order: PMD_ORDER, write: false };
  traceFault(area, "dax_pmd_fault", request);
  traceFault(area, "dax_pmd_load_hole", request);
  traceFault(area, "dax_pmd_fault_done", request, { result: "NOPAGE" });
}
