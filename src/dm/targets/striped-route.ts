/**
 * How dax goes through stripes: to one leg until the chunk ends.
 *
 * @module
 */
import type { DaxDevice } from "../../dax/dax-device.ts";
import type { DaxRange } from "../../dax/iomap.ts";
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

  trace(device: DaxDevice, start: number, length: number, found: FoundRange): void {
    const chunk = this.#chunk;
    const count = this.#legs.length;
    for (const [stripe, leg] of this.#legs.entries()) {
      if (leg.device !== device) continue;
      const from = Math.max(start, leg.start) - leg.start;
      const to = Math.min(start + length, leg.start + leg.length) - leg.start;
      for (let at = from; at < to;) {
        const row = Math.floor(at / chunk);
        const within = at - row * chunk;
        const run = Math.min(chunk - within, to - at);
        found((row * count + stripe) * chunk + within, run);
        at += run;
      }
    }
  }
}
