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
  readonly #inverseChunk: number;
  readonly #inverseCount: number;

  constructor(legs: readonly DaxRange[], chunk: number) {
    this.#legs = legs;
    this.#chunk = chunk;
    this.#inverseChunk = inverseOf(chunk);
    this.#inverseCount = inverseOf(legs.length);
  }

  locate(at: number, place: DaxPlace): void {
    const chunk = this.#chunk;
    const count = this.#legs.length;
    const number = floorOf(at, chunk, this.#inverseChunk);
    const within = at - number * chunk;
    const row = floorOf(number, count, this.#inverseCount);
    const leg = this.#legs[number - row * count] as DaxRange;
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

/** That of a power of two, by which to multiply is exact; 0 for others. */
function inverseOf(value: number): number {
  return Number.isInteger(Math.log2(value)) ? 1 / value : 0;
}

/** The whole part of a quotient: a division takes several times as long as a product. */
function floorOf(value: number, by: number, inverse: number): number {
  return Math.floor(inverse === 0 ? value / by : value * inverse);
}
