/**
 * The mapping of one inode: which blocks back which part of the file. What was decoded is kept, so
 * a second question about the same part touches no metadata.
 *
 * @module
 */
import type { Iomap } from "../../dax/iomap.ts";
import type { Range } from "../../lib/range-set.ts";
import { EXT4_EXTENTS_FL } from "../../format/ext-inode.ts";
import { blockMapSegment } from "./block-map.ts";
import { extentSegment } from "./extents.ts";
import { nextGeneration } from "./generation.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import { MapChanges } from "./map-changes.ts";
import { HOLE, type Segment, UNWRITTEN } from "./runs.ts";
import type { Volume } from "./volume.ts";

/** Runs that one map remembers, and what all maps of a filesystem gather before old ones go. */
const MAX_RUNS_OF_MAP = 16_384;
const MAX_RUNS = 65_536;
const MAX_MAPS = 4096;
/** Runs of a part of a map that is kept up to date: with more of them it is read anew. */
const MOST_KNOWN = 2048;

/**
 * Keeps the memory of all maps of one filesystem within bounds, in two generations: when the young
 * one is large enough it becomes the old one, and maps that were only in the old one are emptied.
 */
export class MapBudget {
  #runs = 0;
  #young = new Set<FileMap>();
  #old = new Set<FileMap>();

  /** Notes that `map` has decoded `runs` more. */
  charge(map: FileMap, runs: number): void {
    if (this.#runs + runs > MAX_RUNS / 2 || this.#young.size >= MAX_MAPS / 2) this.#turn();
    this.#young.add(map);
    this.#runs += runs;
  }

  #turn(): void {
    for (const map of this.#old) if (!this.#young.has(map)) map.unload();
    this.#old = this.#young;
    this.#young = new Set();
    this.#runs = 0;
  }
}

/** The mapping of one inode that has one: extents or a block map. */
export class FileMap {
  readonly #volume: Volume;
  readonly #record: InodeRecord;
  /** By logical block, not overlapping. */
  #segments: Segment[] = [];
  #last: Segment | undefined;
  #runs = 0;
  #generation = nextGeneration();
  readonly #changes = new MapChanges();

  constructor(volume: Volume, record: InodeRecord) {
    this.#volume = volume;
    this.#record = record;
  }

  /** What backs byte `offset`. @throws EUCLEAN, EBADMSG, EIO */
  iomap(offset: number): Iomap {
    const { buffers } = this.#volume;
    const logical = Math.floor(offset / buffers.blockSize);
    if (logical >= MAX_LOGICAL_BLOCKS) return this.#beyond();
    const segment = this.#segment(logical);
    return segment.iomap(segment.find(logical), buffers);
  }

  /**
   * The block that backs a logical one, `undefined` for a hole or an unwritten extent.
   * @throws EUCLEAN, EBADMSG, EIO
   */
  blockOf(logical: number): number | undefined {
    if (logical >= MAX_LOGICAL_BLOCKS) return undefined;
    const segment = this.#segment(logical);
    const run = segment.find(logical);
    const kind = segment.kind(run);
    return kind === HOLE || kind === UNWRITTEN ? undefined : segment.blockOf(run, logical);
  }

  /** Another number whenever the mapping may have changed. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Which bytes may lie elsewhere than at that generation, for one who follows; undefined when that
   * is not known: any of them.
   */
  changesSince(generation: number): readonly Range[] | undefined {
    return this.#changes.take(generation, this.#generation);
  }

  /** The mapping has changed everywhere: forgets everything that was decoded. */
  clear(): void {
    this.#generation = nextGeneration();
    this.#changes.all();
    this.unload();
  }

  /** Forgets everything that was decoded, to make room: it is still true. */
  unload(): void {
    this.#segments = [];
    this.#runs = 0;
    this.#last = undefined;
  }

  /** Forgets what was decoded about `count` blocks from `logical`: their mapping has changed. */
  forget(logical: number, count: number): void {
    this.#changed(logical, count);
    this.#drop(logical, count);
  }

  #changed(logical: number, count: number): void {
    const { blockSize } = this.#volume.buffers;
    this.#generation = nextGeneration();
    this.#changes.add(logical * blockSize, count * blockSize);
  }

  #drop(logical: number, count: number): void {
    this.#last = undefined;
    if (this.#segments.length === 0) return;
    let from = this.#place(logical);
    if ((this.#segments[from - 1]?.limit ?? 0) > logical) from--;
    let to = from;
    for (; to < this.#segments.length; to++) {
      const { first, runs } = this.#segments[to] as Segment;
      if (first >= logical + count) break;
      this.#runs -= runs;
    }
    this.#segments.splice(from, to - from);
  }

  /** `count` blocks from `logical` are mapped from `physical` on now, written. */
  put(logical: number, physical: number, count: number): void {
    this.#changed(logical, count);
    const segment = this.#segments[this.#place(logical) - 1];
    if (segment === undefined || logical + count > segment.limit || segment.runs > MOST_KNOWN) {
      this.#drop(logical, count);
      return;
    }
    const before = segment.runs;
    if (!segment.put(logical, physical, count)) {
      this.#drop(logical, count);
      return;
    }
    const more = segment.runs - before;
    this.#runs += more;
    if (more > 0) this.#volume.mapBudget.charge(this, more);
  }

  #segment(logical: number): Segment {
    const last = this.#last;
    if (last !== undefined && logical >= last.first && logical < last.limit) return last;
    const place = this.#place(logical);
    const known = this.#segments[place - 1];
    if (known !== undefined && logical < known.limit) return (this.#last = known);
    return (this.#last = this.#load(logical));
  }

  /** How many segments start at or before `logical`. */
  #place(logical: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#segments[middle] as Segment).first <= logical) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #load(logical: number): Segment {
    const extents = this.#record.has(EXT4_EXTENTS_FL);
    const read = extents ? extentSegment : blockMapSegment;
    const segment = read(this.#volume, this.#record, logical);
    // What is known of a leaf that has since been split or joined would lie across the new one.
    this.#drop(segment.first, segment.limit - segment.first);
    if (this.#runs + segment.runs > MAX_RUNS_OF_MAP) this.unload();
    this.#runs += segment.runs;
    this.#volume.mapBudget.charge(this, segment.runs);
    this.#segments.splice(this.#place(logical), 0, segment);
    return segment;
  }

  #beyond(): Iomap {
    const { device, blockSize } = this.#volume.buffers;
    const offset = MAX_LOGICAL_BLOCKS * blockSize;
    const length = Number.MAX_SAFE_INTEGER - offset;
    return { type: "hole", offset, length, addr: 0, range: device.dax, store: device };
  }
}
