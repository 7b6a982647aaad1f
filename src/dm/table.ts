/**
 * A table: targets side by side, and what follows from all of them.
 *
 * @module
 */
import { type BlockDevice, type QueueLimits, SECTOR_SIZE } from "../block/block-device.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { absenceOf } from "../dax/old-devices.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { assert } from "../lib/errno.ts";
import { surely } from "../lib/for-every.ts";
import type { Leg } from "./leg.ts";
import type { DaxRoute, Target, TargetType } from "./target.ts";

/** Sectors in a page. */
const PAGE_SECTORS = PAGE_SIZE / SECTOR_SIZE;

/** Limits of a device without a table. */
export const NO_LIMITS: QueueLimits = { logicalBlockSize: 512, physicalBlockSize: 512 };

/** A target and the sectors that it serves. */
export interface Placed {
  readonly type: TargetType;
  readonly target: Target;
  /** The first sector. */
  readonly begin: number;
  /** Sectors. */
  readonly length: number;
}

/** How dax goes through a table. */
export interface TableDax {
  /** One for each target. */
  readonly routes: readonly DaxRoute[];
  /** Every device that routes lead to, once. */
  readonly devices: readonly DaxDevice[];
  /** Any of them needs its cache lines written back. */
  readonly writeCache: boolean;
  /** All of them may back MAP_SYNC. */
  readonly synchronous: boolean;
}

/** Targets without gaps from sector 0. */
export class Table {
  readonly placed: readonly Placed[];
  readonly legs: readonly Leg[];
  readonly readOnly: boolean;
  readonly sectors: number;
  readonly limits: QueueLimits;
  /** Devices that one flush reaches for all targets that only pass it on. */
  readonly flushed: readonly BlockDevice[];
  /** Targets that have to be told of a flush. */
  readonly flushing: readonly Target[];
  /** Whether bytes may be written without reading the rest of their sector. */
  readonly byBytes: boolean;
  readonly dax: TableDax | undefined;
  /** Why there is no dax. */
  readonly daxReason: string | undefined;
  #last = 0;

  constructor(placed: readonly Placed[], legs: readonly Leg[], readOnly: boolean) {
    const last = placed.at(-1);
    this.placed = placed;
    this.legs = legs;
    this.readOnly = readOnly;
    this.sectors = last === undefined ? 0 : last.begin + last.length;
    const targets = placed.map(({ target }) => target);
    this.limits = stackLimits(legs, targets);
    const passing = targets.filter((target) => target.flush === undefined);
    this.flushed = [...new Set(passing.flatMap(({ uses }) => uses.map(({ leg }) => leg.device)))];
    this.flushing = targets.filter((target) => target.flush !== undefined);
    this.byBytes = placed.every(({ target }) => target.readBytes !== undefined);
    const dax = daxOf(placed, this.sectors);
    if ("reason" in dax) this.daxReason = dax.reason;
    else this.dax = dax;
  }

  /** The number of the target that serves a sector of the table. */
  index(sector: number): number {
    const { placed } = this;
    const last = placed[this.#last] as Placed;
    if (sector >= last.begin && sector < last.begin + last.length) return this.#last;
    let low = 0;
    let high = placed.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((placed[middle] as Placed).begin <= sector) low = middle;
      else high = middle - 1;
    }
    assert(sector < this.sectors, () => `sector ${sector} lies behind a table's end`);
    this.#last = low;
    return low;
  }

  /** The target that serves a sector of the table. */
  at(sector: number): Placed {
    return this.placed[this.index(sector)] as Placed;
  }

  /** No new requests come after this. */
  presuspend(): void {
    surely(this.placed, ({ target }) => target.presuspend?.());
  }

  /** Requests have ended: every target brings home what it holds. */
  postsuspend(): void {
    surely(this.placed, ({ target }) => target.postsuspend?.());
  }

  /** Before the first request, and after each suspension. @throws what makes a target unusable */
  preresume(): void {
    for (const { target } of this.placed) target.preresume?.();
  }

  resume(): void {
    for (const { target } of this.placed) target.resume?.();
  }

  /** Ends all targets and closes all devices. */
  destroy(): void {
    const ends = this.placed.map(
      ({ target }) =>
        () =>
          target.destroy?.(),
    );
    const closes = this.legs.map((leg) => () => leg.close());
    surely([...ends, ...closes], (end) => end());
  }
}

/** As the kernel stacks limits: a request has to suit every leg, and every target. */
function stackLimits(legs: readonly Leg[], targets: readonly Target[]): QueueLimits {
  let [logicalBlockSize, physicalBlockSize] = [SECTOR_SIZE, SECTOR_SIZE];
  for (const { blockSize = 0 } of targets) {
    logicalBlockSize = Math.max(logicalBlockSize, blockSize);
    physicalBlockSize = Math.max(physicalBlockSize, blockSize);
  }
  for (const { device } of legs) {
    logicalBlockSize = Math.max(logicalBlockSize, device.limits.logicalBlockSize);
    physicalBlockSize = Math.max(physicalBlockSize, device.limits.physicalBlockSize);
  }
  return { logicalBlockSize, physicalBlockSize };
}

/** Dax is offered if every target has it, and every border between two is one between pages. */
function daxOf(placed: readonly Placed[], sectors: number): TableDax | { readonly reason: string } {
  if (sectors < PAGE_SECTORS) return { reason: `${sectors} sectors are less than a page` };
  const routes: DaxRoute[] = [];
  for (const { type, target, begin } of placed) {
    if (begin % PAGE_SECTORS !== 0) {
      return { reason: `${type.name} begins at sector ${begin}, inside a page` };
    }
    const answer = target.dax();
    if ("reason" in answer) return { reason: `${type.name} at ${begin}: ${answer.reason}` };
    routes.push(answer.route);
  }
  const devices = [
    ...new Set(
      placed.flatMap(({ target }) =>
        target.uses.flatMap(({ leg }) => (leg.dax === undefined ? [] : [leg.dax.device])),
      ),
    ),
  ];
  for (const device of devices) {
    const reason = absenceOf(device, "dax through device-mapper");
    if (reason !== undefined) return { reason };
  }
  return {
    routes,
    devices,
    writeCache: devices.some((device) => device.writeCache),
    synchronous: devices.every((device) => device.synchronous),
  };
}
