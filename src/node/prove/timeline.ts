/**
 * The calls of a workload up to a power cut, with what each had on the device by then, and what
 * became of it in the state that is told of.
 *
 * @module
 */
import { type Trace, TraceKind } from "../../media/trace.ts";
import type { CallNote } from "./calls.ts";
import { type Sight, seenAt } from "./history.ts";
import type { VolumeFs } from "../facade/facade.ts";

/**
 * What became of what a call changed:
 * - `durable`: it is there, and would be in every other state of this power cut;
 * - `arrived`: it is there, and might have been lost;
 * - `torn`: some of it is there;
 * - `lost`: nothing of it is there.
 */
export type CallFate = "durable" | "arrived" | "torn" | "lost";

/** A call before the power cut. */
export interface CallEntry extends CallNote {
  /** Counts the calls from 1. */
  readonly number: number;
  /** Bytes of memory that it had stored when power went; on a disk 8 for each sector. */
  readonly stored: number;
  /** Flushes of cache lines, or of single sectors (FUA), that it had made. */
  readonly flushes: number;
  /** Fences, or FLUSHes of a disk, that had taken effect. */
  readonly fences: number;
  /** Absent where nothing could be seen to change. */
  readonly fate?: CallFate;
}

/** A path at which there is something else than what the program had there. */
export interface PathNote {
  readonly path: string;
  /** In words: `27 bytes, "record 0"`, `nothing`. */
  readonly had: string;
  readonly found: string;
}

/** Looks at one call that are made at most, and paths that are looked at. */
const MOST_LOOKS = 20_000;
const MOST_PATHS = 64;
/** Characters of contents that are shown. */
const MOST_SHOWN = 32;

/** Sees what paths held after each call. */
export class PathHistory {
  /** After the first so many calls; what no later entry mentions did not change. */
  readonly #versions = new Map<string, { readonly calls: number; readonly seen: string }[]>();
  #looks = 0;

  /** Whether there is room for more. */
  get whole(): boolean {
    return this.#looks < MOST_LOOKS && this.#versions.size < MOST_PATHS;
  }

  /** Paths that any call named. */
  get paths(): readonly string[] {
    return [...this.#versions.keys()];
  }

  /** Looks, before the `number`-th call is made, at what it names. */
  before(fs: VolumeFs, { path, to }: CallNote, number: number): void {
    for (const each of [path, to]) {
      if (!this.whole || each === undefined || this.#versions.has(each)) continue;
      this.#looks++;
      this.#versions.set(each, [{ calls: number - 1, seen: safely(fs, each) }]);
    }
  }

  /** Looks, after the `number`-th call, at everything that any call named. */
  after(fs: VolumeFs, number: number): void {
    for (const [path, versions] of this.#versions) {
      if (!this.whole) return;
      this.#looks++;
      const seen = safely(fs, path);
      if (versions.at(-1)?.seen !== seen) versions.push({ calls: number, seen });
    }
  }

  /** What a path held after so many calls. */
  at(path: string, calls: number): string | undefined {
    return this.#versions.get(path)?.findLast((version) => version.calls <= calls)?.seen;
  }

  /** Paths that changed in one call, which is the `calls`-th from 1. */
  changedBy(calls: number): readonly string[] {
    return [...this.#versions].flatMap(([path, versions]) =>
      versions.some((version, i) => i > 0 && version.calls === calls) ? [path] : [],
    );
  }

  /** The number of calls after which a path held that for the last time; undefined: never. */
  lastWith(path: string, seen: string, calls: number): number | undefined {
    return this.#versions
      .get(path)
      ?.findLast((version) => version.calls <= calls && version.seen === seen)?.calls;
  }
}

/** What a volume holds at paths; undefined for one that cannot be mounted. */
export function sightsAt(fs: VolumeFs | undefined, paths: readonly string[]): Sight | undefined {
  return fs === undefined ? undefined : new Map(paths.map((path) => [path, safely(fs, path)]));
}

/** What is known of a power cut. */
export interface Afterwards {
  readonly history: PathHistory | undefined;
  /** What is there in the state that is told of. */
  readonly state: Sight | undefined;
  /** What is there when nothing arrived that was not durable. */
  readonly durable: Sight | undefined;
}

/** The calls up to an event of the trace. */
export function timelineOf(
  trace: Trace,
  calls: readonly CallNote[],
  event: number,
  { history, state, durable }: Afterwards,
): CallEntry[] {
  const made = calls.filter(({ from }) => from <= event);
  const fateOf = (number: number): CallFate | undefined => {
    if (history === undefined || state === undefined || durable === undefined) return undefined;
    const paths = history.changedBy(number);
    if (paths.length === 0) return undefined;
    const there = (sight: Sight): (boolean | undefined)[] =>
      paths.map((path) => {
        const last = history.lastWith(path, sight.get(path) ?? "", made.length);
        return last === undefined ? undefined : last >= number;
      });
    const now = there(state);
    if (now.every((each) => each === true)) {
      return there(durable).every((each) => each === true) ? "durable" : "arrived";
    }
    return now.every((each) => each === false) ? "lost" : "torn";
  };
  return made.map((call, i) => {
    const fate = fateOf(i + 1);
    const counts = countsOf(trace, call.from, Math.min(call.stop, event));
    return Object.assign({}, call, { number: i + 1 }, counts, fate && { fate });
  });
}

/** Where a volume is not what the program had made of it by then. */
export function differencesIn(
  calls: readonly CallEntry[],
  event: number,
  { history, state }: Afterwards,
): PathNote[] {
  if (history === undefined || state === undefined) return [];
  // A call that was cut may have done what it was to do, or not.
  const done = calls.filter(({ stop }) => stop <= event).length;
  return history.paths.flatMap((path) => {
    const [had, found] = [history.at(path, done), state.get(path)];
    if (had === undefined || found === undefined || had === found) return [];
    if (history.at(path, calls.length) === found) return [];
    return [{ path, had: sightWords(had), found: sightWords(found) }];
  });
}

/** A sight of one path in words: `27 bytes, "record 0…"`. */
export function sightWords(seen: string): string {
  const file = /^file (\d+) ([^]*)$/u.exec(seen);
  if (file === null) return seen === "absent" ? "nothing" : seen;
  const [, mode = "", text = ""] = file;
  const words = `${text.length} byte${text.length === 1 ? "" : "s"}`;
  const shown = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
  const special = mode.endsWith("644") ? "" : ` (mode ${mode.slice(-4)})`;
  return text === "" ? `an empty file${special}` : `${words}, ${JSON.stringify(shown)}${special}`;
}

function countsOf(
  trace: Trace,
  from: number,
  stop: number,
): Pick<CallEntry, "stored" | "flushes" | "fences"> {
  let [stored, flushes, fences] = [0, 0, 0];
  for (let event = from; event < stop; event++) {
    const kind = trace.kindOf(event);
    if (kind < TraceKind.flush) stored += trace.lengthOf(event);
    else if (kind === TraceKind.flush) flushes++;
    else if (kind === TraceKind.fence) fences++;
  }
  return { stored, flushes, fences };
}

function safely(fs: VolumeFs, path: string): string {
  try {
    return seenAt(fs, path);
  } catch (error) {
    return `what cannot be read (${(error as NodeJS.ErrnoException).code ?? "an error"})`;
  }
}
