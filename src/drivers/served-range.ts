/**
 * A range of a device-dax instance with the memory behind it. Each is served as pmem serves its
 * one: the rules for poison, copies and write-back are the same.
 *
 * @module
 */
import { PoisonMap } from "../block/poison-map.ts";
import type { MediaRange } from "../dax/media-range.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import type { DeviceRange } from "./dax-ranges.ts";
import { PmemOperations } from "./pmem-operations.ts";

/** A range as it is served: a {@link DeviceRange} with its memory. */
export interface ServedRange extends DeviceRange {
  readonly memory: MediaRange;
  readonly poison: PoisonMap;
  readonly operations: PmemOperations;
}

/** Puts a range and its memory together. */
export function serve(range: DeviceRange, memory: MediaRange): ServedRange {
  const poison = new PoisonMap(memory);
  const operations = new PmemOperations(memory, poison, range.start / PAGE_SIZE);
  return { ...range, memory, poison, operations };
}
