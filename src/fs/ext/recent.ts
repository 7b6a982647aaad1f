/**
 * A cache of what was used last, in two generations: when the young one is full it becomes the old
 * one, and what the old one held and nobody asked for again is forgotten. Nothing is ever deleted
 * one by one to make room, which a `Map` would pay for at its front.
 *
 * @module
 */

/** Remembers at least the last `size / 2` values used, and at most `size`. */
export class Recent<V> {
  readonly #half: number;
  #young = new Map<number, V>();
  #old = new Map<number, V>();

  constructor(size: number) {
    this.#half = Math.max(1, Math.floor(size / 2));
  }

  get(key: number): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: number, value: V): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: number): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
  }
}
