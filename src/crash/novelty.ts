/**
 * Whether it is worth while to look a run up, and to write it down.
 *
 * @module
 */

/** Leaves after which it is judged whether they come again. */
const MANY_LEAVES = 256;
/** One in so many is looked up, and written down, all the same. */
const LOOKED_UP = 64;

/**
 * Whether leaves are all different, as where a check reads what was never made durable: then it
 * costs more to look for them, and to write them down, than to run them.
 */
export class Novelty {
  #known = 0;
  #all = 0;
  #asked = 0;

  /** A leaf was looked up. */
  note(isKnown: boolean): void {
    this.#all++;
    if (isKnown) this.#known++;
    if (this.#all < MANY_LEAVES * 2) return;
    this.#all /= 2;
    this.#known /= 2;
  }

  areNew(): boolean {
    if (this.#all < MANY_LEAVES || this.#known * 4 > this.#all) return false;
    return ++this.#asked % LOOKED_UP !== 0;
  }
}
