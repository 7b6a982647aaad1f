/**
 * Walks a trace of a disk and knows, at each instant, what each sector may be if the power goes
 * (crash model, block side): any of the contents that it had since its last durable one. A flush
 * makes all of them durable, a FUA write the sectors that it wrote.
 *
 * @module
 */
import type { BlockDiscard, BlockWrite } from "./block-trace.ts";
import { type BlockImage, REGION_BYTES } from "./block-image.ts";
import { DiskMap } from "./disk-map.ts";

/** What a power cut may do to sectors. */
export interface BlockModel {
  /** Bytes that arrive together: 512 or 4096. */
  readonly unit: number;
  /** Requests arrive in parts, whose first is this many bytes; undefined: units are atomic. */
  readonly torn?: number;
}

/** A part of a unit that one request changed. */
interface Piece {
  readonly entry: number;
  /** Bytes of the unit. */
  readonly from: number;
  readonly length: number;
  /** Undefined for zeros. */
  readonly data: Uint8Array | undefined;
  readonly at: number;
}

/** A unit that a power cut may leave in more than one way. */
interface OpenUnit {
  /** What is durable. Not to be changed: many units that were never written share one. */
  base: Uint8Array;
  pieces: Piece[];
  versions: Versions | undefined;
}

/** The contents that a unit may have, each once; the first is durable, the last the newest. */
export interface Versions {
  readonly contents: readonly Uint8Array[];
  /** Raw states of each of them: 1 and the requests that left it so. */
  readonly weights: readonly number[];
  /** Raw states of the unit: what the weights add up to. */
  readonly states: number;
  /** The last request that is in each of them; -1 for the durable one. */
  readonly entries: readonly number[];
}

/** See the module. The image holds everything that was written, as if nothing were ever lost. */
export class BlockFrontier {
  readonly image: BlockImage;
  readonly model: BlockModel;
  /** Where the image's bytes are on the disk; units are counted in the image. */
  readonly map: DiskMap;
  /** Of each unit: 1 while a power cut may leave it in more than one way. */
  readonly undecided: Uint8Array;
  readonly #open = new Map<number, OpenUnit>();
  readonly #zeros: Uint8Array;
  /** Off: nobody wants to know what may be lost. */
  readonly #tracking: boolean;

  constructor(image: BlockImage, model: BlockModel, tracking = true, map?: DiskMap) {
    this.image = image;
    this.map = map ?? DiskMap.whole(image.bytes.length);
    this.model = model;
    this.#zeros = new Uint8Array(model.unit);
    this.undecided = new Uint8Array(Math.ceil(image.bytes.length / model.unit));
    this.#tracking = tracking;
  }

  /** A request was made, and may be lost. All that it writes is held. */
  write({ sector, length, data, entry = 0 }: BlockWrite): void {
    const bytes = data;
    const { start } = this.map.heldIn(sector * 512, length);
    if (this.#tracking) {
      this.#each(start, length, (unit, from, run, done) => {
        this.#opened(unit).pieces.push({ entry, from, length: run, data: bytes, at: done });
      });
    }
    this.image.put(start, length, bytes);
  }

  /** As {@link write} of zeros. What was never written is left out: it stays as it is. */
  discard({ sector, count, entry = 0 }: BlockDiscard): void {
    const held = this.map.heldIn(sector * 512, count * 512);
    const stop = held.start + held.length;
    for (let at = held.start; at < stop;) {
      const untouched = this.image.untouchedRun(at);
      const run = Math.min(stop - at, untouched > 0 ? untouched : REGION_BYTES);
      if (untouched === 0) this.#forget(at, run, entry);
      at += run;
    }
  }

  #forget(first: number, bytes: number, entry: number): void {
    this.#each(first, bytes, (unit, from, length) => {
      const start = unit * this.model.unit + from;
      if (this.image.isUntouched(start, length)) return;
      if (this.#tracking) {
        this.#opened(unit).pieces.push({ entry, from, length, data: undefined, at: 0 });
      }
      this.image.put(start, length, undefined);
    });
  }

  /** The sectors of the newest request, which was this one, are durable; older requests are not. */
  settle({ sector, length }: BlockWrite): void {
    if (!this.#tracking) return;
    this.#each(this.map.heldIn(sector * 512, length).start, length, (unit, from, run) => {
      const open = this.#open.get(unit);
      if (open === undefined) return;
      const start = unit * this.model.unit + from;
      const base = open.base.slice();
      base.set(this.image.bytes.subarray(start, start + run), from);
      open.base = base;
      open.pieces = open.pieces.flatMap((piece) => outside(piece, from, run));
      open.versions = undefined;
      if (open.pieces.length > 0) return;
      this.#open.delete(unit);
      this.undecided[unit] = 0;
    });
  }

  /** The unit of the disk behind a unit of the image. */
  onDisk(unit: number): number {
    return this.map.diskAt(unit * this.model.unit) / this.model.unit;
  }

  /** The unit of the image that holds one of the disk; undefined for what was never written. */
  inImage(unit: number): number | undefined {
    const at = this.map.heldAt(unit * this.model.unit);
    return at === undefined ? undefined : at / this.model.unit;
  }

  /** Everything is durable. */
  flush(): void {
    for (const unit of this.#open.keys()) this.undecided[unit] = 0;
    this.#open.clear();
  }

  /** The units that a power cut may leave in several ways, in ascending order. */
  openUnits(): number[] {
    return [...this.#open.keys()].toSorted((a, b) => a - b);
  }

  /** What an open unit may be. */
  versions(unit: number): Versions {
    const open = this.#open.get(unit) as OpenUnit;
    open.versions ??= versionsOf(open, this.model);
    return open.versions;
  }

  /** What an open unit held, one after the other, the durable content first; equal ones too. */
  arrivals(unit: number): Uint8Array[] {
    const { base, pieces } = this.#open.get(unit) as OpenUnit;
    return [base, ...arrivalsOf(base, pieces, this.model.torn)];
  }

  /** Raw states at this instant: the product over all units (crash model, block side). */
  space(): bigint {
    const factors = new Map<number, number>();
    for (const unit of this.#open.keys()) {
      const { states } = this.versions(unit);
      factors.set(states, (factors.get(states) ?? 0) + 1);
    }
    let space = 1n;
    for (const [states, count] of factors) space *= BigInt(states) ** BigInt(count);
    return space;
  }

  #opened(unit: number): OpenUnit {
    let open = this.#open.get(unit);
    if (open === undefined) {
      const start = unit * this.model.unit;
      const { unit: size } = this.model;
      const held = this.image.bytes.subarray(start, start + size);
      // Disks are copied whole onto what was never written: that is not kept once for each unit.
      const base = held.every((byte) => byte === 0) ? this.#zeros : held.slice();
      open = { base, pieces: [], versions: undefined };
      this.#open.set(unit, open);
      this.undecided[unit] = 1;
    }
    open.versions = undefined;
    return open;
  }

  #each(
    start: number,
    length: number,
    visit: (unit: number, from: number, run: number, done: number) => void,
  ): void {
    const { unit: size } = this.model;
    for (let done = 0; done < length;) {
      const at = start + done;
      const from = at % size;
      const run = Math.min(size - from, length - done);
      visit((at - from) / size, from, run, done);
      done += run;
    }
  }
}

