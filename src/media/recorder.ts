/**
 * The recorder: memory that notes each store before a program could forget its flush, and asks an
 * observer before each load.
 *
 * @module
 */
import type { RecordedMemory } from "../lib/memory.ts";
import type { ByteRange } from "./media.ts";
import { type Trace, TraceKind } from "./trace.ts";

/** Who is asked before modelled memory is touched. What it throws ends the access. */
export interface Observer {
  /** Bytes are about to be read. */
  load(at: number, length: number): void;
  /** Bytes are about to change. */
  store(at: number, length: number): void;
  /** Lines are flushed, or a fence is made (`length` 0). */
  order(at: number, length: number): void;
}

/** Who is told of each store after it was made. */
export interface Witness {
  /** So many bytes were stored; the image holds them. */
  stored(kind: TraceKind, at: number, length: number): void;
}

/** An alias handed out, and what its bytes must be if nobody stored through it. */
interface Alias {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly expected: Uint8Array;
}

/** The memory of a modelled media; its single window. */
export class Recorder implements RecordedMemory {
  readonly byteLength: number;
  /** What loads see: every store has arrived here. */
  readonly image: Uint8Array<ArrayBuffer>;
  /** Where events go; may be exchanged between two runs. */
  trace: Trace;
  /** Off: stores change the image and leave no event. */
  recording = true;
  observer: Observer | undefined;
  witness: Witness | undefined;
  #stores = 0;
  #lastAt = 0;
  #lastLength = 0;
  readonly #view: DataView<ArrayBuffer>;
  #aliases: Alias[] = [];
  #unobserved: ByteRange | undefined;

  constructor(size: number, trace: Trace) {
    this.byteLength = size;
    this.image = new Uint8Array(size);
    this.#view = new DataView(this.image.buffer);
    this.trace = trace;
  }

  getUint8(at: number): number {
    this.#beforeLoad(at, 1);
    return this.#view.getUint8(at);
  }

  getUint16(at: number, littleEndian?: boolean): number {
    this.#beforeLoad(at, 2);
    return this.#view.getUint16(at, littleEndian);
  }

  getUint32(at: number, littleEndian?: boolean): number {
    this.#beforeLoad(at, 4);
    return this.#view.getUint32(at, littleEndian);
  }

  getInt32(at: number, littleEndian?: boolean): number {
    this.#beforeLoad(at, 4);
    return this.#view.getInt32(at, littleEndian);
  }

  getBigUint64(at: number, littleEndian?: boolean): bigint {
    this.#beforeLoad(at, 8);
    return this.#view.getBigUint64(at, littleEndian);
  }

  setUint8(at: number, value: number): void {
    this.#before(at, 1);
    this.#view.setUint8(at, value);
    this.#after(TraceKind.store, at, 1);
  }

  setUint16(at: number, value: number, littleEndian?: boolean): void {
    this.#before(at, 2);
    this.#view.setUint16(at, value, littleEndian);
    this.#after(TraceKind.store, at, 2);
  }

  setUint32(at: number, value: number, littleEndian?: boolean): void {
    this.#before(at, 4);
    this.#view.setUint32(at, value, littleEndian);
    this.#after(TraceKind.store, at, 4);
  }

  setBigUint64(at: number, value: bigint, littleEndian?: boolean): void {
    this.#before(at, 8);
    this.#view.setBigUint64(at, value, littleEndian);
    this.#after(TraceKind.store, at, 8);
  }

  storeAtom(at: number, value: bigint): void {
    this.setBigUint64(at, value, true);
  }

  store(at: number, source: Uint8Array): void {
    this.#put(TraceKind.store, at, source);
  }

  copyIn(at: number, source: Uint8Array, nonTemporal: boolean): void {
    this.#put(nonTemporal ? TraceKind.copyNonTemporal : TraceKind.copy, at, source);
  }

  copyOut(at: number, target: Uint8Array): void {
    this.#beforeLoad(at, target.length);
    target.set(this.image.subarray(at, at + target.length));
  }

  fill(at: number, length: number, value: number): void {
    this.#before(at, length);
    this.image.fill(value, at, at + length);
    if (length > 0) this.#after(TraceKind.copy, at, length);
  }

