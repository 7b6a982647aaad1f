/**
 * Shrinking: the smallest workload that is left of one when everything goes that it fails without.
 *
 * @module
 */
import { type Operation, type Step, type Workload, isPersistence } from "./workload.ts";

/**
 * Takes steps out and makes others plainer while `fails` says that what is left still fails; it is
 * asked about workloads whose calls may be impossible, too.
 */
export function shrinkWorkload(
  workload: Workload,
  fails: (workload: Workload) => boolean,
): Workload {
  let least = workload;
  for (;;) {
    const smaller = smallerThan(least).find(fails);
    if (smaller === undefined) return least;
    least = smaller;
  }
}

/** Everything that is one step smaller, the largest leaps first. */
function smallerThan({ setup, steps }: Workload): Workload[] {
  const half = steps.length >> 1;
  const halves = half < 2 ? [] : [steps.slice(0, half), steps.slice(half)];
  return [
    ...halves.map((part) => ({ setup, steps: part })),
    ...steps.map((_, i) => ({ setup, steps: without(steps, i) })),
    ...setup.map((_, i) => ({ setup: without(setup, i), steps })),
    ...steps.flatMap((step, i) =>
      plainer(step).map((one) => ({ setup, steps: steps.with(i, one) })),
    ),
    ...setup.flatMap((operation, i) =>
      plainer(operation).map((one) => ({ setup: setup.with(i, one as Operation), steps })),
    ),
  ];
}

function without<T>(all: readonly T[], at: number): T[] {
  return all.filter((_, i) => i !== at);
}

/** What says less than a step; each of them is itself plainer than it. */
function plainer(step: Step): Step[] {
  if (isPersistence(step)) return step.do === "sync" ? [] : plainerPersistence(step);
  switch (step.do) {
    case "write":
      return step.where === "append" ? [] : [{ ...step, where: "append" }];
    case "mmapwrite":
      return [{ ...step, do: "write" }];
    case "falloc":
      return step.mode === "allocate" ? [] : [{ ...step, mode: "allocate" }];
    case "truncate":
      return step.to === "aligned" ? [] : [{ ...step, to: "aligned" }];
    default:
      return [];
  }
}

function plainerPersistence(step: Step & { readonly path: string }): Step[] {
  const sync: Step = { do: "sync" };
  return step.do === "fsync" ? [sync] : [sync, { do: "fsync", path: step.path }];
}
