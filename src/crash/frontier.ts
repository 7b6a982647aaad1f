/**
 * The frontier between what is durable and what may be lost: it walks a trace from crash point to
 * crash point and knows, at each, which lines are undecided and how many states there are (crash
 * model, rules 2 to 5).
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import { LineClass } from "../media/modelled.ts";
import { ATOM_BYTES, LINE_BYTES, type Trace, TraceKind } from "../media/trace.ts";
import type { CrashImage } from "./crash-image.ts";
import {
  type Group,
  type Segment,
  type Torn,
  type Version,
  applySegment,
  certain,
  differing,
  groupOf,
  inherited,
  maskHi,
  maskLo,
  settled,
  stepsOf,
  stepsOfAll,
  versionsOf,
} from "./versions.ts";

/** An instant at which power may go. */
export interface CrashPoint {
  /** Counts the crash points of its trace from 0. */
  readonly index: number;
  /** The event that has not taken effect; the number of events at the end of the trace. */
  readonly event: number;
  /** Bytes of that event, if it stores to a battery-backed range, that have arrived. */
  readonly done: number;
  /** Promises made so far. */
  readonly acked: number;
  /** Rule 4: how many states a power cut may leave here. */
  readonly space: bigint;
  /** Changes whenever the set of states may have changed. */
  readonly stamp: number;
  /** The same, but for atoms stored to battery-backed ranges: of those there is one a point. */
  readonly steady: number;
  /** The line that the atom before this instant was stored to, if that was battery-backed. */
  readonly line: number;
}

/** What a frontier walks over. */
export interface FrontierOptions {
  /** What is durable at the start of the trace. The frontier changes it as it walks. */
  readonly image: CrashImage;
  readonly trace: Trace;
  /** The class of each line. */
  readonly classes: Uint8Array;
  readonly torn: Torn;
  /** Which power cut this is: 0 in the workload. */
  readonly level: number;
  /** What the power cut before left undecided, for a trace of a recovery from it. */
  readonly before?: Inheritance;
}

/** The states that the power cut before left, as far as the recovery did not look at them. */
export interface Inheritance {
  /** How many raw states they are. */
  readonly space: bigint;
  /** What the line may hold; `undefined` for a line that was in no doubt. */
  group(line: number): Group | undefined;
}

/** A line of an ADR range with stores that may not have arrived. */
interface OpenLine {
  readonly line: number;
  /** What was durable before `segments`; absent: what the image holds. */
  base: readonly Version[] | undefined;
  segments: Segment[];
  /** How many of the segments were flushed. */
  marked: number;
  /** Versions that the segments add. */
  steps: number;
  group: Group | undefined;
}

/** What one flush did. */
export interface FlushEffect {
  readonly event: number;
  readonly lines: number;
  /** Lines that had nothing to write back: clean, or flushed since their last store. */
  readonly clean: number;
  /** Lines that need no flush at all: battery-backed, uncached, written through or volatile. */
  readonly needless: number;
}

/** Walks a trace; see {@link points}. */
export class Frontier {
  readonly level: number;
  readonly #image: CrashImage;
  readonly #trace: Trace;
  readonly #classes: Uint8Array;
  readonly #torn: Torn;
  readonly #before: Inheritance | undefined;
  readonly #lines = new Map<number, OpenLine>();
  /** What the power cut before left of lines that this trace has not stored to. */
  readonly #untouched = new Map<number, Group | undefined>();
  #marked: OpenLine[] = [];
  #points = 0;
  #acked = 0;
  #stamp = 0;
  #atoms = 0;
  #line = -1;
  #space: bigint;
  /** Factors by which the space changed since it was last multiplied out. */
  #grownBy: number[] = [];
  #shrunkBy: number[] = [];
  /** Told what each flush did. */
  onFlush: ((effect: FlushEffect) => void) | undefined;

  constructor(options: FrontierOptions) {
    this.level = options.level;
    this.#image = options.image;
    this.#trace = options.trace;
    this.#classes = options.classes;
    this.#torn = options.torn;
    this.#before = options.before;
    this.#space = options.before?.space ?? 1n;
  }

