/**
 * A part of a store as a store: a partition of a disk, or what lies behind a header.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type {
  DirectMemory,
  NbdStore,
  StoreAbilities,
  StoreBlockSizes,
  StoreExtent,
  ZeroFlags,
} from "./store.ts";

/** Which part, and what else is said of it. */
export interface SliceOptions {
  /** Bytes; a multiple of the whole's minimum block. */
  readonly start: number;
  readonly length: number;
}

/** See the module. */
export class SliceStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes;
  readonly abilities: StoreAbilities;
  readonly direct?: DirectMemory;
  readonly writeThrough?: (offset: number, source: Uint8Array) => void;
  readonly holeAt?: (offset: number, length: number) => number;
  readonly #whole: NbdStore;
  readonly #start: number;

  /** @throws EINVAL for a part that is empty, ragged or not inside */
  constructor(whole: NbdStore, { start, length }: SliceOptions) {
    const { minimum } = whole.blockSizes;
    const inside = start >= 0 && length > 0 && start + length <= whole.size;
    if (!inside || start % minimum !== 0 || length % minimum !== 0) {
      throw new DaxError("EINVAL", {
        syscall: "export",
        detail: `bytes ${start}+${length} of ${whole.size}; give multiples of ${minimum} inside`,
      });
    }
    this.size = length;
    this.readOnly = whole.readOnly;
    this.blockSizes = whole.blockSizes;
    this.abilities = whole.abilities;
    this.#whole = whole;
    this.#start = start;
    const { direct } = whole;
    if (whole.writeThrough !== undefined) {
      this.writeThrough = (offset, source) => whole.writeThrough?.(start + offset, source);
    }
    if (whole.holeAt !== undefined) {
      this.holeAt = (offset, bytes) => whole.holeAt?.(start + offset, bytes) ?? 0;
    }
    if (direct !== undefined) {
      this.direct = {
        addressOf: (offset, bytes) => direct.addressOf(start + offset, bytes),
        landed: (offset, bytes) => direct.landed(start + offset, bytes),
        // Where the whole has none, nothing counts as written and `write` follows.
        put: (offset, bytes, from, count) =>
          direct.put?.(start + offset, bytes, from, count) ?? false,
      };
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#whole.read(this.#start + offset, target);
  }

  write(offset: number, source: Uint8Array): void {
    this.#whole.write(this.#start + offset, source);
  }

  persist(offset: number, length: number): void {
    this.#whole.persist(this.#start + offset, length);
  }

  flush(): void {
    this.#whole.flush();
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): void {
    this.#whole.writeZeroes(this.#start + offset, length, flags);
  }

  trim(offset: number, length: number): void {
    this.#whole.trim(this.#start + offset, length);
  }

  cache(offset: number, length: number): void {
    this.#whole.cache(this.#start + offset, length);
  }

  allocation(offset: number, length: number): Iterable<StoreExtent> {
    return this.#whole.allocation(this.#start + offset, length);
  }
}
