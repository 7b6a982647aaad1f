/**
 * Looks of a program that are remembered (`lib/memo.ts`). A whole run is a way through a
 * transcript, and has to be made for real where one thing is new; but a driver that finds another
 * superblock reads and proves the same journal behind it. So parts of a run that only look have
 * trees of their own: while their way is known, they are walked, at the price of comparing bytes.
 *
 * Whoever observes the run is asked for each load in its order, known or not: a run is the same run
 * whatever was remembered.
 *
 * What is remembered may depend on what a device holds, and on nothing that somebody has in memory.
 * So it is used up to the first store that is part of no deed: whoever stores by himself, as a
 * program's own recovery does, may hold something back, mount again, or change what he was given.
 *
 * @module
 */
import { AssertionError, assert } from "../lib/errno.ts";
import type { Memo } from "../lib/memo.ts";
import type { Observer, Recorder, Witness } from "../media/recorder.ts";
import { TraceKind } from "../media/trace.ts";
import { type Remembering, differenceOfValues, frozen } from "./remembering.ts";
import {
  END,
  LOAD,
  type Root,
  type SteadyImage,
  type Step,
  type StepKind,
  addBranch,
  branchOf,
  stepOf,
  wordsOf,
} from "./step.ts";

/** Bytes of looks that are kept; then all are forgotten. */
const MOST_BYTES = 64 << 20;
/** What a load takes at most beside its bytes: its step, and what was made of a sector. */
const LOAD_BYTES = 4096 + 200;

const NOTHING = new Uint8Array(0);

/** What is remembered, whatever memory it was read from. */
export class Recollections {
  #roots = new WeakMap<object, Map<string | number, Root>>();
  #bytes = 0;

  /** Where the looks begin that go by this name. */
  rootOf(of: object, what: string | number): Root {
    let named = this.#roots.get(of);
    if (named === undefined) this.#roots.set(of, (named = new Map<string | number, Root>()));
    let root = named.get(what);
    if (root === undefined) named.set(what, (root = { first: undefined }));
    return root;
  }

  /** Room for a load of so many bytes. */
  take(length: number): void {
    this.#bytes += length + LOAD_BYTES;
    if (this.#bytes <= MOST_BYTES) return;
    this.#roots = new WeakMap();
    this.#bytes = 0;
  }
}

/** Bytes as they were before a store. */
interface Overwritten {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A way that was walked to where nothing is known any more. */
interface Walked {
  readonly root: Root;
  /** Loads, stores, flushes and fences. */
  readonly steps: number;
  readonly overwritten: readonly Overwritten[];
}

const NEVER_STORED: readonly Overwritten[] = [];

/** Looks and deeds on one memory. */
export class Recollection implements Memo {
  readonly #all: Recollections;
  readonly #recorder: Recorder;
  readonly #image: SteadyImage;
  readonly #words: Uint32Array | undefined;
  readonly #how: Remembering;
  /** Stores at the start of the run, and of its deeds since. */
  #before = 0;
  #own = 0;
  /** Deeds that are being done. */
  #depth = 0;
  #fault: string | undefined;

  /** `image`: that of the recorder. */
  constructor(
    all: Recollections,
    recorder: Recorder,
    image: SteadyImage,
    how: Remembering = "everything",
  ) {
    this.#all = all;
    this.#recorder = recorder;
    this.#image = image;
    this.#words = wordsOf(recorder.image, 0);
    this.#how = how;
    this.begin();
  }

  /** A run begins that has nothing in memory; or what stands for itself of one. */
  begin(): void {
    this.#before = this.#recorder.stores;
    this.#own = 0;
    this.#depth = 0;
  }

  /** What was remembered and came out otherwise; only looked for where that is proved. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Whether nothing is answered but what is seen now: somebody stored by himself. */
  get #isOff(): boolean {
    if (this.#how === "runs" || this.#how === "nothing") return true;
    return this.#depth === 0 && this.#recorder.stores - this.#before !== this.#own;
  }

  get #proves(): boolean {
    return this.#how === "proved";
  }

