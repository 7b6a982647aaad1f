/**
 * Where a journal lies, remembered: while it is written, nothing may depend on metadata that a
 * replay or a commit changes.
 *
 * @module
 */
import { type JournalMap, MOST_JOURNAL_BLOCKS } from "./journal-log.ts";

/** The same places, looked up once and kept as runs. @throws as `map.physical` */
export function fixedMap(map: JournalMap): JournalMap {
  const blocks = Math.min(map.blocks, MOST_JOURNAL_BLOCKS);
  const [starts, places]: [number[], (number | undefined)[]] = [[], []];
  for (let n = 0; n < blocks; n++) {
    const [place, run] = [map.physical(n), starts.length - 1];
    const known = run < 0 ? undefined : placeIn(starts, places, run, n);
    if (run >= 0 && known === place) continue;
    starts.push(n);
    places.push(place);
  }
  return {
    blocks,
    get places() {
      return `${blocks}: ${starts.join()} at ${places.join()}`;
    },
    physical: (n) => (n < blocks ? placeIn(starts, places, runOf(starts, n), n) : undefined),
  };
}

function placeIn(
  starts: readonly number[],
  places: readonly (number | undefined)[],
  run: number,
  n: number,
): number | undefined {
  const place = places[run];
  return place === undefined ? undefined : place + n - (starts[run] as number);
}

/** The last run that starts at or before `n`. */
function runOf(starts: readonly number[], n: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((starts[middle] as number) <= n) low = middle;
    else high = middle - 1;
  }
  return low;
}
