/**
 * States that are worth a look before all others, where there are too many to come to them soon:
 * nothing arrived, all but one store, one store alone, all up to one, and so on. A program that
 * loses something nearly always loses it in one of these.
 *
 * @module
 */
import { Prng } from "../lib/prng.ts";
import type { Guide } from "./chooser.ts";
import type { Frontier } from "./frontier.ts";

/** How much of what is pending on a line has arrived: 0 nothing, 1 all of it. */
type Arrived = (line: number) => number;

/** What is pending at a crash point on the lines that matter. */
interface Pending {
  /** Lines by the instant of their first store. */
  readonly lines: readonly number[];
  /** The numbers of the events that stored, in their order. */
  readonly events: readonly number[];
  /** The events of each line, in their order. */
  readonly of: ReadonlyMap<number, readonly number[]>;
}

/** After so many other probes comes one by chance. */
const CHANCE_EVERY = 6;

/** Everything arrived. */
export const THERE: Guide = () => 0;
/** Nothing that was pending arrived. */
export const MISSING: Guide = (_line, groups) => groups.length - 1;

/** Probes of a crash point, the most telling first; `lines`: those that somebody looks at. */
export function* probesAt(
  frontier: Frontier,
  lines: Iterable<number>,
  seed: number,
): Generator<Guide, void> {
  const pending = pendingOn(frontier, lines);
  if (pending.lines.length === 0) return;
  const byLine = lineProbes(pending);
  const byEvent = eventProbes(pending);
  for (let round = 1; ; round++) {
    const event = byEvent.next().value;
    const line = byLine.next().value;
    if (event === undefined && line === undefined) break;
    if (event !== undefined) yield guideOf(event);
    if (line !== undefined) yield guideOf(line);
    if (round % CHANCE_EVERY === 0) yield byChance(seed + round);
  }
  for (let round = 0; round < pending.lines.length; round++) yield byChance(seed - 1 - round);
}

/** Only what `keep` says is missing of what a state lacks, everything else there. */
export function lacking(choices: ReadonlyMap<number, number>, keep: ReadonlySet<number>): Guide {
  return (line, groups) =>
    keep.has(line) ? Math.min(choices.get(line) ?? groups.length - 1, groups.length - 1) : 0;
}

function pendingOn(frontier: Frontier, asked: Iterable<number>): Pending {
  const of = new Map<number, readonly number[]>();
  for (const line of asked) {
    const events = frontier.pending(line).map(({ event }) => event);
    if (events.length > 0) of.set(line, events);
  }
  const lines = [...of.keys()].toSorted((a, b) => firstOf(of, a) - firstOf(of, b) || a - b);
  const events = [...new Set([...of.values()].flat())].toSorted((a, b) => a - b);
  return { lines, events, of };
}

function firstOf(of: ReadonlyMap<number, readonly number[]>, line: number): number {
  return of.get(line)?.[0] ?? 0;
}

/** Each line alone missing, and alone there; spread, so that the first few are of everywhere. */
function* lineProbes({ lines }: Pending): Generator<Arrived, undefined> {
  for (const at of spread(lines.length)) {
    const only = lines[at];
    yield (line) => (line === only ? 0 : 1);
    yield (line) => (line === only ? 1 : 0);
  }
}

/** Runs of events missing, alone there, and all up to them; from halves to single ones. */
function* eventProbes({ events, of }: Pending): Generator<Arrived, undefined> {
  const share = (line: number, before: number): number => {
    const all = of.get(line) ?? [];
    return all.filter((event) => event < before).length / Math.max(all.length, 1);
  };
  for (const [from, last] of runsOf(events)) {
    const meets = (line: number): boolean =>
      of.get(line)?.some((event) => event >= from && event <= last) === true;
    yield (line) => (meets(line) ? share(line, from) : 1);
    yield (line) => (meets(line) ? share(line, last + 1) : 0);
    yield (line) => share(line, last + 1);
  }
}

/** Halves, quarters and so on, by the first and the last event. */
function* runsOf(events: readonly number[]): Generator<readonly [number, number]> {
  let parts = Math.min(2, events.length);
  for (;;) {
    for (const part of spread(parts)) {
      const start = Math.floor((part * events.length) / parts);
      const stop = Math.floor(((part + 1) * events.length) / parts);
      if (stop > start) yield [events[start] as number, events[stop - 1] as number];
    }
    if (parts >= events.length) return;
    parts = Math.min(parts * 2, events.length);
  }
}

/** 0 to before `count`, the last first, then what lies farthest from what was named. */
export function* spread(count: number): Generator<number> {
  if (count === 0) return;
  yield count - 1;
  for (let step = 1 << 30; step >= 1; step >>= 1) {
    for (let at = step - 1; at < count - 1; at += 2 * step) yield at;
  }
}

function guideOf(arrived: Arrived): Guide {
  return (line, groups) => Math.round((1 - arrived(line)) * (groups.length - 1));
}

function byChance(seed: number): Guide {
  return (line, groups) =>
    new Prng((Math.imul(seed, 0x9e37_79b1) ^ line) >>> 0).below(groups.length);
}
