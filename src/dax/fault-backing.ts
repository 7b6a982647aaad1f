/**
 * What stands behind a page that somebody touches: the filesystem is asked, and gives blocks for a
 * store; then the device is asked for their memory.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import type { DaxDevice } from "./dax-device.ts";
import type { FallbackReason } from "./fault-counters.ts";
import { PMD_PAGES, type PageOrder, pagesOf } from "./frames.ts";
import type { Iomap, Iomappable } from "./iomap.ts";
import { PAGE_SIZE } from "./operations.ts";

/** A file whose pages are mapped. */
export interface FaultedFile extends Iomappable {
  /** Another number whenever bytes may lie elsewhere than before. */
  readonly mapGeneration?: number | undefined;
  /**
   * The bytes that may lie elsewhere than when it said `generation`. Undefined, or absent: it does
   * not know, so all may. Who asks has it noted from here on: a second one hears that all may.
   */
  mapChangesSince?(generation: number): Iterable<Range> | undefined;
}

/** Memory of a device. */
export interface MemoryBacking {
  readonly kind: "memory";
  readonly device: DaxDevice;
  /** Bytes of the device at which the page starts. */
  readonly start: number;
  /** The filesystem has made blocks for it. */
  readonly fresh: boolean;
  /** What leads to it is not durable yet. */
  readonly dirty: boolean;
  /** More of the file than this page has changed. */
  readonly spread: boolean;
}

/** Memory; zeros; or, with the reason, no memory that this page could be mapped to. */
export type PageBacking =
  | MemoryBacking
  | { readonly kind: "zeros" }
  | { readonly kind: "none"; readonly reason: FallbackReason };

/**
 * What backs a page of the file.
 * @throws EUCLEAN when the filesystem gives nothing for a store; EOPNOTSUPP for shared blocks; of a
 *   single page EHWPOISON, ENXIO; ENOSPC, EROFS, EIO
 */
export function backingOf(
  file: FaultedFile,
  index: number,
  order: PageOrder,
  write: boolean,
): PageBacking {
  const at = index * PAGE_SIZE;
  const length = pagesOf(order) * PAGE_SIZE;
  const intent = write ? "fault" : "report";
  const map = file.iomapBegin(at, length, intent);
  if (write) file.iomapEnd?.(map, Math.min(length, map.offset + map.length - at), intent);
  if (map.type === "inline") return { kind: "none", reason: "device" };
  const isWhole = map.offset <= at && map.offset + map.length >= at + length;
  if (map.type !== "mapped") {
    if (write && order === 0 && isWhole) refuseNothing(map, at);
    return isWhole && !write ? { kind: "zeros" } : { kind: "none", reason: "extent" };
  }
  if (write && map.shared === true) refuseShared(map);
  if (!isWhole) return { kind: "none", reason: "extent" };
  return memoryOf(map, at, order);
}

function memoryOf(map: Iomap, at: number, order: PageOrder): PageBacking {
  const { range, addr, fresh = false, dirty = false, spread = false } = map;
  const within = addr + (at - map.offset);
  if (range === undefined || within + pagesOf(order) * PAGE_SIZE > range.length) {
    return { kind: "none", reason: "device" };
  }
  const start = range.start + within;
  const { device } = range;
  const reason = order === 0 ? undefined : whyNotHuge(device, start);
  if (reason !== undefined) return { kind: "none", reason };
  if (order === 0) assertMemory(device, start);
  return { kind: "memory", device, start, fresh, dirty, spread };
}

/** All of the page is there: a page of the file may lie across two of the device. */
function assertMemory(device: DaxDevice, start: number): void {
  const pgoff = Math.floor(start / PAGE_SIZE);
  const last = Math.floor((start + PAGE_SIZE - 1) / PAGE_SIZE);
  for (let page = pgoff; page <= last; page++) device.directAccess(page, 1);
}

function whyNotHuge(device: DaxDevice, start: number): FallbackReason | undefined {
  if (start % PAGE_SIZE !== 0) return "alignment";
  try {
    const { pages, pfn } = device.directAccess(start / PAGE_SIZE, PMD_PAGES);
    return pages < PMD_PAGES || pfn % PMD_PAGES !== 0 ? "alignment" : undefined;
  } catch (error) {
    if (isDaxError(error)) return "device";
    throw error;
  }
}

function refuseNothing({ type }: Iomap, at: number): never {
  const detail = `the filesystem made no page for byte ${at}: it answers ${type}`;
  throw new DaxError("EUCLEAN", { syscall: "mmap", detail });
}

function refuseShared({ offset, length }: Iomap): never {
  const detail = `blocks at ${offset}+${length} belong to another file too; copy them first`;
  throw new DaxError("EOPNOTSUPP", { syscall: "mmap", detail });
}
