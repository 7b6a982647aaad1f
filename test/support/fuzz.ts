/**
 * The fuzzing engine: seeded cases, each replayable by one command, with bounds on time and memory.
 *
 * Case `k` of seed `s` depends on nothing else, so a failure names the command that shows it again.
 * What a case may end with is a word (`read`, `finding`) or a {@link DaxError}; everything else is
 * a bug. The core has no clock, so steps are bounded by devices that run out of fuel
 * (`fuzz-fuel.ts`), and here by the time and memory that a case takes.
 */
import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type ErrnoCode, isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";

/** Something that reads hostile bytes. */
export interface FuzzTarget {
  /** One word, as it is typed on the command line. */
  readonly name: string;
  /** What share of all cases it gets, against the others. */
  readonly weight: number;
  /** Outcomes and codes that come up in a few dozen cases, or the damage misses its mark. */
  readonly reaches: readonly string[];
  /**
   * What counts as memory: heap and array buffers unless given; `resident` for what describes more
   * memory than it ever touches.
   */
  readonly memory?: "resident";
  /** Loads what all cases share. */
  open(): FuzzSubject;
}

/** A target that is ready for cases. */
export interface FuzzSubject {
  /**
   * One case: damages something, reads it, and undoes the damage also when it throws. Notes what
   * was damaged, and answers in a word how it ended.
   * @throws DaxError where that is an end like another
   */
  run(prng: Prng, notes: CaseNotes): string | Promise<string>;
  /** Throws when cases left traces: a byte written to the media, damage not undone. */
  audit?(): void;
  /** Gives back what `open` took. */
  close?(): void;
}

/** What a case tells of itself. */
export class CaseNotes {
  /** What was damaged and how it was read, for a failure's message. */
  readonly story: string[] = [];
  /** Codes of errors that were met, in order. */
  readonly errors: ErrnoCode[] = [];

  /** Adds to the story. */
  say(text: string): void {
    this.story.push(text);
  }

  /** Runs a part of the case, in which an operating error is an answer like another. */
  attempt<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.errors.push(error.code);
      return undefined;
    }
  }
}

/** Bounds for one case. */
export interface FuzzLimits {
  /** Milliseconds. */
  readonly time: number;
  /** Bytes that a case may add to heap and array buffers while it runs. */
  readonly memory: number;
  /** Bytes that all cases together may leave behind. */
  readonly leak: number;
}

const LIMITS: FuzzLimits = { time: 2000, memory: 128 << 20, leak: 32 << 20 };

/** Cases between two audits; each costs a comparison of the images. */
const AUDIT_EVERY = 500;

/** Seeds are below this: case and seed share the 53 bits of the generator's seed. */
export const MAX_SEED = 2 ** 21;

/** Which cases to run. */
export interface FuzzRun {
  readonly seed: number;
  /** Cases `first` to below `first + cases`. */
  readonly first?: number;
  readonly cases: number;
  readonly limits?: Partial<FuzzLimits>;
  /** Told before each case; a watchdog learns from it which one hangs. */
  readonly onCase?: (k: number) => void;
}

/** What all cases of a target came to. */
export interface FuzzSummary {
  readonly target: string;
  readonly cases: number;
  /** How many cases ended in each way, in words; `refused` for an error. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** How many operating errors were met, by code. */
  readonly errors: ReadonlyMap<string, number>;
  readonly slowest: { readonly case: number; readonly ms: number };
  /** Heap and array buffers above what there was before, in bytes: at most, and at the end. */
  readonly peak: number;
  readonly left: number;
  readonly ms: number;
}

/** A case that broke a promise. The message tells what was damaged and how to see it again. */
export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
  readonly case: number;

  constructor(what: string, at: CaseId, story: readonly string[], cause?: unknown) {
    const told = story.length === 0 ? "nothing was damaged" : story.join("\n    ");
    super(`${what}\n    ${told}\n    again: ${replayCommand(at)}`, { cause });
    this.case = at.case;
  }
}

interface CaseId {
  readonly target: string;
  readonly seed: number;
  readonly case: number;
}

/** The command that runs one case again. */
export function replayCommand({ target, seed, case: k }: CaseId): string {
  return `npm run fuzz -- ${target} --seed ${seed} --case ${k}`;
}

/** Runs one case and tells what it did. @throws FuzzFailure as {@link fuzz} */
export async function tellCase(target: FuzzTarget, seed: number, k: number): Promise<string> {
  const subject = target.open();
  try {
    const fuzzer = new Fuzzer(target, subject, { seed, first: k, cases: 1 });
    const { outcome, notes } = await fuzzer.once(k);
    const codes = notes.errors.length === 0 ? "" : ` (${notes.errors.join(" ")})`;
    return [...notes.story, `ended: ${outcome}${codes}`, ""].join("\n");
  } finally {
    subject.close?.();
  }
}

/** Runs cases of a target. @throws FuzzFailure for the first one that breaks a promise */
export async function fuzz(target: FuzzTarget, run: FuzzRun): Promise<FuzzSummary> {
  const subject = target.open();
  try {
    return await new Fuzzer(target, subject, run).run();
  } finally {
    subject.close?.();
  }
}

