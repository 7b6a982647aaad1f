/**
 * Media of which only some runs are held, in modelled memory; the rest are zeros. Whoever watches
 * that memory sees each load at the place where the bytes are held.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { RecordedMemory } from "../lib/memory.ts";
import { checkBounds, checkOpen } from "./bounds.ts";
import { uniformDomain } from "./domains.ts";
import type { ByteRange, DomainRange, Durability, Media, Window } from "./media.ts";
import type { Recorder } from "./recorder.ts";

/** Where the bytes of a media are held. */
export interface HeldPlaces {
  /** Bytes. */
  readonly size: number;
  /** The longest run around a byte; without `held` nobody holds it. */
  runAt(at: number): ByteRange & { readonly held?: number };
}

/** Zeros that all holes share. */
const ZERO_BYTES = 1 << 20;
const MOST_WINDOWS = 4096;
const NONE: readonly ByteRange[] = [];

/** See the module. It is only read. */
export class HeldMedia implements Media {
  readonly size: number;
  readonly durability: Durability = "modelled";
  readonly readOnly = true;
  readonly domains: readonly DomainRange[];
  readonly #places: HeldPlaces;
  readonly #recorder: Recorder;
  readonly #windows = new Map<number, Window>();
  readonly #zeros = new ArrayBuffer(ZERO_BYTES);
  #open = true;

  constructor(places: HeldPlaces, recorder: Recorder) {
    this.size = places.size;
    this.domains = uniformDomain(places.size, "adr");
    this.#places = places;
    this.#recorder = recorder;
  }

  window(offset: number): Window {
    checkOpen(this.#open, "window");
    checkBounds("window", this.size, offset, 1);
    const run = this.#places.runAt(offset);
    const start = run.held === undefined ? holeStart(run, offset) : run.start;
    const known = this.#windows.get(start);
    if (known !== undefined) return known;
    // Holes are without number where somebody looks at all of a large disk.
    if (this.#windows.size >= MOST_WINDOWS) this.#windows.clear();
    const window = run.held === undefined ? this.#hole(run, start) : this.#held(run, run.held);
    this.#windows.set(start, window);
    return window;
  }

  flush(): never {
    return this.#refuse("flush");
  }

  fence(): void {
    checkOpen(this.#open, "fence");
  }

  badRanges(): readonly ByteRange[] {
    return NONE;
  }

  clearPoison(): number {
    return this.#refuse("clearPoison");
  }

  close(): void {
    this.#open = false;
  }

  #held({ start, length }: ByteRange, held: number): Window {
    return { start, length, memory: new PartOfRecorder(this.#recorder, held, length) };
  }

  #hole({ start: from, length: all }: ByteRange, start: number): Window {
    const stop = Math.min(from + all, (Math.floor(start / ZERO_BYTES) + 1) * ZERO_BYTES);
    const length = stop - start;
    return { start, length, memory: new DataView(this.#zeros, 0, length) };
  }

  #refuse(syscall: string): never {
    const detail = "this media is only read";
    throw new DaxError("EROFS", { syscall, detail });
  }
}

function holeStart({ start }: ByteRange, offset: number): number {
  return Math.max(start, Math.floor(offset / ZERO_BYTES) * ZERO_BYTES);
}

/** Some bytes of a recorder, counted from 0. */
class PartOfRecorder implements RecordedMemory {
  readonly byteLength: number;
  readonly #recorder: Recorder;
  readonly #base: number;

  constructor(recorder: Recorder, base: number, length: number) {
    this.#recorder = recorder;
    this.#base = base;
    this.byteLength = length;
  }

  getUint8(at: number): number {
    return this.#recorder.getUint8(this.#at(at, 1));
  }

  getUint16(at: number, littleEndian?: boolean): number {
    return this.#recorder.getUint16(this.#at(at, 2), littleEndian);
  }

  getUint32(at: number, littleEndian?: boolean): number {
    return this.#recorder.getUint32(this.#at(at, 4), littleEndian);
  }

  getInt32(at: number, littleEndian?: boolean): number {
    return this.#recorder.getInt32(this.#at(at, 4), littleEndian);
  }

  getBigUint64(at: number, littleEndian?: boolean): bigint {
    return this.#recorder.getBigUint64(this.#at(at, 8), littleEndian);
  }

  copyOut(at: number, target: Uint8Array): void {
    this.#recorder.copyOut(this.#at(at, target.length), target);
  }

  alias(at: number, length: number): Uint8Array {
    return this.#recorder.alias(this.#at(at, length), length);
  }

  setUint8(): void {
    this.#refuse();
  }

  setUint16(): void {
    this.#refuse();
  }

  setUint32(): void {
    this.#refuse();
  }

  setBigUint64(): void {
    this.#refuse();
  }

  storeAtom(): void {
    this.#refuse();
  }

  store(): void {
    this.#refuse();
  }

  copyIn(): void {
    this.#refuse();
  }

  fill(): void {
    this.#refuse();
  }

  #at(at: number, length: number): number {
    if (at >= 0 && at + length <= this.byteLength) return this.#base + at;
    throw new RangeError("Offset is outside the bounds of the DataView");
  }

  #refuse(): never {
    throw new DaxError("EROFS", { syscall: "store", detail: "this media is only read" });
  }
}
