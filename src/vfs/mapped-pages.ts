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
import type { InodeWriting } from "./writing.ts";

/** Bytes that are made at once. */
const PIECE = 1 << 20;

/**
 * Makes a range of a file what stores can go to; the range lies inside the file.
 * @throws ENOSPC, EDQUOT, EPERM, EIO: what was made until then stays, and reads as zeros
 */
export function makePages(
  inode: Inode,
  writing: InodeWriting,
  offset: number,
  length: number,
): void {
  const zeros = [...runsOf(inode, offset, length)].filter(({ type }) => isZeros(type));
  if (zeros.length === 0) return;
  const longest = Math.max(...zeros.map((run) => run.length));
  const source = new Uint8Array(Math.min(longest, PIECE));
  for (const run of zeros) {
    for (let done = 0; done < run.length;) {
      const piece = source.subarray(0, Math.min(source.length, run.length - done));
      const count = writing.write(piece, run.offset + done);
      if (count === 0) throw denied("EIO", `the filesystem wrote nothing at ${run.offset + done}`);
      done += count;
    }
  }
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

  /** Whether anything may have been stored since the last write-back. */
  get isDirty(): boolean {
    return this.#all || this.#tags.dirty > 0;
  }

  /** Writes back what of `[offset, offset + length)` may have been stored to; no fence. */
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
