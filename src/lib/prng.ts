/**
 * A small seeded generator (sfc32), so that every random run can be replayed from its seed.
 *
 * @module
 */
import { assert } from "./errno.ts";

/** A reproducible stream of numbers; not for secrets. */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** The next 32 bits, unsigned. */
  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  /** An integer in `[0, bound)`; `bound` is at most 2^53. */
  below(bound: number): number {
    assert(Number.isSafeInteger(bound) && bound > 0, () => `below(${bound})`);
    if (bound <= 0x1_0000_0000) return Math.floor((this.u32() / 0x1_0000_0000) * bound);
    return Math.floor(((this.u32() * 0x20_0000 + (this.u32() >>> 11)) / 2 ** 53) * bound);
  }

  /** One of the given items. */
  pick<T>(items: readonly T[]): T {
    assert(items.length > 0, "pick from nothing");
    return items[this.below(items.length)] as T;
  }

  /** Fills `target` with random bytes. */
  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.u32() >>> 24;
  }
}
