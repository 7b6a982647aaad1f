/** Results that are kept between runs, each with a sum over all that it depends on. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

interface Kept {
  readonly sum: string;
  readonly value: unknown;
}

/** A file of results. */
export class Keeping {
  readonly #path: string;
  readonly #kept = new Map<string, Kept>();

  constructor(path: string) {
    this.#path = path;
    if (!existsSync(path)) return;
    const found = JSON.parse(readFileSync(path, "utf8")) as Record<string, Kept>;
    for (const [name, kept] of Object.entries(found)) this.#kept.set(name, kept);
  }

  /** What is kept under a name, when it was made of the same. */
  get(name: string, sum: string): unknown {
    const kept = this.#kept.get(name);
    return kept?.sum === sum ? kept.value : undefined;
  }

  /** As {@link get}; `sumOf` says of the value itself what it was made of. */
  find<T>(name: string, sumOf: (value: T) => string): T | undefined {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    const value = kept.value as T;
    return kept.sum === sumOf(value) ? value : undefined;
  }

  /** As {@link get}, whatever it was made of: a guess for the next time. */
  last(name: string): unknown {
    return this.#kept.get(name)?.value;
  }

  set(name: string, sum: string, value: unknown): void {
    this.#kept.set(name, { sum, value });
  }

  save(): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(this.#path, JSON.stringify(Object.fromEntries(this.#kept)));
  }
}
