/**
 * A disk with a volatile write cache, and samples of what a power cut leaves on it: of each sector
 * any version since it was last durable, or of each cache line where sectors can be torn.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { SECTOR_SIZE } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Prng } from "../../src/lib/prng.ts";

type Event =
  | {
      readonly is: "write";
      readonly sector: number;
      readonly bytes: Uint8Array;
      readonly fua: boolean;
    }
  | { readonly is: "flush" }
  | { readonly is: "promise"; readonly value: number };

/** What a power cut left. */
export interface CutState {
  readonly image: Uint8Array<ArrayBuffer>;
  /** The last promise that was made. */
  readonly promised: number;
}

/** Bytes that are not torn. */
const LINE = 64;

/** Records what is written, and when it has to be durable. */
export class CutDisk {
  readonly device: BlockDevice;
  readonly #initial: Uint8Array<ArrayBuffer>;
  readonly #events: Event[] = [];

  constructor(image: Uint8Array<ArrayBuffer>) {
    this.#initial = image.slice();
    const events = this.#events;
    const noteBytes = (offset: number, length: number) => {
      const sector = Math.floor(offset / SECTOR_SIZE);
      const bytes = image.slice(
        sector * SECTOR_SIZE,
        Math.ceil((offset + length) / SECTOR_SIZE) * SECTOR_SIZE,
      );
      events.push({ is: "write", sector, bytes, fua: false });
    };
    this.device = new Proxy<BlockDevice>(new RamDisk({ name: "ram0", bytes: image }), {
      get(target, key) {
        if (key === "flush") return () => events.push({ is: "flush" });
        if (key === "write") {
          return (sector: number, bytes: Uint8Array, flags?: { readonly fua?: boolean }) => {
            target.write(sector, bytes);
            events.push({ is: "write", sector, bytes: bytes.slice(), fua: flags?.fua === true });
          };
        }
        if (key === "writeBytes") {
          return (offset: number, bytes: Uint8Array) => {
            target.writeBytes(offset, bytes);
            noteBytes(offset, bytes.length);
          };
        }
        if (key === "writeZeroes") {
          return (sector: number, sectors: number) => {
            target.writeZeroes(sector, sectors);
            noteBytes(sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
          };
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** From here on whatever `value` stands for is durable. */
  promise(value: number): void {
    this.#events.push({ is: "promise", value });
  }

  /**
   * `count` states at random instants, in their order. `torn`: sectors are not atomic. `atom`:
   * bytes that the disk writes at once, a sector unless given; requests keep to their borders.
   */
  *states(seed: number, count: number, torn: boolean, atom = SECTOR_SIZE): Generator<CutState> {
    const random = new Prng(seed);
    const instants = Array.from({ length: count }, () => random.below(this.#events.length + 1));
    instants.sort((a, b) => a - b);
    const cache = new WriteCache(this.#initial.slice(), atom);
    let [next, promised] = [0, 0];
    for (const instant of instants) {
      for (; next < instant; next++) {
        const event = this.#events[next] as Event;
        if (event.is === "promise") promised = event.value;
        else if (event.is === "flush") cache.flush();
        else cache.write(event.sector, event.bytes, event.fua);
      }
      yield { image: cache.cut(random, torn), promised };
    }
  }
}

/** What is durable, and what is not yet: by atom, oldest version first. */
class WriteCache {
  readonly #durable: Uint8Array<ArrayBuffer>;
  readonly #atom: number;
  #pending = new Map<number, Uint8Array[]>();

  constructor(durable: Uint8Array<ArrayBuffer>, atom: number) {
    this.#durable = durable;
    this.#atom = atom;
  }

  write(sector: number, bytes: Uint8Array, fua: boolean): void {
    const start = sector * SECTOR_SIZE;
    const end = start + bytes.length;
    for (let n = Math.floor(start / this.#atom); n * this.#atom < end; n++) {
      const from = Math.max(start, n * this.#atom);
      const piece = bytes.subarray(from - start, (n + 1) * this.#atom - start);
      this.#writeAtom(n, from - n * this.#atom, piece, fua);
    }
  }

  #writeAtom(n: number, within: number, piece: Uint8Array, fua: boolean): void {
    const versions = this.#pending.get(n) ?? [];
    const version = (
      versions.at(-1) ?? this.#durable.subarray(n * this.#atom, (n + 1) * this.#atom)
    ).slice();
    version.set(piece, within);
    if (fua) {
      this.#durable.set(version, n * this.#atom);
      this.#pending.delete(n);
    } else this.#pending.set(n, [...versions, version]);
  }

  flush(): void {
    for (const [n, versions] of this.#pending) {
      this.#durable.set(versions.at(-1) as Uint8Array, n * this.#atom);
    }
    this.#pending = new Map();
  }

  cut(random: Prng, torn: boolean): Uint8Array<ArrayBuffer> {
    const image = this.#durable.slice();
    const unit = torn ? LINE : this.#atom;
    for (const [n, versions] of this.#pending) {
      for (let at = 0; at < this.#atom; at += unit) {
        const version = versions[random.below(versions.length + 1) - 1];
        if (version !== undefined) {
          image.set(version.subarray(at, at + unit), n * this.#atom + at);
        }
      }
    }
    return image;
  }
}
