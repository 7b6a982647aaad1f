/**
 * A bitmap in the order of the media: bit `i` is bit `i & 7` of byte `i >> 3`, as ext's bitmaps and
 * the kernel's little-endian bit operations have it.
 *
 * @module
 */
import { assert } from "./errno.ts";

/** A fixed number of bits over bytes that the caller may share with others. */
export class Bitmap {
  /** Bits. */
  readonly length: number;
  readonly bytes: Uint8Array;

  /** Aliases `bytes`, or starts with zeros. */
  constructor(length: number, bytes: Uint8Array = new Uint8Array(Math.ceil(length / 8))) {
    assert(Number.isSafeInteger(length) && length >= 0, () => `a bitmap of ${length} bits`);
    assert(bytes.length * 8 >= length, () => `${bytes.length} bytes for ${length} bits`);
    this.length = length;
    this.bytes = bytes;
  }

  /** Whether a bit is set. */
  get(bit: number): boolean {
    this.#check(bit);
    return ((this.bytes[Math.floor(bit / 8)] as number) & (1 << (bit & 7))) !== 0;
  }

  /** Sets a bit; true when it was clear. */
  set(bit: number): boolean {
    if (this.get(bit)) return false;
    const at = Math.floor(bit / 8);
    this.bytes[at] = (this.bytes[at] as number) | (1 << (bit & 7));
    return true;
  }

  /** Clears a bit; true when it was set. */
  clear(bit: number): boolean {
    if (!this.get(bit)) return false;
    const at = Math.floor(bit / 8);
    this.bytes[at] = (this.bytes[at] as number) & ~(1 << (bit & 7));
    return true;
  }

  /** Sets, or clears, `length` bits from `start`. */
  fill(start: number, length: number, value: boolean): void {
    assert(start >= 0 && length >= 0 && start + length <= this.length, "fill outside the bitmap");
    const stop = start + length;
    for (let bit = start; bit < stop;) {
      const at = Math.floor(bit / 8);
      const low = bit & 7;
      const count = Math.min(8 - low, stop - bit);
      if (count === 8) {
        const whole = Math.floor((stop - bit) / 8);
        this.bytes.fill(value ? 0xff : 0, at, at + whole);
        bit += whole * 8;
        continue;
      }
      const mask = ((1 << count) - 1) << low;
      const byte = this.bytes[at] as number;
      this.bytes[at] = value ? byte | mask : byte & ~mask;
      bit += count;
    }
  }

  /** The first set bit at or after `from`; -1 when there is none. */
  nextSet(from = 0): number {
    return this.#next(from, 0);
  }

  /** The first clear bit at or after `from`; -1 when there is none. */
  nextClear(from = 0): number {
    return this.#next(from, 0xff);
  }

  /** Set bits among `length` from `start`. */
  count(start = 0, length: number = this.length - start): number {
    assert(start >= 0 && length >= 0 && start + length <= this.length, "count outside the bitmap");
    let sum = 0;
    const stop = start + length;
    for (let bit = start; bit < stop;) {
      const byte = this.bytes[Math.floor(bit / 8)] as number;
      const low = bit & 7;
      const high = Math.min(8, low + stop - bit);
      sum += weight((byte >> low) & ((1 << (high - low)) - 1));
      bit += high - low;
    }
    return sum;
  }

  /** Skips bytes of `full`, in which no bit is the one looked for. */
  #next(from: number, full: number): number {
    assert(from >= 0, "a search from before the bitmap");
    for (let bit = from; bit < this.length;) {
      const byte = (this.bytes[Math.floor(bit / 8)] as number) ^ full;
      const rest = byte >> (bit & 7);
      if (rest === 0) bit = (Math.floor(bit / 8) + 1) * 8;
      else {
        const found = bit + 31 - Math.clz32(rest & -rest);
        return found < this.length ? found : -1;
      }
    }
    return -1;
  }

  #check(bit: number): void {
    assert(
      bit >= 0 && bit < this.length && Number.isInteger(bit),
      () => `bit ${bit} of ${this.length}`,
    );
  }
}

function weight(byte: number): number {
  let bits = byte - ((byte >> 1) & 0x55);
  bits = (bits & 0x33) + ((bits >> 2) & 0x33);
  return (bits + (bits >> 4)) & 0x0f;
}
