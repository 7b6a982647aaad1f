/**
 * A failing state in a reader's words: what had arrived, what had not, and where in the program.
 *
 * @module
 */
import { LINE_BYTES, type Trace, TraceKind } from "../media/trace.ts";
import type { Exploration } from "./explorer.ts";
import type { Cut, Failure } from "./failure.ts";
import { fatesIn } from "./fates.ts";
import { type Replay, type ReplayedCut, replay } from "./replay.ts";
import type { ByteChange, EventNote, Fate, LineNote, PowerCut, TimelineEntry } from "./verdict.ts";
import { type Torn, applySegment } from "./versions.ts";

const KINDS = ["end", "store", "copy", "copyNonTemporal", "flush", "fence", "ack"] as const;
/** How many lines are tried for {@link PowerCut.arrived}. */
const MOST_TRIED = 32;
/** Events shown when no line is in question. */
const CONTEXT = 8;
/** Unchanged bytes that do not part two changes. */
const SMALL_GAP = 8;

/** The event in a reader's words; `number` may be that of the end. */
export function noteOf(trace: Trace, number: number): EventNote {
  if (number >= trace.count) return { number, kind: "end" };
  const kind = KINDS[trace.kindOf(number)] ?? "end";
  const site = trace.callSites?.get(trace.siteOf(number));
  return {
    number,
    kind,
    ...(kind === "fence" || kind === "ack"
      ? {}
      : { offset: trace.offsetOf(number), length: trace.lengthOf(number) }),
    ...(kind === "ack" ? { label: trace.labels[trace.dataOf(number)] } : {}),
    ...(site === undefined ? {} : { site }),
  };
}

/** Tells the failing state's power cuts, in order. */
export function tellCuts(what: Exploration, failure: Failure, told: Replay): PowerCut[] {
  return told.cuts.map((standing, level) => {
    const last = level === told.cuts.length - 1;
    const decisive = last ? decisiveLines(what, failure.cuts, standing) : [];
    return tellCut(what, standing, failure.cuts[level] as Cut, level, decisive);
  });
}

function tellCut(
  what: Exploration,
  standing: ReplayedCut,
  cut: Cut,
  level: number,
  decisive: readonly number[],
): PowerCut {
  const { trace, point } = standing;
  const lost = [...cut.old.keys()].toSorted((a, b) => a - b);
  const lostNotes = lost.map((line) => noteLine(standing, line, what.torn));
  const arrivedNotes = decisive.map((line) => noteLine(standing, line, what.torn));
  const first = [...lostNotes, ...arrivedNotes]
    .flatMap(({ events }) => events.map(({ number }) => number))
    .reduce((a, b) => Math.min(a, b), Math.max(0, point.event - CONTEXT));
  return {
    during: level === 0 ? "workload" : "recovery",
    before: noteOf(trace, point.event),
    done: point.done,
    after: point.event === 0 ? undefined : noteOf(trace, point.event - 1),
    acked: level === 0 ? trace.labels.slice(0, point.acked) : [],
    lost: lostNotes,
    arrived: arrivedNotes,
    timeline: timelineOf(standing, first, what.torn),
  };
}

/** Lines that arrived, and had better not: with their old version the check is content. */
function decisiveLines(
  what: Exploration,
  cuts: readonly Cut[],
  standing: ReplayedCut,
): readonly number[] {
  const { frontier, durable, looked } = standing;
  const last = cuts.at(-1) as Cut;
  const tried = [...frontier.openLines()]
    .filter((line) => looked.has(line) && !last.old.has(line))
    .slice(0, MOST_TRIED);
  const decisive = tried.filter((line) => {
    const content = durable.slice(line * LINE_BYTES, (line + 1) * LINE_BYTES);
    const flipped = { point: last.point, old: new Map(last.old).set(line, content) };
    const flippedReplay = replay(what, [...cuts.slice(0, -1), flipped]);
    return flippedReplay !== undefined && flippedReplay.objection === undefined;
  });
  return decisive.toSorted((a, b) => a - b);
}

function noteLine(standing: ReplayedCut, line: number, torn: Torn): LineNote {
  const { frontier, durable, left, trace } = standing;
  const segments = frontier.pending(line);
  const at = line * LINE_BYTES;
  const held = left.subarray(at, at + LINE_BYTES);
  const newest = durable.slice(at, at + LINE_BYTES);
  for (const segment of segments) applySegment(newest, segment, trace.bytes);
  const isNewest = changesBetween(at, held, newest).length === 0;
  const old = isNewest ? durable.subarray(at, at + LINE_BYTES) : held;
  const fates = fatesIn(standing, line, torn);
  const concerned = segments.filter(
    ({ event }, i) => isNewest || (fates[i]?.event === event && fates[i].fate !== "arrived"),
  );
  const events = [...new Set(concerned.map(({ event }) => event))];
  const firstMissing = segments.findIndex((segment) => concerned.includes(segment));
  return {
    start: at,
    changes: changesBetween(at, old, newest),
    events: events.map((event) => noteOf(trace, event)),
    lacked: frontier.flushed(line) > firstMissing ? "fence" : "flush and fence",
  };
}

/** Runs of bytes that differ; runs with only a few equal bytes between them are one. */
function changesBetween(at: number, old: Uint8Array, newer: Uint8Array): ByteChange[] {
  const changes: ByteChange[] = [];
  for (let i = 0; i < LINE_BYTES; i++) {
    if (old[i] === newer[i]) continue;
    let stop = i + 1;
    for (let j = stop; j < LINE_BYTES && j - stop < SMALL_GAP; j++) {
      if (old[j] !== newer[j]) stop = j + 1;
    }
    changes.push({ start: at + i, old: old.slice(i, stop), new: newer.slice(i, stop) });
    i = stop;
  }
  return changes;
}

/** The events from `first` to the power cut, with what became of the stores. */
function timelineOf(standing: ReplayedCut, first: number, torn: Torn): TimelineEntry[] {
  const { trace, point, frontier } = standing;
  const fates = new Map<number, Set<Fate>>();
  for (const line of frontier.openLines()) {
    for (const { event, fate } of fatesIn(standing, line, torn)) {
      fates.set(event, (fates.get(event) ?? new Set<Fate>()).add(fate));
    }
  }
  const entries: TimelineEntry[] = [];
  const stop = Math.min(point.event + 1, trace.count);
  for (let number = first; number < stop; number++) {
    const note = noteOf(trace, number);
    const isStore = trace.kindOf(number) < TraceKind.flush;
    if (!isStore || (number === point.event && point.done === 0)) entries.push(note);
    else if (number === point.event) entries.push({ ...note, fate: "torn" });
    else
      entries.push({ ...note, fate: oneFate([...(fates.get(number) ?? []), ...settled(number)]) });
  }
  return entries;

  /** Lines of a store that are in no doubt any more. */
  function settled(number: number): Fate[] {
    const start = trace.offsetOf(number);
    const last = Math.floor((start + trace.lengthOf(number) - 1) / LINE_BYTES);
    const found: Fate[] = [];
    for (let line = Math.floor(start / LINE_BYTES); line <= last; line++) {
      if (frontier.isVolatile(line)) found.push("lost");
      else if (!frontier.pending(line).some(({ event }) => event === number)) found.push("durable");
    }
    return found;
  }
}

/** The fate of a store whose lines had several. */
function oneFate(fates: readonly Fate[]): Fate {
  if (fates.every((fate) => fate === "durable")) return "durable";
  if (fates.every((fate) => fate === "durable" || fate === "arrived")) return "arrived";
  return fates.every((fate) => fate === "lost") ? "lost" : "torn";
}
