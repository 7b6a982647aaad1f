/**
 * What a range of a file is made of: runs of dax memory, holes, bytes kept among metadata.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import type { Iomap } from "../dax/iomap.ts";
import { type AccessMode, type DaxSpan, PAGE_SIZE } from "../dax/operations.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Memory } from "../lib/memory.ts";
import { MappedBytes, type WalkedFile } from "./mapped-bytes.ts";

/** A run of a file that is one thing and, where it has memory, contiguous there. */
export interface FileRun {
  readonly type: Iomap["type"];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  /** Aliases the media: byte `i` of the run is byte `start + i`. Undefined: see `absence`. */
  readonly memory: Memory | undefined;
  /** The byte of `memory` at which the run starts. */
  readonly start: number;
  /** The dax device, and the byte of it at which the run starts; `mapped` runs only. */
  readonly device: DaxDevice | undefined;
  readonly deviceStart: number;
  /** Why there is no memory: EHWPOISON, or ENOTSUP with the reason. */
  readonly absence: DaxError | undefined;
}

/** A translated place of a device. */
interface Place {
  readonly device: DaxDevice;
  /** Byte on the device. */
  readonly at: number;
  readonly length: number;
}

/** The longest run of the file from `offset`, at most `length` bytes. @throws EUCLEAN, ENXIO */
export function runAt(inode: WalkedFile, offset: number, length: number): FileRun {
  const map = inode.iomapBegin(offset, length, "report");
  const run = Math.min(length, map.offset + map.length - offset);
  if (map.type !== "mapped") return absent(map.type, offset, run, WHY[map.type]);
  const { range } = map;
  const addr = map.addr + (offset - map.offset);
  if (range === undefined || addr + run > range.length) {
    return absent("mapped", offset, run, WHY.store);
  }
  return translated({ device: range.device, at: range.start + addr, length: run }, offset);
}

const WHY = {
  hole: "a hole has no media behind it",
  unwritten: "the range is allocated but unwritten: it reads as zeros, its media does not",
  inline: "the filesystem keeps these bytes among its metadata",
  store: "the device offers no dax: no dax driver, or a partition off page borders",
} as const;

function absent(type: Iomap["type"], offset: number, length: number, why: string): FileRun {
  const detail = `file bytes ${offset}+${length}: ${why}`;
  const absence = new DaxError("ENOTSUP", { syscall: "mmap", detail });
  return {
    type,
    offset,
    length,
    memory: undefined,
    start: 0,
    device: undefined,
    deviceStart: 0,
    absence,
  };
}

function translated(place: Place, offset: number): FileRun {
  const { device, at, length } = place;
  const pgoff = Math.floor(at / PAGE_SIZE);
  const within = at - pgoff * PAGE_SIZE;
  const pages = Math.ceil((within + length) / PAGE_SIZE);
  const span = goodSpan(device, pgoff, pages);
  if (span === undefined) {
    const run = Math.min(length, PAGE_SIZE - within);
    const detail = `${device.name}: poison in page ${pgoff}`;
    const absence = new DaxError("EHWPOISON", { syscall: "mmap", detail });
    return {
      type: "mapped",
      offset,
      length: run,
      memory: undefined,
      start: 0,
      device,
      deviceStart: at,
      absence,
    };
  }
  return {
    type: "mapped",
    offset,
    length: Math.min(length, span.pages * PAGE_SIZE - within),
    memory: span.memory,
    start: span.start + within,
    device,
    deviceStart: at,
    absence: undefined,
  };
}

/** The longest span without poison that halving finds; undefined when the first page is bad. */
function goodSpan(device: DaxDevice, pgoff: number, pages: number): DaxSpan | undefined {
  const mode: AccessMode = "access";
  for (let count = pages; count >= 1; count = Math.floor(count / 2)) {
    try {
      return device.directAccess(pgoff, count, mode);
    } catch (error) {
      if (!isDaxError(error, "EHWPOISON", "EIO")) throw error;
    }
  }
  return undefined;
}

/** Whether `next` goes on where `run` stops, in the file and in memory. */
function joins(run: FileRun, next: FileRun): boolean {
  if (run.type !== next.type || run.memory !== next.memory || run.device !== next.device) {
    return false;
  }
  if (run.absence?.code !== next.absence?.code) return false;
  if (run.memory === undefined) return true;
  return run.start + run.length === next.start;
}

/**
 * All runs of a range of the file, in order and without gaps; neighbours that are contiguous in
 * memory come as one. The range must lie inside the file.
 * @throws EUCLEAN, ENXIO
 */
export function* runsOf(inode: WalkedFile, offset: number, length: number): Generator<FileRun> {
  const stop = offset + length;
  const mapped = new MappedBytes(inode);
  let held: FileRun | undefined;
  for (let at = offset; at < stop;) {
    const run = runAt(inode, at, stop - at);
    mapped.add(run);
    at += run.length;
    if (held === undefined) held = run;
    else if (joins(held, run)) held = { ...held, length: held.length + run.length };
    else {
      yield held;
      held = run;
    }
  }
  if (held !== undefined) yield held;
}

/** The index of the last of these runs, sorted, that starts at or before `offset`; -1: none. */
export function lastRunAt(runs: readonly FileRun[], offset: number): number {
  let low = -1;
  let high = runs.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((runs[middle] as FileRun).offset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
