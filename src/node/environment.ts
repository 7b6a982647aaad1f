/**
 * The real world as an {@link Environment}: the system's clock and random source.
 *
 * @module
 */
import { randomFillSync } from "node:crypto";
import { type Environment, silent } from "../lib/environment.ts";

/** Bytes that are drawn at once: asking the system for four takes as long as for thousands. */
const POOL_BYTES = 4096;
/** Larger wishes go to the system themselves. */
const SMALL_BYTES = 64;

const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/** Fills a few bytes from the pool; each of its bytes is handed out once. */
function fillSmall(target: Uint8Array): void {
  if (used + target.length > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  for (let i = 0; i < target.length; i++) target[i] = pool[used + i] as number;
  pool.fill(0, used, used + target.length);
  used += target.length;
}

/** Wall-clock time and the system's random bytes; traces nothing. */
export const systemEnvironment: Environment = {
  clock: {
    now() {
      const milliseconds = Date.now();
      const sec = Math.floor(milliseconds / 1000);
      return { sec, nsec: (milliseconds - sec * 1000) * 1_000_000 };
    },
    milliseconds: Date.now,
  },
  random: {
    fill(target) {
      if (target.length <= SMALL_BYTES) fillSmall(target);
      else randomFillSync(target);
    },
  },
  trace: silent,
};
