/** Blocks that are taken from disks in many states, and given back. */
import type { BlockRequest } from "../../src/fs/ext/block-allocator.ts";
import type { Bitmap } from "../../src/lib/bitmap.ts";
import { BigDisk } from "./big-disk.ts";
import type { Writing } from "./ext-writing.ts";

export const PER_GROUP = 32_768;
export const FREE = PER_GROUP - BigDisk.own;

export function take({ operate, editor }: Writing, request: BlockRequest) {
  return operate((handle) => editor.allocator.allocate(handle, request));
}

export function give({ operate, editor }: Writing, start: number, count: number, metadata = false) {
  operate((handle) => editor.allocator.free(handle, start, count, { metadata }));
}

/** Every second cluster of every group is in use. */
export const COMB = (bitmap: Bitmap) => bitmap.bytes.fill(0x55);

/** Every second cluster, and two longer runs in two groups. */
export const TWO_RUNS = (bitmap: Bitmap, group: number) => {
  COMB(bitmap);
  if (group === 5) bitmap.fill(20_000, 100, false);
  if (group === 7) bitmap.fill(9000, 40, false);
};

/** Three clusters are left. */
export const ALMOST_FULL = (bitmap: Bitmap, group: number) => {
  bitmap.fill(0, PER_GROUP, true);
  if (group === 77) bitmap.fill(31_000, 3, false);
};
