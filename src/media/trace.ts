/**
 * A trace: what was done to modelled media, in program order. It lies in typed arrays, because a
 * program may make millions of stores.
 *
 * @module
 */
import type { CallSites } from "../lib/call-site.ts";

/** Bytes of a cache line: what a flush writes back. */
export const LINE_BYTES = 64;
/** Bytes of an atom: what a power cut leaves whole or absent. */
export const ATOM_BYTES = 8;

/** The kinds of event. */
export const TraceKind = {
  /** A store whose atoms reach a line in ascending order. */
  store: 1,
  /** A bulk copy or fill: no order is promised inside a line. */
  copy: 2,
  /** A bulk copy around the cache: a store and a flush of its lines in one event. */
  copyNonTemporal: 3,
  flush: 4,
  fence: 5,
  /** The program promised something to somebody. */
  ack: 6,
} as const;
/** One of the numbers of `TraceKind`. */
export type TraceKind = (typeof TraceKind)[keyof typeof TraceKind];

/** A place in a trace. */
export interface TraceMark {
  readonly count: number;
  readonly used: number;
  readonly stores: number;
  readonly labels: number;
}

const FIRST_EVENTS = 64;
const FIRST_BYTES = 1024;

/** What was done, in order. Events are numbered from 0. */
export class Trace {
  #count = 0;
  #kinds = new Uint8Array(FIRST_EVENTS);
  #offsets = new Uint32Array(FIRST_EVENTS);
  #lengths = new Uint32Array(FIRST_EVENTS);
  /** Where the stored bytes start in the arena; the index of the label for an ack. */
  #data = new Uint32Array(FIRST_EVENTS);
  #sites = new Uint32Array(FIRST_EVENTS);
  #bytes = new Uint8Array(FIRST_BYTES);
  #used = 0;
  #stores = 0;
  readonly #labels: unknown[] = [];
  #callSites: CallSites | undefined;
  #wanted: (event: number) => boolean = () => true;

  /** Events so far. */
  get count(): number {
    return this.#count;
  }

  /** Events so far that store. */
  get stores(): number {
    return this.#stores;
  }

  /** What was promised, in order. */
  get labels(): readonly unknown[] {
    return this.#labels;
  }

  /** The bytes of all stores, one after the other; see {@link dataOf}. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get callSites(): CallSites | undefined {
    return this.#callSites;
  }

  /** What the event was. */
  kindOf(event: number): TraceKind {
    return this.#kinds[event] as TraceKind;
  }

  /** The first byte of a store or flush; 0 for other events. */
  offsetOf(event: number): number {
    return this.#offsets[event] as number;
  }

  /** Bytes of a store or flush; 0 for other events. */
  lengthOf(event: number): number {
    return this.#lengths[event] as number;
  }

  /** Where the bytes of a store begin in {@link bytes}; for an ack its place in {@link labels}. */
  dataOf(event: number): number {
    return this.#data[event] as number;
  }

  /** The number of the event's call site in {@link callSites}; 0 when it is not known. */
  siteOf(event: number): number {
    return this.#sites[event] as number;
  }

  /** From now on call sites are captured, for all events or for those that are `wanted`. */
  captureSites(sites: CallSites, wanted: (event: number) => boolean = () => true): void {
    this.#callSites = sites;
    this.#wanted = wanted;
  }

  /** Call site numbers of appended events are those of `sites`; none are captured. */
  adoptSites(sites: CallSites | undefined): void {
    this.#callSites = sites;
    this.#wanted = () => false;
  }

  /** Forgets all events; the arrays stay. */
  clear(): void {
    this.rewind({ count: 0, used: 0, stores: 0, labels: 0 });
  }

