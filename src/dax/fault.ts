/**
 * Page faults: what happens at the first access to a page of a mapping, or at the first store to
 * one that may only be read. The entry is locked, the filesystem is asked what backs the page (and
 * gives it blocks for a store), the device is asked for the memory, and then the page is mapped
 * (Linux: `dax_iomap_fault`). Where Linux sends SIGBUS, a typed error is thrown.
 *
 * With MAP_SYNC a store to what depends on metadata that is not durable goes in two phases: the
 * page is not mapped before the filesystem has committed, and not dirty either.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { AddressSpace } from "./address-space.ts";
import {
  type FaultArea,
  type FaultRequest,
  type Faulted,
  traceFault,
  whyNotHuge,
} from "./fault-area.ts";
import { type MemoryBacking, type PageBacking, backingOf } from "./fault-backing.ts";
import type { FallbackReason } from "./fault-counters.ts";
import {
  PMD_ORDER,
  PMD_PAGES,
  type PageFrame,
  ZERO_FRAME,
  alignedTo,
  isSameFrame,
  pagesOf,
} from "./frames.ts";
import type { MappingEntry } from "./mapping-entries.ts";
import { PAGE_SIZE } from "./operations.ts";
import type { Translation } from "./page-table.ts";
import type { Steps } from "./steps.ts";
import { daxTrace } from "./trace-events.ts";
import { mapZeros } from "./zero-pages.ts";

/** `again`: others were faster; `sync`: metadata has to be durable first. */
type Outcome = Faulted | "again" | "sync";

const SCRATCH: Translation = { index: -1, frame: undefined, start: 0, writable: false };

/**
 * Brings a page to where an access finds it.
 * @throws EFAULT past the end of the file, EHWPOISON, ENXIO; ENOSPC, EROFS, EIO of the filesystem
 */
export function* handleFault(area: FaultArea, index: number, write: boolean): Steps<Faulted> {
  const { space, table } = area;
  if (write && !area.isPrivate) area.beforeStore();
  for (;;) {
    yield* space.layout.share();
    try {
      space.follow(area.file);
      const result = yield* oneFault(area, index, write);
      if (result !== "again") return result;
    } finally {
      space.layout.unshare();
    }
    space.counters.retries++;
    if (table.resolve(index, SCRATCH) && (SCRATCH.writable || !write)) return "mapped";
    yield;
  }
}

/**
 * A huge page where that is wanted and possible, or else a single one. Loads of a hole of 2 MiB
 * always get one of zeros, as in Linux: nobody stores to it, so there is nothing to write back.
 */
function* oneFault(area: FaultArea, index: number, write: boolean): Steps<Faulted | "again"> {
  const { space, table, huge, hugeZero } = area;
  if (!huge && !write && !table.hasSingle(index)) {
    const first = alignedTo(PMD_ORDER, index);
    if (mapZeros(area, first, first + PMD_PAGES) > 0) return "mapped";
  }
  const isWanted = huge || (!write && hugeZero && space.entries.isHugeZero(index));
  if (isWanted && !table.hasSingle(index)) {
    const request: FaultRequest = { index: alignedTo(PMD_ORDER, index), order: PMD_ORDER, write };
    const result = yield* told(area, "dax_pmd_fault", request, pmdFault(area, index, request));
    if (result === "sync") return yield* finishSync(area, request);
    if (result !== "fallback") return result;
  }
  const request: FaultRequest = { index, order: 0, write };
  const result = yield* told(area, "dax_pte_fault", request, pteFault(area, request));
  return result === "sync" ? yield* finishSync(area, request) : result;
}

/** Linux's names for what came of a fault. */
const RESULTS = {
  mapped: "NOPAGE",
  sync: "NEEDDSYNC",
  again: "RETRY",
  fallback: "FALLBACK",
  through: "through",
} as const;

/** A fault with its events around it, where somebody listens. */
function told<T extends keyof typeof RESULTS>(
  area: FaultArea,
  point: "dax_pte_fault" | "dax_pmd_fault",
  request: FaultRequest,
  fault: Steps<T>,
): Steps<T> {
  return daxTrace.sink === undefined ? fault : telling(area, point, request, fault);
}

function* telling<T extends keyof typeof RESULTS>(
  area: FaultArea,
  point: "dax_pte_fault" | "dax_pmd_fault",
  request: FaultRequest,
  fault: Steps<T>,
): Steps<T> {
  traceFault(area, point, request);
  let result = "SIGBUS";
  try {
    const outcome = yield* fault;
    result = RESULTS[outcome];
    return outcome;
  } finally {
    traceFault(area, `${point}_done`, request, { result });
  }
}

function* pteFault(area: FaultArea, request: FaultRequest): Steps<Outcome> {
  const { space, table } = area;
  const { entries, counters } = space;
  const { index, write } = request;
  counters.pteFaults++;
  if (write && table.resolve(index, SCRATCH)) counters.writeProtectFaults++;
  assertInFile(area, index);
  if (write && area.isPrivate) return copyOnWrite(area, index);
  const unmap = (first: number, pages: number): void => void space.unmap(first, pages);
  const entry = yield* entries.grab(index, 0, unmap);
  if (entry === "fallback") return "again";
  let outcome: Outcome;
  try {
    yield;
    // Somebody else's fault has mapped 2 MiB here.
    if (table.isHuge(index)) return "again";
    const backing = ask(area, request);
    yield;
    outcome = finish(area, entry, request, backing);
  } finally {
    entries.unlock(entry);
  }
  return outcome;
}

