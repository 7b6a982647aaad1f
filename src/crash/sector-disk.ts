/**
 * A disk with a volatile write cache, for the explorer: a sector is one cache line of modelled
 * memory, which holds the number of what was written there. So the states of a power cut are those
 * of the crash model's block side, exactly: each sector that was written since the last completed
 * FLUSH holds any one of what was written there; a FUA write is durable when it returns. Where
 * sectors may be torn, what was written there includes the first so many bytes of it, the first
 * twice as many, and so on. Whether a request was in flight or complete makes no difference: in
 * either case each of its sectors is absent, whole or torn.
 *
 * @module
 */
import { type BlockDevice, type QueueLimits, SECTOR_SIZE } from "../block/block-device.ts";
import { checkBytes, checkRequest, checkSectors, refuseDiscard } from "../block/request.ts";
import { crc32c } from "../lib/crc32c.ts";
import { type Memo, perform, recall } from "../lib/memo.ts";
import type { BlockModel } from "./block-frontier.ts";
import type { ModelledMedia } from "../media/modelled.ts";
import { PendingParts, type Rest } from "./pending-parts.ts";
import { LINE_BYTES } from "../media/trace.ts";

const FORGOTTEN = new Uint8Array(0);

/** Contents of sectors by number; equal ones have one number, and zeros are 0. */
export class SectorContents {
  /** Bytes that a power cut leaves whole: old or new. */
  readonly unit: number;
  readonly #contents: Uint8Array[];
  readonly #byHash = new Map<number, number[]>();
  #size = 1;