  alias(at: number, length: number): Uint8Array {
    this.#beforeLoad(at, length);
    const known = this.#aliases.find((a) => a.at === at && a.bytes.length === length);
    if (known !== undefined) return known.bytes;
    const bytes = this.image.subarray(at, at + length);
    this.#aliases.push({ at, bytes, expected: bytes.slice() });
    return bytes;
  }

  /** Makes a store of some kind that was made before. */
  again(kind: TraceKind, at: number, source: Uint8Array): void {
    this.#put(kind, at, source);
  }

  /** Asks the observer, then notes a flush of the lines of `length` bytes at `at`. */
  flushed(at: number, length: number): void {
    this.#compareAll();
    this.observer?.order(at, length);
    if (this.recording) this.trace.flushed(at, length);
  }

  /** Asks the observer, then notes a fence. */
  fenced(): void {
    this.#compareAll();
    this.observer?.order(0, 0);
    if (this.recording) this.trace.fenced();
  }

  /** Notes a promise. */
  acked(label: unknown): void {
    this.#compareAll();
    if (this.recording) this.trace.acked(label);
  }

  /** Stores that were made, whether they were recorded or not. */
  get stores(): number {
    return this.#stores;
  }

  /** Where the last of them was. */
  get lastStore(): ByteRange {
    return { start: this.#lastAt, length: this.#lastLength };
  }

  /** Whether bytes were handed out as they are. */
  get hasAliases(): boolean {
    return this.#aliases.length > 0;
  }

  /** Bytes that were handed out as they are. */
  get aliases(): readonly ByteRange[] {
    return this.#aliases.map(({ at, bytes }) => ({ start: at, length: bytes.length }));
  }

  /** Bytes that changed through an alias, behind the recorder's back; the first that were seen. */
  unobserved(): ByteRange | undefined {
    this.#compareAll();
    return this.#unobserved;
  }

  /** Whatever was stored through aliases so far is as good as observed. */
  settleAliases(): void {
    for (const { bytes, expected } of this.#aliases) expected.set(bytes);
    this.#unobserved = undefined;
  }

  /** Aliases of an earlier run are nobody's any more. */
  forgetAliases(): void {
    this.#aliases = [];
    this.#unobserved = undefined;
  }

  #put(kind: TraceKind, at: number, source: Uint8Array): void {
    this.#before(at, source.length);
    if (source.length === 0) return;
    this.image.set(source, at);
    this.#after(kind, at, source.length);
  }

  #beforeLoad(at: number, length: number): void {
    this.#checkInside(at, length);
    if (length > 0) this.observer?.load(at, length);
  }

  #before(at: number, length: number): void {
    this.#checkInside(at, length);
    if (length === 0) return;
    this.observer?.store(at, length);
    if (this.#aliases.length > 0) this.#compare(at, length);
  }

  #after(kind: TraceKind, at: number, length: number): void {
    this.#stores++;
    this.#lastAt = at;
    this.#lastLength = length;
    for (const alias of this.#aliases) this.#expect(alias, at, length);
    if (this.recording) this.trace.stored(kind, at, length, this.image);
    this.witness?.stored(kind, at, length);
  }

  #checkInside(at: number, length: number): void {
    if (at >= 0 && at + length <= this.byteLength) return;
    throw new RangeError("Offset is outside the bounds of the DataView");
  }

  #compareAll(): void {
    if (this.#aliases.length > 0) this.#compare(0, this.byteLength);
  }

  /** A recorded store would hide an unobserved one, so the bytes are compared before it. */
  #compare(at: number, length: number): void {
    if (this.#unobserved !== undefined) return;
    for (const { at: start, bytes, expected } of this.#aliases) {
      const from = Math.max(0, at - start);
      const to = Math.min(bytes.length, at + length - start);
      const first = firstDifference(bytes, expected, from, to);
      if (first === to || from >= to) continue;
      let last = first + 1;
      while (last < to && bytes[last] !== expected[last]) last++;
      this.#unobserved = { start: start + first, length: last - first };
      return;
    }
  }

  #expect(alias: Alias, at: number, length: number): void {
    const from = Math.max(alias.at, at);
    const to = Math.min(alias.at + alias.bytes.length, at + length);
    if (from < to) alias.expected.set(this.image.subarray(from, to), from - alias.at);
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array, from: number, to: number): number {
  let i = from;
  while (i < to && a[i] === b[i]) i++;
  return i;
}
