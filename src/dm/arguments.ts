/**
 * Arguments of a target, one after the other, as the kernel's `dm_arg_set` takes them.
 *
 * @module
 */
import type { TargetContext } from "./target.ts";
import { unsigned } from "./words.ts";

/** What `%u` holds. */
export const MOST_UINT = 2 ** 32 - 1;

/** Words of which some were taken. */
export class Arguments {
  readonly #words: readonly string[];
  readonly #refuse: TargetContext["refuse"];
  #at = 0;

  constructor(words: readonly string[], context: Pick<TargetContext, "refuse">) {
    this.#words = words;
    this.#refuse = (code, error, cause) => context.refuse(code, error, cause);
  }

  /** Words that are left. */
  get left(): number {
    return this.#words.length - this.#at;
  }

  /** The next word; undefined when there is none. */
  word(): string | undefined {
    return this.#words[this.#at++];
  }

  /** The next word as a number from `least` to `most`. @throws EINVAL with the given error */
  number(least: number, most: number, error: string): number {
    const word = this.word();
    const value = unsigned(word, most, 32);
    if (value !== undefined && value >= least) return value;
    const range = `${least} to ${most}`;
    return this.#refuse("EINVAL", error, `"${word ?? ""}" is no number from ${range}`);
  }

  /** The next words; there have to be so many. */
  take(count: number): string[] {
    const words = this.#words.slice(this.#at, this.#at + count);
    this.#at += count;
    return words;
  }

  /** A count of words, and behind it so many of them. @throws EINVAL with the given error */
  group(least: number, most: number, error: string): Arguments {
    const count = this.number(least, most, error);
    if (count > this.left) {
      const cause = `${count} were announced, ${this.left} follow`;
      this.#refuse("EINVAL", error, cause);
    }
    return new Arguments(this.take(count), { refuse: this.#refuse });
  }
}
