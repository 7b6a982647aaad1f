/**
 * Transcripts: what a deterministic program does depends on what it loads, and on nothing else. So
 * runs are remembered as a tree: steps follow each other, and after a load there is a branch for
 * each value that was ever found there. Where a run's way is in the tree, walking it gives what the
 * program would do, stores included, for the price of comparing bytes.
 *
 * Where check stands alone (`Program.standsAlone`) it has a tree of its own, whatever recovery did
 * before: states that recovery made the same are checked once.
 *
 * @module
 */
import type { ModelledMedia } from "../media/modelled.ts";
import { TraceKind } from "../media/trace.ts";
import { Recollections } from "./recollection.ts";
import type { Ran } from "./run.ts";
import {
  END,
  LOAD,
  RECOVERED,
  type Root,
  type SteadyImage,
  type Step,
  branchAfter,
  branchOf,
  wordsOf,
} from "./step.ts";

/** Bytes of transcripts that are kept; what comes after is run for real each time. */
const MOST_BYTES = 128 << 20;
/** What a step takes beside its bytes, about. */
const STEP_BYTES = 200;
/** A run to its end. */
export type Walked = Ran;

/** Who goes along with a walk, and may begin again where it has been. */
export interface Companion {
  /** What is walked on. */
  readonly image: SteadyImage;
  /** Bytes that never changed are loaded: nothing is undecided there. */
  pass(at: number, length: number): void;
  /** Called before each other load. */
  before(step: Step): void;
  /** Called when that load was made. */
  after(): void;
}

/** What a walk needs. */
export interface WalkOptions {
  readonly acked: number;
  /** Whether stores are recorded into the media's trace, up to the end of recovery. */
  readonly record: boolean;
  readonly recovered: () => void;
  /** Whether check stands alone. */
  readonly alone?: boolean;
  /** Where it begins, unless at the start of a run. */
  readonly from?: Step | undefined;
  readonly companion?: Companion;
}

/** The runs of one program. */
export class Transcripts {
  readonly recovery: Root;
  /** Where checks that stand alone begin, by how much was promised. */
  readonly #checks = new Map<number, Root>();
  readonly #size: { bytes: number };
  /** Parts of runs that only look, whatever came before them. */
  readonly recollections: Recollections;

  /** `like`: has the same recovery, and another check that stands alone. */
  constructor(like?: Transcripts) {
    this.recovery = like?.recovery ?? { first: undefined };
    this.#size = like === undefined ? { bytes: 0 } : like.#size;
    this.recollections = like?.recollections ?? new Recollections();
  }

  /** Where a check begins that stands alone. */
  checkAfter(acked: number): Root {
    let root = this.#checks.get(acked);
    if (root === undefined) {
      root = { first: undefined };
      this.#checks.set(acked, root);
    }
    return root;
  }

  /** Whether there is room for a step with so many bytes; then it is taken. */
  take(length: number): boolean {
    if (this.#size.bytes > MOST_BYTES) return false;
    this.#size.bytes += STEP_BYTES + length;
    return true;
  }

  /**
   * Does what the program would do, as far as that is known: the media's observer is asked before
   * each load and store. `undefined`: something was found that no run has found yet.
   */
  walk(media: ModelledMedia, options: WalkOptions): Walked | undefined {
    const { recorder } = media;
    const { acked, record, recovered, alone = false, companion } = options;
    recorder.recording = record;
    const words = wordsOf(recorder.image, 0);
    let step = options.from ?? this.recovery.first;
    try {
      while (step !== undefined) {
        if (step.kind === END) return step;
        if (step.kind === LOAD) step = found(media, step, words, companion)?.next;
        else if (step.kind === RECOVERED) {
          recorder.recording = false;
          recovered();
          step = alone ? this.checkAfter(acked).first : branchAfter(step, acked)?.next;
        } else {
          if (step.kind === TraceKind.flush) recorder.flushed(step.at, step.length);
          else if (step.kind === TraceKind.fence) recorder.fenced();
          else recorder.again(step.kind, step.at, step.bytes);
          step = step.next;
        }
      }
      return undefined;
    } finally {
      recorder.recording = false;
    }
  }
}

/** The branch that a load takes, if it is known. */
function found(
  { recorder }: ModelledMedia,
  first: Step,
  words: Uint32Array | undefined,
  companion: Companion | undefined,
): Step | undefined {
  const { at, length, steady } = first;
  if (companion === undefined) {
    recorder.observer?.load(at, length);
    return branchOf(first, recorder.image, words);
  }
  const { image } = companion;
  if (steady !== undefined && steady.epoch === image.epoch) {
    companion.pass(at, length);
    return steady.step;
  }
  if (image.isSteady(at, length)) {
    companion.pass(at, length);
    const step = branchOf(first, recorder.image, words);
    if (step !== undefined) first.steady = { epoch: image.epoch, step };
    return step;
  }
  companion.before(first);
  recorder.observer?.load(at, length);
  companion.after();
  return branchOf(first, recorder.image, words);
}
