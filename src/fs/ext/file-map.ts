/**
 * The mapping of one inode: which blocks back which part of the file. What was decoded is kept, so
 * a second question about the same part touches no metadata.
 *
 * @module
 */
import type { Iomap } from "../../dax/iomap.ts";
import { EXT4_EXTENTS_FL } from "../../format/ext-inode.ts";
import { blockMapSegment } from "./block-map.ts";
import { extentSegment } from "./extents.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import { HOLE, type Segment, UNWRITTEN } from "./runs.ts";
import type { Volume } from "./volume.ts";

/** Runs and maps that one filesystem remembers before the oldest maps are emptied. */
const MAX_RUNS = 65_536;
const MAX_MAPS = 4096;

/** Keeps the memory of all maps of one filesystem within bounds. */
export class MapBudget {
  #runs = 0;
  /** Oldest first. */
  readonly #maps = new Set<FileMap>();

  /** Makes room for `runs` more in `map`, if need be by emptying maps, at last `map` itself. */
  charge(map: FileMap, runs: number): void {
    this.#maps.delete(map);
    this.#maps.add(map);
    for (const oldest of this.#maps) {
      if (this.#runs + runs <= MAX_RUNS && this.#maps.size <= MAX_MAPS) break;
      this.#runs -= oldest.clear();
      if (oldest !== map) this.#maps.delete(oldest);
    }
    this.#runs += runs;
  }
}

/** The mapping of one inode that has one: extents or a block map. */
export class FileMap {
  readonly #volume: Volume;
  readonly #record: InodeRecord;
  /** By logical block, not overlapping. */
  #segments: Segment[] = [];
  #last: Segment | undefined;

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

  /** Forgets everything; answers how many runs that were. */
  clear(): number {
    let runs = 0;
    for (const segment of this.#segments) runs += segment.runs;
    this.#segments = [];
    this.#last = undefined;
    return runs;
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
    // Making room may empty this very map, so the place is looked up afterwards.
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
