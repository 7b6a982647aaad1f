/**
 * What was parsed last. Who mounts the same filesystem again and again, as an exploration of power
 * cuts does, need not parse and check the same bytes again and again.
 *
 * @module
 */

/** Parses, and remembers the last of it. */
export class LastParsed<T extends object> {
  readonly #parse: (bytes: Uint8Array<ArrayBuffer>, size: number, unproved: boolean) => T;
  #bytes = new Uint8Array(0);
  #size = 0;
  #unproved = false;
  #parsed: T | undefined;

  /** `parse` depends on its arguments alone. */
  constructor(parse: (bytes: Uint8Array<ArrayBuffer>, size: number, unproved: boolean) => T) {
    this.#parse = parse;
  }

  /** A copy of what `parse` makes of it. The bytes are kept. @throws as `parse` */
  of(bytes: Uint8Array<ArrayBuffer>, size: number, unproved: boolean): T {
    const same = this.#parsed !== undefined && size === this.#size && unproved === this.#unproved;
    if (!same || !isEqual(this.#bytes, bytes)) {
      this.#parsed = this.#parse(bytes, size, unproved);
      this.#bytes = bytes;
      this.#size = size;
      this.#unproved = unproved;
    }
    return { ...(this.#parsed as T) };
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
