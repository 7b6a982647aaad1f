/**
 * How dax goes through a target that wants to know what was written back.
 *
 * @module
 */
import type { DaxDevice } from "../../dax/dax-device.ts";
import type { Range } from "../../lib/range-set.ts";
import type { DaxPlace, DaxRoute, FoundRange } from "../target.ts";

/** Another route, with somebody who listens. */
export class LoggedRoute implements DaxRoute {
  readonly #route: DaxRoute;
  readonly #captured: (at: number, length: number) => void;
  readonly #release: () => void;

  constructor(
    route: DaxRoute,
    captured: (at: number, length: number) => void,
    ordered: () => void,
  ) {
    this.#route = route;
    this.#captured = captured;
    this.#release = ordered;
  }

  locate(at: number, place: DaxPlace): void {
    this.#route.locate(at, place);
  }

  trace(device: DaxDevice, range: Range, most: number, found: FoundRange): void {
    this.#route.trace(device, range, most, found);
  }

  flushed(at: number, length: number): void {
    this.#captured(at, length);
  }

  ordered(): void {
    this.#release();
  }
}