/** What is left of a piece when a range was made durable behind it. */
function outside(piece: Piece, from: number, length: number): Piece[] {
  const stop = piece.from + piece.length;
  const parts: Piece[] = [];
  if (piece.from < from) {
    parts.push({ ...piece, length: Math.min(stop, from) - piece.from });
  }
  if (stop > from + length) {
    const start = Math.max(piece.from, from + length);
    parts.push({
      ...piece,
      from: start,
      length: stop - start,
      at: piece.at + start - piece.from,
    });
  }
  return parts;
}

function versionsOf({ base, pieces }: OpenUnit, { torn }: BlockModel): Versions {
  const contents: Uint8Array[] = [base];
  const weights: number[] = [1];
  const entries: number[] = [-1];
  let states = 1;
  const add = (content: Uint8Array, entry: number): void => {
    states++;
    const known = contents.findIndex((other) => equal(other, content));
    if (known === -1) {
      contents.push(content);
      weights.push(1);
      entries.push(entry);
    } else weights[known]!++;
  };
  let newest = base;
  for (const piece of pieces) {
    for (const content of arrivalsOf(newest, [piece], torn)) {
      add(content, piece.entry);
      newest = content;
    }
  }
  newestLast(contents, weights, entries, newest);
  return { contents, weights, states, entries };
}

/** What a unit holds after each part of each request that arrives by itself. */
function* arrivalsOf(
  base: Uint8Array,
  pieces: readonly Piece[],
  torn: BlockModel["torn"],
): Generator<Uint8Array, void> {
  let newest = base;
  for (const piece of pieces) {
    const step = torn ?? piece.length;
    const before = newest;
    for (let arrived = step; ; arrived += step) {
      newest = overlaid(before, piece, Math.min(arrived, piece.length));
      yield newest;
      if (arrived >= piece.length) break;
    }
  }
}

/** A unit may have become again what it was: its newest content is the last all the same. */
function newestLast(
  contents: Uint8Array[],
  weights: number[],
  entries: number[],
  newest: Uint8Array,
): void {
  const at = contents.findIndex((content) => equal(content, newest));
  for (const list of [contents, weights, entries] as unknown[][]) {
    list.push(...list.splice(at, 1));
  }
}

/** A request that covers the unit is held anyway, and not copied: disks are copied so, whole. */
function overlaid(before: Uint8Array, piece: Piece, arrived: number): Uint8Array {
  if (arrived === before.length && piece.data !== undefined) {
    return piece.data.subarray(piece.at, piece.at + arrived);
  }
  const content = before.slice();
  if (piece.data === undefined) content.fill(0, piece.from, piece.from + arrived);
  else content.set(piece.data.subarray(piece.at, piece.at + arrived), piece.from);
  return content;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
