/** Exports that hold a session to its promises: never asked for what they should not be. */
import { assert, DaxError } from "../../src/lib/errno.ts";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";
import type { NbdExport } from "../../src/nbd/export.ts";
import type {
  DirectMemory,
  NbdStore,
  StoreAbilities,
  StoreBlockSizes,
  StoreExtent,
} from "../../src/nbd/store.ts";

export const SIZE = 64 * 1024;

/** Shapes of stores. */
interface Shape {
  readonly readOnly?: boolean;
  readonly minimum?: number;
  readonly direct?: boolean;
  readonly holes?: boolean;
}

/** A store that is never asked for anything it was promised not to be. */
export class StrictStore implements NbdStore {
  readonly size: number = SIZE;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes;
  readonly abilities: StoreAbilities;
  readonly direct?: DirectMemory;
  readonly holeAt?: (offset: number, length: number) => number;
  readonly bytes: Uint8Array = new Uint8Array(SIZE);
  /** Pages that fail, as bits, in this case. */
  bad = 0;

  constructor({ readOnly = false, minimum = 1, direct = false, holes = false }: Shape) {
    this.readOnly = readOnly;
    this.blockSizes = { minimum, preferred: 4096 };
    this.abilities = { trim: !holes, fastZero: holes, cache: true, multiConnection: direct };
    if (direct) {
      const landed = (offset: number, length: number): void => {
        this.#check(offset, length);
      };
      this.direct = { addressOf: (offset) => (offset < SIZE / 2 ? 1 + offset : 0), landed };
    }
    if (holes) this.holeAt = (offset, length) => Math.min(length, Math.max(0, SIZE / 2 - offset));
  }

  read(offset: number, target: Uint8Array): void {
    this.#check(offset, target.length);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  write(offset: number, source: Uint8Array): void {
    this.#checkChange(offset, source.length);
    this.bytes.set(source, offset);
  }

  persist(offset: number, length: number): void {
    this.#check(offset, length);
  }

  flush(): void {
    if ((this.bad & 1) !== 0) throw failure();
  }

  writeZeroes(offset: number, length: number): void {
    this.#checkChange(offset, length);
  }

  trim(offset: number, length: number): void {
    this.#checkChange(offset, length);
  }

  cache(offset: number, length: number): void {
    this.#check(offset, length);
  }

  *allocation(offset: number, length: number): Generator<StoreExtent, void> {
    this.#check(offset, length);
    for (let told = 0; told < length; told += 1000) {
      yield { length: 1000, hole: told % 3000 === 0, zero: false };
    }
  }

  #checkChange(offset: number, length: number): void {
    assert(!this.readOnly, "a read-only store is not written to");
    this.#check(offset, length);
  }

  #check(offset: number, length: number): void {
    const { minimum } = this.blockSizes;
    const inside = offset >= 0 && length > 0 && offset + length <= SIZE;
    assert(inside, `range ${offset}+${length} leaves the store`);
    assert(
      offset % minimum === 0 && length % minimum === 0,
      `${offset}+${length}: part of a block`,
    );
    if (((this.bad >>> Math.floor(offset / 4096)) & 1) !== 0) throw failure();
  }
}

function failure(): DaxError {
  return new DaxError("EIO", { syscall: "fuzz", detail: "told to fail" });
}

export function exportOf(name: string, shape: Shape): NbdExport & { readonly store: StrictStore } {
  const target = { name, store: new StrictStore(shape) };
  return name === "dirty" ? { ...target, dirty: new DirtyMap(SIZE) } : target;
}
