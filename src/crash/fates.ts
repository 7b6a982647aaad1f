/**
 * What became of the stores that were pending on a line, told from what a power cut left there.
 *
 * @module
 */
import { LINE_BYTES, type Trace } from "../media/trace.ts";
import type { ReplayedCut } from "./replay.ts";
import { combinedFates } from "./combining.ts";
import {
  type Segment,
  type Torn,
  applySegment,
  certain,
  isCombining,
  versionsOf,
} from "./versions.ts";

/** The part of a store that lies in one line, and what became of it. */
export interface SegmentFate {
  readonly event: number;
  readonly fate: "arrived" | "torn" | "lost";
}

/** What became of each pending store of a line, oldest first. */
export function fatesIn(standing: ReplayedCut, line: number, torn: Torn): SegmentFate[] {
  const { frontier, durable, left, trace } = standing;
  const segments = frontier.pending(line);
  const at = line * LINE_BYTES;
  const held = left.subarray(at, at + LINE_BYTES);
  const content = durable.slice(at, at + LINE_BYTES);
  if (isCombining(segments)) {
    const fates = combinedFates(content, segments, trace.bytes, held);
    return segments.map(({ event }, i) => ({ event, fate: fates[i] ?? "lost" }));
  }
  const equal = (bytes: Uint8Array) => bytes.every((byte, i) => byte === held[i]);
  let arrived = equal(content) ? 0 : -1;
  let tornAt = -1;
  for (const [i, segment] of segments.entries()) {
    const before = content.slice();
    applySegment(content, segment, trace.bytes);
    if (equal(content)) arrived = i + 1;
    else if (isTorn(before, segment, trace, torn, equal)) tornAt = i;
  }
  const reached = arrived === -1 ? tornAt : arrived;
  return segments.map(({ event }, i) => {
    if (i < reached) return { event, fate: "arrived" };
    return { event, fate: arrived === -1 && i === tornAt ? "torn" : "lost" };
  });
}

function isTorn(
  before: Uint8Array,
  segment: Segment,
  trace: Trace,
  torn: Torn,
  equal: (bytes: Uint8Array) => boolean,
): boolean {
  const versions = versionsOf([certain(before, 0)], [segment], trace.bytes, torn);
  return versions.some(({ bytes }) => equal(bytes));
}