function* pmdFault(
  area: FaultArea,
  at: number,
  request: FaultRequest,
): Steps<Outcome | "fallback"> {
  const { space, table } = area;
  const { entries, counters } = space;
  const { index, write } = request;
  counters.pmdFaults++;
  assertInFile(area, at);
  const reason = whyNotHuge(area, index, write);
  if (reason !== undefined) return fallBack(area, reason);
  const entry = yield* entries.grab(index, PMD_ORDER, () => {});
  if (entry === "fallback") return fallBack(area, "conflict");
  let outcome: Outcome;
  try {
    yield;
    if (table.hasSingle(index)) return "again";
    const backing = ask(area, request);
    yield;
    if (backing.kind === "none") return fallBack(area, backing.reason);
    if (backing.kind === "zeros" && !area.hugeZero) {
      traceFault(area, "dax_pmd_load_hole_fallback", request);
      return fallBack(area, "zero");
    }
    outcome = finish(area, entry, request, backing);
  } finally {
    entries.unlock(entry);
  }
  return outcome;
}

function fallBack({ space }: FaultArea, reason: FallbackReason): "fallback" {
  space.counters.fallbacks[reason]++;
  return "fallback";
}

/** Asks the filesystem, and notes what that has changed. */
function ask({ space, file }: FaultArea, { index, order, write }: FaultRequest): PageBacking {
  const backing = backingOf(file, index, order, write);
  if (backing.kind !== "memory" || !backing.fresh) return backing;
  space.counters.majorFaults++;
  if (backing.spread) space.follow(file);
  else space.settle(file);
  return backing;
}

/** Enters into entry and page table what was found. */
function finish(
  area: FaultArea,
  entry: MappingEntry,
  request: FaultRequest,
  backing: PageBacking,
): Outcome {
  const { space, table, isSync } = area;
  const { index, order, write } = request;
  if (backing.kind === "none") return "through";
  if (backing.kind === "zeros") {
    if (!put(space, entry, index, undefined)) return "again";
    table.map(index, order, ZERO_FRAME, false);
    traceFault(area, order === 0 ? "dax_load_hole" : "dax_pmd_load_hole", request);
    return "mapped";
  }
  if (!put(space, entry, index, backing)) return "again";
  if (write && isSync && backing.dirty) return "sync";
  const { device, start } = backing;
  if (write) space.entries.markDirty(entry);
  const own = entry.order === order ? entry.frame : undefined;
  table.map(index, order, own ?? { device, start, copy: undefined }, write);
  traceFault(area, "dax_insert_mapping", request);
  return "mapped";
}

/**
 * Has the entry lead to what was found for page `index`. Where others still see zeros, or what the
 * page was before, they lose it first. False when the entry was of 2 MiB that are no more: it goes.
 */
function put(
  space: AddressSpace,
  entry: MappingEntry,
  index: number,
  found: MemoryBacking | undefined,
): boolean {
  const { entries } = space;
  const frame = frameFor(entry, index, found);
  if (entry.kind !== "empty" && !isSameFrame(entry.frame, frame)) {
    space.unmap(entry.index, pagesOf(entry.order));
    if (entry.order !== 0 && entry.kind === "mapped") {
      entries.delete(entry);
      return false;
    }
  }
  if (frame === undefined) entries.markClean(entry);
  entries.put(entry, frame);
  return true;
}

/** What an entry leads to whose page `index` was found there. */
function frameFor(
  entry: MappingEntry,
  index: number,
  found: MemoryBacking | undefined,
): PageFrame | undefined {
  if (found === undefined) return undefined;
  const { device, start } = found;
  return { device, start: start - (index - entry.index) * PAGE_SIZE, copy: undefined };
}

/** The second phase of MAP_SYNC: the filesystem commits, and then the page may be stored to. */
function* finishSync(area: FaultArea, request: FaultRequest): Steps<Faulted | "again"> {
  const { space, table } = area;
  const { index, order } = request;
  const { entries } = space;
  space.counters.syncFaults++;
  area.syncData();
  yield;
  const entry = yield* entries.seize(index, order);
  // It was punched, taken apart or mapped otherwise meanwhile.
  if (entry?.frame === undefined) {
    traceFault(area, "dax_insert_pfn_mkwrite_no_entry", request);
    if (entry !== undefined) entries.unlock(entry);
    return "again";
  }
  try {
    entries.markDirty(entry);
    table.map(index, order, entry.frame, true);
    traceFault(area, "dax_insert_pfn_mkwrite", request);
    return "mapped";
  } finally {
    entries.unlock(entry);
  }
}

/** A store to a private mapping: from now on the page is its own. */
function copyOnWrite(area: FaultArea, index: number): "mapped" {
  const copy = area.copyOf(index);
  area.table.mapCopy(index, { device: undefined, start: 0, copy });
  area.space.counters.copies++;
  return "mapped";
}

function assertInFile({ file }: FaultArea, index: number): void {
  if (index < Math.ceil(file.size / PAGE_SIZE)) return;
  const detail = `the file ends at byte ${file.size}; Linux sends SIGBUS`;
  throw new DaxError("EFAULT", { detail });
}
