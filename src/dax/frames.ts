/**
 * Frames: what a page of a mapping leads to, and the sizes that pages come in.
 *
 * @module
 */
import type { DaxDevice } from "./dax-device.ts";

/** A page (PTE) or 512 of them as one (PMD). */
export type PageOrder = 0 | 9;

/** Pages in a PMD: 2 MiB. */
export const PMD_PAGES = 512;
/** The order of a PMD. */
export const PMD_ORDER = 9;

/** How many pages a page of an order stands for. */
export function pagesOf(order: PageOrder): number {
  return order === 0 ? 1 : PMD_PAGES;
}

/** The first page of the page of an order that holds `index`. */
export function alignedTo(order: PageOrder, index: number): number {
  return order === 0 ? index : index - (index % PMD_PAGES);
}

/** Memory that a page leads to; never changed, so who holds one knows what it was mapped to. */
export interface PageFrame {
  /** Undefined for zeros, and for a copy of its own. */
  readonly device: DaxDevice | undefined;
  /** Bytes of the device at which the memory starts. */
  readonly start: number;
  /** What a private mapping has made of the page (copy on write). */
  readonly copy: DataView<ArrayBuffer> | undefined;
}

/** The page of zeros that holes are read from; nobody may store to it. */
export const ZERO_FRAME: PageFrame = { device: undefined, start: 0, copy: undefined };

/** Whether both lead to the same memory. */
export function isSameFrame(one: PageFrame | undefined, other: PageFrame | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return one.device === other.device && one.start === other.start && one.copy === other.copy;
}
