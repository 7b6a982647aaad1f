/**
 * What a check remembers about a filesystem: bits and counts, allocated where something is in use,
 * so that memory follows what an image holds and not how large it says it is.
 *
 * @module
 */

/** A set of numbers below 2^53, as bitmaps of `chunk` bits each. */
export class SparseBits {
  readonly chunk: number;
  readonly #chunks = new Map<number, Uint8Array>();

  constructor(chunk: number) {
    this.chunk = chunk;
  }

  has(index: number): boolean {
    const at = Math.floor(index / this.chunk);
    const bits = this.#chunks.get(at);
    if (bits === undefined) return false;
    const bit = index - at * this.chunk;
    return ((bits[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
  }

  /** Adds a number; false when it was there. */
  add(index: number): boolean {
    const at = Math.floor(index / this.chunk);
    const bits = this.#chunkOf(at);
    const bit = index - at * this.chunk;
    const mask = 1 << (bit & 7);
    const byte = bits[bit >> 3] as number;
    bits[bit >> 3] = byte | mask;
    return (byte & mask) === 0;
  }

  /** Adds `count` numbers from `start`, and calls `twice` for each that was there. */
  addRange(start: number, count: number, twice: (index: number) => void): void {
    for (let done = 0; done < count;) {
      const index = start + done;
      const at = Math.floor(index / this.chunk);
      const bit = index - at * this.chunk;
      const left = Math.min(count - done, this.chunk - bit);
      const bits = this.#chunkOf(at);
      if ((bit & 7) === 0 && left >= 8 && bits[bit >> 3] === 0) {
        bits[bit >> 3] = 0xff;
        done += 8;
        continue;
      }
      if (!this.add(index)) twice(index);
      done++;
    }
  }

  /** Aliases the bits of one chunk, lowest bit first; undefined when none was ever set. */
  chunkBits(at: number): Uint8Array | undefined {
    return this.#chunks.get(at);
  }

  /** Whether nothing was ever added. */
  get isEmpty(): boolean {
    return this.#chunks.size === 0;
  }

  #chunkOf(at: number): Uint8Array {
    let bits = this.#chunks.get(at);
    if (bits === undefined) {
      bits = new Uint8Array(Math.ceil(this.chunk / 8));
      this.#chunks.set(at, bits);
    }
    return bits;
  }
}

/** Counts up to 65535, one for each number, which stay there. */
export class SparseCounts {
  readonly #chunk: number;
  readonly #chunks = new Map<number, Uint16Array>();

  constructor(chunk: number) {
    this.#chunk = chunk;
  }

  get(index: number): number {
    const at = Math.floor(index / this.#chunk);
    return this.#chunks.get(at)?.[index - at * this.#chunk] ?? 0;
  }

  increment(index: number): void {
    const at = Math.floor(index / this.#chunk);
    let counts = this.#chunks.get(at);
    if (counts === undefined) {
      counts = new Uint16Array(this.#chunk);
      this.#chunks.set(at, counts);
    }
    const within = index - at * this.#chunk;
    const count = counts[within] as number;
    if (count < 0xffff) counts[within] = count + 1;
  }
}

/**
 * Numbers by number, in typed arrays: no limit of 2^24 entries and a few bytes each, where a `Map`
 * would need many. Keys are positive and below 2^53.
 */
export class NumberTable {
  #keys = new Float64Array(64);
  #values = new Float64Array(64);
  #size = 0;

  get(key: number): number | undefined {
    const slot = this.#find(key);
    return this.#keys[slot] === key ? this.#values[slot] : undefined;
  }

  set(key: number, value: number): void {
    let slot = this.#find(key);
    if (this.#keys[slot] !== key) {
      if (this.#size * 2 >= this.#keys.length) {
        this.#grow();
        slot = this.#find(key);
      }
      this.#keys[slot] = key;
      this.#size++;
    }
    this.#values[slot] = value;
  }

  *entries(): Generator<readonly [key: number, value: number]> {
    for (const [slot, key] of this.#keys.entries()) {
      if (key !== 0) yield [key, this.#values[slot] as number];
    }
  }

  #find(key: number): number {
    const mask = this.#keys.length - 1;
    let mixed = (key % 0x1_0000_0000) ^ Math.imul(Math.floor(key / 0x1_0000_0000), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
    let slot = (mixed ^ (mixed >>> 16)) & mask;
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Float64Array(keys.length * 2);
    this.#values = new Float64Array(keys.length * 2);
    for (const [i, key] of keys.entries()) {
      if (key === 0) continue;
      const slot = this.#find(key);
      this.#keys[slot] = key;
      this.#values[slot] = values[i] as number;
    }
  }
}

/** Numbers in ascending order, each with two more: the directories of a filesystem. */
export class DirectoryTable {
  #inos = new Uint32Array(64);
  #parents = new Uint32Array(64);
  #dotdots = new Uint32Array(64);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a directory; numbers must come in ascending order. */
  push(ino: number): void {
    if (this.#size === this.#inos.length) {
      this.#inos = doubled(this.#inos);
      this.#parents = doubled(this.#parents);
      this.#dotdots = doubled(this.#dotdots);
    }
    this.#inos[this.#size++] = ino;
  }

  ino(index: number): number {
    return this.#inos[index] as number;
  }

  /** The directory whose entry leads here; 0: none yet. */
  parent(index: number): number {
    return this.#parents[index] as number;
  }

  setParent(index: number, ino: number): void {
    this.#parents[index] = ino;
  }

  /** What its own `..` says; 0: nothing readable. */
  dotdot(index: number): number {
    return this.#dotdots[index] as number;
  }

  setDotdot(index: number, ino: number): void {
    this.#dotdots[index] = ino;
  }

  /** The index of a directory, or -1. */
  find(ino: number): number {
    let low = 0;
    let high = this.#size - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#inos[middle] as number;
      if (found === ino) return middle;
      if (found < ino) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

function doubled(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}
