/**
 * How dax goes through stripes: to one leg until the chunk ends.
 *
 * @module
 */
import type { DaxDevice } from "../../dax/dax-device.ts";
import type { DaxRange } from "../../dax/iomap.ts";
import type { Range } from "../../lib/range-set.ts";
import type { DaxPlace, DaxRoute, FoundRange } from "../target.ts";

/** A route in turns; chunks are whole pages. */
export class StripedRoute implements DaxRoute {
  readonly #legs: readonly DaxRange[];
  /** Bytes. */
  readonly #chunk: number;

  constructor(legs: readonly DaxRange[], chunk: number) {
    this.#legs = legs;
    this.#chunk = chunk;
  }

  locate(at: number, place: DaxPlace): void {
    const chunk = this.#chunk;
    const number = Math.floor(at / chunk);
    const within = at - number * chunk;
    const row = Math.floor(number / this.#legs.length);
    const leg = this.#legs[number - row * this.#legs.length] as DaxRange;
    place.device = leg.device;
    place.byte = leg.start + row * chunk + within;
    place.run = chunk - within;
  }

  trace(device: DaxDevice, { start, length }: Range, most: number, found: FoundRange): void {
    const chunk = this.#chunk;
    for (const [stripe, leg] of this.#legs.entries()) {
      if (leg.device !== device) continue;
      const from = Math.max(start, leg.start) - leg.start;
      const to = Math.min(start + length, leg.start + leg.length) - leg.start;
      if (to <= from) continue;
      const rows = Math.floor((to - 1) / chunk) - Math.floor(from / chunk) + 1;
      if (rows > most) {
        const first = this.#above(stripe, from);
        found(first, this.#above(stripe, to - 1) + 1 - first);
        continue;
      }
      for (let at = from; at < to;) {
        const run = Math.min(chunk - (at % chunk), to - at);
        found(this.#above(stripe, at), run);
        at += run;
      }
    }
  }

  /** The byte of the target that byte `at` of a stripe is. */
  #above(stripe: number, at: number): number {
    const row = Math.floor(at / this.#chunk);
    return (row * this.#legs.length + stripe) * this.#chunk + (at - row * this.#chunk);
  }
}
