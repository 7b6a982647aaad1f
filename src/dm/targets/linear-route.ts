/**
 * How dax goes through a target that moves bytes of one leg by a constant.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import type { DaxDevice } from "../../dax/dax-device.ts";
import type { DaxRange } from "../../dax/iomap.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";
import type { Range } from "../../lib/range-set.ts";
import type { DaxAnswer, DaxPlace, DaxRoute, FoundRange, LegRange } from "../target.ts";

/** A route to one run of bytes. */
export class LinearRoute implements DaxRoute {
  readonly whole = true;
  readonly #device: DaxDevice;
  /** Bytes from the start of the device. */
  readonly #start: number;
  readonly #length: number;

  constructor(device: DaxDevice, start: number, length: number) {
    this.#device = device;
    this.#start = start;
    this.#length = length;
  }

  locate(at: number, place: DaxPlace): void {
    place.device = this.#device;
    place.byte = this.#start + at;
    place.run = this.#length - at;
  }

  trace(device: DaxDevice, { start, length }: Range, _most: number, found: FoundRange): void {
    if (device !== this.#device) return;
    const from = Math.max(start, this.#start);
    const to = Math.min(start + length, this.#start + this.#length);
    if (to > from) found(from - this.#start, to - from);
  }
}

/** The dax memory of a run of sectors, or why pages of the target are no pages of the leg. */
export function daxOfRange(use: LegRange): DaxRange | { readonly reason: string } {
  const { leg, start, sectors } = use;
  const { dax, device } = leg;
  if (dax === undefined) return { reason: `${device.name} offers no dax` };
  const first = start * SECTOR_SIZE;
  if (first % PAGE_SIZE !== 0) {
    return { reason: `sector ${start} of ${device.name} lies inside a page` };
  }
  const length = Math.floor((sectors * SECTOR_SIZE) / PAGE_SIZE) * PAGE_SIZE;
  if (first + length > dax.length) {
    return { reason: `${device.name} has dax for its first ${dax.length} bytes only` };
  }
  return { device: dax.device, start: dax.start + first, length };
}

/** The route, or the reason why there is none. */
export function linearRoute(use: LegRange): DaxAnswer {
  const range = daxOfRange(use);
  if ("reason" in range) return range;
  return { route: new LinearRoute(range.device, range.start, range.length) };
}
