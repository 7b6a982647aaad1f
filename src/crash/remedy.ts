/**
 * The remedy: the smallest set of flushes and fences whose addition makes every state survive.
 *
 * An insertion stands at a place in the source, because that is where a programmer adds it: it acts
 * each time the program comes there. More durability only ever removes states, so every remedy must
 * remove the failing state at hand; that is why the search may go from one failing state to the
 * next and try, at each, the few insertions that remove it. It deepens by cost (a flush 1, a fence
 * 1), so the first remedy found is a smallest one. Each is verified by exploring every state of the
 * amended traces.
 *
 * @module
 */
import type { CallSites } from "../lib/call-site.ts";
import { LineClass, ModelledMedia } from "../media/modelled.ts";
import { LINE_BYTES, Trace, TraceKind } from "../media/trace.ts";
import type { Exploration } from "./explorer.ts";
import type { Failure } from "./failure.ts";
import { noteOf } from "./notes.ts";
import { fatesIn } from "./fates.ts";
import { type Replay, type ReplayedCut, replay } from "./replay.ts";
import { search } from "./search.ts";
import { sumOf } from "./tally.ts";
import type { Insertion } from "./verdict.ts";
import type { Torn } from "./versions.ts";

/** Something to add after every event of one place in the source. */
interface Patch {
  /** The number of the place, see `CallSites.placeOf`. */
  readonly site: number;
  readonly what: "flush" | "fence";
}

/** A remedy, or why there is none. */
export type Remedy =
  | { readonly missing: readonly Insertion[] }
  | { readonly missing: undefined; readonly why: string };

/** What exploring a patched program found: a failing state, none, or no answer. */
type Outcome = Failure | "survives" | "unknown";

/** Most flushes and fences that a remedy may add. */
const MOST_INSERTIONS = 4;
/** Amended programs that are explored before the search gives up. */
const MOST_EXPLORED = 400;

/**
 * Searches for the remedy of a failure. `what.trace` has call sites from `sites`.
 */
export function findRemedy(what: Exploration, failure: Failure, sites: CallSites): Remedy {
  return new Search(what, failure, sites).remedy();
}

class Search {
  readonly #what: Exploration;
  readonly #failure: Failure;
  readonly #sites: CallSites;
  readonly #seen = new Set<string>();
  /** Places at which a recovery lacks something. */
  readonly #recoveryPlaces = new Set<number>();
  readonly #outcomes = new Map<string, Outcome>();
  /** Leaves explored. */
  #leaves = 0;
  /** Whether a branch ended for want of room rather than of ideas. */
  #deeper = false;
  #cut = false;
  /** Whether an event that lacks something has no known place. */
  #lostPlace = false;

  constructor(what: Exploration, failure: Failure, sites: CallSites) {
    this.#what = what;
    this.#failure = failure;
    this.#sites = sites;
  }

