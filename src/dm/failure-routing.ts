/**
 * From a leg to whoever holds the mapped device: which of its bytes are those that failed below.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { type FailureReason, noteFailure, placeOf } from "../dax/media-failures.ts";
import { type Range, RangeSet } from "../lib/range-set.ts";
import type { DaxRoute } from "./target.ts";
import type { Placed, Table } from "./table.ts";

/** Runs of a table that are told one by one; of more than these, what lies between them as well. */
const MOST_RUNS = 1 << 14;

/**
 * Tells the holder of `upper`, once, which bytes of `table` lie in `ranges` of `lower`: one bad
 * page below may be several pages above, or none. A leg that goes takes with it what lies between
 * its chunks.
 */
export function passUp(
  table: Table | undefined,
  upper: DaxDevice | undefined,
  lower: DaxDevice,
  ranges: readonly Range[],
  reason: FailureReason,
): void {
  if (table?.dax === undefined || upper === undefined) return;
  const found = new RangeSet();
  for (const [index, placed] of table.placed.entries()) {
    const route = table.dax.routes[index] as DaxRoute;
    traceAll(route, placed, lower, ranges, reason === "pre-remove", found);
  }
  const [first, ...more] = found;
  if (first === undefined) return;
  const place = placeOf([first, ...more]);
  noteFailure({ reason, by: upper.name, ...place, owners: [] });
  upper.holder?.notifyFailure(place.start, place.length, reason, place.ranges);
}

/** Adds what lies in the given ranges of a leg to the bytes found above. */
function traceAll(
  route: DaxRoute,
  { begin, length }: Placed,
  lower: DaxDevice,
  ranges: readonly Range[],
  roughly: boolean,
  found: RangeSet,
): void {
  const [from, size] = [begin * SECTOR_SIZE, length * SECTOR_SIZE];
  for (const range of ranges) {
    const most = roughly ? 1 : Math.max(1, MOST_RUNS - found.count);
    route.trace(lower, range, most, (at, run) => {
      const inside = Math.min(run, size - at);
      if (inside > 0) found.add(from + at, inside);
    });
  }
}
