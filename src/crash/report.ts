/**
 * Verdicts for human readers: lines of text from which one understands at once which bytes are
 * lost, at which instant, and which flush is missing.
 *
 * @module
 */
import { programLines } from "../lib/call-site.ts";
import { fold } from "./layout.ts";
import type { Objection } from "./program.ts";
import type {
  ByteChange,
  EventNote,
  HarnessBroken,
  Insertion,
  LineNote,
  Lost,
  Measure,
  NotMeasured,
  PowerCut,
  RedundantFence,
  RedundantFlush,
  Survived,
  TimelineEntry,
  Verdict,
} from "./verdict.ts";
import {
  count,
  hex,
  kindWord,
  percent,
  placeOf,
  plural,
  promises,
  spotOf,
  text,
  whatOf,
} from "./words.ts";

/** What a piece of the report is, for colours. */
export type Style = "good" | "bad" | "unsure" | "strong" | "faint";

/** How a report is written. */
export interface ReportOptions {
  /** Shortens a path for display. */
  readonly shorten?: (file: string) => string;
  /** Adds colour; must not change the width. */
  readonly paint?: (style: Style, text: string) => string;
  /** Columns of the screen; longer lines are folded. Without end unless given. */
  readonly width?: number;
  /** What was typed to prove it: `daxkit prove log.ts --model ext2`. */
  readonly command?: string;
  /** What stands behind the options of that command. */
  readonly operands?: string;
}

/** Events of an epoch that are shown before some are left out, and how many of the first stay. */
const MOST_EVENTS = 40;
const FIRST_EVENTS = 10;
/** Bytes of one change that are shown. */
const MOST_BYTES = 24;
/** Frames of an error's stack that are shown. */
const MOST_FRAMES = 4;
/** Columns of the words that head a line. */
const HEAD = 12;

/** The verdict as lines of text, without line ends. */
export function report(verdict: Verdict, options: ReportOptions = {}): string[] {
  return fold(linesOf(verdict, new Writer(options)), options.width);
}

function linesOf(verdict: Verdict, writer: Writer): string[] {
  if (verdict.kind === "Survived") return writer.survived(verdict);
  if (verdict.kind === "Lost") return writer.lost(verdict);
  if (verdict.kind === "NotMeasured") return writer.notMeasured(verdict);
  return writer.harnessBroken(verdict);
}

/** That there were other states, and nobody looked. */
export function incompleteLines({ complete, space }: Pick<Lost, "complete" | "space">): string[] {
  if (complete) return [];
  if (space === 1n) return ["  no other state was looked at"];
  return ["  not every state was checked: more may fail, and with less missing"];
}

const plainly = (_style: Style, words: string): string => words;

function lineWith(paint: (style: Style, text: string) => string) {
  return (head: string, words: string): string => `  ${paint("faint", head.padEnd(HEAD))} ${words}`;
}

/** What fails without a power cut is looked for in another place. */
export function intactLines(
  { intact, counterExample }: Pick<Lost, "intact" | "counterExample">,
  { paint = plainly }: ReportOptions,
): string[] {
  if (intact === undefined) return [];
  const line = lineWith(paint);
  const recovers = intact.phase === "recover";
  const who = recovers ? "the recovery" : "the check";
  const same = intact.said === counterExample.said;
  return [
    line("but", paint("unsure", `${who} fails even with no power cut`)),
    ...(same ? [] : [line("", `there ${subjectOf(intact)}: ${intact.said}`)]),
    line("", "the workload ended and every store arrived: its logic is wrong, or the"),
    line("", `${recovers ? "recovery's" : "check's"}, not its durability`),
  ];
}

function subjectOf({ phase, how }: Objection): string {
  if (how === "returned") return "check says";
  return `${phase} ${how === "hung" ? "hangs" : "throws"}`;
}

/** How exactly the state of a counter-example is made again. */
export function againLines(
  state: string,
  { command, operands = "", paint = plainly }: ReportOptions,
): string[] {
  const line = lineWith(paint);
  if (command === undefined) return [line("this state", `--state ${state}`)];
  return [
    line("again", paint("strong", `${command} --state ${state}${operands}`)),
    line("look at it", `${command} --state ${state} --save-image state.img${operands}`),
  ];
}

/** A cell of a table: its text, and how it is painted. */
type Cell = readonly [text: string, style?: Style];

class Writer {
  readonly #options: ReportOptions;
  readonly #shorten: (file: string) => string;
  readonly #paint: (style: Style, text: string) => string;

  constructor(options: ReportOptions) {
    const { shorten, paint } = options;
    this.#options = options;
    this.#shorten = shorten ?? ((file) => file);
    this.#paint = paint ?? plainly;
  }

  survived(verdict: Survived): string[] {
    const { space, crashPoints, leaves, redundantFlushes, redundantFences } = verdict;
    return [
      this.#title("good", "SURVIVED", verdict.name),
      `  all of ${plural(space, "state")} at ${plural(crashPoints, "crash point")}, ` +
        `checked in ${plural(leaves, "run")}`,
      ...this.#measure(verdict),
      ...redundantFlushes.map((flush) => `  ${this.#redundant(flush)}`),
      ...redundantFences.map((fence) => `  ${this.#redundantFence(fence)}`),
      ...this.#notes(verdict),
    ];
  }

