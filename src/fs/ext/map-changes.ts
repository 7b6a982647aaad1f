/**
 * Which bytes of a file have another place since somebody looked last: who has mapped a file loses
 * the pages of these, and keeps the others. Nothing is noted for a file that nobody follows.
 *
 * @module
 */
import { type Range, RangeSet } from "../../lib/range-set.ts";

/** So many changes apart from each other are told one by one; more of them are all of the file. */
const MOST = 64;

/** The changes of one map, for one who follows it. */
export class MapChanges {
  /** Undefined: not known, so it may be all of the file. */
  #ranges: RangeSet | undefined;
  /** The generation at which what is noted begins. */
  #since = 0;

  /** Bytes that lie elsewhere now. */
  add(start: number, length: number): void {
    if (this.#ranges === undefined) return;
    this.#ranges.add(start, length);
    if (this.#ranges.count > MOST) this.#ranges = undefined;
  }

  /** Any byte may lie elsewhere now. */
  all(): void {
    this.#ranges = undefined;
  }

  /** What has changed since a generation, and is noted anew from `now` on. */
  take(generation: number, now: number): readonly Range[] | undefined {
    const known = generation === this.#since ? this.#ranges : undefined;
    const changes = known === undefined ? undefined : [...known];
    this.#ranges = new RangeSet();
    this.#since = now;
    return changes;
  }
}
