/**
 * The end of a program inside of a process that goes on: when nothing is left of what it began.
 *
 * @module
 */
import { watchingTimers } from "../watched-wait.ts";

/**
 * Runs `body`, and waits for all that it began: timers, reads, callbacks. By what keeps the process
 * alive, and not by hooks of promises: what is ended while those are on takes the process with it.
 */
export async function untilIdle(body: () => Promise<unknown>): Promise<void> {
  const before = active();
  await body();
  do {
    // oxlint-disable-next-line no-await-in-loop -- turn by turn
    await new Promise(setImmediate);
  } while (isBusy(before));
}

function isBusy(before: ReadonlyMap<string, number>): boolean {
  return [...active()].some(([kind, count]) => count > (before.get(kind) ?? 0));
}

/** How much of each kind keeps this process alive, beside those who watch. */
function active(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>([["Timeout", -watchingTimers()]]);
  for (const kind of process.getActiveResourcesInfo())
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
