/**
 * The way down to a leaf, kept: the next leaf parts from it at a fork, so it begins there and not
 * at the start. Wherever a run met something undecided, a mark says how to come back.
 *
 * @module
 */
import type { ModelledMedia } from "../media/modelled.ts";
import type { Trace, TraceMark } from "../media/trace.ts";
import type { Chooser, ChooserMark, Fork } from "./chooser.ts";
import type { CrashImage } from "./crash-image.ts";
import type { Frontier } from "./frontier.ts";
import type { Step } from "./step.ts";
import type { Companion, Transcripts, Walked } from "./transcript.ts";

/** What all descents of an exploration share. */
export interface DescentGround {
  readonly media: ModelledMedia;
  readonly image: CrashImage;
  readonly chooser: Chooser;
  readonly transcripts: Transcripts;
  /** Whether check stands alone. */
  readonly alone: boolean;
}

/** The crash point that is explored, and how. */
export interface DescentPlan {
  readonly frontier: Frontier;
  readonly path: Fork[];
  /** Raw states of the crash point. */
  readonly space: bigint;
  readonly acked: number;
  /** Whether recovery's stores are recorded into `trace`. */
  readonly record: boolean;
  readonly trace: Trace;
}

/** A place on the way; the image has a scope for what came after it. */
interface Mark {
  /** What comes next; undefined: a run, or a check that stands alone, from its start. */
  readonly step: Step | undefined;
  readonly recovering: boolean;
  readonly chooser: ChooserMark;
  readonly trace: TraceMark;
}

/** See the module. One for each crash point. */
export class Descent implements Companion {
  readonly #ground: DescentGround;
  readonly #plan: DescentPlan;
  #marks: Mark[] = [];
  #recovering = false;

  constructor(ground: DescentGround, plan: DescentPlan) {
    this.#ground = ground;
    this.#plan = plan;
  }

  /**
   * Walks along the path, from where it parts from the one before, as far as that is known;
   * `recovered` is called where recovery ends. @throws RunEnded
   */
  walk(recovered: () => void): Walked | undefined {
    const { media, transcripts, alone } = this.#ground;
    const { acked, record } = this.#plan;
    const from = this.#resume();
    this.#recovering = from.recovering;
    const step = from.step ?? (from.recovering ? undefined : transcripts.checkAfter(acked).first);
    // Nothing is known of this check.
    if (step === undefined && !from.recovering) return undefined;
    return transcripts.walk(media, {
      acked,
      record: record && from.recovering,
      alone,
      from: step,
      companion: this,
      recovered: () => {
        this.#recovering = false;
        recovered();
        if (alone) this.#mark(undefined);
      },
    });
  }

  /**
   * Goes back to where recovery ended, if the way came so far and check stands alone: then only
   * check is to be run.
   */
  toRecovered(): boolean {
    const at = this.#marks.findIndex((mark) => mark.step === undefined && !mark.recovering);
    if (at === -1) return false;
    this.#rewind(at);
    return true;
  }

  /** As {@link toRecovered}, before a walk: if the path parts from the one before in the check. */
  skipToCheck(): boolean {
    const { path, trace } = this.#plan;
    const mark = this.#marks.find(({ step, recovering }) => step === undefined && !recovering);
    if (mark === undefined || mark.chooser.depth >= path.length) return false;
    this.#ground.media.recorder.trace = trace;
    return this.toRecovered();
  }

  /** Goes back to the start, and undoes everything. */
  leave(): void {
    while (this.#marks.pop() !== undefined) this.#ground.image.close();
  }

  get image(): CrashImage {
    return this.#ground.image;
  }

  pass(at: number, length: number): void {
    this.#ground.chooser.pass(at, length);
  }

  before(step: Step): void {
    // The mark that this walk came back to.
    if (this.#marks.at(-1)?.step === step) return;
    if (this.#ground.chooser.isOpen(step.at, step.length)) this.#mark(step);
  }

  after(): void {
    const last = this.#marks.at(-1) as Mark;
    if (last.step === undefined || last.chooser.depth < this.#ground.chooser.depth) return;
    // Looked at, and nothing forked.
    this.#marks.pop();
    this.#ground.image.keep();
  }

  /** The last mark that the path still comes by. */
  #resume(): Mark {
    const { path } = this.#plan;
    if (this.#marks.length === 0) this.#begin();
    else {
      const parting = path.length - 1;
      this.#rewind(this.#marks.findLastIndex(({ chooser }) => chooser.depth <= parting));
    }
    const { recorder } = this.#ground.media;
    recorder.trace = this.#plan.trace;
    return this.#marks.at(-1) as Mark;
  }

  #begin(): void {
    const { media, chooser } = this.#ground;
    const { frontier, path, space, trace } = this.#plan;
    trace.clear();
    media.recorder.trace = trace;
    media.recorder.forgetAliases();
    chooser.begin(frontier, path, space, undefined);
    this.#recovering = true;
    this.#mark(undefined);
  }

  #mark(step: Step | undefined): void {
    const { image, chooser } = this.#ground;
    const trace = this.#plan.trace.mark();
    this.#marks.push({ step, recovering: this.#recovering, chooser: chooser.mark(), trace });
    image.open();
  }

  #rewind(to: number): void {
    const { image, chooser } = this.#ground;
    const mark = this.#marks[to] as Mark;
    for (let i = this.#marks.length; i > to; i--) image.close();
    this.#marks.length = to + 1;
    image.open();
    chooser.rewind(mark.chooser);
    this.#plan.trace.rewind(mark.trace);
  }
}
