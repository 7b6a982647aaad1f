/**
 * How two runs on the same state differ, in words: that they do not is what exactness stands on.
 *
 * @module
 */
import type { Trace } from "../media/trace.ts";
import type { Objection } from "./program.ts";

/** Compares loads: offsets and lengths, in turn. */
export function differenceOfLoads(
  first: readonly number[],
  second: readonly number[],
): string | undefined {
  const loads = Math.max(first.length, second.length) / 2;
  for (let load = 0; load < loads; load++) {
    const at = load * 2;
    if (first[at] === second[at] && first[at + 1] === second[at + 1]) continue;
    return (
      `the same state was run twice, and load ${load} was ` +
      `${place(first, at)} first and ${place(second, at)} then`
    );
  }
  return undefined;
}

/** Compares what recovery stored, flushed and fenced. */
export function differenceOfStores(first: Trace, second: Trace): string | undefined {
  const event = first.firstDifference(second);
  return event === undefined
    ? undefined
    : `the same state was run twice, and event ${event} differs`;
}

/** Compares how recovery and check ended. */
export function differenceOfWords(
  first: Objection | undefined,
  second: Objection | undefined,
): string | undefined {
  const [one, two] = [first?.said ?? "no objection", second?.said ?? "no objection"];
  if (one === two) return undefined;
  return `the same state was run twice, and ended with "${one}" first and "${two}" then`;
}

function place(log: readonly number[], at: number): string {
  return log[at] === undefined ? "not made" : `of bytes ${log[at]}+${log[at + 1]}`;
}
