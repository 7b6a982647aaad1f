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

  /** How many the run may still make. */
  get left(): number {
    return this.#left;
  }

  /** A new run begins; or goes on, with so many left. */
  refill(left = this.steps): void {
    this.#left = left;
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
  /**
   * Called when recovery came to its end, before check: answers what comes of that, if it is known
   * without running it.
   */
  readonly recovered?: () => Ran | undefined;
  /** Runs check alone, on what a recovery left; the program's check stands alone. */
  readonly checkOnly?: boolean;
}

/** What came of a run. */
export interface Ran {
  readonly objection: Objection | undefined;
  /** What the program's `look` saw. */
  readonly seen?: unknown;
}

/** Runs recovery and check on what the media holds. @throws HarnessFault for a promise */
export function recoverAndCheck(media: ModelledMedia, options: RunOptions): Objection | undefined {
  return judged(media, options, recoverAndLook(media, options));
}

/** What check says of what was seen, unless the run ended before that. */
export function judged(
  media: ModelledMedia,
  { program, acked }: Pick<RunOptions, "program" | "acked">,
  { objection, seen }: Ran,
): Objection | undefined {
  if (objection !== undefined || program.look === undefined) return objection;
  try {
    return objectionIn(program.check(media, acked, seen));
  } catch (error) {
    if (error instanceof HarnessFault) throw error;
    return { phase: "check", how: "threw", said: wordsOf(error), error };
  }
}

/** Runs recovery, and what looks: `look` where there is one, else check. */
export function recoverAndLook(media: ModelledMedia, options: RunOptions): Ran {
  const { program, acked, counter } = options;
  const { recorder } = media;
  let phase: "recover" | "check" = "recover";
  try {
    let recovered: unknown;
    if (options.checkOnly !== true) {
      recorder.recording = options.record;
      recovered = program.recover?.(media);
      recorder.recording = false;
      refusePromise("recover", recovered);
      // It has not come to its end: what it does then will be known only later.
      if (program.isOpen?.() === true) return { objection: undefined };
      const known = counter.exhausted ? undefined : options.recovered?.();
      if (known !== undefined) return known;
    }
    phase = "check";
    if (program.look !== undefined) {
      const seen = program.look(media, recovered);
      return { objection: hang(phase, counter), seen };
    }
    const objection = objectionIn(program.check(media, acked, recovered));
    return { objection: hang(phase, counter) ?? objection };
  } catch (error) {
    recorder.recording = false;
    if (error instanceof HarnessFault) throw error;
    const said = hang(phase, counter);
    return { objection: said ?? { phase, how: "threw", said: wordsOf(error), error } };
  }
}

/** A run that swallowed the error which ended it hung none the less. */
export function hang(phase: "recover" | "check", counter: StepCounter): Objection | undefined {
  if (!counter.exhausted) return undefined;
  const said = `${phase} did not end within ${counter.steps} loads, stores, flushes and fences`;
  return { phase, how: "hung", said };
}
