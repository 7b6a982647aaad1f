/**
 * The world, handed in: time, randomness and tracing. Nothing below the faces reads a clock or
 * rolls dice by itself, so a seed replays a run to the byte.
 *
 * @module
 */
import { Prng } from "./prng.ts";

/** Seconds and nanoseconds since the Unix epoch; `sec` may be negative. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

/** Where the stack gets time, randomness and an ear for its events. */
export interface Environment {
  readonly clock: {
    /** The time, as clock_gettime(2) tells it. */
    now(): Timespec;
    /**
     * The same in whole milliseconds since the Unix epoch, for who asks so often that it may not
     * make an object. Absent: `now` is asked.
     */
    readonly milliseconds?: (this: void) => number;
  };
  readonly random: {
    /** Fills all of `target` with random bytes. */
    fill(target: Uint8Array): void;
  };
  readonly trace: Tracer;
}

/** Receives events such as `pmem.flush`; fields are plain numbers and strings. */
export interface Tracer {
  /** Something happened at `point`. */
  event(point: string, fields: Readonly<Record<string, number | string>>): void;
}

/** An environment whose clock can be put forward. */
export interface SeededEnvironment extends Environment {
  /** So many whole seconds pass. */
  pass(seconds: number): void;
}

/**
 * An environment in which everything follows from a seed: random bytes, and a clock that starts
 * with the year 2000 and goes on by a microsecond at each look.
 */
export function seededEnvironment(seed: number, trace: Tracer = silent): SeededEnvironment {
  let microseconds = 0;
  return {
    clock: {
      now() {
        const sec = 946_684_800 + Math.floor(microseconds / 1_000_000);
        const nsec = (microseconds % 1_000_000) * 1000;
        microseconds++;
        return { sec, nsec };
      },
    },
    random: new Prng(seed),
    trace,
    pass: (seconds) => void (microseconds += seconds * 1_000_000),
  };
}

/** A tracer that listens to nothing. */
export const silent: Tracer = { event: () => {} };
