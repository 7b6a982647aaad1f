/**
 * The scribe writes a run down while it is made for real, so that it can be walked afterwards.
 *
 * @module
 */
import type { ModelledMedia } from "../media/modelled.ts";
import type { Observer, Witness } from "../media/recorder.ts";
import { TraceKind } from "../media/trace.ts";
import type { Objection } from "./program.ts";
import type { Ran, StepCounter } from "./run.ts";
import {
  END,
  LOAD,
  RECOVERED,
  type Root,
  type SteadyImage,
  type Step,
  type StepKind,
  addBranch,
  branchAfter,
  branchOf,
  stepOf,
  wordsOf,
} from "./step.ts";
import type { Transcripts } from "./transcript.ts";

const NOTHING = new Uint8Array(0);

/** How a scribe writes. */
export interface ScribeOptions {
  /** Asked in the scribe's place. */
  readonly observer: Observer;
  /** Whether check stands alone. */
  readonly alone: boolean;
  /** The image behind the media, where it is known what of it never changes. */
  readonly image?: SteadyImage;
  /** Promises made, if only a check is run, which stands alone. */
  readonly checkAfter?: number;
}

/** Writes down one run, and asks the observer in its place. */
export class Scribe implements Observer, Witness {
  readonly #media: ModelledMedia;
  readonly #observer: Observer;
  readonly #transcripts: Transcripts;
  readonly #alone: boolean;
  readonly #image: SteadyImage | undefined;
  readonly #words: Uint32Array | undefined;
  #root: Root;
  #last: Step | undefined;
  #writing = true;
  #strayed = false;

  /** Whether all of the run is in the tree. */
  get complete(): boolean {
    return this.#writing;
  }

  /** Whether the run did something else than an earlier one that had loaded the same. */
  get strayed(): boolean {
    return this.#strayed;
  }

  /** Writes from the start of a run; to be ended by {@link end}. */
  constructor(
    media: ModelledMedia,
    transcripts: Transcripts,
    { observer, alone, image, checkAfter }: ScribeOptions,
  ) {
    this.#media = media;
    this.#observer = observer;
    this.#transcripts = transcripts;
    this.#alone = alone;
    this.#image = image;
    this.#words = wordsOf(media.recorder.image, 0);
    this.#root =
      checkAfter === undefined ? transcripts.recovery : transcripts.checkAfter(checkAfter);
    media.recorder.observer = this;
    media.recorder.witness = this;
  }

  load(at: number, length: number): void {
    this.#observer.load(at, length);
    this.#note(LOAD, at, length);
  }

  store(at: number, length: number): void {
    this.#observer.store(at, length);
  }

  order(at: number, length: number): void {
    this.#observer.order(at, length);
    this.#note(length === 0 ? TraceKind.fence : TraceKind.flush, at, length);
  }

  stored(kind: TraceKind, at: number, length: number): void {
    this.#note(kind, at, length);
  }

  /** Recovery came to its end, with so many promises to be kept. */
  recovered(acked: number): void {
    this.#note(RECOVERED, 0, 0, this.#alone ? 0 : acked);
    if (!this.#alone) return;
    this.#root = this.#transcripts.checkAfter(acked);
    this.#last = undefined;
  }

  /** The run ended like this; `whole` unless somebody else ended it. */
  end(objection: Objection | undefined, whole: boolean, seen?: unknown): void {
    const { recorder } = this.#media;
    recorder.observer = this.#observer;
    recorder.witness = undefined;
    if (whole) this.#note(END, 0, 0, 0, { objection, seen });
  }

  #note(kind: StepKind, at: number, length: number, acked = 0, ran?: Ran): void {
    if (!this.#writing) return;
    const first = this.#last === undefined ? this.#root.first : this.#last.next;
    if (first !== undefined) {
      const known = this.#known(first, kind, at, length, acked);
      if (known !== undefined) this.#last = known;
      if (known !== undefined || !this.#writing) return;
    }
    if (!this.#transcripts.take(length)) {
      this.#writing = false;
      return;
    }
    const { image } = this.#media.recorder;
    const bytes = hasBytes(kind) ? image.slice(at, at + length) : NOTHING;
    const step = stepOf({ kind, at, length, bytes, acked }, ran);
    if (first !== undefined) addBranch(first, step);
    else if (this.#last === undefined) this.#root.first = step;
    else this.#last.next = step;
    this.#last = step;
  }

  /** The step that is there already. */
  #known(first: Step, kind: StepKind, at: number, length: number, acked: number): Step | undefined {
    if (first.kind !== kind || first.at !== at || first.length !== length) {
      // What is in the tree stays as it is: a run that strays proves nothing.
      this.#strayed = true;
      this.#writing = false;
      return undefined;
    }
    if (kind === RECOVERED) return branchAfter(first, acked);
    if (!hasBytes(kind)) return first;
    if (kind === LOAD && first.steady !== undefined && first.steady.epoch === this.#image?.epoch) {
      return first.steady.step;
    }
    const step = branchOf(first, this.#media.recorder.image, this.#words);
    // Only what is loaded may be another thing at the same place.
    if (step === undefined && kind !== LOAD) this.#strayed = true;
    return step;
  }
}

/** Whether something was loaded or stored. */
function hasBytes(kind: StepKind): boolean {
  return kind < TraceKind.flush;
}

/**
 * Thrown where a program that waits for something would have to be run: whoever catches it runs it
 * on `media`, tells the scribe, and begins anew, and then its way is known.
 */
export class NeedsRun extends Error {
  override readonly name = "NeedsRun";
  readonly media: ModelledMedia;
  readonly scribe: Scribe;
  readonly acked: readonly unknown[];
  readonly counter: StepCounter;
  /** Whether recovery's stores are recorded. */
  readonly record: boolean;

  constructor(run: Omit<NeedsRun, keyof Error>) {
    super("a run is needed");
    this.media = run.media;
    this.scribe = run.scribe;
    this.acked = run.acked;
    this.counter = run.counter;
    this.record = run.record;
  }
}
