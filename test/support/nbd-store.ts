/** A store in memory that notes what is asked of it, and fails where it is told to. */
import { DaxError, type ErrnoCode } from "../../src/lib/errno.ts";
import type {
  DirectMemory,
  NbdStore,
  StoreAbilities,
  StoreBlockSizes,
  StoreExtent,
  ZeroFlags,
} from "../../src/nbd/store.ts";

/** How a {@link ToyStore} is made. */
export interface ToyStoreOptions {
  readonly readOnly?: boolean;
  readonly blockSizes?: StoreBlockSizes;
  readonly abilities?: Partial<StoreAbilities>;
  /** Gives addresses: `PIECE_STORE` pieces are bytes of `bytes`. */
  readonly direct?: boolean;
  /** Bytes that fail, with the error they fail with. */
  readonly bad?: { readonly start: number; readonly length: number; readonly code: ErrnoCode };
  /** Holes: pages of 4096 bytes that were never written. */
  readonly sparse?: boolean;
}

const PAGE = 4096;

/** See the module. */
export class ToyStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes;
  readonly abilities: StoreAbilities;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** `read 0+512`, `persist 0+512`, in order. */
  readonly calls: string[] = [];
  readonly direct?: DirectMemory;
  holeAt?: (offset: number, length: number) => number;
  bad: ToyStoreOptions["bad"];
  readonly #data: Set<number> | undefined;

  constructor(size: number, options: ToyStoreOptions = {}) {
    this.size = size;
    this.bytes = new Uint8Array(size);
    this.readOnly = options.readOnly ?? false;
    this.blockSizes = options.blockSizes ?? { minimum: 1, preferred: 4096 };
    const all = { trim: true, fastZero: true, cache: true, multiConnection: true };
    this.abilities = { ...all, ...options.abilities };
    this.bad = options.bad;
    if (options.direct === true) {
      this.direct = {
        addressOf: (offset) => 0x10000 + offset,
        landed: (offset, length) => {
          this.#call("landed", offset, length);
        },
      };
    }
    if (options.sparse === true) {
      const data = new Set<number>();
      this.#data = data;
      this.holeAt = (offset, length) => {
        let hole = 0;
        for (const extent of this.allocation(offset, length)) {
          if (!extent.hole) break;
          hole += extent.length;
        }
        return hole;
      };
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#call("read", offset, target.length);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  write(offset: number, source: Uint8Array): void {
    this.#call("write", offset, source.length);
    this.bytes.set(source, offset);
    this.#touch(offset, source.length, true);
  }

  persist(offset: number, length: number): void {
    this.#call("persist", offset, length);
  }

  flush(): void {
    this.calls.push("flush");
    if (this.bad?.start === -1) throw this.#failure();
  }

  writeZeroes(offset: number, length: number, { noHole, fast }: ZeroFlags): void {
    this.#call(`zero${noHole ? " no-hole" : ""}${fast ? " fast" : ""}`, offset, length);
    this.bytes.fill(0, offset, offset + length);
    this.#touch(offset, length, noHole);
  }

  trim(offset: number, length: number): void {
    this.#call("trim", offset, length);
    this.bytes.fill(0, offset, offset + length);
    this.#touch(offset, length, false);
  }

  cache(offset: number, length: number): void {
    this.#call("cache", offset, length);
  }

  *allocation(offset: number, length: number): Generator<StoreExtent, void> {
    this.#fail(offset, length);
    if (this.#data === undefined) {
      yield { length, hole: false, zero: false };
      return;
    }
    for (let at = offset; at < offset + length;) {
      const page = Math.floor(at / PAGE);
      const run = Math.min((page + 1) * PAGE, offset + length) - at;
      const hole = !this.#data.has(page);
      yield { length: run, hole, zero: hole };
      at += run;
    }
  }

  #touch(offset: number, length: number, data: boolean): void {
    if (this.#data === undefined) return;
    const inner = data ? Math.floor(offset / PAGE) : Math.ceil(offset / PAGE);
    const past = data ? Math.ceil((offset + length) / PAGE) : Math.floor((offset + length) / PAGE);
    for (let page = inner; page < past; page++) {
      if (data) this.#data.add(page);
      else this.#data.delete(page);
    }
  }

  #call(what: string, offset: number, length: number): void {
    this.calls.push(`${what} ${offset}+${length}`);
    this.#fail(offset, length);
  }

  #fail(offset: number, length: number): void {
    const { bad } = this;
    if (bad === undefined || bad.start === -1) return;
    if (offset < bad.start + bad.length && bad.start < offset + length) throw this.#failure();
  }

  #failure(): DaxError {
    const code = this.bad?.code ?? "EIO";
    return new DaxError(code, { syscall: "toy", path: "/secret", detail: "told to fail" });
  }
}
