/** Tasks in steps, run side by side in every order in which they can come. */
import type { Steps, Waiter } from "../../src/dax/steps.ts";

/** Something new to be run, and what has to be true when all of it is done. */
export interface Race {
  readonly tasks: readonly Steps<unknown>[];
  readonly check: () => void;
}

interface Running {
  readonly steps: Steps<unknown>;
  sleeps: Waiter | undefined;
  done: boolean;
}

/**
 * Runs what `make` makes in every order; returns how many there are. A task that sleeps goes on
 * only when it was woken, so a wake-up that is lost ends in an error.
 */
export function everyOrder(make: () => Race, most = 100_000): number {
  const choices: number[] = [];
  for (let count = 1; ; count++) {
    const widths = runOnce(make(), choices);
    while (widths.length > 0 && (choices[widths.length - 1] ?? 0) + 1 >= (widths.at(-1) ?? 0)) {
      widths.pop();
    }
    if (widths.length === 0) return count;
    if (count >= most) throw new Error(`more than ${most} orders`);
    choices.length = widths.length;
    choices[widths.length - 1] = (choices[widths.length - 1] ?? 0) + 1;
  }
}

/** Runs one order; tells how many ways there were at each step. */
function runOnce({ tasks, check }: Race, choices: number[]): number[] {
  const widths: number[] = [];
  const running: Running[] = tasks.map((steps) => ({ steps, sleeps: undefined, done: false }));
  for (;;) {
    const able = running.filter(({ done, sleeps }) => !done && sleeps?.woken !== false);
    if (able.length === 0) break;
    const choice = choices[widths.length] ?? 0;
    choices[widths.length] = choice;
    widths.push(able.length);
    const next = able[choice] as Running;
    const { done, value } = next.steps.next();
    next.done = done === true;
    next.sleeps = done === true ? undefined : value;
  }
  const stuck = running.filter(({ done }) => !done).length;
  if (stuck > 0) throw new Error(`${stuck} tasks wait for ever, in order ${choices.join("")}`);
  try {
    check();
  } catch (error) {
    throw new Error(`in order ${choices.join("")}`, { cause: error });
  }
  return widths;
}
