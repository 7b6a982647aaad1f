/**
 * A mapping: the loads, stores and flushes of a program that keeps its data in persistent memory,
 * over any media. The same program runs on a real mapping and on modelled media.
 *
 * Numbers are little-endian, offsets are bytes from the start of the media.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { aliasOf, copyIn, copyOut, fill, storeAtom, storeBytes } from "../lib/memory.ts";
import type { Memory } from "../lib/memory.ts";
import { checkBounds } from "./bounds.ts";
import type { ByteRange, Media, Window } from "./media.ts";

const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

/**
 * Loads, stores, flushes and fences on one media.
 *
 * Every method throws ERANGE for bytes outside the media, EINVAL for offsets that are not unsigned
 * integers, EHWPOISON for poisoned bytes, EIO when the memory itself is gone (a file truncated
 * behind our back) and ENXIO after the media was closed; those that store throw EROFS on read-only
 * media.
 */
export class Mapping {
  /** Bytes. */
  readonly size: number;
  readonly #media: Media;

  constructor(media: Media) {
    this.#media = media;
    this.size = media.size;
    media.window(0);
  }

  /** Loads a byte. */
  u8(offset: number): number {
    const window = this.#reach("load", offset, 1);
    if (window === undefined) return this.#gather(offset, 1).getUint8(0);
    const value = window.memory.getUint8(offset - window.start);
    this.#media.checkFault?.();
    return value;
  }

  /** Loads 2 bytes, unsigned. */
  u16(offset: number): number {
    const window = this.#reach("load", offset, 2);
    if (window === undefined) return this.#gather(offset, 2).getUint16(0, true);
    const value = window.memory.getUint16(offset - window.start, true);
    this.#media.checkFault?.();
    return value;
  }

  /** Loads 4 bytes, unsigned. */
  u32(offset: number): number {
    const window = this.#reach("load", offset, 4);
    if (window === undefined) return this.#gather(offset, 4).getUint32(0, true);
    const value = window.memory.getUint32(offset - window.start, true);
    this.#media.checkFault?.();
    return value;
  }

  /** Loads 8 bytes, unsigned. */
  u64(offset: number): bigint {
    const window = this.#reach("load", offset, 8);
    if (window === undefined) return this.#gather(offset, 8).getBigUint64(0, true);
    const value = window.memory.getBigUint64(offset - window.start, true);
    this.#media.checkFault?.();
    return value;
  }

  /** A private copy of `length` bytes. */
  load(offset: number, length: number): Uint8Array<ArrayBuffer> {
    checkBounds("load", this.size, offset, length);
    const bytes = new Uint8Array(length);
    this.loadBytes(offset, bytes);
    return bytes;
  }