  /**
   * The crash points in order: just before each fence takes effect, just before each atom stored to
   * a battery-backed or uncached range, and the end. While the caller holds one, the image and
   * {@link group} are those of that instant.
   */
  *points(): Generator<CrashPoint, void> {
    const trace = this.#trace;
    for (let event = 0; event < trace.count; event++) {
      const kind = trace.kindOf(event);
      if (kind === TraceKind.flush) this.#flush(event);
      else if (kind === TraceKind.ack) this.#acked++;
      else if (kind === TraceKind.fence) {
        yield this.#point(event, 0);
        this.#fence();
      } else yield* this.#store(event, kind);
    }
    yield this.#point(trace.count, 0);
  }

  /**
   * What the line may hold at this instant, equal contents being one version; `undefined` for a
   * line that is in no doubt. To be asked before the line changes in the image.
   */
  group(line: number): Group | undefined {
    const open = this.#lines.get(line);
    if (open === undefined) return this.#inherit(line);
    if (open.group === undefined) {
      const base = open.base ?? [certain(this.#durable(line), this.level)];
      open.group = groupOf(versionsOf(base, open.segments, this.#trace.bytes, this.#torn));
    }
    return open.group;
  }

  /** Whether nothing of a line outlives a power cut. */
  isVolatile(line: number): boolean {
    return this.#classes[line] === LineClass.volatile;
  }

  /** The lines with stores of this trace that may be missing. */
  *openLines(): Generator<number, void> {
    for (const { line, segments } of this.#lines.values()) {
      if (segments.length > 0) yield line;
    }
  }

  /** The stores of this trace that may be missing from the line, oldest first. */
  pending(line: number): readonly Segment[] {
    return this.#lines.get(line)?.segments ?? [];
  }

  /** How many of {@link pending} were flushed, and only lack a fence. */
  flushed(line: number): number {
    return this.#lines.get(line)?.marked ?? 0;
  }

  #inherit(line: number): Group | undefined {
    if (this.#before === undefined) return undefined;
    if (this.#untouched.has(line)) return this.#untouched.get(line);
    const left = this.#before.group(line)?.versions;
    const group = left === undefined ? undefined : groupOf(inherited(left, this.level));
    this.#untouched.set(line, group);
    return group;
  }

  #durable(line: number): Uint8Array {
    return this.#image.bytes.slice(line * LINE_BYTES, (line + 1) * LINE_BYTES);
  }

  #point(event: number, done: number): CrashPoint {
    return {
      index: this.#points++,
      event,
      done,
      acked: this.#acked,
      space: this.#multiplied(),
      stamp: this.#stamp,
      steady: this.#stamp - this.#atoms,
      line: this.#line,
    };
  }

  *#store(event: number, kind: TraceKind): Generator<CrashPoint, void> {
    const start = this.#trace.offsetOf(event);
    const stop = start + this.#trace.lengthOf(event);
    const data = this.#trace.dataOf(event);
    const bulk = kind !== TraceKind.store;
    for (let at = start; at < stop;) {
      const line = Math.floor(at / LINE_BYTES);
      const from = at % LINE_BYTES;
      const length = Math.min(LINE_BYTES - from, stop - at);
      const lineClass = this.#classes[line] as LineClass;
      const combining = lineClass === LineClass.combining;
      const segment = { event, from, length, data: data + at - start, bulk, combining };
      if (lineClass === LineClass.inOrder) yield* this.#storeInOrder(line, segment, at - start);
      else if (lineClass !== LineClass.volatile) {
        const open = this.#append(line, segment);
        const flushes = kind === TraceKind.copyNonTemporal || lineClass === LineClass.writeThrough;
        if (flushes || combining) this.#mark(open);
      }
      at += length;
    }
  }

  /** A battery-backed range holds exactly the value of the instant, atom by atom. */
  *#storeInOrder(line: number, segment: Segment, done: number): Generator<CrashPoint, void> {
    const { from, length, data } = segment;
    for (let at = from; at < from + length;) {
      const run = Math.min(ATOM_BYTES - (at % ATOM_BYTES), from + length - at);
      yield this.#point(segment.event, done + at - from);
      this.#image.save(line);
      const source = data + at - from;
      const atom = this.#trace.bytes.subarray(source, source + run);
      this.#image.bytes.set(atom, line * LINE_BYTES + at);
      this.#stamp++;
      this.#atoms++;
      this.#line = line;
      at += run;
    }
  }

  #append(line: number, segment: Segment): OpenLine {
    const { from, length } = segment;
    let open = this.#lines.get(line);
    if (open === undefined) {
      const base = this.#inherit(line)?.versions;
      open = { line, base, segments: [], marked: 0, steps: 0, group: undefined };
      this.#lines.set(line, open);
    }
    this.#image.save(line);
    this.#image.lo[line]! |= maskLo(from, from + length);
    this.#image.hi[line]! |= maskHi(from, from + length);
    open.segments.push(segment);
    open.group = undefined;
    const steps = segment.combining
      ? stepsOfAll(open.segments, this.#torn)
      : open.steps + stepsOf(segment, this.#torn);
    this.#resize(open, steps);
    this.#stamp++;
    return open;
  }

  #flush(event: number): void {
    const start = this.#trace.offsetOf(event);
    const first = Math.floor(start / LINE_BYTES);
    const last = Math.floor((start + this.#trace.lengthOf(event) - 1) / LINE_BYTES);
    let written = 0;
    let needless = 0;
    for (let line = first; line <= last; line++) {
      if (this.#classes[line] !== LineClass.cached) needless++;
      const open = this.#lines.get(line);
      if (open === undefined || open.marked === open.segments.length) continue;
      this.#mark(open);
      written++;
    }
    const lines = last - first + 1;
    this.onFlush?.({ event, lines, clean: lines - written - needless, needless });
  }

  #mark(open: OpenLine): void {
    if (open.marked === 0) this.#marked.push(open);
    open.marked = open.segments.length;
  }

  #fence(): void {
    for (const open of this.#marked) this.#settle(open);
    if (this.#marked.length > 0) this.#stamp++;
    this.#marked = [];
  }

  /** The flushed version of the line is durable now: nothing older can be left. */
  #settle(open: OpenLine): void {
    const { line, base } = open;
    const arena = this.#trace.bytes;
    const durable = open.segments.slice(0, open.marked);
    open.segments = open.segments.slice(open.marked);
    open.marked = 0;
    open.group = undefined;
    this.#resize(open, stepsOfAll(open.segments, this.#torn));
    const image = this.#image;
    image.save(line);
    const bytes = image.bytes.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES);
    let lo = 0;
    let hi = 0;
    if (base === undefined) {
      for (const segment of durable) applySegment(bytes, segment, arena);
      if (open.segments.length === 0) this.#lines.delete(line);
    } else {
      open.base = settled(base, durable, arena);
      bytes.set((open.base[0] as Version).bytes);
      ({ lo, hi } = differing(open.base));
    }
    for (const { from, length } of open.segments) {
      lo |= maskLo(from, from + length);
      hi |= maskHi(from, from + length);
    }
    image.lo[line] = lo;
    image.hi[line] = hi;
  }

  #resize(open: OpenLine, steps: number): void {
    if (open.steps > 0) this.#shrunkBy.push(open.steps + 1);
    if (steps > 0) this.#grownBy.push(steps + 1);
    open.steps = steps;
  }

  /** Multiplied out only at crash points: one factor at a time would be quadratic in the lines. */
  #multiplied(): bigint {
    if (this.#grownBy.length + this.#shrunkBy.length > 0) {
      const grown = this.#space * product(this.#grownBy, 0, this.#grownBy.length);
      const shrunk = product(this.#shrunkBy, 0, this.#shrunkBy.length);
      assert(grown % shrunk === 0n, "the space of a crash point is a whole number");
      this.#space = grown / shrunk;
      this.#grownBy = [];
      this.#shrunkBy = [];
    }
    return this.#space;
  }
}

/** The product of factors `[from, to)`, multiplied as a tree so that the halves are equal. */
function product(factors: readonly number[], from: number, to: number): bigint {
  if (to === from) return 1n;
  if (to - from === 1) return BigInt(factors[from] as number);
  const middle = (from + to) >>> 1;
  return product(factors, from, middle) * product(factors, middle, to);
}

/** How many crash points a trace has (rule 5). */
export function countCrashPoints(trace: Trace, classes: Uint8Array): number {
  let points = 1;
  for (let event = 0; event < trace.count; event++) {
    const kind = trace.kindOf(event);
    if (kind === TraceKind.fence) points++;
    else if (kind < TraceKind.flush) points += inOrderAtoms(trace, event, classes);
  }
  return points;
}

function inOrderAtoms(trace: Trace, event: number, classes: Uint8Array): number {
  const start = trace.offsetOf(event);
  const stop = start + trace.lengthOf(event);
  let atoms = 0;
  for (let at = start; at < stop; at = (Math.floor(at / ATOM_BYTES) + 1) * ATOM_BYTES) {
    if (classes[Math.floor(at / LINE_BYTES)] === LineClass.inOrder) atoms++;
  }
  return atoms;
}
