/**
 * One run of recovery and check on one state: what they object to, and an end for those that have
 * none. No clock is read; loads and stores are the fuel.
 *
 * @module
 */
import type { ModelledMedia } from "../media/modelled.ts";
import type { Observer } from "../media/recorder.ts";
import { LINE_BYTES } from "../media/trace.ts";
import {
  HarnessFault,
  type Objection,
  type Program,
  RunEnded,
  objectionIn,
  refusePromise,
  wordsOf,
} from "./program.ts";

/** Counts loads, stores, flushes and fences, and ends a run that makes too many. */
export class StepCounter implements Observer {
  readonly steps: number;
  #left: number;
  #exhausted = false;

  /** `steps`: how many a run may make; a bulk one counts its lines too. */
  constructor(steps: number) {
    this.steps = steps;
    this.#left = steps;
  }

  /** Whether the run was ended. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** A new run begins. */
  refill(): void {
    this.#left = this.steps;
    this.#exhausted = false;
  }

  /** @throws RunEnded when the run made too many steps, and at every further one */
  spend(length: number): void {
    this.#left -= 1 + Math.floor(length / LINE_BYTES);
    if (this.#left >= 0) return;
    this.#exhausted = true;
    throw new RunEnded(`more than ${this.steps} loads, stores, flushes and fences`);
  }

  load(_at: number, length: number): void {
    this.spend(length);
  }

  store(_at: number, length: number): void {
    this.spend(length);
  }

  order(_at: number, length: number): void {
    this.spend(length);
  }
}

/** How a run is made. */
export interface RunOptions {
  readonly program: Program;
  readonly acked: readonly unknown[];
  readonly counter: StepCounter;
  /** Whether recovery's stores are recorded into the media's trace. */
  readonly record: boolean;
  /** Called when recovery came to its end, before check. */
  readonly recovered?: () => void;
}

/** Runs recovery and check on what the media holds. @throws HarnessFault for a promise */
export function recoverAndCheck(media: ModelledMedia, options: RunOptions): Objection | undefined {
  const { program, acked, counter } = options;
  const { recorder } = media;
  let phase: "recover" | "check" = "recover";
  try {
    recorder.recording = options.record;
    const recovered = program.recover?.(media);
    recorder.recording = false;
    refusePromise("recover", recovered);
    if (!counter.exhausted) options.recovered?.();
    phase = "check";
    const objection = objectionIn(program.check(media, acked, recovered));
    return hang(phase, counter) ?? objection;
  } catch (error) {
    recorder.recording = false;
    if (error instanceof HarnessFault) throw error;
    return hang(phase, counter) ?? { phase, how: "threw", said: wordsOf(error), error };
  }
}

/** A run that swallowed the error which ended it hung none the less. */
function hang(phase: "recover" | "check", counter: StepCounter): Objection | undefined {
  if (!counter.exhausted) return undefined;
  const said = `${phase} did not end within ${counter.steps} loads, stores, flushes and fences`;
  return { phase, how: "hung", said };
}
