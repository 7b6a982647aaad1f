/**
 * The run of data that was found last, for all threads that serve a file. Where data ends is dear
 * to ask: on tmpfs SEEK_HOLE walks every page up to there, and copying programs ask for each
 * 128 MiB.
 *
 * That bytes are data is true until somebody punches a hole, and harmless when it is out of date.
 * What this server punches ends the run at once; of others' holes it learns after a while that is
 * a small multiple of what looking again costs.
 *
 * @module
 */

/** Two words, how often the run was written and how often a hole was made; then the run. */
const VERSION = 0;
const HOLES = 1;
/** The run as numbers: start, stop, the time until which it is believed, `HOLES` at that time. */
const RUN = 1;
const SHARED_BYTES = (RUN + 4) * Float64Array.BYTES_PER_ELEMENT;
/** The run is believed for so many times as long as it took to find. */
const WORTH = 20;

/** Milliseconds, the same in all threads. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

/** What every thread's object of a file is made from. */
export function shareDataRun(): SharedArrayBuffer {
  return new SharedArrayBuffer(SHARED_BYTES);
}

/** See the module. */
export class DataRun {
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared);
    this.#numbers = new Float64Array(shared, RUN * Float64Array.BYTES_PER_ELEMENT);
  }

  /** Where the data that holds `at` ends, as `find` says: now, or a while ago. */
  stopAfter(at: number, find: () => number): number {
    const known = this.#known(at);
    if (known !== 0) return known;
    const holes = Atomics.load(this.#words, HOLES);
    const asked = now();
    const stop = find();
    const found = now();
    this.#remember([at, stop, found + WORTH * (found - asked), holes]);
    return stop;
  }

  /** A hole was made: to be called after that, and before anybody is told. */
  forget(): void {
    Atomics.add(this.#words, HOLES, 1);
  }

  /** The end of the run, or 0. */
  #known(at: number): number {
    const version = Atomics.load(this.#words, VERSION);
    const [start = 0, stop = 0, until = 0, holes = 0] = this.#numbers;
    // Odd while somebody writes, and another number when somebody has.
    if (version % 2 !== 0 || Atomics.load(this.#words, VERSION) !== version) return 0;
    const valid = holes === Atomics.load(this.#words, HOLES) && now() < until;
    return valid && at >= start && at < stop ? stop : 0;
  }

  /** Not when another thread is just doing that. */
  #remember(run: readonly number[]): void {
    const version = Atomics.load(this.#words, VERSION);
    if (version % 2 !== 0) return;
    if (Atomics.compareExchange(this.#words, VERSION, version, version + 1) !== version) return;
    this.#numbers.set(run);
    Atomics.store(this.#words, VERSION, version + 2);
  }
}
