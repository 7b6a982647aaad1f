/**
 * Paths through decisions, in the order in which they are walked: depth first.
 *
 * @module
 */

/** A decision, and which of its ways was taken. */
interface Decision {
  readonly groups: readonly unknown[];
  chosen: number;
}

/** Makes a path the next one: the next way at the last fork that has one left. False at the end. */
export function advance(path: Decision[]): boolean {
  for (;;) {
    const last = path.at(-1);
    if (last === undefined) return false;
    if (last.chosen + 1 < last.groups.length) {
      last.chosen++;
      return true;
    }
    path.pop();
  }
}