  /** `unit`: 512 or 4096. */
  constructor(unit: number) {
    this.unit = unit;
    this.#contents = [new Uint8Array(unit)];
    this.#byHash.set(crc32c(0, this.get(0)), [0]);
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** What has this number. Not to be changed. */
  get(number: number): Uint8Array {
    return this.#contents[number] as Uint8Array;
  }

  /** The number of these bytes, which are copied if they are new. */
  numberOf(bytes: Uint8Array): number {
    const hash = crc32c(0, bytes);
    const alike = this.#byHash.get(hash) ?? [];
    const words = wordsOf(bytes);
    const known = alike.find((number) => isEqual(this.get(number), bytes, words));
    if (known !== undefined) return known;
    // Not by `slice`: that of a Buffer is no copy, and programs write Buffers.
    const number = this.#contents.push(new Uint8Array(bytes)) - 1;
    this.#byHash.set(hash, [...alike, number]);
    this.#size++;
    return number;
  }

  /** Forgets all contents but these and zeros; what else refers to others means nothing then. */
  keepOnly(numbers: ReadonlySet<number>): void {
    for (const [hash, alike] of this.#byHash) {
      const kept = alike.filter((number) => number === 0 || numbers.has(number));
      for (const number of alike) if (!kept.includes(number)) this.#contents[number] = FORGOTTEN;
      this.#size -= alike.length - kept.length;
      if (kept.length === 0) this.#byHash.delete(hash);
      else this.#byHash.set(hash, kept);
    }
  }

  /** An image as lines: what modelled memory holds of it. */
  linesOf(image: Uint8Array): Uint8Array<ArrayBuffer> {
    const { unit } = this;
    const lines = new Uint8Array((image.length / unit) * LINE_BYTES);
    const view = new DataView(lines.buffer);
    for (let at = 0; at < image.length; at += unit) {
      const number = this.numberOf(image.subarray(at, at + unit));
      if (number !== 0) view.setUint32((at / unit) * LINE_BYTES, number, true);
    }
    return lines;
  }

  /** The way back. */
  imageOf(lines: Uint8Array): Uint8Array<ArrayBuffer> {
    const { unit } = this;
    const view = new DataView(lines.buffer, lines.byteOffset, lines.byteLength);
    const image = new Uint8Array((lines.length / LINE_BYTES) * unit);
    for (let line = 0; line < lines.length / LINE_BYTES; line++) {
      const number = view.getUint32(line * LINE_BYTES, true);
      if (number !== 0) image.set(this.get(number), line * unit);
    }
    return image;
  }
}

/** The disk. */
export class SectorDisk implements BlockDevice {
  readonly name = "disk0";
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly = false;
  readonly dax: undefined;
  readonly #media: ModelledMedia;
  readonly #contents: SectorContents;
  readonly #torn: number | undefined;
  /** Units that were written since the last flush. */
  readonly #dirty = new Set<number>();
  /** Where units have several sectors, of which a FUA write may make one durable. */
  readonly #pending: PendingParts | undefined;
  /** That of the media; what is done here depends on what waits for a flush, and changes it. */
  readonly #memo: Memo = {
    recall: (of, what, look) => recall(this.#media.memo, of, what, look),
    perform: (of, what, act) => {
      const waiting = `${[...this.#dirty].join()}${this.#pending?.key ?? ""}`;
      const { made, dirty, parts } = perform(this.#media.memo, of, `${what} ${waiting}`, () => {
        const result = act();
        return { made: result, dirty: [...this.#dirty], parts: this.#pending?.all ?? [] };
      });
      this.#pending?.restore(parts);
      this.#dirty.clear();
      for (const unit of dirty) this.#dirty.add(unit);
      return made;
    },
  };

  /** `torn`: what is written to a sector arrives in parts of so many bytes. */
  constructor(media: ModelledMedia, contents: SectorContents, torn?: BlockModel["torn"]) {
    const { unit } = contents;
    this.#torn = torn;
    this.#media = media;
    this.#contents = contents;
    this.#pending = unit > SECTOR_SIZE ? new PendingParts() : undefined;
    this.sectors = (media.size / LINE_BYTES) * (unit / SECTOR_SIZE);
    this.limits = { logicalBlockSize: SECTOR_SIZE, physicalBlockSize: unit };
  }

  get memo(): Memo | undefined {
    return this.#media.memo === undefined ? undefined : this.#memo;
  }

  read(sector: number, target: Uint8Array): void {
    checkRequest(this, "read", sector, target.length);
    this.#load(sector * SECTOR_SIZE, target);
  }

  write(sector: number, source: Uint8Array, flags: { readonly fua?: boolean } = {}): void {
    checkRequest(this, "write", sector, source.length);
    this.#store(sector * SECTOR_SIZE, source, flags.fua === true);
  }

  writeZeroes(sector: number, sectors: number): void {
    checkSectors(this, "write_zeroes", sector, sectors);
    this.#store(sector * SECTOR_SIZE, new Uint8Array(sectors * SECTOR_SIZE), false);
  }

  discard(): void {
    refuseDiscard(this);
  }

  flush(): void {
    for (const unit of this.#dirty) this.#media.flush(unit * LINE_BYTES, LINE_BYTES);
    for (const unit of this.#dirty) this.#pending?.settle(unit);
    this.#dirty.clear();
    this.#media.fence();
  }

  /** A flush failed: what it was to write may be lost, whatever later flushes do. */
  forget(): void {
    this.#dirty.clear();
  }

  readBytes(offset: number, target: Uint8Array): void {
    checkBytes(this, "read", offset, target.length);
    this.#load(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    checkBytes(this, "write", offset, source.length);
    this.#store(offset, source, false);
  }

  #load(offset: number, target: Uint8Array): void {
    this.#pieces(offset, target.length, (unit, from, length, done) => {
      const content = this.#contents.get(this.#numberAt(unit));
      target.set(content.subarray(from, from + length), done);
    });
  }

