/**
 * The real world as an {@link Environment}: the system's clock and random source.
 *
 * @module
 */
import { randomFillSync } from "node:crypto";
import { type Environment, silent } from "../lib/environment.ts";

/** Wall-clock time and the system's random bytes; traces nothing. */
export const systemEnvironment: Environment = {
  clock: {
    now() {
      const milliseconds = Date.now();
      const sec = Math.floor(milliseconds / 1000);
      return { sec, nsec: (milliseconds - sec * 1000) * 1_000_000 };
    },
  },
  random: {
    fill(target) {
      randomFillSync(target);
    },
  },
  trace: silent,
};
