/**
 * What is mapped to be written: pages that are made before anybody stores to them, which of them
 * were stored to, and getting those out of the CPU's caches.
 *
 * Linux makes a page at the first store to it, by a fault. JavaScript has no faults, so the whole
 * range is made when it is mapped: holes are allocated, and what was allocated without being
 * written is written with zeros. Then a store needs nobody.
 *
 * @module
 */
import { PAGE_SIZE } from "../dax/operations.ts";
import { denied } from "./permissions.ts";
import { type FileRun, runsOf } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";
import { isZeros } from "./mapping-door.ts";

/**
 * Makes a range of a file what stores can go to; the range lies inside the file.
 * @returns whether what leads to it is not durable yet
 * @throws ENOSPC, EDQUOT, EPERM, EIO: what was made until then stays, and reads as zeros
 */
export function makePages(inode: Inode, offset: number, length: number): boolean {
  const stop = offset + length;
  let dirty = false;
  for (let at = offset; at < stop;) {
    const map = inode.iomapBegin(at, stop - at, "fault");
    const next = map.offset + map.length;
    inode.iomapEnd?.(map, Math.min(next, stop) - at, "fault");
    if (!(next > at && map.offset <= at) || isZeros(map.type)) {
      throw denied("EUCLEAN", `the filesystem made no page for byte ${at}`);
    }
    dirty ||= map.dirty ?? false;
    at = next;
  }
  return dirty;
}

/** Writes back and fences what lies in a range of a file, up to its end. @throws EINVAL, ENXIO */
export function flushRange(inode: Inode, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || length < 0) {
    throw denied("EINVAL", `bytes ${offset}+${length}`);
  }
  const most = Math.min(length, inode.size - offset);
  if (most <= 0) return;
  const runs = [...runsOf(inode, offset, most)];
  flushSpans(runs, offset, most);
  for (const device of new Set(runs.flatMap((run) => run.device ?? []))) device.fence();
}

/** Writes back what of `[offset, offset + length)` lies in dax memory; not fenced yet. */
export function flushSpans(spans: readonly FileRun[], offset: number, length: number): void {
  const stop = offset + length;
  for (const { device, memory, offset: start, length: run, deviceStart } of spans) {
    if (device === undefined || memory === undefined) continue;
    const from = Math.max(start, offset);
    const to = Math.min(start + run, stop);
    if (from >= to) continue;
    const at = deviceStart + (from - start);
    const pgoff = Math.floor(at / PAGE_SIZE);
    device.flush(pgoff, at - pgoff * PAGE_SIZE, to - from);
  }
}
