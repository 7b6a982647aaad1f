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
import { PageTags } from "../dax/page-tags.ts";
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

/** The pages of one mapping that may hold stores which are in no durable place yet. */
export class MappedPages {
  readonly #tags = new PageTags();
  #all = false;

  /** Bytes of the file were stored to. */
  stored(offset: number, length: number): void {
    if (this.#all) return;
    const first = Math.floor(offset / PAGE_SIZE);
    const last = Math.floor((offset + length - 1) / PAGE_SIZE);
    this.#tags.markDirty(first, last - first + 1);
  }

  /** From now on anybody may have stored anywhere, at any time. */
  opened(): void {
    this.#all = true;
  }

  /** Nobody has a raw array any more, and what was stored through it is written back. */
  closed(): void {
    this.#all = false;
  }

  /** Whether anything may have been stored since the last write-back. */
  get isDirty(): boolean {
    return this.#all || this.#tags.dirty > 0;
  }

  /** Writes back what of `[offset, offset + length)` may have been stored to; not fenced yet. */
  writeBack(spans: readonly FileRun[], offset: number, length: number): void {
    if (this.#all) {
      flushSpans(spans, offset, length);
      return;
    }
    const first = Math.floor(offset / PAGE_SIZE);
    const pages = Math.floor((offset + length - 1) / PAGE_SIZE) - first + 1;
    this.#tags.writeBack(first, pages, (page) => flushSpans(spans, page * PAGE_SIZE, PAGE_SIZE));
  }
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

function flushSpans(spans: readonly FileRun[], offset: number, length: number): void {
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
