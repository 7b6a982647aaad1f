/**
 * Any media as a store: copies through its windows, on the stack's own thread. For media with
 * addresses, `node/` has a faster one.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { type Memory, copyIn, copyOut, fill } from "../lib/memory.ts";
import { checkBounds } from "../media/bounds.ts";
import { healMedia } from "../media/heal.ts";
import type { Media } from "../media/media.ts";
import { DirtyMap } from "./dirty-map.ts";
import type { NbdStore, StoreAbilities, StoreBlockSizes, StoreExtent, ZeroFlags } from "./store.ts";
import { ZeroLook, zeroExtents } from "./zero-extents.ts";

/** What poison is healed by: an overwrite of whole sectors, as on Linux. */
const SECTOR_SIZE = 512;

/**
 * What a flush must write back is known by the cache line, up to 256 MiB: a map of more bits would
 * take longer to go through than it saves.
 */
const LINES = { leastBlock: 64, mostBlocks: 2 ** 22 };

/** How a store over media is made. */
export interface MediaStoreOptions {
  /** Shows media that could be written as one that cannot. */
  readonly readOnly?: boolean;
}

/**
 * See the module. Every method throws EIO over poison and where the memory is gone, EROFS for
 * writes to read-only media, ENXIO after the media was closed.
 */
export class MediaStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes = { minimum: 1, preferred: 4096 };
  /** Zeroing needs no payload, so it is always the faster way. Media cannot give space back. */
  readonly abilities: StoreAbilities = {
    trim: false,
    fastZero: true,
    cache: false,
    multiConnection: true,
  };
  readonly #media: Media;
  /** What a flush must write back, in blocks; `undefined` where nothing lasts anyway. */
  readonly #written: DirtyMap | undefined;
  /** All that is written lies in `[from, to)`. */
  #from = Infinity;
  #to = 0;
  readonly #look = new ZeroLook();

  constructor(media: Media, options: MediaStoreOptions = {}) {
    this.#media = media;
    this.size = media.size;
    this.readOnly = media.readOnly || options.readOnly === true;
    const lasts = media.durability !== "volatile" && !this.readOnly;
    this.#written = lasts ? new DirtyMap(media.size, undefined, LINES) : undefined;
  }

  read(offset: number, target: Uint8Array): void {
    checkBounds("read", this.size, offset, target.length);
    this.#refusePoison("read", offset, target.length);
    this.#pieces(offset, target.length, (memory, at, done, run) => {
      copyOut(memory, at, target.subarray(done, done + run));
    });
    this.#media.checkFault?.();
  }

  write(offset: number, source: Uint8Array): void {
    this.#prepare("write", offset, source.length);
    this.#pieces(offset, source.length, (memory, at, done, run) => {
      copyIn(memory, at, source.subarray(done, done + run));
    });
    this.#media.checkFault?.();
  }

  persist(offset: number, length: number): void {
    this.#media.flush(offset, length);
    this.#media.fence();
    this.#media.checkFault?.();
    this.#clean(offset, length);
  }

  /** Writes back what was written since and is not persisted, in whole lines; then one fence. */
  flush(): void {
    const from = Math.min(this.#from, this.size);
    const length = Math.max(0, this.#to - from);
    let at = from;
    for (const extent of this.#written?.extents(from, length) ?? []) {
      if (extent.dirty) this.#media.flush(at, extent.length);
      at += extent.length;
    }
    this.#media.fence();
    this.#media.checkFault?.();
    this.#written?.clear(from, length);
    this.#from = Infinity;
    this.#to = 0;
  }

  writeZeroes(offset: number, length: number, _flags: ZeroFlags): void {
    this.#prepare("write_zeroes", offset, length);
    this.#pieces(offset, length, (memory, at, _done, run) => {
      fill(memory, at, run, 0);
    });
    this.#media.checkFault?.();
  }

  /** Nothing: media keeps what it holds. */
  trim(): void {}

  cache(): void {}

  /**
   * Media has no holes; what is told is which blocks hold nothing but zeros. Poison is not looked
   * at, and counts as data.
   */
  allocation(offset: number, length: number): Iterable<StoreExtent> {
    const bad = this.#media.badRanges();
    return zeroExtents(offset, length, (at, run) => {
      const poisoned = bad.some((range) => overlaps(range.start, range.length, at, run));
      return !poisoned && this.#isZero(at, run);
    });
  }

  /** A range is durable: the blocks inside it need no flush any more. */
  #clean(offset: number, length: number): void {
    const block = this.#written?.blockBytes ?? 1;
    const start = Math.ceil(offset / block) * block;
    const stop = Math.floor((offset + length) / block) * block;
    if (stop > start) this.#written?.clear(start, stop - start);
  }

  #isZero(offset: number, length: number): boolean {
    const zero = this.#look.isZero(length, (bytes) => {
      this.#pieces(offset, length, (memory, at, done, run) => {
        copyOut(memory, at, bytes.subarray(done, done + run));
      });
    });
    this.#media.checkFault?.();
    return zero;
  }

  /** Everything that must be so before bytes change; notes that they do. */
  #prepare(syscall: string, offset: number, length: number): void {
    if (this.readOnly) {
      throw new DaxError("EROFS", { syscall, detail: "the export is read-only" });
    }
    checkBounds(syscall, this.size, offset, length);
    this.#heal(syscall, offset, length);
    this.#written?.add(offset, length);
    this.#from = Math.min(this.#from, offset);
    this.#to = Math.max(this.#to, offset + length);
  }

  /** Whole sectors take the poison's place; part of one would have to be read first. */
  #heal(syscall: string, offset: number, length: number): void {
    if (this.#media.badRanges().length === 0) return;
    const whole = offset % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0;
    if (whole && this.#poison(offset, length) !== undefined) {
      healMedia(this.#media, offset, length);
    }
    this.#refusePoison(syscall, offset, length);
  }

  #poison(offset: number, length: number): number | undefined {
    for (const range of this.#media.badRanges()) {
      if (overlaps(range.start, range.length, offset, length)) return Math.max(range.start, offset);
    }
    return undefined;
  }

  #refusePoison(syscall: string, offset: number, length: number): void {
    const bad = this.#poison(offset, length);
    if (bad === undefined) return;
    throw new DaxError("EIO", {
      syscall,
      detail: `byte ${bad} is poisoned; overwriting its sector of ${SECTOR_SIZE} heals it`,
    });
  }

  #pieces(
    offset: number,
    length: number,
    piece: (memory: Memory, at: number, done: number, run: number) => void,
  ): void {
    for (let done = 0; done < length;) {
      const window = this.#media.window(offset + done);
      const at = offset + done - window.start;
      const run = Math.min(window.length - at, length - done);
      piece(window.memory, at, done, run);
      done += run;
    }
  }
}

function overlaps(start: number, length: number, offset: number, run: number): boolean {
  return start < offset + run && offset < start + length;
}
