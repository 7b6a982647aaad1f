/**
 * What stands below a device: how deep a stack is, and that it does not stand on itself.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import { FaultyDevice } from "../block/fault-injection.ts";
import { Partition } from "../block/partition.ts";
import { RecordedDevice } from "../block/recorded-device.ts";
import { DaxError } from "../lib/errno.ts";

/** Levels of mapped devices that may stand on each other: a request goes through all of them. */
export const MOST_LEVELS = 8;

/** A device that stands on others by a table. */
export interface Stacked extends BlockDevice {
  /** The devices of its tables, live or loaded. */
  readonly below: readonly BlockDevice[];
}

/**
 * Refuses to put `owner` on `leg`. Linux refuses a device on itself only, and a longer loop is one
 * that nobody can remove any more.
 * @param all every device that may stand on `owner`
 * @throws ELOOP for a loop, and for more than eight levels
 */
export function assertNoLoop(
  owner: BlockDevice,
  leg: BlockDevice,
  all: Iterable<BlockDevice> = [],
): void {
  if (wayTo(owner, leg) >= 0) {
    refuse(owner, `${owner.name} would stand on itself, by way of ${leg.name}`);
  }
  const below = levelsOf(leg);
  let above = 0;
  for (const device of all) above = Math.max(above, wayTo(owner, device));
  if (above + 1 + below <= MOST_LEVELS) return;
  const levels = `${above} above ${owner.name}, and ${below} with ${leg.name}`;
  refuse(owner, `${MOST_LEVELS} levels of mapped devices are the most; there are ${levels}`);
}

function refuse(owner: BlockDevice, detail: string): never {
  throw new DaxError("ELOOP", { syscall: "load", path: owner.name, detail });
}

/** Levels of mapped devices from `device` downwards. */
function levelsOf(device: BlockDevice, known = new Map<BlockDevice, number>()): number {
  let levels = known.get(device);
  if (levels !== undefined) return levels;
  levels = 0;
  for (const below of belowOf(device)) levels = Math.max(levels, levelsOf(below, known));
  if (isStacked(device)) levels++;
  known.set(device, levels);
  return levels;
}

/** Levels on the longest way from `device` down to `owner`; -1 where there is none. */
function wayTo(
  owner: BlockDevice,
  device: BlockDevice,
  known = new Map<BlockDevice, number>(),
): number {
  if (device === owner) return 0;
  let way = known.get(device);
  if (way !== undefined) return way;
  way = -1;
  for (const below of belowOf(device)) way = Math.max(way, wayTo(owner, below, known));
  if (way >= 0 && isStacked(device)) way++;
  known.set(device, way);
  return way;
}

/** Whether a device is another one, a partition of it, or a wrapping. */
export function isOf(device: BlockDevice | undefined, whole: BlockDevice): boolean {
  return device !== undefined && (device === whole || isOf(innerOf(device), whole));
}

function belowOf(device: BlockDevice): readonly BlockDevice[] {
  if (isStacked(device)) return device.below;
  const inner = innerOf(device);
  return inner === undefined ? [] : [inner];
}

function isStacked(device: BlockDevice): device is Stacked {
  return "below" in device;
}

function innerOf(device: BlockDevice): BlockDevice | undefined {
  if (device instanceof Partition) return device.disk;
  if (device instanceof FaultyDevice || device instanceof RecordedDevice) return device.inner;
  return undefined;
}
