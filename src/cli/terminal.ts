/**
 * What people at a terminal get beside the output proper: colours, messages and progress on
 * standard error.
 *
 * @module
 */
import { styleText } from "node:util";
import type { Output } from "./output.ts";
import { printable } from "./output.ts";

/** The styles in use, named by meaning. */
const STYLES = {
  heading: "bold",
  name: "cyan",
  directory: "blue",
  symlink: "cyan",
  executable: "green",
  good: "green",
  warning: "yellow",
  bad: "red",
  faint: "dim",
} as const satisfies Record<string, Parameters<typeof styleText>[0]>;

/** What a piece of text means. */
export type Style = keyof typeof STYLES;

/** Whether to colour was decided before: styleText itself would look at standard output alone. */
function paint(style: Style, text: string): string {
  return styleText(STYLES[style], text, { validateStream: false });
}

/** Clocks and switches that tests set. */
export interface TerminalOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** Progress appears only when the work has taken this long. */
const PATIENCE = 1000;
const INTERVAL = 100;
/** Between two lines of what takes for ever. */
const LONGEST_PAUSE = 60_000;

/** Standard error, and the looks of standard output. */
export class Terminal {
  /** The command that speaks; errors open with it. */
  label = "daxkit";
  readonly #out: Output;
  readonly #err: Output;
  readonly #plain: boolean;
  readonly #now: () => number;
  #progress: Progress | undefined;

  constructor(out: Output, err: Output, options: TerminalOptions = {}) {
    const environment = options.environment ?? process.env;
    this.#out = out;
    this.#err = err;
    // https://no-color.org: any value but the empty one.
    this.#plain = (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb";
    this.#now = options.now ?? performance.now.bind(performance);
  }

  /** Columns of the screen that standard output is, or what to take for them elsewhere. */
  get width(): number {
    // A pseudo-terminal that nobody sized has 0 columns.
    const columns = this.#out.isTerminal ? process.stdout.columns : 0;
    return columns > 0 ? columns : 80;
  }

  /** Columns of the screen, where standard output is one. */
  get screen(): number | undefined {
    return this.#out.isTerminal ? this.width : undefined;
  }

  /** Text for standard output, coloured when a person reads it there. */
  style(style: Style, text: string): string {
    return this.#out.isTerminal && !this.#plain ? paint(style, text) : text;
  }

  /** One line on standard error: `daxkit ls: …`. */
  message(text: string, style: Style = "bad"): void {
    this.#progress?.finish();
    const coloured = this.#err.isTerminal && !this.#plain;
    const label = coloured ? paint(style, `${this.label}:`) : `${this.label}:`;
    this.#err.line(`${label} ${printable(text)}`);
    this.#err.flush();
  }

  /** Several lines on standard error, as they are. */
  report(text: string): void {
    this.#progress?.finish();
    this.#err.text(text);
    this.#err.flush();
  }

  /** Progress of a piece of work, on a terminal only and only when it takes its time. */
  progress(what: string): Progress {
    this.#progress = new Progress(this.#err, what, this.#now, `${this.label}:`);
    return this.#progress;
  }
}

/** One line on standard error that shows how far the work is, and goes away with it. */
export class Progress {
  readonly #err: Output;
  readonly #what: string;
  readonly #now: () => number;
  readonly #label: string;
  #due: number;
  #pause = PATIENCE;
  #shown = false;

  /** `label` opens lines that are no terminal's. */
  constructor(err: Output, what: string, now: () => number, label = "") {
    this.#err = err;
    this.#what = what;
    this.#now = now;
    this.#label = label;
    this.#due = now() + PATIENCE;
  }

  /** Says how far the work is; `total` of 0 is unknown. Cheap enough for every file. */
  step(done: number, total: number, unit: string): void {
    if (!this.#err.isTerminal || this.#now() < this.#due) return;
    const share =
      total > 0 ? ` of ${total} ${unit}, ${Math.floor((done / total) * 100)} %` : ` ${unit}`;
    this.#show(`${done}${share}`);
  }

  /**
   * Says it in words, of work that may take hours: where there is no terminal too, as lines that
   * come less and less often.
   */
  say(text: string): void {
    const now = this.#now();
    if (now < this.#due) return;
    if (this.#err.isTerminal) this.#show(text);
    else {
      this.#err.line(`${this.#label} ${printable(`${this.#what}: ${text}`)}`);
      this.#err.flush();
      this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
      this.#due = now + this.#pause;
    }
  }

  #show(text: string): void {
    this.#due = this.#now() + INTERVAL;
    this.#err.text(`\r\u001B[K${printable(`${this.#what}: ${text}`)}`);
    this.#err.flush();
    this.#shown = true;
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    this.finish();
  }

  /** Takes the line away. */
  finish(): void {
    if (!this.#shown) return;
    this.#err.text("\r\u001B[K");
    this.#err.flush();
    this.#shown = false;
  }
}