  recall<T>(of: object, what: string | number, look: () => T): T {
    if (this.#isOff) return frozen(look());
    const root = this.#all.rootOf(of, what);
    const { observer } = this.#recorder;
    let place = root.first;
    let steps = 0;
    while (place !== undefined) {
      if (place.kind === END) {
        if (!this.#proves) return place.seen as T;
        break;
      }
      observer?.load(place.at, place.length);
      steps++;
      place = this.branch(place)?.next;
    }
    return this.#make({ root, steps, overwritten: NEVER_STORED }, false, look);
  }

  perform<T>(of: object, what: string | number, act: () => T): T {
    // What went on behind the recorder's back is told from what it made itself.
    if (this.#recorder.hasAliases || this.#isOff) return frozen(act());
    const { stores } = this.#recorder;
    this.#depth++;
    try {
      return this.#perform(this.#all.rootOf(of, what), act);
    } finally {
      this.#depth--;
      if (this.#depth === 0) this.#own += this.#recorder.stores - stores;
    }
  }

  #perform<T>(root: Root, act: () => T): T {
    const recorder = this.#recorder;
    const overwritten: Overwritten[] = [];
    let place = root.first;
    let steps = 0;
    for (; place !== undefined; steps++) {
      const { kind, at, length } = place;
      if (kind === END) {
        if (!this.#proves) return place.seen as T;
        break;
      }
      if (kind === LOAD) {
        recorder.observer?.load(at, length);
        place = this.branch(place)?.next;
        continue;
      }
      if (kind === TraceKind.flush) recorder.flushed(at, length);
      else if (kind === TraceKind.fence) recorder.fenced();
      else {
        overwritten.push({ at, bytes: recorder.image.slice(at, at + length) });
        recorder.again(kind as TraceKind, at, place.bytes);
      }
      place = place.next;
    }
    return this.#make({ root, steps, overwritten }, true, act);
  }

  /** The step of a place that finds what the image holds. */
  branch(place: Step): Step | undefined {
    const { steady } = place;
    const image = this.#image;
    if (steady !== undefined && steady.epoch === image.epoch) return steady.step;
    const step = branchOf(place, this.#recorder.image, this.#words);
    if (step !== undefined && image.isSteady(place.at, place.length)) {
      place.steady = { epoch: image.epoch, step };
    }
    return step;
  }

  /**
   * Does for real what was walked in part. It begins at its start, so what it stored until then is
   * taken back; what was undecided in those bytes stays decided, and nobody is told of it twice.
   */
  #make<T>(walked: Walked, stores: boolean, body: () => T): T {
    const recorder = this.#recorder;
    const { observer, witness, image } = recorder;
    for (const { at, bytes } of walked.overwritten.toReversed()) image.set(bytes, at);
    const writer = new LookWriter(this, { ...walked, recorder, all: this.#all, stores });
    try {
      const made = frozen(body());
      return writer.end(made) as T;
    } catch (error) {
      // Whoever is in between may take it for an error of the device's.
      if (error instanceof AssertionError) this.#fault ??= error.message;
      throw error;
    } finally {
      recorder.observer = observer;
      recorder.witness = witness;
      writer.leave();
    }
  }
}

interface Looking extends Walked {
  readonly recorder: Recorder;
  readonly all: Recollections;
  /** Whether it may store. */
  readonly stores: boolean;
}

/** Writes one look or deed down, and lets others hear of it from where they have not yet. */
class LookWriter implements Observer, Witness {
  readonly #recollection: Recollection;
  readonly #looking: Looking;
  readonly #observer: Observer | undefined;
  readonly #witness: Witness | undefined;
  readonly #recording: boolean;
  #last: Step | undefined;
  #steps = 0;

  constructor(recollection: Recollection, looking: Looking) {
    const { recorder } = looking;
    this.#recollection = recollection;
    this.#looking = looking;
    this.#observer = recorder.observer;
    this.#witness = recorder.witness;
    this.#recording = recorder.recording;
    recorder.observer = this;
    recorder.witness = this;
  }

  load(at: number, length: number): void {
    if (this.#isNews()) this.#observer?.load(at, length);
    this.#note(LOAD, at, length);
  }

  store(at: number, length: number): void {
    assert(this.#looking.stores, "a look stores nothing");
    if (this.#isNews()) this.#observer?.store(at, length);
  }

  order(at: number, length: number): void {
    assert(this.#looking.stores, "a look flushes nothing");
    if (this.#isNews()) this.#observer?.order(at, length);
    this.#note(length === 0 ? TraceKind.fence : TraceKind.flush, at, length);
  }

  stored(kind: TraceKind, at: number, length: number): void {
    if (this.#steps > this.#looking.steps) this.#witness?.stored(kind, at, length);
    this.#note(kind, at, length);
  }

  /** It answered: what is to be answered, which is what was before where that is known. */
  end(seen: unknown): unknown {
    const { steps } = this.#looking;
    assert(this.#steps >= steps, () => `a look made ${this.#steps} steps, and ${steps} before`);
    const place = this.#place;
    if (place?.kind === END) {
      const where = differenceOfValues(place.seen, seen);
      assert(where === undefined, () => `what is remembered is something else now: ${where}`);
      return place.seen;
    }
    assert(place === undefined, "a look ends where it went on before");
    const ended = { objection: undefined, seen };
    this.#add(undefined, stepOf({ kind: END, at: 0, length: 0, bytes: NOTHING, acked: 0 }, ended));
    return seen;
  }

  /** Leaves the recorder as it was. */
  leave(): void {
    if (!(this.#observer instanceof LookWriter)) {
      this.#looking.recorder.recording = this.#recording;
    }
  }

  /** Counts a step; whether others have not heard of it, and the trace does not have it. */
  #isNews(): boolean {
    const { steps, recorder } = this.#looking;
    const isNews = ++this.#steps > steps;
    if (!isNews) recorder.recording = false;
    // Another one that is asked next knows better.
    else if (!(this.#observer instanceof LookWriter)) recorder.recording = this.#recording;
    return isNews;
  }

  #note(kind: StepKind, at: number, length: number): void {
    const place = this.#place;
    assert(
      place === undefined || (place.kind === kind && place.at === at && place.length === length),
      () => `a look is at bytes ${at}+${length} where it was at ${place?.at}+${place?.length}`,
    );
    const known = place === undefined ? undefined : this.#knownAt(place);
    if (known !== undefined) {
      this.#last = known;
      return;
    }
    const { all, recorder } = this.#looking;
    all.take(length);
    const bytes = kind < TraceKind.flush ? recorder.image.slice(at, at + length) : NOTHING;
    this.#add(place, stepOf({ kind, at, length, bytes, acked: 0 }, undefined));
  }

  #knownAt(place: Step): Step | undefined {
    if (place.kind >= TraceKind.flush) return place;
    const known = this.#recollection.branch(place);
    assert(known !== undefined || place.kind === LOAD, "a look stores something else than before");
    return known;
  }

  get #place(): Step | undefined {
    return this.#last === undefined ? this.#looking.root.first : this.#last.next;
  }

  #add(place: Step | undefined, step: Step): void {
    if (place !== undefined) addBranch(place, step);
    else if (this.#last === undefined) this.#looking.root.first = step;
    else this.#last.next = step;
    this.#last = step;
  }
}
