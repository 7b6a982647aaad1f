/**
 * Part of a file's mapping, decoded: runs of logical blocks that cover it without gaps.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import type { Iomap } from "../../dax/iomap.ts";
import { copyOf } from "../../lib/memory.ts";
import { S_IFREG } from "../../vfs/modes.ts";

/** Nothing is mapped: reads as zeros. */
export const HOLE = 0;
/** On the media. */
export const MAPPED = 1;
/** Allocated, never written: reads as zeros. */
export const UNWRITTEN = 2;
/** One block whose contents a replayed journal holds. */
export const REPLAYED = 3;

/** What a run is: one of the four above. */
export type RunKind = typeof HOLE | typeof MAPPED | typeof UNWRITTEN | typeof REPLAYED;

const TYPES = ["hole", "mapped", "unwritten", "inline"] as const;

/** Runs of the logical blocks `first` to below `limit`. */
export class Segment {
  readonly first: number;
  readonly limit: number;
  /** Logical starts, ascending, the first one `first`. */
  readonly #starts: number[];
  /** Physical starts; 0 for a hole. */
  readonly #physical: number[];
  readonly #kinds: RunKind[];
  /** Made when first asked for. */
  readonly #maps: (Iomap | undefined)[];

  constructor(limit: number, starts: number[], physical: number[], kinds: RunKind[]) {
    this.first = starts[0] as number;
    this.limit = limit;
    this.#starts = starts;
    this.#physical = physical;
    this.#kinds = kinds;
    this.#maps = Array.from({ length: starts.length });
  }

  /** How many runs there are. */
  get runs(): number {
    return this.#starts.length;
  }

  /** The run that holds `logical`, which lies in the segment. */
  find(logical: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) <= logical) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  kind(run: number): RunKind {
    return this.#kinds[run] as RunKind;
  }

  /** The block that backs `logical` of `run`. */
  blockOf(run: number, logical: number): number {
    return (this.#physical[run] as number) + logical - (this.#starts[run] as number);
  }

  /**
   * `count` blocks from `logical` are mapped from `physical` on now, written. False, and nothing
   * has changed, unless they lie within one run that is not.
   */
  put(logical: number, physical: number, count: number): boolean {
    const run = this.find(logical);
    const start = this.#starts[run] as number;
    const next = this.#starts[run + 1] ?? this.limit;
    const end = logical + count;
    const kind = this.#kinds[run] as RunKind;
    if (end > next || (kind !== HOLE && kind !== UNWRITTEN)) return false;
    const old = this.#physical[run] as number;
    // What is left of the run in front and behind; the new one may go on from its neighbours.
    const front = start < logical;
    const joined = !front && this.#leadsTo(run - 1, logical, physical);
    const behind = end < next;
    const at = front ? run + 1 : run;
    const added = [...(joined ? [] : [logical]), ...(behind ? [end] : [])];
    this.#splice(at, front ? 0 : 1, added.length);
    let i = at;
    if (!joined) this.#set(i++, logical, physical, MAPPED);
    if (behind) this.#set(i, end, kind === HOLE ? 0 : old + end - start, kind);
    // Their ends have moved.
    this.#maps[at - 1] = undefined;
    return true;
  }

  /** Whether a run is written and goes on at `logical`, on the media too. */
  #leadsTo(run: number, logical: number, physical: number): boolean {
    if (run < 0 || this.#kinds[run] !== MAPPED) return false;
    const start = this.#starts[run] as number;
    return (this.#physical[run] as number) + logical - start === physical;
  }

  #splice(at: number, removed: number, added: number): void {
    const room = Array.from({ length: added });
    this.#starts.splice(at, removed, ...room.map(() => 0));
    this.#physical.splice(at, removed, ...room.map(() => 0));
    this.#kinds.splice(at, removed, ...room.map((): RunKind => HOLE));
    this.#maps.splice(at, removed, ...room.map(() => undefined));
  }

  #set(run: number, start: number, physical: number, kind: RunKind): void {
    this.#starts[run] = start;
    this.#physical[run] = physical;
    this.#kinds[run] = kind;
  }

  /** The run as dax wants it; the same object each time. */
  iomap(run: number, buffers: Buffers): Iomap {
    return (this.#maps[run] ??= this.#makeIomap(run, buffers));
  }

  #makeIomap(run: number, buffers: Buffers): Iomap {
    const { blockSize, device } = buffers;
    const start = this.#starts[run] as number;
    const next = this.#starts[run + 1] ?? this.limit;
    const kind = this.#kinds[run] as RunKind;
    const physical = this.#physical[run] as number;
    const map = {
      type: TYPES[kind],
      offset: start * blockSize,
      length: (next - start) * blockSize,
      addr: kind === REPLAYED ? 0 : physical * blockSize,
      range: device.dax,
      store: device,
    };
    if (kind !== REPLAYED) return map;
    const { memory, at } = buffers.get(physical, "replayed block");
    return { ...map, inline: copyOf(memory, at, blockSize) };
  }
}

