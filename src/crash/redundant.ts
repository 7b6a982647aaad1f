/**
 * Redundant flushes: legal, counted, and a finding of their own (crash model, rule 2).
 *
 * @module
 */
import type { Trace } from "../media/trace.ts";
import type { FlushEffect } from "./frontier.ts";
import type { RedundantFlush } from "./verdict.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The flushes that wrote nothing back for some of their lines, by place in the source. */
export function redundantFlushes(trace: Trace, effects: readonly FlushEffect[]): RedundantFlush[] {
  const byPlace = new Map<number, Mutable<RedundantFlush>>();
  for (const { event, lines, clean, needless } of effects) {
    const number = trace.siteOf(event);
    const place = trace.callSites?.placeOf(number) ?? 0;
    const site = trace.callSites?.get(number);
    const found = byPlace.get(place) ?? {
      ...(site === undefined ? {} : { site }),
      flushes: 0,
      redundantFlushes: 0,
      lines: 0,
      cleanLines: 0,
      needlessLines: 0,
    };
    found.flushes++;
    if (clean + needless === lines) found.redundantFlushes++;
    found.lines += lines;
    found.cleanLines += clean;
    found.needlessLines += needless;
    byPlace.set(place, found);
  }
  return [...byPlace.values()].filter((found) => found.cleanLines + found.needlessLines > 0);
}
