/**
 * Verdicts on programs that work on a filesystem, for human readers.
 *
 * @module
 */
import { fold } from "../../crash/layout.ts";
import {
  type ReportOptions,
  type Style,
  againLines,
  incompleteLines,
  intactLines,
  report,
} from "../../crash/report.ts";
import { count, placeOf, plural, promises, spotOf } from "../../crash/words.ts";
import type { Frame } from "../../lib/call-site.ts";
import type { CallNote } from "./calls.ts";
import { PRESETS } from "./presets.ts";
import { CallTable, callWords, entryOf } from "./call-table.ts";
import type { CallEntry } from "./timeline.ts";
import type {
  MissingCall,
  VolumeLost,
  VolumeMeasure,
  VolumeSurvived,
  VolumeVerdict,
} from "./volume-verdict.ts";

/** Places that are shown, and paths. */
const MOST_PLACES = 6;
const MOST_PATHS = 6;
const HEAD = 12;

/** The verdict as lines of text, without line ends. */
export function volumeReport(verdict: VolumeVerdict, options: ReportOptions = {}): string[] {
  const writer = new Writer(options);
  if (verdict.kind === "Lost") return fold(writer.lost(verdict), options.width);
  if (verdict.kind === "Survived") return fold(writer.survived(verdict), options.width);
  return report(verdict, options);
}

class Writer {
  readonly #options: ReportOptions;
  readonly #shorten: (file: string) => string;
  readonly #paint: (style: Style, text: string) => string;

  constructor(options: ReportOptions) {
    this.#options = options;
    this.#shorten = options.shorten ?? ((file) => file);
    this.#paint = options.paint ?? ((_style, words) => words);
  }

