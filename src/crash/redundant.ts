/**
 * Redundant flushes and fences: legal, counted, and a finding of their own (crash model, rule 2).
 *
 * @module
 */
import { LineClass } from "../media/modelled.ts";
import { LINE_BYTES, type Trace, TraceKind } from "../media/trace.ts";
import type { FlushEffect } from "./frontier.ts";
import type { RedundantFence, RedundantFlush } from "./verdict.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The fences, by number of their event, that had nothing to make durable. */
export function idleFences(
  trace: Trace,
  effects: readonly FlushEffect[],
  classes: Uint8Array,
): Set<number> {
  const idle = new Set<number>();
  const useful = new Set(
    effects.filter(({ lines, clean, needless }) => clean + needless < lines).map((e) => e.event),
  );
  let waits = false;
  for (let event = 0; event < trace.count; event++) {
    const kind = trace.kindOf(event);
    if (kind === TraceKind.fence) {
      if (!waits) idle.add(event);
      waits = false;
    } else if (kind === TraceKind.flush) waits ||= useful.has(event);
    else if (kind < TraceKind.flush) waits ||= waitsForFence(trace, event, classes);
  }
  return idle;
}

/** Whether a store needs a fence and no flush. */
function waitsForFence(trace: Trace, event: number, classes: Uint8Array): boolean {
  const start = trace.offsetOf(event);
  const last = Math.floor((start + trace.lengthOf(event) - 1) / LINE_BYTES);
  const around = trace.kindOf(event) === TraceKind.copyNonTemporal;
  for (let line = Math.floor(start / LINE_BYTES); line <= last; line++) {
    if (classes[line] === LineClass.writeThrough) return true;
    if (classes[line] === LineClass.combining) return true;
    if (around && classes[line] === LineClass.cached) return true;
  }
  return false;
}

/** The same by place in the source; only places that have one. */
export function redundantFences(trace: Trace, idle: ReadonlySet<number>): RedundantFence[] {
  const byPlace = new Map<number, Mutable<RedundantFence>>();
  for (let event = 0; event < trace.count; event++) {
    if (trace.kindOf(event) !== TraceKind.fence) continue;
    const number = trace.siteOf(event);
    const place = trace.callSites?.placeOf(number) ?? 0;
    const site = trace.callSites?.get(number);
    const fresh = { ...(site === undefined ? {} : { site }), fences: 0, redundantFences: 0 };
    const found = byPlace.get(place) ?? fresh;
    found.fences++;
    if (idle.has(event)) found.redundantFences++;
    byPlace.set(place, found);
  }
  return [...byPlace.values()].filter((found) => found.redundantFences > 0);
}

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