  #store(offset: number, source: Uint8Array, fua: boolean): void {
    const mixed: [unit: number, from: number, bytes: Uint8Array, rest: Rest][] = [];
    this.#pieces(offset, source.length, (unit, from, length, done) => {
      const bytes = source.subarray(done, done + length);
      if (!fua) {
        this.#putPending(unit, from, bytes);
        return;
      }
      this.#put(unit, from, bytes);
      const rest = this.#pending?.besides(unit, from, length);
      if (rest === undefined) this.#settle(unit);
      else mixed.push([unit, from, bytes, rest]);
    });
    // What was written before and is not flushed stays open: a fence speaks of flushed lines only.
    if (fua) this.#media.fence();
    if (mixed.length > 0) this.#settleParts(mixed);
  }

  #settle(unit: number): void {
    this.#pending?.settle(unit);
    this.#media.flush(unit * LINE_BYTES, LINE_BYTES);
  }

  /**
   * Parts of units are durable, and what else was written to them is not: the line becomes what is
   * durable, and then what it was again, request by request.
   */
  #settleParts(
    mixed: readonly (readonly [unit: number, from: number, bytes: Uint8Array, rest: Rest])[],
  ): void {
    for (const [unit, from, bytes, { durable, parts }] of mixed) {
      const content = this.#contents.get(durable).slice();
      content.set(bytes, from);
      const number = this.#contents.numberOf(content);
      this.#media.recorder.storeAtom(unit * LINE_BYTES, BigInt(number));
      this.#media.flush(unit * LINE_BYTES, LINE_BYTES);
      this.#pending?.keep(unit, { durable: number, parts });
    }
    this.#media.fence();
    for (const [unit, , , { parts }] of mixed) {
      for (const { from, length, number } of parts) {
        this.#put(unit, from, this.#contents.get(number).subarray(from, from + length));
      }
    }
  }

  /** What waits for a flush. */
  #putPending(unit: number, from: number, bytes: Uint8Array): void {
    const { length } = bytes;
    this.#dirty.add(unit);
    if (this.#pending === undefined) {
      this.#put(unit, from, bytes);
      return;
    }
    const durable = this.#pending.has(unit) ? undefined : this.#durableOf(unit, length);
    const number = this.#put(unit, from, bytes);
    this.#pending.add(unit, durable, { from, length, number });
  }

  /** To ask is a load, which forks where states are explored; to write all of it does not ask. */
  #durableOf(unit: number, length: number): number | undefined {
    const isWatched = this.#media.recorder.observer !== undefined;
    return isWatched && length === this.#contents.unit ? undefined : this.#numberAt(unit);
  }

  /**
   * One store to a line for each part that arrives by itself: they stay in order. Returns the
   * number of what the line is then.
   */
  #put(unit: number, from: number, part: Uint8Array): number {
    const { length } = part;
    const step = this.#torn ?? length;
    const whole = length === this.#contents.unit;
    const content =
      whole && step >= length ? part : this.#contents.get(this.#numberAt(unit)).slice();
    let number = 0;
    for (let done = 0; done < length; done += step) {
      if (content !== part) content.set(part.subarray(done, done + step), from + done);
      number = this.#contents.numberOf(content);
      this.#media.recorder.storeAtom(unit * LINE_BYTES, BigInt(number));
    }
    return number;
  }

  #numberAt(unit: number): number {
    return this.#media.recorder.getUint32(unit * LINE_BYTES, true);
  }

  #pieces(
    offset: number,
    length: number,
    piece: (unit: number, from: number, length: number, done: number) => void,
  ): void {
    const { unit: size } = this.#contents;
    for (let done = 0; done < length;) {
      const from = (offset + done) % size;
      const run = Math.min(size - from, length - done);
      piece(Math.floor((offset + done) / size), from, run, done);
      done += run;
    }
  }
}

/** The bytes four at a time, where they lie so that this can be. */
function wordsOf({ buffer, byteOffset, length }: Uint8Array): Uint32Array | undefined {
  if ((byteOffset | length) % 4 !== 0) return undefined;
  return new Uint32Array(buffer, byteOffset, length / 4);
}

/** `words`: those of `b`. Most that is written was there before, so this is done all the time. */
function isEqual(a: Uint8Array, b: Uint8Array, words: Uint32Array | undefined): boolean {
  const theirs = words === undefined ? undefined : wordsOf(a);
  if (words !== undefined && theirs !== undefined) return isSame(theirs, words);
  return isSame(a, b);
}

function isSame<T extends Uint8Array | Uint32Array>(a: T, b: T): boolean {
  const { length } = b;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
