/**
 * The world, handed in: time, randomness and tracing. Nothing below the faces reads a clock or
 * rolls dice by itself, so a seed replays a run to the byte.
 *
 * @module
 */

/** Seconds and nanoseconds since the Unix epoch; `sec` may be negative. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

/** Where the stack gets time, randomness and an ear for its events. */
export interface Environment {
  readonly clock: { now(): Timespec };
  readonly random: { fill(target: Uint8Array): void };
  readonly trace: Tracer;
}

/** Receives events such as `pmem.flush`; fields are plain numbers and strings. */
export interface Tracer {
  event(point: string, fields: Readonly<Record<string, number | string>>): void;
}

/** A tracer that listens to nothing. */
export const silent: Tracer = { event: () => {} };
