/**
 * Recoveries and checks that wait for something. The explorer waits for nobody: where it would have
 * to run them it gives up, they are run here, and it begins anew and finds what they did.
 *
 * @module
 */
import {
  HarnessFault,
  type Objection,
  type Part,
  objectionIn,
  wordsOf,
} from "../../crash/program.ts";
import { hang } from "../../crash/run.ts";
import { NeedsRun } from "../../crash/scribe.ts";
import { CallTimeout } from "../watched-run.ts";
import { waitWatched } from "../watched-wait.ts";
import type { VolumeProgram } from "./volume-program.ts";

/** Thrown when a program that waits does something else on the same state. */
export class Strayed extends Error {
  override readonly name = "Strayed";
}

/** Seconds that one check may wait. */
export const DEFAULT_PATIENCE = 30;

/** Thrown when too much is waited for: not everything was looked at. */
export class Unended extends Error {
  override readonly name = "Unended";
}

/** All that an exploration waits for may take so many times as long as one call may. */
const CALLS_IN_ALL = 10;

/**
 * The time that a proof may take to explore what waits. Each new run is a beginning anew, and one
 * that does something else in each state, as a recovery that writes what was never written, may
 * have as many of them as there are states.
 */
export class WaitLimit {
  readonly #seconds: number;
  readonly #now: () => number;
  #started: number | undefined;
  #runs = 0;

  /** `patience`: seconds that one call may take; `now`: milliseconds. */
  constructor(patience: number = DEFAULT_PATIENCE, now = performance.now.bind(performance)) {
    this.#seconds = patience * CALLS_IN_ALL;
    this.#now = now;
  }

  /** Another run is needed. @throws Unended when there is no time for it */
  another(): void {
    this.#started ??= this.#now();
    if (this.#now() - this.#started < this.#seconds * 1000) {
      this.#runs++;
      return;
    }
    throw new Unended(
      `recovery or check waits for something, and after ${this.#runs} runs of it, ` +
        `${this.#seconds} s, there were states that nobody had looked at: make them synchronous, ` +
        "let recovery write less that is new in each state, or give a longer patience",
    );
  }
}

/** Whether something has to be waited for. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * What `body` gives, which explores, or makes states; it is begun anew after each run.
 * @throws Strayed; Unended beyond the limit; HarnessFault when a run does not end in time
 */
export async function settled<T>(
  program: VolumeProgram,
  body: () => T,
  patience = DEFAULT_PATIENCE,
  limit?: WaitLimit,
): Promise<T> {
  for (;;) {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof NeedsRun)) throw error;
      limit?.another();
      // Each run answers what the next beginning asks.
      // oxlint-disable-next-line no-await-in-loop
      await run(program, error, patience);
    }
  }
}

async function run(program: VolumeProgram, asked: NeedsRun, patience: number): Promise<void> {
  const { media, scribe, acked, counter, record } = asked;
  const { recorder } = media;
  let phase: "recover" | "check" = "recover";
  let objection: Objection | undefined;
  try {
    recorder.recording = record;
    const recovered = await inTime(() => program.recover?.(media), phase, patience);
    recorder.recording = false;
    scribe.recovered(acked.length);
    phase = "check";
    const said = await inTime(() => program.check(media, acked, recovered), phase, patience);
    objection = hang(phase, counter) ?? objectionIn(said);
  } catch (error) {
    recorder.recording = false;
    if (error instanceof HarnessFault) throw error;
    objection = hang(phase, counter) ?? { phase, how: "threw", said: wordsOf(error), error };
  }
  scribe.end(objection, true);
  if (scribe.strayed) {
    throw new Strayed(
      "recovery or check is not deterministic: the same state was run twice, and they did " +
        "something else",
    );
  }
  if (scribe.complete) return;
  throw new HarnessFault(phase, "it looks at more than can be remembered; make it synchronous");
}

/**
 * What `body` comes to; its loops are ended, where that can be.
 * @throws HarnessFault when it does not end in time
 */
export async function inTime<T>(
  body: () => T,
  phase: "recover" | "check",
  patience = DEFAULT_PATIENCE,
): Promise<Awaited<T>> {
  try {
    return await waitWatched(phase, patience, body);
  } catch (error) {
    throw error instanceof CallTimeout ? tooLong(phase, patience) : error;
  }
}

/** What is said of a part that does not end. */
export function tooLong(phase: Part, patience = DEFAULT_PATIENCE): HarnessFault {
  const words = `it did not end within ${patience} s; give patience if it needs longer`;
  return new HarnessFault(phase, words);
}