  survived(verdict: VolumeSurvived): string[] {
    return [
      `${this.#paint("good", "SURVIVED")}  ${this.#paint("strong", verdict.name)}`,
      ...this.#measure(verdict),
      ...this.#schedules(verdict),
      ...this.#faults(verdict),
      ...verdict.redundantCalls.map(({ call, times, caller }) =>
        this.#head(
          "not needed",
          `${this.#paint("unsure", this.#call(call))}${this.#from(caller)}` +
            `${times > 1 ? `, ${times} times` : ""}: ` +
            "on this model, without it every state survives too, as far as the check looks",
        ),
      ),
      ...verdict.idleCalls.map(({ call, times, idle }) =>
        this.#head(
          "idle",
          `${this.#paint("unsure", this.#call(call))}: ${idle} of ${plural(times, "time")} there ` +
            "was nothing to make durable",
        ),
      ),
      ...this.#notes(verdict),
    ];
  }

  lost(verdict: VolumeLost): string[] {
    const { counterExample, state } = verdict;
    const [cut] = counterExample.cuts;
    const subject = counterExample.how === "returned" ? "check says" : counterExample.phase;
    const when = this.#instant(verdict);
    return [
      `${this.#paint("bad", "LOST")}  ${this.#paint("strong", verdict.name)}`,
      this.#head(subject, this.#paint("bad", counterExample.said)),
      ...intactLines(verdict, this.#options),
      ...this.#fault(verdict),
      ...(verdict.schedule === undefined ? [] : [this.#head("when", verdict.schedule.words)]),
      this.#head("power cut", counterExample.cuts.length > 1 ? `${when}, then in recovery` : when),
      this.#head("promised", promises(cut?.acked ?? [])),
      ...this.#missing(verdict),
      "",
      ...new CallTable(this.#options, PRESETS[verdict.model].sector).lines(verdict),
      ...this.#differences(verdict),
      ...this.#places(verdict),
      "",
      `  ${count(verdict.failing)} of ${plural(verdict.space, "state")} ` +
        (verdict.failing === 1n ? "fails" : "fail"),
      ...incompleteLines(verdict),
      ...this.#measure(verdict),
      ...this.#notes(verdict),
      ...againLines(state, this.#options),
    ];
  }

  #fault({ fault }: VolumeLost): string[] {
    if (fault === undefined) return [];
    const { words, call } = fault;
    const threw = call?.threw === undefined ? "" : `, which threw ${call.threw}`;
    const where = call === undefined ? "" : `, in ${this.#call(call)}${threw}`;
    return [this.#head("fault", `${this.#paint("bad", words)}${where}`)];
  }

  #schedules({ schedules }: VolumeSurvived): string[] {
    return schedules.map(({ words, space, leaves, crashPoints }) => {
      const where = `${plural(space, "state")} at ${plural(crashPoints, "crash point")}`;
      return `  and when ${words}: all of ${where}, in ${plural(leaves, "run")}`;
    });
  }

  #faults({ faults }: VolumeSurvived): string[] {
    return faults
      .filter(({ run }) => run > 0)
      .map(({ kind, run, space, leaves }) => {
        const noun = `${kind} fault`;
        const what =
          run === 1 ? `with its only ${noun}` : `with each of ${plural(run, noun)}, one at a time`;
        return `  ${what}: all of ${plural(space, "state")}, checked in ${plural(leaves, "run")}`;
      });
  }

  #instant({ cutIn, timeline, model }: VolumeLost): string {
    if (cutIn === undefined) return "after the last call below";
    const entry = entryOf(timeline, cutIn);
    const call = this.#call(cutIn);
    if (entry === undefined) return `in ${call}`;
    return `in call ${entry.number}, ${call}, ${instantIn(entry, PRESETS[model].sector)}`;
  }

  #differences({ differences }: VolumeLost): string[] {
    if (differences.length === 0) return [];
    const more = differences.length - MOST_PATHS;
    return [
      "",
      `  ${this.#paint("strong", "what is there, and what the program had there")}`,
      ...differences
        .slice(0, MOST_PATHS)
        .map(({ path, had, found }) => `    ${path}: ${this.#paint("bad", found)}; had ${had}`),
      ...(more > 0 ? [`    and ${plural(more, "path")} more`] : []),
    ];
  }

  #places({ places, timeline }: VolumeLost): string[] {
    if (places.length === 0) {
      if (!timeline.some(({ fate }) => fate === "lost" || fate === "torn")) return [];
      return [
        "",
        "    nothing that reached the device is missing: what is lost, or what leads to it " +
          "(a name, a size), was in memory only",
      ];
    }
    const more = places.length - MOST_PLACES;
    return [
      "",
      `  ${this.#paint("strong", "which bytes of the device")}`,
      ...places.slice(0, MOST_PLACES).map(({ words, fate, length, start }) => {
        const what = `${plural(length, "byte")} at ${start}`;
        return `    ${fate.padEnd(8)} ${words} (${what})`;
      }),
      ...(more > 0 ? [`    and ${plural(more, "place")} more`] : []),
    ];
  }

  #missing({ missingCalls, noRemedy }: VolumeLost): string[] {
    if (missingCalls === undefined) return [this.#head("missing", noRemedy ?? "unknown")];
    return [
      ...missingCalls.map((call, i) => this.#head(i === 0 ? "missing" : "and", this.#add(call))),
      this.#head("", "with that every state survives (verified)"),
    ];
  }

  #add({ when, call, what, path }: MissingCall): string {
    const target = what === "directory" ? `the directory ${path}` : path;
    return `${this.#paint("good", `fsync of ${target}`)} ${when} ${this.#call(call)}`;
  }

  #from(caller: Frame | undefined): string {
    if (caller === undefined) return "";
    return `, called from ${spotOf({ ...caller, callers: [] }, this.#shorten)}`;
  }

  #call(call: CallNote): string {
    const place = placeOf(call.site, this.#shorten, spotOf);
    return `${callWords(call)}${place && ` (${place})`}`;
  }

  #measure(verdict: (VolumeSurvived | VolumeLost) & VolumeMeasure): string[] {
    const { space, crashPoints, leaves, torn, model, assumes, depths } = verdict;
    // What a disk does to its sectors is among what is assumed.
    const isDisk = PRESETS[model].sector !== undefined;
    return [
      `  all of ${plural(space, "state")} at ${plural(crashPoints, "crash point")}, checked in ` +
        `${plural(leaves, "run")}; ${plural(depths.length, "power cut")} in a row`,
      `  model ${model}: ${assumes}${isDisk ? "" : `; bulk copies tear by ${torn}`}`,
    ].slice(verdict.kind === "Lost" && !verdict.complete ? 1 : 0);
  }

  #notes({ notes }: VolumeMeasure & { readonly notes: readonly string[] }): string[] {
    return notes.map((note) => `  ${this.#paint("unsure", "note")}: ${note}`);
  }

  #head(word: string, words: string): string {
    return `  ${this.#paint("faint", word.padEnd(HEAD))} ${words}`;
  }
}

const ORDINALS = ["first", "second", "third"];

function instantIn({ stored, flushes, fences }: CallEntry, sector: number | undefined): string {
  const barrier = sector === undefined ? "fence" : "FLUSH";
  if (stored === 0 && flushes === 0 && fences === 0) return "before it did anything";
  const which = ORDINALS[fences] ?? `${fences + 1}th`;
  return `before its ${which} ${barrier} was complete`;
}
