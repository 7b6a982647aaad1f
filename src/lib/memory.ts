/**
 * Memory: the one way in which the stack loads and stores.
 *
 * Real media hand out a plain `DataView`, so production pays for no hook. Modelled media hand out a
 * recorder with the same methods ({@link RecordedMemory}), which logs every store (for exact crash
 * states) and every load (for exact pruning). No floor keeps a `Uint8Array` on media and stores
 * through it behind the recorder's back: bulk copies go through {@link copyIn}, {@link copyOut} and
 * {@link fill}.
 *
 * @module
 */
import { assert } from "./errno.ts";

/**
 * A run of bytes under `DataView`'s own method names. Offsets are bytes from the start of the run;
 * an access outside it throws `RangeError`, as `DataView` does.
 */
export interface Memory {
  readonly byteLength: number;
  /** Loads a byte. */
  getUint8(at: number): number;
  /** Loads 2 bytes as an unsigned number, big-endian unless told otherwise. */
  getUint16(at: number, littleEndian?: boolean): number;
  /** Loads 4 bytes as an unsigned number, big-endian unless told otherwise. */
  getUint32(at: number, littleEndian?: boolean): number;
  /** Loads 4 bytes as a signed number, big-endian unless told otherwise. */
  getInt32(at: number, littleEndian?: boolean): number;
  /** Loads 8 bytes as an unsigned number, big-endian unless told otherwise. */
  getBigUint64(at: number, littleEndian?: boolean): bigint;
  /** Stores a byte. */
  setUint8(at: number, value: number): void;
  /** Stores 2 bytes, big-endian unless told otherwise. */
  setUint16(at: number, value: number, littleEndian?: boolean): void;
  /** Stores 4 bytes, big-endian unless told otherwise. */
  setUint32(at: number, value: number, littleEndian?: boolean): void;
  /** Stores 8 bytes, big-endian unless told otherwise. */
  setBigUint64(at: number, value: bigint, littleEndian?: boolean): void;
}

/**
 * Memory that wants to see bulk accesses too. `nonTemporal` marks stores that bypass the cache: a
 * store and a flush of its lines in one event (crash model, rule 5).
 */
export interface RecordedMemory extends Memory {
  /** Stores whose atoms arrive in ascending order; {@link copyIn} promises no order. */
  store(at: number, source: Uint8Array): void;
  /** Stores all of `source`, in no promised order. */
  copyIn(at: number, source: Uint8Array, nonTemporal: boolean): void;
  /** Fills all of `target`. */
  copyOut(at: number, target: Uint8Array): void;
  /** Stores `length` bytes, each of them `value`. */
  fill(at: number, length: number, value: number): void;
  /** An aligned 8-byte store that a power cut leaves whole or absent. */
  storeAtom(at: number, value: bigint): void;
  /** Hands out the bytes; what is stored through them is not observed, and is so noted. */
  alias(at: number, length: number): Uint8Array;
}

/** True when memory is a plain view: loads and stores on it go straight to the bytes. */
export function isPlain(memory: Memory): memory is DataView<ArrayBuffer> {
  return memory instanceof DataView;
}

function recorded(memory: Memory): RecordedMemory {
  assert("alias" in memory, "memory is neither a DataView nor a recorder");
  return memory as RecordedMemory;
}

/** So few bytes are copied one by one: sooner done than an array is made for them. */
const FEW = 8;

/** Copies `source` into memory at `at`. The stores are ordinary, cached ones. */
export function copyIn(memory: Memory, at: number, source: Uint8Array): void {
  const { length } = source;
  if (isPlain(memory)) {
    if (length <= FEW) {
      for (let i = 0; i < length; i++) memory.setUint8(at + i, source[i] as number);
      return;
    }
    new Uint8Array(memory.buffer, memory.byteOffset + at, source.length).set(source);
  } else recorded(memory).copyIn(at, source, false);
}

/** Fills all of `target` from memory at `at`. */
export function copyOut(memory: Memory, at: number, target: Uint8Array): void {
  const { length } = target;
  if (isPlain(memory)) {
    if (length <= FEW) {
      for (let i = 0; i < length; i++) target[i] = memory.getUint8(at + i);
      return;
    }
    target.set(new Uint8Array(memory.buffer, memory.byteOffset + at, target.length));
  } else recorded(memory).copyOut(at, target);
}

/** Sets `length` bytes at `at` to `value`. */
export function fill(memory: Memory, at: number, length: number, value: number): void {
  if (isPlain(memory)) {
    new Uint8Array(memory.buffer, memory.byteOffset + at, length).fill(value);
  } else recorded(memory).fill(at, length, value);
}

/** A private copy of `length` bytes at `at`. */
export function copyOf(memory: Memory, at: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  copyOut(memory, at, bytes);
  return bytes;
}

/**
 * Aliases memory: the returned array *is* the bytes at `at`. On modelled memory the alias is noted,
 * because stores through it cannot be observed.
 */
export function aliasOf(memory: Memory, at: number, length: number): Uint8Array {
  if (isPlain(memory)) return new Uint8Array(memory.buffer, memory.byteOffset + at, length);
  return recorded(memory).alias(at, length);
}

/**
 * Stores eight bytes that a power cut leaves whole or absent. `at` must be a multiple of eight in
 * the media's own address space; `Atomics` is what makes V8 emit one store instruction.
 */
export function storeAtom(memory: Memory, at: number, value: bigint): void {
  if (isPlain(memory)) {
    const words = new BigUint64Array(memory.buffer, memory.byteOffset + at, 1);
    Atomics.store(words, 0, value);
  } else recorded(memory).storeAtom(at, value);
}

/**
 * Stores `source` in ascending order, one aligned atom of eight bytes at a time: a power cut leaves
 * each atom whole or absent. On plain memory an atom that is covered in part is read, changed and
 * stored as one, so nobody else may store to its other bytes meanwhile.
 */
export function storeBytes(memory: Memory, at: number, source: Uint8Array): void {
  if (!isPlain(memory)) {
    recorded(memory).store(at, source);
    return;
  }
  const bytes = new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
  if (at < 0 || at + source.length > bytes.length) throw new RangeError("store outside memory");
  for (let done = 0; done < source.length;) {
    const within = (memory.byteOffset + at + done) % 8;
    const run = Math.min(8 - within, source.length - done);
    storePart(memory, at + done - within, within, source.subarray(done, done + run));
    done += run;
  }
}

const atomBytes = new Uint8Array(8);
const atomWord = new BigUint64Array(atomBytes.buffer);

function storePart(
  memory: DataView<ArrayBuffer>,
  atom: number,
  within: number,
  part: Uint8Array,
): void {
  const start = memory.byteOffset + atom;
  if (start + 8 > memory.buffer.byteLength) {
    // The buffer ends inside the atom: there is no whole atom to store.
    new Uint8Array(memory.buffer, start + within, part.length).set(part);
    return;
  }
  const words = new BigUint64Array(memory.buffer, start, 1);
  if (part.length < 8) atomWord[0] = words[0] as bigint;
  atomBytes.set(part, within);
  Atomics.store(words, 0, atomWord[0] as bigint);
}
