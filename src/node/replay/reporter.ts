/**
 * What a thread of a replay says while it works: seldom enough to cost nothing.
 *
 * @module
 */
import type { StopProgress, StopWatch } from "../../crash/stop-findings.ts";
import type { ReplayMessage } from "./messages.ts";

/** Milliseconds between two messages, and between two that one could go on from. */
const SAID_EVERY = 200;
const NOTED_EVERY = 10_000;

/** See the module. */
export class Reporter implements StopWatch {
  readonly isOver: () => boolean;
  readonly #tell: (message: ReplayMessage) => void;
  #said = performance.now();
  #noted = performance.now();

  constructor(tell: (message: ReplayMessage) => void, isOver: () => boolean) {
    this.#tell = tell;
    this.isOver = isOver;
  }

  /** On the way to the next stop. */
  reading(entry: number, entries: number): void {
    if (this.#isDue()) this.#tell({ kind: "reading", entry, entries });
  }

  ran({ stop, runs, most, space, covered, rest }: StopProgress): void {
    if (!this.#isDue()) return;
    const notes = this.#isNoted() && rest !== undefined ? { rest: rest() } : {};
    const share = shareOf(covered, space);
    this.#tell({ kind: "looking", stop, runs, most, share, ...notes });
  }

  #isDue(): boolean {
    const now = performance.now();
    if (now - this.#said < SAID_EVERY) return false;
    this.#said = now;
    return true;
  }

  #isNoted(): boolean {
    if (this.#said - this.#noted < NOTED_EVERY) return false;
    this.#noted = this.#said;
    return true;
  }
}

const PARTS = 1_000_000n;

/** From 0 to 1, in steps of a millionth. */
function shareOf(covered: bigint, space: bigint): number {
  return Number((covered * PARTS) / space) / Number(PARTS);
}