class Fuzzer {
  readonly #target: FuzzTarget;
  readonly #subject: FuzzSubject;
  readonly #run: FuzzRun;
  readonly #limits: FuzzLimits;
  readonly #outcomes = new Map<string, number>();
  readonly #errors = new Map<string, number>();
  readonly #before: number;
  readonly #heapBefore: number;
  #slowest = { case: 0, ms: 0 };
  #peak = 0;

  constructor(target: FuzzTarget, subject: FuzzSubject, run: FuzzRun) {
    this.#target = target;
    this.#subject = subject;
    this.#run = run;
    this.#limits = { ...LIMITS, ...run.limits };
    collectGarbage();
    this.#before = this.#memoryInUse();
    this.#heapBefore = heapInUse();
  }

  async run(): Promise<FuzzSummary> {
    const { first = 0, cases, onCase } = this.#run;
    const start = performance.now();
    for (let k = first; k < first + cases; k++) {
      onCase?.(k);
      // oxlint-disable-next-line no-await-in-loop -- one case at a time
      await this.#bounded(k);
      if ((k + 1) % AUDIT_EVERY === 0) this.#audit(k);
    }
    this.#audit(first + cases - 1);
    return {
      target: this.#target.name,
      cases,
      outcomes: this.#outcomes,
      errors: this.#errors,
      slowest: this.#slowest,
      peak: this.#peak,
      left: this.#checkLeak(first + cases - 1),
      ms: performance.now() - start,
    };
  }

  /** One case, and what it cost. */
  async #bounded(k: number): Promise<void> {
    const start = performance.now();
    const { outcome, notes } = await this.once(k);
    const ms = performance.now() - start;
    count(this.#outcomes, outcome);
    for (const code of notes.errors) count(this.#errors, code);
    if (ms > this.#slowest.ms) this.#slowest = { case: k, ms };
    if (ms > this.#limits.time) await this.#confirmTime(k);
    const used = this.#memoryInUse() - this.#before;
    if (used > this.#peak) this.#peak = used;
    if (used > this.#limits.memory) await this.#confirmMemory(k);
  }

  /** One case, whatever it costs. */
  async once(k: number): Promise<{ outcome: string; notes: CaseNotes }> {
    const notes = new CaseNotes();
    try {
      const prng = new Prng(this.#run.seed * 2 ** 32 + k);
      return { outcome: await this.#subject.run(prng, notes), notes };
    } catch (error) {
      if (isDaxError(error)) {
        notes.errors.push(error.code);
        return { outcome: "refused", notes };
      }
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new FuzzFailure(`case ${k} ended in ${what}`, this.#id(k), notes.story, error);
    }
  }

  #id(k: number): CaseId {
    return { target: this.#target.name, seed: this.#run.seed, case: k };
  }

  /**
   * A machine that is busy makes any case slow, so that its processor time counts, and a tenth of
   * what a clock says. A slow case is slow every time.
   */
  async #confirmTime(k: number): Promise<void> {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) {
      const [start, before] = [performance.now(), process.cpuUsage()];
      // oxlint-disable-next-line no-await-in-loop -- each is timed by itself
      await this.once(k);
      const { user, system } = process.cpuUsage(before);
      best = Math.min(best, Math.max((user + system) / 1000, (performance.now() - start) / 10));
    }
    if (best <= this.#limits.time) return;
    const what = `case ${k} takes ${best.toFixed(0)} ms of ${this.#limits.time}`;
    throw new FuzzFailure(what, this.#id(k), await this.#storyOf(k));
  }

  /** Garbage of many cases may lie about; what one case takes alone is what counts. */
  async #confirmMemory(k: number): Promise<void> {
    collectGarbage();
    const before = this.#memoryInUse();
    await this.once(k);
    const taken = this.#memoryInUse() - before;
    if (taken <= this.#limits.memory) return;
    const what = `case ${k} takes ${taken} bytes of ${this.#limits.memory}`;
    throw new FuzzFailure(what, this.#id(k), await this.#storyOf(k));
  }

  async #storyOf(k: number): Promise<readonly string[]> {
    return (await this.once(k)).notes.story;
  }

  #checkLeak(k: number): number {
    collectGarbage();
    const left = heapInUse() - this.#heapBefore;
    if (left <= this.#limits.leak) return left;
    throw new FuzzFailure(`${left} bytes are left behind after case ${k}`, this.#id(k), []);
  }

  #memoryInUse(): number {
    return this.#target.memory === "resident" ? process.memoryUsage.rss() : heapInUse();
  }

  #audit(k: number): void {
    try {
      this.#subject.audit?.();
    } catch (error) {
      const what = `the audit after case ${k} (each ${AUDIT_EVERY}) says ${String(error)}`;
      throw new FuzzFailure(what, this.#id(k), [], error);
    }
  }
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** Bytes of JavaScript's heap and of array buffers. */
function heapInUse(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

let collector: (() => void) | undefined;

function collectGarbage(): void {
  if (collector === undefined) {
    setFlagsFromString("--expose-gc");
    collector = runInNewContext("gc") as () => void;
  }
  collector();
  // Array buffers are given back beside the collection, and for certain by the next one.
  collector();
}