/**
 * What replayed blocks of a file are looked up in: file data only. Other contents are metadata,
 * which is read through the buffers anyway. Nothing where no replay lies over the device: what a
 * mount for writing has in memory is metadata, too.
 */
export function replayOf(
  { buffers, replays }: { readonly buffers: Buffers; readonly replays: boolean },
  type: number,
): Buffers | undefined {
  return replays && type === S_IFREG ? buffers : undefined;
}

/** Collects runs in ascending order, joins neighbours and fills the gaps with holes. */
export class SegmentBuilder {
  readonly #limit: number;
  readonly #buffers: Buffers | undefined;
  readonly #starts: number[] = [];
  readonly #physical: number[] = [];
  readonly #kinds: RunKind[] = [];
  /** Where the next run starts. */
  #next: number;

  /** `buffers` as {@link replayOf} says. */
  constructor(first: number, limit: number, buffers: Buffers | undefined) {
    this.#next = first;
    this.#limit = limit;
    this.#buffers = buffers;
  }

  /** Adds `length` blocks; `logical` is at or behind the last run's end. */
  add(logical: number, physical: number, length: number, kind: RunKind): void {
    const buffers = this.#buffers;
    if (kind !== MAPPED || buffers === undefined || buffers.overlaid === 0) {
      this.#append(logical, physical, length, kind);
      return;
    }
    for (let done = 0; done < length;) {
      const clear = buffers.beforeOverlay(physical + done, length - done);
      if (clear > 0) this.#append(logical + done, physical + done, clear, MAPPED);
      else this.#append(logical + done, physical + done, 1, REPLAYED);
      done += Math.max(clear, 1);
    }
  }

  /** The segment, with a hole behind the last run. */
  finish(): Segment {
    if (this.#next < this.#limit) this.#append(this.#limit, 0, 0, HOLE);
    return new Segment(this.#limit, this.#starts, this.#physical, this.#kinds);
  }

  #append(logical: number, physical: number, length: number, kind: RunKind): void {
    if (logical > this.#next) this.#push(this.#next, 0, HOLE);
    if (length > 0 && !this.#continues(logical, physical, kind))
      this.#push(logical, physical, kind);
    this.#next = logical + length;
  }

  #continues(logical: number, physical: number, kind: RunKind): boolean {
    const last = this.#starts.length - 1;
    if (last < 0 || this.#kinds[last] !== kind || kind === REPLAYED) return false;
    if (kind === HOLE) return true;
    const start = this.#starts[last] as number;
    return (
      logical === this.#next && (this.#physical[last] as number) + logical - start === physical
    );
  }

  #push(logical: number, physical: number, kind: RunKind): void {
    const last = this.#kinds.length - 1;
    if (kind === HOLE && last >= 0 && this.#kinds[last] === HOLE) return;
    this.#starts.push(logical);
    this.#physical.push(physical);
    this.#kinds.push(kind);
  }
}
