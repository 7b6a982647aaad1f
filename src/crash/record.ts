/**
 * Recording: the workload runs on modelled media, once to be explored and once more, because a
 * program that does something else the second time cannot be proved.
 *
 * @module
 */
import type { CallSites } from "../lib/call-site.ts";
import type { ByteRange } from "../media/media.ts";
import { ModelledMedia, type ModelledOptions } from "../media/modelled.ts";
import type { Trace } from "../media/trace.ts";
import { HarnessFault, refusePromise, wordsOf } from "./program.ts";
import { StepCounter } from "./run.ts";

/** The program before power goes. */
export interface Workload {
  readonly size: number;
  readonly modelled: ModelledOptions;
  /** Brings the media to its first state, all of which is durable. */
  setup?(media: ModelledMedia): unknown;
  /** What is to survive; `ack` promises. */
  workload(media: ModelledMedia, ack: (label: unknown) => void): unknown;
}

/** What the workload did. */
export interface Recording {
  /** The media after setup. */
  readonly initial: Uint8Array;
  readonly trace: Trace;
  /** Bytes that changed behind the recorder's back. */
  readonly unobserved: ByteRange | undefined;
  /** Whether bytes were handed out as they are. */
  readonly aliased: boolean;
}

/** Thrown by {@link record}: which part of the proof failed, and how. */
export class RecordingFault extends Error {
  override readonly name = "RecordingFault";
  readonly phase: "setup" | "workload";

  constructor(phase: "setup" | "workload", message: string, cause: unknown) {
    super(message, { cause });
    this.phase = phase;
  }
}

/** Which call sites to capture. */
export interface Capture {
  readonly sites: CallSites;
  readonly wanted?: (event: number) => boolean;
}

/**
 * Runs setup and workload. `steps`: loads, stores, flushes and fences that each may make.
 * @throws RecordingFault when one of them throws, is asynchronous or does not end
 */
export function record(work: Workload, steps: number, capture?: Capture): Recording {
  const media = new ModelledMedia(work.size, work.modelled);
  const { recorder } = media;
  const counter = new StepCounter(steps);
  recorder.observer = counter;
  recorder.recording = false;
  run("setup", counter, () => work.setup?.(media));
  recorder.settleAliases();
  const initial = recorder.image.slice();
  if (capture !== undefined) media.trace.captureSites(capture.sites, capture.wanted);
  recorder.recording = true;
  counter.refill();
  run("workload", counter, () => work.workload(media, (label) => media.ack(label)));
  return {
    initial,
    trace: media.trace,
    unobserved: recorder.unobserved(),
    aliased: recorder.aliases.length > 0,
  };
}

function run(phase: "setup" | "workload", counter: StepCounter, part: () => unknown): void {
  try {
    refusePromise(phase, part());
  } catch (error) {
    if (!counter.exhausted) {
      const words = error instanceof HarnessFault ? error.message : `it threw: ${wordsOf(error)}`;
      throw new RecordingFault(phase, words, error);
    }
  }
  if (!counter.exhausted) return;
  const words = `it did not end within ${counter.steps} loads, stores, flushes and fences`;
  throw new RecordingFault(phase, words, undefined);
}
