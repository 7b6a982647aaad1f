/**
 * Writing back what was stored through mappings: msync, fsync and syncfs. It costs what is dirty,
 * however large the file is. An entry is written back as a whole, 2 MiB for a single byte of a huge
 * page, and while nobody may store to it: who stores next takes a fault, and waits for the entry
 * (Linux: `dax_writeback_mapping_range`).
 *
 * @module
 */
import type { AddressSpace } from "./address-space.ts";
import { assert } from "../lib/errno.ts";
import type { DaxDevice } from "./dax-device.ts";
import { pagesOf } from "./frames.ts";
import type { MappingEntry } from "./mapping-entries.ts";
import { PAGE_SIZE } from "./operations.ts";
import type { Steps } from "./steps.ts";
import { daxTrace } from "./trace-events.ts";

/**
 * Writes back the dirty entries of a range; the devices in `unfenced` have not been waited for.
 * @throws ERANGE, EIO of the device; what was not written back stays dirty
 */
export function* writeBackRange(
  space: AddressSpace,
  first: number,
  pages: number,
  unfenced: Set<DaxDevice>,
): Steps<void> {
  const { entries } = space;
  if (entries.dirty === 0) return;
  daxTrace.sink?.({ point: "dax_writeback_range", fields: rangeFields(space, first, pages) });
  const stop = first + pages;
  entries.tagForWriteBack(first, stop);
  for (let at = first; ;) {
    const entry = entries.next(at, "towrite");
    if (entry === undefined || entry.index >= stop) break;
    at = entry.index + pagesOf(entry.order);
    yield* writeBackOne(space, entry, unfenced);
    yield;
  }
  daxTrace.sink?.({ point: "dax_writeback_range_done", fields: rangeFields(space, first, pages) });
}

function rangeFields(space: AddressSpace, first: number, pages: number) {
  const { owner, ino } = space;
  return { dev: owner, ino, start_index: first, end_index: first + pages - 1 };
}

function* writeBackOne(
  space: AddressSpace,
  entry: MappingEntry,
  unfenced: Set<DaxDevice>,
): Steps<void> {
  const { entries } = space;
  if (!(yield* entries.lock(entry))) return;
  // Somebody else has written it back while this waited, or it was punched.
  if (!entries.isToWrite(entry)) {
    entries.unlock(entry);
    return;
  }
  const { frame, index, order } = entry;
  assert(frame?.device !== undefined, () => `page ${index} is dirty and has no memory`);
  entries.clearToWrite(entry);
  const pages = pagesOf(order);
  space.protect(index, pages);
  yield;
  unfenced.add(frame.device);
  try {
    flushFrame(frame.device, frame.start, pages * PAGE_SIZE);
    entries.markClean(entry);
    space.counters.writtenBack++;
    space.counters.flushedBytes += pages * PAGE_SIZE;
    daxTrace.sink?.({
      point: "dax_writeback_one",
      fields: { dev: space.owner, ino: space.ino, pgoff: index, pglen: pages },
    });
  } finally {
    entries.unlock(entry);
  }
}

/**
 * Writes back what may have been stored to bytes of a file, to the line: for who knows that what
 * leads to them is durable (MAP_SYNC). A dirty entry of which they are all is written back as a
 * whole; one of which they are a part stays dirty.
 */
export function* persistRange(
  space: AddressSpace,
  from: number,
  length: number,
  unfenced: Set<DaxDevice>,
): Steps<void> {
  const { entries } = space;
  const stop = from + length;
  let entry = entries.next(Math.floor(from / PAGE_SIZE), "dirty");
  while (entry !== undefined && entry.index * PAGE_SIZE < stop) {
    const { index, order, frame } = entry;
    const start = index * PAGE_SIZE;
    const end = start + pagesOf(order) * PAGE_SIZE;
    if (from <= start && end <= stop) {
      yield* writeBackRange(space, index, pagesOf(order), unfenced);
    } else if (frame?.device !== undefined) {
      const first = Math.max(from, start);
      unfenced.add(frame.device);
      flushFrame(frame.device, frame.start + first - start, Math.min(stop, end) - first);
    }
    entry = entries.next(index + pagesOf(order), "dirty");
  }
}

/** Writes back the cache lines of bytes of a device. */
function flushFrame(device: DaxDevice, start: number, length: number): void {
  const pgoff = Math.floor(start / PAGE_SIZE);
  device.flush(pgoff, start - pgoff * PAGE_SIZE, length);
}
