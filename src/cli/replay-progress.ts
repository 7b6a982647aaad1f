/**
 * How far a replay is, and how long it may still take.
 *
 * @module
 */
import type { StopFindings } from "../crash/stop-findings.ts";
import { stopName } from "../crash/block-states.ts";
import { plural } from "../crash/words.ts";
import type { ReplayProgress } from "../node/replay/replay.ts";
import { remaining } from "./replay-words.ts";
import type { Progress } from "./terminal.ts";

/** Milliseconds between two looks at the clock: a check may be quiet for long. */
const TICK_MS = 500;

/** Tells of a replay on one line while it goes on. */
export class ReplayMeter {
  readonly #progress: Progress;
  readonly #before: number;
  readonly #started = performance.now();
  readonly #timer = setInterval(() => this.#show(), TICK_MS);
  readonly #threads = new Map<number, ReplayProgress>();
  #done: number;
  #total = 0;
  #runs = 0;

  /** `before`: instants that were done in an earlier run. */
  constructor(progress: Progress, before: number) {
    this.#progress = progress;
    this.#before = before;
    this.#done = before;
  }

  /** An instant is done. */
  found({ runs, ended }: StopFindings, total: number): void {
    this.#total = total;
    if (ended !== true) this.#done++;
    this.#runs += runs;
    this.#show();
  }

  /** What a thread is at. */
  at(progress: ReplayProgress, total: number): void {
    this.#total = total;
    this.#threads.set(progress.thread, progress);
    this.#show();
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#progress.finish();
  }

  #show(): void {
    if (this.#total === 0) return this.#progress.say("looking at the log");
    const instants = `${this.#done} of ${plural(this.#total, "instant")}`;
    const runs = this.#runs > 0 ? [plural(this.#runs, "run")] : [];
    const threads = [...this.#threads.values()].map(wordsOf);
    const words = [instants, ...runs, ...new Set(threads), this.#left()];
    this.#progress.say(words.filter((word) => word !== "").join("; "));
  }

  #left(): string {
    const parts = [...this.#threads.values()].map(partOf);
    const inside = parts.reduce((sum, part) => sum + part, 0);
    const ms = performance.now() - this.#started;
    const [reading] = [...this.#threads.values()].flatMap(({ reading: each }) => each ?? []);
    if (inside === 0 && this.#done === this.#before && reading !== undefined) {
      const left = remaining(ms, reading.entry / Math.max(1, reading.entries));
      return left === "" ? "" : `${left} to read`;
    }
    const whole = Math.max(1, this.#total - this.#before);
    const share = Math.min(1, (this.#done - this.#before + inside) / whole);
    return remaining(ms, share) || "no telling yet how long";
  }
}

function wordsOf({ reading, looking }: ReplayProgress): string {
  if (looking !== undefined) {
    const { stop, runs, most, share } = looking;
    // Rounded down: what is not all is not called so.
    const percent = (Math.floor(share * 10_000) / 100).toFixed(2);
    return `at ${stopName(stop)} ${percent} % covered, run ${runs} of at most ${most}`;
  }
  return reading === undefined ? "" : `read ${reading.entry} of ${reading.entries} entries`;
}

/** The last states of many are the most work: those of a large disk are nearly all alike. */
const NEARLY_ALL = 0.99;

/** An instant is done when all is covered, or when the check has been run often enough. */
function partOf({ looking }: ReplayProgress): number {
  if (looking === undefined) return 0;
  const { runs, most, share } = looking;
  return Math.min(1, Math.max(share < NEARLY_ALL ? share : 0, runs / most));
}
