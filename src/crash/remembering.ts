/**
 * How much of its earlier runs an exploration uses. What it finds is the same with all of them;
 * tests hold it to that.
 *
 * @module
 */

/**
 * - `everything`, the default: whole runs and parts of them are walked where they are known;
 * - `runs`: whole runs only (`transcript.ts`): what a device is asked is seen anew each time;
 * - `nothing`: each leaf is run for real from its start. A program that waits for something is
 *   explored by the runs that were awaited all the same;
 * - `proved`: as `everything`, but each part that is known is made again, and has to make the same
 *   steps and to answer the same. It is an error of daxkit's own where it does not.
 */
export type Remembering = "everything" | "runs" | "nothing" | "proved";

/** Every one. */
export const REMEMBERINGS: readonly Remembering[] = ["everything", "runs", "nothing", "proved"];

/** Objects inside of each other that are looked into. */
const DEEP = 6;

/**
 * Nobody changes what is remembered, which may be answered again: plain objects and arrays cannot
 * be changed from here on. What has bytes, a map or a class of its own is left to its owner.
 */
export function frozen<T>(value: T, deep = DEEP): T {
  if (!isPlain(value) || Object.isFrozen(value) || deep === 0) return value;
  Object.freeze(value);
  for (const { value: inner } of Object.values(Object.getOwnPropertyDescriptors(value))) {
    frozen(inner as unknown, deep - 1);
  }
  return value;
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || Array.isArray(value);
}

/** Where two values differ, as far as that can be seen from outside; undefined: nowhere. */
export function differenceOfValues(a: unknown, b: unknown, where = "it"): string | undefined {
  return new Comparison().difference(a, b, where);
}

class Comparison {
  /** Pairs that are being compared: what refers to itself is as good as what is compared. */
  readonly #met = new Map<object, object>();

  difference(a: unknown, b: unknown, where: string): string | undefined {
    if (Object.is(a, b) || (typeof a === "function" && typeof b === "function")) return undefined;
    if (!isObject(a) || !isObject(b)) return where;
    if (this.#met.get(a) === b) return undefined;
    this.#met.set(a, b);
    if (ArrayBuffer.isView(a)) return isSameView(a, b) ? undefined : where;
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return where;
    if (a instanceof Map) return this.#ofMaps(a, b as typeof a, where);
    const keys = Object.keys(a);
    if (keys.length !== Object.keys(b).length) return where;
    for (const key of keys) {
      const [one, other] = [a, b].map((each) => (each as Record<string, unknown>)[key]);
      const found = this.difference(one, other, `${where}.${key}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #ofMaps(
    a: ReadonlyMap<unknown, unknown>,
    b: ReadonlyMap<unknown, unknown>,
    where: string,
  ): string | undefined {
    if (a.size !== b.size) return where;
    for (const [key, value] of a) {
      const found = this.difference(value, b.get(key), `${where}[${String(key)}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isSameView(a: ArrayBufferView, b: object): boolean {
  if (!ArrayBuffer.isView(b) || a.byteLength !== b.byteLength) return false;
  const [one, other] = [a, b].map((v) => new Uint8Array(v.buffer, v.byteOffset, v.byteLength));
  return one?.every((byte, i) => byte === other?.[i]) === true;
}
