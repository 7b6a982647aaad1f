/**
 * The contents of a disk in one state, with a sum of them that follows every change, and a note of
 * the pages that changed: states that are the same are known without comparing disks, and what
 * holds a copy of the disk is brought up to date page by page.
 *
 * @module
 */

/** Bytes that are noted as changed together. */
export const NOTED_BYTES = 4096;
/** Bytes that are passed over together where nothing was ever written. */
export const REGION_BYTES = 1 << 20;

const SECTOR = 512;
const WORDS = SECTOR / 4;

/** See the module. Changes are whole sectors of 512 bytes. */
export class BlockImage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #words: Uint32Array;
  /** Of each page: 1 when it changed since {@link takeChanges}; 2 is set for ever. */
  readonly #pages: Uint8Array;
  /** Of each region: 1 when anything was ever written there. */
  readonly #regions: Uint8Array;
  #changed: number[] = [];
  readonly #sum = new Uint32Array(4);

  /** `bytes` are aliased; they are whole pages of 4096 bytes. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    this.#pages = new Uint8Array(bytes.length / NOTED_BYTES);
    this.#regions = new Uint8Array(Math.ceil(bytes.length / REGION_BYTES));
  }

  /** Something that is the same for the same contents; 128 bits. */
  get sum(): string {
    return this.#sum.join(".");
  }

  /** Puts bytes there; zeros where there are none. */
  put(at: number, length: number, data: Uint8Array | undefined, from = 0): void {
    this.#note(at, length);
    this.#add(at, length);
    if (data === undefined) this.bytes.fill(0, at, at + length);
    else this.bytes.set(data.subarray(from, from + length), at);
    this.#add(at, length);
  }

  /** Whether the range was never written, so that it holds zeros. */
  isUntouched(at: number, length: number): boolean {
    const last = Math.floor((at + length - 1) / NOTED_BYTES);
    for (let page = Math.floor(at / NOTED_BYTES); page <= last; page++) {
      if (this.#pages[page] !== 0) return false;
    }
    return true;
  }

  /** How many bytes from `at` on, up to the end of their region, lie where nothing was written. */
  untouchedRun(at: number): number {
    const region = Math.floor(at / REGION_BYTES);
    return this.#regions[region] === 0 ? (region + 1) * REGION_BYTES - at : 0;
  }

  /** The pages that changed since the last call, in ascending order. */
  takeChanges(): readonly number[] {
    const changed = this.#changed.toSorted((a, b) => a - b);
    for (const page of changed) this.#pages[page] = 2;
    this.#changed = [];
    return changed;
  }

  /** Every page that was ever written, in ascending order. */
  *touched(): Generator<number, void> {
    for (let page = 0; page < this.#pages.length; page++) if (this.#pages[page] !== 0) yield page;
  }

  #note(at: number, length: number): void {
    const last = Math.floor((at + length - 1) / NOTED_BYTES);
    for (let page = Math.floor(at / NOTED_BYTES); page <= last; page++) {
      const noted = this.#pages[page] as number;
      if ((noted & 1) !== 0) continue;
      this.#pages[page] = 3;
      this.#regions[Math.floor((page * NOTED_BYTES) / REGION_BYTES)] = 1;
      this.#changed.push(page);
    }
  }

  /** Adds the sums of sectors, or takes them away again: they are combined by exclusive or. */
  #add(at: number, length: number): void {
    for (let sector = at / SECTOR; sector < (at + length) / SECTOR; sector++) this.#addOne(sector);
  }

  /** Two sums of all words; each step can be undone, so that one changed word always shows. */
  #addOne(sector: number): void {
    const words = this.#words;
    let any = 0;
    let a = 0x9e37_79b9;
    let b = 0x85eb_ca6b;
    for (let i = sector * WORDS, last = i + WORDS; i < last; i++) {
      const word = words[i] as number;
      any |= word;
      a = Math.imul(a ^ word, 0x2c1b_3c6d);
      a ^= a >>> 15;
      b = Math.imul(b + word, 0x297a_2d39);
      b = (b << 13) | (b >>> 19);
    }
    // Zeros add nothing: a disk of zeros needs no look.
    if (any === 0) return;
    const sum = this.#sum;
    sum[0] = (sum[0] as number) ^ mixed(a ^ sector);
    sum[1] = (sum[1] as number) ^ mixed(b + Math.imul(sector, 0x9e37_79b1));
    sum[2] = (sum[2] as number) ^ mixed(Math.imul(a, 3) + Math.imul(b, 5) + sector);
    sum[3] = (sum[3] as number) ^ mixed(Math.imul(a, 7) ^ Math.imul(b, 11) ^ ~sector);
  }
}

function mixed(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x7feb_352d);
  x = Math.imul(x ^ (x >>> 15), 0x846c_a68b);
  return x ^ (x >>> 16);
}
