/**
 * What a fault is about: who maps a file, which page of it is wanted and what for.
 *
 * @module
 */
import type { AddressSpace } from "./address-space.ts";
import type { FaultedFile } from "./fault-backing.ts";
import type { FallbackReason } from "./fault-counters.ts";
import { PMD_PAGES, type PageOrder } from "./frames.ts";
import { PAGE_SIZE } from "./operations.ts";
import type { PageTable } from "./page-table.ts";
import { type DaxTracePoint, daxTrace } from "./trace-events.ts";

/** A mapping, as a fault sees it (Linux: a VMA). Pages are counted from the start of the file. */
export interface FaultArea {
  readonly space: AddressSpace;
  readonly table: PageTable;
  readonly file: FaultedFile;
  readonly first: number;
  readonly pages: number;
  /** The page of the process's address space at which the first one is mapped. */
  readonly address: number;
  /** MAP_PRIVATE: a store copies the page. */
  readonly isPrivate: boolean;
  /** MAP_SYNC. */
  readonly isSync: boolean;
  /** Whether 2 MiB are tried first. */
  readonly huge: boolean;
  /** Whether there is a huge page of zeros. */
  readonly hugeZero: boolean;
  /** Before a fault that stores to the file: times, and whether it may (a frozen filesystem). */
  beforeStore(): void;
  /** Makes durable what leads to bytes of the file: fdatasync. @throws EIO */
  syncData(): void;
  /** A copy of a page of the file, zeros behind its end. @throws EHWPOISON, EIO */
  copyOf(index: number): DataView<ArrayBuffer>;
}

/** The page is mapped; or it has no memory, and every access goes through the filesystem. */
export type Faulted = "mapped" | "through";

/** Which page is wanted, and what for. */
export interface FaultRequest {
  readonly index: number;
  readonly order: PageOrder;
  readonly write: boolean;
}

/** Why 2 MiB cannot be mapped at once, as far as that is known before anybody is asked. */
export function whyNotHuge(
  { first, pages, address, isPrivate, file }: FaultArea,
  index: number,
  write: boolean,
): FallbackReason | undefined {
  if ((address - first) % PMD_PAGES !== 0) return "colour";
  if (write && isPrivate) return "private";
  if (index < first || index + PMD_PAGES > first + pages) return "range";
  if (index + PMD_PAGES > Math.ceil(file.size / PAGE_SIZE)) return "end";
  return undefined;
}

/** Tells whoever listens of a step of a fault. Addresses are bytes, as Linux has them. */
export function traceFault(
  area: FaultArea,
  point: DaxTracePoint,
  of: FaultRequest,
  more?: Readonly<Record<string, string>>,
): void {
  daxTrace.sink?.({
    point,
    fields: {
      dev: area.space.owner,
      ino: area.space.ino,
      address: (area.address + of.index - area.first) * PAGE_SIZE,
      pgoff: of.index,
      order: of.order,
      write: of.write ? 1 : 0,
      vm_flags: area.isPrivate ? "private" : "shared",
      vm_start: area.address * PAGE_SIZE,
      vm_end: (area.address + area.pages) * PAGE_SIZE,
      max_pgoff: Math.ceil(area.file.size / PAGE_SIZE),
      ...more,
    },
  });
}
