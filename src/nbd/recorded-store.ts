/**
 * A store whose writes, flushes and trims are recorded in a log of writes (dm-log-writes).
 *
 * @module
 */
import type { LogWriter } from "../block/write-log-writer.ts";
import type { NbdStore, StoreAbilities, StoreBlockSizes, StoreExtent, ZeroFlags } from "./store.ts";

/** Bytes of a range that are made durable, and recorded as such, at a time. */
const PIECE = 1 << 20;

/**
 * See the module. A request stands in the log once it has succeeded, and before the client hears
 * so; what cannot be recorded is refused. Clients must keep to whole sectors of the log.
 */
export class RecordedStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes;
  readonly abilities: StoreAbilities;
  /** Off: a flush is not recorded, since no client asked for it. */
  recording = true;
  readonly #inner: NbdStore;
  readonly #log: LogWriter;

  constructor(inner: NbdStore, log: LogWriter) {
    const minimum = Math.max(inner.blockSizes.minimum, log.sectorSize);
    this.size = inner.size;
    this.readOnly = inner.readOnly;
    this.blockSizes = { minimum, preferred: Math.max(minimum, inner.blockSizes.preferred) };
    // Zeroing costs as much as writing here: the log holds each zero.
    this.abilities = { ...inner.abilities, fastZero: false };
    this.#inner = inner;
    this.#log = log;
  }

  read(offset: number, target: Uint8Array): void {
    this.#inner.read(offset, target);
  }

  write(offset: number, source: Uint8Array): void {
    this.#inner.write(offset, source);
    this.#log.write(offset, source);
  }

  writeThrough(offset: number, source: Uint8Array): void {
    if (this.#inner.writeThrough === undefined) {
      this.#inner.write(offset, source);
      this.#inner.persist(offset, source.length);
    } else this.#inner.writeThrough(offset, source);
    this.#log.write(offset, source, { fua: true });
  }

  /**
   * What the range holds is durable now, and nothing else is: in the log that is a FUA write of the
   * range, for a flush would promise more.
   */
  persist(offset: number, length: number): void {
    this.#inner.persist(offset, length);
    for (let done = 0; done < length; done += PIECE) {
      const bytes = new Uint8Array(Math.min(PIECE, length - done));
      this.#inner.read(offset + done, bytes);
      this.#log.write(offset + done, bytes, { fua: true });
    }
  }

  flush(): void {
    this.#inner.flush();
    if (this.recording) this.#log.flush();
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): void {
    this.#inner.writeZeroes(offset, length, flags);
    this.#log.writeZeroes(offset, length);
  }

  trim(offset: number, length: number): void {
    this.#inner.trim(offset, length);
    this.#log.discard(offset, length);
  }

  cache(offset: number, length: number): void {
    this.#inner.cache(offset, length);
  }

  allocation(offset: number, length: number): Iterable<StoreExtent> {
    return this.#inner.allocation(offset, length);
  }
}