  /** Fills all of `target`. */
  loadBytes(offset: number, target: Uint8Array): void {
    this.#check("load", offset, target.length);
    this.#pieces(offset, target.length, (memory, at, done, run) => {
      copyOut(memory, at, target.subarray(done, done + run));
    });
    this.#media.checkFault?.();
  }

  /** Stores the low byte of `value`. */
  setU8(offset: number, value: number): void {
    this.#checkStore(offset, 1);
    const window = this.#media.window(offset);
    window.memory.setUint8(offset - window.start, value);
  }

  /** Stores the low 2 bytes of `value`. */
  setU16(offset: number, value: number): void {
    this.#checkStore(offset, 2);
    const window = this.#reach("store", offset, 2);
    if (window === undefined) {
      scratch.setUint16(0, value, true);
      this.store(offset, scratchBytes.subarray(0, 2));
    } else window.memory.setUint16(offset - window.start, value, true);
  }

  /** Stores the low 4 bytes of `value`. */
  setU32(offset: number, value: number): void {
    this.#checkStore(offset, 4);
    const window = this.#reach("store", offset, 4);
    if (window === undefined) {
      scratch.setUint32(0, value, true);
      this.store(offset, scratchBytes.subarray(0, 4));
    } else window.memory.setUint32(offset - window.start, value, true);
  }

  /** Stores 8 bytes; on a multiple of eight an atom: a power cut leaves them whole or absent. */
  setU64(offset: number, value: bigint | number): void {
    this.#checkStore(offset, 8);
    const word = BigInt(value);
    const window = offset % 8 === 0 ? this.#reach("store", offset, 8) : undefined;
    if (window === undefined) {
      scratch.setBigUint64(0, word, true);
      this.store(offset, scratchBytes);
    } else storeAtom(window.memory, offset - window.start, word);
  }

  /**
   * Stores whose atoms (aligned eight bytes) reach memory in ascending order. An atom covered in
   * part is stored whole, with the bytes around as they are.
   */
  store(offset: number, source: Uint8Array): void {
    this.#checkStore(offset, source.length);
    this.#pieces(offset, source.length, (memory, at, done, run) => {
      storeBytes(memory, at, source.subarray(done, done + run));
    });
  }

  /** A bulk copy: no order is promised among its atoms. */
  copyIn(offset: number, source: Uint8Array): void {
    this.#checkStore(offset, source.length);
    this.#pieces(offset, source.length, (memory, at, done, run) => {
      copyIn(memory, at, source.subarray(done, done + run));
    });
  }

  /** Sets `length` bytes to `value`, as a bulk copy does. */
  fill(offset: number, length: number, value: number): void {
    this.#checkStore(offset, length);
    this.#pieces(offset, length, (memory, at, _done, run) => fill(memory, at, run, value));
  }

  /** A bulk copy around the cache: durable after the next fence, without a flush. */
  copyNonTemporal(offset: number, source: Uint8Array): void {
    this.#checkStore(offset, source.length);
    if (this.#media.copyNonTemporal === undefined) {
      this.copyIn(offset, source);
      this.flush(offset, source.length);
    } else this.#media.copyNonTemporal(offset, source);
  }

  /** Starts write-back of every cache line that the range touches; durable after `fence`. */
  flush(offset: number, length: number): void {
    this.#media.flush(offset, length);
  }

  /** Returns when everything flushed before is durable. */
  fence(): void {
    this.#media.fence();
  }

  /** A flush of the range and a fence. */
  persist(offset: number, length: number): void {
    this.#media.flush(offset, length);
    this.#media.fence();
  }

  /**
   * Aliases the media: the bytes themselves. What is stored through them is not observed on
   * modelled media, so a proof that does it is `NotMeasured`.
   * @throws ENOTSUP when the media does not lie in one window
   */
  get bytes(): Uint8Array {
    const window = this.#media.window(0);
    if (window.length < this.size) {
      throw new DaxError("ENOTSUP", {
        syscall: "bytes",
        detail: `the first window ends at ${window.length} of ${this.size}; use load and store`,
      });
    }
    return aliasOf(window.memory, 0, this.size);
  }

  /** The window that holds all of the bytes, or `undefined` when they straddle two. */
  #reach(syscall: string, offset: number, length: number): Window | undefined {
    this.#check(syscall, offset, length);
    const window = this.#media.window(offset);
    return offset + length <= window.start + window.length ? window : undefined;
  }

  #gather(offset: number, length: number): DataView {
    this.loadBytes(offset, scratchBytes.subarray(0, length));
    return scratch;
  }

  #check(syscall: string, offset: number, length: number): void {
    checkBounds(syscall, this.size, offset, length);
    const bad = this.#media.badRanges();
    if (bad.length > 0) refusePoison(syscall, bad, offset, length);
  }

  #checkStore(offset: number, length: number): void {
    this.#check("store", offset, length);
    if (!this.#media.readOnly) return;
    throw new DaxError("EROFS", { syscall: "store", detail: "the media was opened read-only" });
  }

  #pieces(
    offset: number,
    length: number,
    piece: (memory: Memory, at: number, done: number, run: number) => void,
  ): void {
    for (let done = 0; done < length;) {
      const window = this.#media.window(offset + done);
      const at = offset + done - window.start;
      const run = Math.min(window.length - at, length - done);
      piece(window.memory, at, done, run);
      done += run;
    }
  }
}

function refusePoison(
  syscall: string,
  bad: readonly ByteRange[],
  offset: number,
  length: number,
): void {
  const hit = bad.find(
    (range) => range.start < offset + length && offset < range.start + range.length,
  );
  if (hit === undefined) return;
  throw new DaxError("EHWPOISON", {
    syscall,
    detail: `bytes ${hit.start}+${hit.length} are poisoned; clear them, then write them anew`,
  });
}

/** Maps all of a media. @throws ENXIO when it was closed */
export function mapMedia(media: Media): Mapping {
  return new Mapping(media);
}