  lost(verdict: Lost): string[] {
    const { counterExample, failing, space, crashPoints, leaves } = verdict;
    const { cuts } = counterExample;
    return [
      this.#title("bad", "LOST", verdict.name),
      this.#head(subjectOf(counterExample), this.#paint("bad", counterExample.said)),
      ...intactLines(verdict, this.#options),
      ...this.#summary(cuts),
      ...this.#missing(verdict),
      ...cuts.flatMap((cut) => this.#cut(cut)),
      "",
      `  ${count(failing)} of ${plural(space, "state")} ${failing === 1n ? "fails" : "fail"}; ` +
        `${plural(crashPoints, "crash point")}, checked in ${plural(leaves, "run")}`,
      ...incompleteLines(verdict),
      ...this.#measure(verdict),
      ...this.#notes(verdict),
      ...againLines(verdict.state, this.#options),
    ];
  }

  notMeasured({ name, why, share }: NotMeasured): string[] {
    const title = this.#title("unsure", "NOT MEASURED", name);
    if (share === undefined) return [title, `  ${why}`];
    const { covered, space } = share;
    return [
      title,
      `  ${why}: ${count(covered)} of ${plural(space, "state")} were checked ` +
        `(${percent(covered, space)}), and all of those survive`,
    ];
  }

  harnessBroken({ name, phase, said, error }: HarnessBroken): string[] {
    const stack = error instanceof Error ? (error.stack ?? "") : "";
    const frames = programLines(stack).slice(0, MOST_FRAMES);
    return [
      this.#title("unsure", "HARNESS BROKEN", name),
      `  ${phase === "proof" ? "the proof" : phase}: ${said}`,
      ...frames.map((line) => this.#paint("faint", `  ${line}`)),
    ];
  }

  #title(style: Style, kind: string, name: string): string {
    return `${this.#paint(style, kind)}  ${this.#paint("strong", name)}`;
  }

  #head(word: string, words: string): string {
    return `  ${this.#paint("faint", word.padEnd(HEAD))} ${words}`;
  }

  /** What is lost, when, and what was promised by then. */
  #summary(cuts: readonly PowerCut[]): string[] {
    return cuts.flatMap((cut) => {
      const lost = cut.lost.map((line) => {
        const { bytes, at } = extentOf(line.changes);
        return `${plural(bytes, "byte")} at ${at}${this.#of(line)}`;
      });
      return [
        ...(lost.length > 0 ? [this.#head("lost", lost.join("; "))] : []),
        this.#head("power cut", this.#instant(cut)),
        ...(cut.during === "workload" ? [this.#head("promised", promises(cut.acked))] : []),
      ];
    });
  }

  #of({ events }: LineNote): string {
    const [first] = events;
    return first === undefined ? "" : `, stored by ${this.#event(first)}`;
  }

  #instant({ during, before, done }: PowerCut): string {
    if (before.kind === "end") return `in the ${during} at its end`;
    const when = done > 0 ? `${plural(done, "byte")} into` : "before";
    return `in the ${during} ${when} ${this.#event(before)}`;
  }

  #missing({ missing, noRemedy }: Lost): string[] {
    if (missing === undefined) return [this.#head("missing", noRemedy ?? "unknown")];
    return [
      ...missing.flatMap((insertion, i) => this.#insertion(i === 0 ? "missing" : "and", insertion)),
      this.#head("", "with that every state survives (verified)"),
    ];
  }

  #insertion(head: string, insertion: Insertion): string[] {
    const { flush, fence, after, before, times, during } = insertion;
    const call =
      flush === undefined
        ? "fence()"
        : `${fence ? "persist" : "flush"}(${flush.offset}, ${flush.length})`;
    const where = during === "recovery" ? " of the recovery" : "";
    const rows = [
      `${this.#paint("good", `mapping.${call}`)} after ${this.#event(after)}${where},`,
      `before ${this.#event(before)}${times > 1 ? "," : ""}`,
      ...(times > 1 ? [`here and ${plural(times - 1, "more time")} in this ${during}`] : []),
    ];
    return rows.map((row, i) => this.#head(i === 0 ? head : "", row));
  }

  #cut(cut: PowerCut): string[] {
    const rows = cut.timeline.map((entry) => this.#row(entry, cut));
    if (cut.before.kind === "end") rows.push([[""], [""], [""], ["<- power cut", "bad"]]);
    const notes = [
      ...cut.lost.map((line) => this.#found(line, "lost")),
      ...cut.arrived.map((line) => this.#found(line, "arrived")),
    ].flat();
    return [
      "",
      `  ${this.#paint("strong", `the ${cut.during}, up to the power cut`)}`,
      ...this.#table(rows),
      ...(notes.length === 0 ? [] : ["", `  ${this.#paint("strong", "what it left")}`, ...notes]),
    ];
  }

  #row(entry: TimelineEntry, { before, done }: PowerCut): Cell[] {
    const { fate, number } = entry;
    let cell: Cell = [""];
    if (number === before.number) cell = [done > 0 ? "TORN  <- power cut" : "<- power cut", "bad"];
    else if (fate === "lost" || fate === "torn") cell = [fate.toUpperCase(), "bad"];
    else if (fate !== undefined) cell = [fate, fate === "arrived" ? "strong" : "faint"];
    return [[String(number)], [whatOf(entry)], [placeOf(entry.site, this.#shorten), "faint"], cell];
  }

  #table(rows: readonly (readonly Cell[])[]): string[] {
    const left = rows.length - MOST_EVENTS;
    const shown =
      left > 0 ? [...rows.slice(0, FIRST_EVENTS), ...rows.slice(FIRST_EVENTS + left)] : rows;
    const widths = [0, 1, 2].map((column) =>
      Math.max(0, ...shown.map((row) => row[column]?.[0].length ?? 0)),
    );
    const lines = shown.map((row) => `    ${this.#cells(row, widths)}`.trimEnd());
    if (left > 0) lines.splice(FIRST_EVENTS, 0, `    ... ${left} more events ...`);
    return lines;
  }

  #cells(row: readonly Cell[], widths: readonly number[]): string {
    return row
      .map(([words, style], column) => {
        const width = widths[column] ?? 0;
        const padded = column === 0 ? words.padStart(width) : words.padEnd(width);
        return style === undefined || words === "" ? padded : this.#paint(style, padded);
      })
      .join("  ");
  }

  /** What a line holds beside what was stored there. */
  #found(line: LineNote, what: "lost" | "arrived"): string[] {
    const lines = line.changes.flatMap((change) => bytesOf(change, what));
    const lack =
      line.lacked === "fence"
        ? "was flushed, but no fence came after that"
        : "was not flushed after that";
    const end =
      what === "lost" ? `the cache line ${lack}` : "this arrived, though nothing forced it";
    return [...lines, this.#paint("faint", `${" ".repeat(12)}${end}`)];
  }

  /** `event 4 (fence, examples/log.ts:15)`: the rest stands in the timeline. */
  #event({ number, kind, site }: EventNote): string {
    if (kind === "end") return "the end";
    const place = site === undefined ? "" : `, ${this.#shorten(site.file)}:${site.line}`;
    return `event ${number} (${kindWord(kind)}${place})`;
  }

  #redundant({
    site,
    flushes,
    redundantFlushes,
    cleanLines,
    needlessLines,
  }: RedundantFlush): string {
    const place = placeOf(site, this.#shorten, spotOf);
    const why = [
      cleanLines === 0 ? "" : `${plural(cleanLines, "line")} had nothing to write back`,
      needlessLines === 0 ? "" : `${plural(needlessLines, "line")} need no flush`,
    ];
    return (
      `${this.#paint("unsure", "redundant")} flush${place === "" ? "" : ` at ${place}`}: ` +
      `${redundantFlushes} of ${flushes} did nothing; ${why.filter(Boolean).join(", ")}`
    );
  }

  #redundantFence({ site, fences, redundantFences }: RedundantFence): string {
    const place = placeOf(site, this.#shorten, spotOf);
    return (
      `${this.#paint("unsure", "redundant")} fence${place === "" ? "" : ` at ${place}`}: ` +
      `${redundantFences} of ${fences} had nothing to make durable`
    );
  }

  #measure({ depths, torn }: Measure): string[] {
    const rows = depths.flatMap(({ crashPoints, space, leaves }, depth) => {
      if (crashPoints === 0) return [];
      const cuts = depth === 0 ? "one power cut" : `${depth + 1} power cuts in a row`;
      const what = `${plural(space, "state")} at ${plural(crashPoints, "crash point")}`;
      return [`    ${cuts}: ${what}, ${plural(leaves, "run")}`];
    });
    return [...(rows.length > 1 ? rows : []), `  bulk copies tear by ${torn}`];
  }

  #notes({ notes }: Measure): string[] {
    return notes.map((note) => `  ${this.#paint("unsure", "note")}: ${note}`);
  }
}

/** The bytes of a line's changes, and where the first is. */
function extentOf(changes: readonly ByteChange[]): { bytes: number; at: number } {
  const bytes = changes.reduce((sum, change) => sum + change.new.length, 0);
  return { bytes, at: changes[0]?.start ?? 0 };
}

function bytesOf({ start, old, new: stored }: ByteChange, what: "lost" | "arrived"): string[] {
  const found = what === "lost" ? old : stored;
  const at = `at ${start}`;
  if (what === "lost") return [bytesRow(at, "stored", stored), bytesRow("", "found", found)];
  return [bytesRow(at, "was", old), bytesRow("", "found", found)];
}

function bytesRow(head: string, word: string, bytes: Uint8Array): string {
  const readable = text(bytes, MOST_BYTES);
  const quoted = readable === "" ? "" : `  |${readable}|`;
  return `    ${head.padEnd(8)}${word.padEnd(7)} ${hex(bytes, MOST_BYTES)}${quoted}`;
}
