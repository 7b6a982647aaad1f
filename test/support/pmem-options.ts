/** A small pmem, to be changed in one place. */
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import type { PmemOptions } from "../../src/drivers/pmem.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { noise } from "./bytes.ts";

export const PAGES = 32;
export const SIZE = PAGES * PAGE_SIZE;
export const page = noise(1, PAGE_SIZE);

export function options(extra: Partial<PmemOptions> = {}): PmemOptions {
  const media = new RamMedia(SIZE);
  return { name: "pmem0", media, start: 0, length: SIZE, physicalStart: 2 ** 32, ...extra };
}
