/**
 * From a leg to whoever holds the mapped device: which of its bytes are those that failed below.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { type FailureReason, noteFailure } from "../dax/media-failures.ts";
import type { DaxRoute } from "./target.ts";
import type { Table } from "./table.ts";

/**
 * Tells the holder of `upper` of every run of bytes of `table` that lies in `length` bytes at byte
 * `start` of `lower`: one bad page below may be several pages above, or none.
 */
export function passUp(
  table: Table | undefined,
  upper: DaxDevice | undefined,
  lower: DaxDevice,
  start: number,
  length: number,
  reason: FailureReason,
): void {
  if (table?.dax === undefined || upper === undefined) return;
  const { routes } = table.dax;
  for (const [index, placed] of table.placed.entries()) {
    const from = placed.begin * SECTOR_SIZE;
    const size = placed.length * SECTOR_SIZE;
    (routes[index] as DaxRoute).trace(lower, start, length, (at, run) => {
      const inside = Math.min(run, size - at);
      if (inside <= 0) return;
      noteFailure({ reason, by: upper.name, start: from + at, length: inside, owners: [] });
      upper.holder?.notifyFailure(from + at, inside, reason);
    });
  }
}