  /** How far the trace has come: {@link rewind} forgets what came after. */
  mark(): TraceMark {
    const labels = this.#labels.length;
    return { count: this.#count, used: this.#used, stores: this.#stores, labels };
  }

  /** Forgets what came after the mark. */
  rewind({ count, used, stores, labels }: TraceMark): void {
    this.#count = count;
    this.#used = used;
    this.#stores = stores;
    this.#labels.length = labels;
  }

  /** A store, copy or non-temporal copy of `length` bytes; `image` holds them at `offset`. */
  stored(kind: TraceKind, offset: number, length: number, image: Uint8Array): void {
    const start = this.#used;
    if (start + length > this.#bytes.length) this.#growBytes(start + length);
    // A short loop beats `set(subarray)` for the scalar stores that make up most traces.
    if (length <= 16) {
      for (let i = 0; i < length; i++) this.#bytes[start + i] = image[offset + i] as number;
    } else this.#bytes.set(image.subarray(offset, offset + length), start);
    this.#used = start + length;
    this.#stores++;
    this.#push(kind, offset, length, start);
  }

  /** Notes a flush of `length` bytes at `offset`. */
  flushed(offset: number, length: number): void {
    this.#push(TraceKind.flush, offset, length, 0);
  }

  /** Notes a fence. */
  fenced(): void {
    this.#push(TraceKind.fence, 0, 0, 0);
  }

  /** Notes a promise. */
  acked(label: unknown): void {
    this.#push(TraceKind.ack, 0, 0, this.#labels.push(label) - 1);
  }

  /** Appends event `event` of another trace, its call site included. */
  append(other: Trace, event: number): void {
    const kind = other.kindOf(event);
    const offset = other.offsetOf(event);
    const length = other.lengthOf(event);
    const data = other.dataOf(event);
    if (kind === TraceKind.ack) this.acked(other.labels[data]);
    else if (kind === TraceKind.flush || kind === TraceKind.fence) {
      this.#push(kind, offset, length, 0);
    } else {
      const start = this.#used;
      if (start + length > this.#bytes.length) this.#growBytes(start + length);
      this.#bytes.set(other.bytes.subarray(data, data + length), start);
      this.#used = start + length;
      this.#stores++;
      this.#push(kind, offset, length, start);
    }
    this.#sites[this.#count - 1] = other.siteOf(event);
  }

  /** The first event at which two traces differ, or `undefined` when they are equal. */
  firstDifference(other: Trace): number | undefined {
    const shorter = Math.min(this.#count, other.count);
    for (let event = 0; event < shorter; event++) {
      if (!this.#sameEvent(other, event)) return event;
    }
    return this.#count === other.count ? undefined : shorter;
  }

  #sameEvent(other: Trace, event: number): boolean {
    const length = this.lengthOf(event);
    if (
      this.kindOf(event) !== other.kindOf(event) ||
      this.offsetOf(event) !== other.offsetOf(event) ||
      length !== other.lengthOf(event)
    ) {
      return false;
    }
    if (this.kindOf(event) >= TraceKind.flush) return true;
    const mine = this.dataOf(event);
    const theirs = other.dataOf(event);
    for (let i = 0; i < length; i++) {
      if (this.#bytes[mine + i] !== other.bytes[theirs + i]) return false;
    }
    return true;
  }

  #push(kind: TraceKind, offset: number, length: number, data: number): void {
    const event = this.#count;
    if (event === this.#kinds.length) this.#growEvents();
    this.#kinds[event] = kind;
    this.#offsets[event] = offset;
    this.#lengths[event] = length;
    this.#data[event] = data;
    this.#sites[event] =
      this.#callSites !== undefined && this.#wanted(event) ? this.#callSites.here() : 0;
    this.#count = event + 1;
  }

  #growEvents(): void {
    const room = this.#kinds.length * 2;
    this.#kinds = grown(this.#kinds, new Uint8Array(room));
    this.#offsets = grown(this.#offsets, new Uint32Array(room));
    this.#lengths = grown(this.#lengths, new Uint32Array(room));
    this.#data = grown(this.#data, new Uint32Array(room));
    this.#sites = grown(this.#sites, new Uint32Array(room));
  }

  #growBytes(needed: number): void {
    let room = this.#bytes.length * 2;
    while (room < needed) room *= 2;
    this.#bytes = grown(this.#bytes, new Uint8Array(room));
  }
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
