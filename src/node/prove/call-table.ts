/**
 * The timeline of a report: the calls of the epoch in which power was cut, what each had on the
 * device by then, and what became of it.
 *
 * @module
 */
import { widthOf } from "../../crash/layout.ts";
import type { ReportOptions, Style } from "../../crash/report.ts";
import { plural, promises, spotOf } from "../../crash/words.ts";
import { type CallNote, mayChange } from "./calls.ts";
import type { CallEntry, CallFate } from "./timeline.ts";
import type { VolumeLost } from "./volume-verdict.ts";

/** Rows that are shown, and rows of what is durable that are shown before the others. */
const MOST_ROWS = 16;
const CONTEXT = 3;
/** Columns between two cells. */
const GAP = 2;
const NARROWEST_CALL = 20;

type Cell = readonly [text: string, style?: Style];

const FATES: Readonly<Record<CallFate, Cell>> = {
  durable: ["durable", "faint"],
  arrived: ["arrived", "strong"],
  torn: ["TORN", "bad"],
  lost: ["LOST", "bad"],
};

const WHAT_FATES_ARE: Readonly<Record<CallFate, string>> = {
  durable: "there in every state of this power cut",
  arrived: "there, and nothing made sure of that",
  torn: "there in part",
  lost: "not there",
};

/** Writes the table. */
export class CallTable {
  readonly #options: ReportOptions;
  /** Bytes of a sector, on a disk. */
  readonly #sector: number | undefined;

  constructor(options: ReportOptions, sector: number | undefined) {
    this.#options = options;
    this.#sector = sector;
  }

  lines({ timeline, cutIn }: VolumeLost): string[] {
    const first = timeline.findIndex(({ fate }) => fate !== undefined && fate !== "durable");
    const start = Math.max(0, (first === -1 ? timeline.length - MOST_ROWS : first) - CONTEXT);
    const epoch = timeline.slice(start);
    const rows = epoch.map((entry) => this.#row(entry, entryOf(timeline, cutIn)?.number));
    if (cutIn === undefined) rows.push([["", "faint"], [""], [""], [""], ["<- power cut", "bad"]]);
    const title: Cell[] = [
      [""],
      ["the calls up to the power cut", "strong"],
      [""],
      ["on the device", "faint"],
      ["in this state", "faint"],
    ];
    const left = rows.length - MOST_ROWS;
    const head = Math.floor(MOST_ROWS / 2);
    const shown = left > 0 ? [...rows.slice(0, head), ...rows.slice(head + left)] : rows;
    const [heading = "", ...lines] = this.#table([title, ...shown]);
    if (left > 0) lines.splice(head, 0, `      ... ${plural(left, "more call")} ...`);
    if (start > 0) lines.unshift(`      ... ${plural(start, "call")} before ...`);
    return [heading, ...lines, ...this.#legend(epoch)];
  }

  #row(entry: CallEntry, cut: number | undefined): Cell[] {
    const { number, site, fate, name } = entry;
    let cell: Cell = fate === undefined ? [""] : FATES[fate];
    if (name === "ack") cell = ["promised", "strong"];
    if (number === cut) cell = ["<- power cut", "bad"];
    return [
      [String(number), "faint"],
      [this.#words(entry)],
      [spotOf(site, this.#options.shorten ?? ((file) => file)), "faint"],
      [this.#device(entry)],
      cell,
    ];
  }

  #words(entry: CallEntry): string {
    const { bytes, threw } = entry;
    const some = bytes === undefined ? "" : `, ${plural(bytes, "byte")}`;
    return `${callWords(entry)}${some}${threw === undefined ? "" : `: ${threw}`}`;
  }

  #device({ name, stored, flushes, fences }: CallEntry): string {
    if (name === "ack") return "";
    if (stored + flushes + fences === 0) return mayChange(name) ? "nothing" : "";
    const what = this.#sector === undefined ? plural(stored, "byte") : plural(stored / 8, "sector");
    const barrier = this.#sector === undefined ? "fence" : "FLUSH";
    const barriers = fences === 0 ? `no ${barrier}` : `${fences} ${plurals(barrier, fences)}`;
    return `${stored === 0 ? "nothing" : what}, ${barriers}`;
  }

  /** Only what is in the table is explained. */
  #legend(epoch: readonly CallEntry[]): string[] {
    const found = (Object.keys(FATES) as CallFate[]).filter((fate) =>
      epoch.some((entry) => entry.fate === fate),
    );
    if (found.length === 0) return [];
    const words = found.map((fate) => `${FATES[fate][0]}: ${WHAT_FATES_ARE[fate]}`).join("; ");
    return [this.#paint("faint", `      ${words}`)];
  }

  #table(rows: readonly (readonly Cell[])[]): string[] {
    const widths = [0, 1, 2, 3, 4].map((column) =>
      Math.max(...rows.map((row) => row[column]?.[0].length ?? 0)),
    );
    this.#squeeze(widths);
    return rows.map((row) => `  ${this.#cells(row, widths)}`.trimEnd());
  }

  /** A call is shortened in its middle where the screen is too narrow for the row. */
  #squeeze(widths: number[]): void {
    const { width } = this.#options;
    if (width === undefined) return;
    const all = widths.reduce((sum, each) => sum + each + GAP, GAP);
    const call = widths[1] ?? 0;
    widths[1] = Math.max(Math.min(call, NARROWEST_CALL), call - Math.max(0, all - width));
  }

  #cells(row: readonly Cell[], widths: readonly number[]): string {
    return row
      .map(([given, style], column) => {
        const width = widths[column] ?? 0;
        const text = column === 1 ? shortened(given, width) : given;
        const padded = column === 0 ? text.padStart(width) : text.padEnd(width);
        return style === undefined || text === "" ? padded : this.#paint(style, padded);
      })
      .join(" ".repeat(GAP));
  }

  #paint(style: Style, text: string): string {
    return this.#options.paint?.(style, text) ?? text;
  }
}

/** A call as a programmer says it, without its place. */
export function callWords({ name, path, to, detail, label }: CallNote): string {
  const target = name === "ack" ? ` ${promises([label])}` : path === undefined ? "" : ` ${path}`;
  const more = detail === undefined ? "" : ` ${detail}`;
  return `${name}${target}${to === undefined ? "" : ` to ${to}`}${more}`;
}

function shortened(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
}

function plurals(word: string, number: number): string {
  if (number === 1) return word;
  return word === "FLUSH" ? "FLUSHes" : `${word}s`;
}

/** The line of a call. Calls that made no event begin where the next one does. */
export function entryOf(
  timeline: readonly CallEntry[],
  call: CallNote | undefined,
): CallEntry | undefined {
  if (call === undefined) return undefined;
  return timeline.findLast(({ from, name }) => from === call.from && name === call.name);
}
