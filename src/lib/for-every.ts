/**
 * What has to be done for all of them, whatever becomes of one.
 *
 * @module
 */
import { isDaxError } from "./errno.ts";

/** Does `step` for every one, also behind one that throws; returns what was thrown. */
export function forEvery<T>(all: Iterable<T>, step: (one: T) => void): readonly unknown[] {
  const thrown: unknown[] = [];
  for (const one of all) {
    try {
      step(one);
    } catch (error) {
      thrown.push(error);
    }
  }
  return thrown;
}

/**
 * As {@link forEvery}, where nobody can keep it from happening: errors of a device are told by
 * whoever met them, in his own way. Others are ours, and thrown at the end.
 */
export function surely<T>(all: Iterable<T>, step: (one: T) => void): void {
  const bugs = forEvery(all, step).filter((error) => !isDaxError(error));
  if (bugs.length > 0) throw bugs[0];
}