  remedy(): Remedy {
    for (let room = 1; room <= MOST_INSERTIONS; room++) {
      this.#seen.clear();
      this.#deeper = false;
      const patches = this.#search([], this.#failure, room);
      if (patches !== undefined) return { missing: this.#tell(patches) };
      if (this.#cut) return { missing: undefined, why: "the budget ended the search for a remedy" };
      if (!this.#deeper) break;
    }
    if (this.#lostPlace) {
      return {
        missing: undefined,
        why: "not searched for: the program's call sites are not known",
      };
    }
    const why = this.#deeper
      ? `no ${MOST_INSERTIONS} flushes and fences make every state survive`
      : `no flush or fence mends this: ${this.#blame()}`;
    return { missing: undefined, why };
  }

  /** What else is wrong where no flush is missing. */
  #blame(): string {
    const { initial, modelled } = this.#what;
    const { classes } = new ModelledMedia(initial.length, modelled);
    const lines = classes.filter((each) => each === LineClass.volatile).length;
    if (lines === classes.length) return "the media is volatile, and keeps nothing";
    const order = "the order of the stores, or what is stored, is wrong";
    return lines === 0 ? order : `a volatile range keeps nothing, or ${order}`;
  }

  /** The patches that make everything survive, using at most `room` more, or `undefined`. */
  #search(patches: readonly Patch[], failure: Failure, room: number): readonly Patch[] | undefined {
    const shown = replay(this.#amended(patches), failure.cuts, this.#sites);
    for (const fix of shown === undefined ? [] : this.#fixesFor(shown, failure)) {
      const next = [...patches, ...fix.filter((patch) => !hasPatch(patches, patch))];
      if (next.length === patches.length || this.#seen.has(keyOf(next))) continue;
      if (next.length > patches.length + room) {
        this.#deeper = true;
        continue;
      }
      this.#seen.add(keyOf(next));
      const outcome = this.#explore(next);
      if (outcome === "survives") return next;
      if (outcome === "unknown") continue;
      const solution = this.#search(next, outcome, room - (next.length - patches.length));
      if (solution !== undefined) return solution;
    }
    return undefined;
  }

  /** What becomes of the patched program: every state is checked, up to the first that fails. */
  #explore(patches: readonly Patch[]): Outcome {
    const key = keyOf(patches);
    const known = this.#outcomes.get(key);
    if (known !== undefined) return known;
    const left = this.#what.budget.leaves - this.#leaves;
    if (this.#outcomes.size >= MOST_EXPLORED || left < 1) {
      this.#cut = true;
      return "unknown";
    }
    const budget = { ...this.#what.budget, leaves: left };
    const found = search({ ...this.#amended(patches), budget, stopAtFirst: true });
    this.#leaves += sumOf(found.tallies).leaves;
    let outcome: Outcome = found.failure ?? "survives";
    if (found.unmeasurable !== undefined || (found.failure === undefined && found.cut)) {
      this.#cut = true;
      outcome = "unknown";
    }
    this.#outcomes.set(key, outcome);
    return outcome;
  }

  /** Every way to remove the failing state: one of its old versions must have become durable. */
  #fixesFor(shown: Replay, { cuts }: Failure): Patch[][] {
    const fixes = new Map<string, Patch[]>();
    for (const [level, standing] of shown.cuts.entries()) {
      for (const line of cuts[level]?.old.keys() ?? []) {
        const { trace, frontier } = standing;
        this.#lostPlace ||= frontier.pending(line).some(({ event }) => placeOf(trace, event) === 0);
        for (const fix of fixesForLine(standing, line, this.#what.torn)) {
          if (!fixes.has(keyOf(fix))) fixes.set(keyOf(fix), fix);
          if (level > 0) for (const { site } of fix) this.#recoveryPlaces.add(site);
        }
      }
    }
    // Cheap ones first; among equals those that come first in the program.
    return [...fixes.values()].toSorted((a, b) => a.length - b.length);
  }

  #amended(patches: readonly Patch[]): Exploration {
    const { trace } = this.#what;
    const amend = (recorded: Trace) => amendTrace(recorded, patches);
    const amended = { ...this.#what, trace: amend(trace) };
    // Recoveries run often, and to ask each of their stores for its place is slow.
    const inRecovery = patches.some(({ site }) => this.#recoveryPlaces.has(site));
    return inRecovery ? { ...amended, amend, sites: this.#sites } : amended;
  }

  /** The patches as insertions at the place of the first failing state. */
  #tell(patches: readonly Patch[]): Insertion[] {
    const shown = replay(this.#what, this.#failure.cuts, this.#sites);
    const traces = shown?.cuts.map(({ trace }) => trace) ?? [];
    const sites = [...new Set(patches.map(({ site }) => site))];
    const insertions = sites.flatMap((site) => {
      const level = traces.findIndex((trace) => occurrences(trace, site).length > 0);
      const trace = traces[level] ?? this.#what.trace;
      const stop = shown?.cuts[level]?.point.event ?? trace.count;
      const all = occurrences(trace, site);
      const event = all.findLast((number) => number < stop) ?? all[0];
      if (event === undefined) return [];
      const has = (what: Patch["what"]) => hasPatch(patches, { site, what });
      const flush = { offset: trace.offsetOf(event), length: trace.lengthOf(event) };
      return [
        {
          during: level > 0 ? ("recovery" as const) : ("workload" as const),
          ...(has("flush") ? { flush } : {}),
          fence: has("fence"),
          after: noteOf(trace, event),
          before: noteOf(trace, event + 1),
          times: all.length,
        },
      ];
    });
    return insertions.toSorted((a, b) => a.after.number - b.after.number);
  }
}

function occurrences(trace: Trace, site: number): number[] {
  const found: number[] = [];
  for (let event = 0; event < trace.count; event++) {
    if (placeOf(trace, event) === site) found.push(event);
  }
  return found;
}

function placeOf(trace: Trace, event: number): number {
  return trace.callSites?.placeOf(trace.siteOf(event)) ?? 0;
}

function hasPatch(patches: readonly Patch[], { site, what }: Patch): boolean {
  return patches.some((patch) => patch.site === site && patch.what === what);
}

function keyOf(patches: readonly Patch[]): string {
  return patches
    .map(({ site, what }) => `${what} ${site}`)
    .toSorted()
    .join();
}

/** The trace as the patched program would have made it. */
function amendTrace(trace: Trace, patches: readonly Patch[]): Trace {
  const amended = new Trace();
  amended.adoptSites(trace.callSites);
  for (let event = 0; event < trace.count; event++) {
    amended.append(trace, event);
    const site = placeOf(trace, event);
    if (site === 0) continue;
    if (trace.kindOf(event) < TraceKind.flush && hasPatch(patches, { site, what: "flush" })) {
      amended.flushed(trace.offsetOf(event), trace.lengthOf(event));
    }
    if (hasPatch(patches, { site, what: "fence" })) amended.fenced();
  }
  return amended;
}

function fixesForLine(standing: ReplayedCut, line: number, torn: Torn): Patch[][] {
  const { trace, point, frontier } = standing;
  const segments = frontier.pending(line);
  const fates = fatesIn(standing, line, torn);
  const first = fates.findIndex(({ fate }) => fate !== "arrived");
  const missing = first === -1 ? [] : segments.slice(first);
  const fixes: Patch[][] = [];
  for (const { event } of missing) {
    const site = placeOf(trace, event);
    if (site === 0) continue;
    const flush: Patch = { site, what: "flush" };
    if (hasFence(trace, event, point.event)) fixes.push([flush]);
    for (const fence of fenceSites(trace, event, point.event)) fixes.push([flush, fence]);
  }
  const oldest = missing[0]?.event;
  if (oldest !== undefined && first < frontier.flushed(line)) {
    const flushedAt = firstFlush(trace, oldest, point.event, line);
    for (const fence of fenceSites(trace, flushedAt, point.event)) fixes.push([fence]);
  }
  return fixes;
}

function hasFence(trace: Trace, from: number, to: number): boolean {
  for (let event = from + 1; event < to; event++) {
    if (trace.kindOf(event) === TraceKind.fence) return true;
  }
  return false;
}

/** The first event from `from` that flushes the line. */
function firstFlush(trace: Trace, from: number, to: number, line: number): number {
  for (let event = from; event < to; event++) {
    const kind = trace.kindOf(event);
    if (kind === TraceKind.copyNonTemporal && event === from) return event;
    if (kind !== TraceKind.flush) continue;
    const start = trace.offsetOf(event);
    if (start < (line + 1) * LINE_BYTES && start + trace.lengthOf(event) > line * LINE_BYTES) {
      return event;
    }
  }
  return from;
}

/** A fence after each place of the events `[from, to)`; after a promise it would be too late. */
function fenceSites(trace: Trace, from: number, to: number): Patch[] {
  const sites = new Set<number>();
  for (let event = from; event < to; event++) {
    const site = placeOf(trace, event);
    if (site !== 0 && trace.kindOf(event) !== TraceKind.ack) sites.add(site);
  }
  return [...sites].map((site) => ({ site, what: "fence" }));
}
