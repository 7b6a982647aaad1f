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
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** From here on whatever `value` stands for is durable. */
  promise(value: number): void {
    this.#events.push({ is: "promise", value });
  }

  /** `count` states at random instants, in their order; `torn`: sectors are not atomic. */
  *states(seed: number, count: number, torn: boolean): Generator<CutState> {
    const random = new Prng(seed);
    const instants = Array.from({ length: count }, () => random.below(this.#events.length + 1));
    instants.sort((a, b) => a - b);
    const cache = new WriteCache(this.#initial.slice());
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

/** What is durable, and what is not yet: by sector, oldest version first. */
class WriteCache {
  readonly #durable: Uint8Array<ArrayBuffer>;
  #pending = new Map<number, Uint8Array[]>();

  constructor(durable: Uint8Array<ArrayBuffer>) {
    this.#durable = durable;
  }

  write(sector: number, bytes: Uint8Array, fua: boolean): void {
    for (let at = 0; at < bytes.length; at += SECTOR_SIZE) {
      const n = sector + at / SECTOR_SIZE;
      const version = bytes.subarray(at, at + SECTOR_SIZE);
      if (fua) {
        this.#durable.set(version, n * SECTOR_SIZE);
        this.#pending.delete(n);
      } else this.#pending.set(n, [...(this.#pending.get(n) ?? []), version]);
    }
  }

  flush(): void {
    for (const [n, versions] of this.#pending) {
      this.#durable.set(versions.at(-1) as Uint8Array, n * SECTOR_SIZE);
    }
    this.#pending = new Map();
  }

  cut(random: Prng, torn: boolean): Uint8Array<ArrayBuffer> {
    const image = this.#durable.slice();
    const unit = torn ? LINE : SECTOR_SIZE;
    for (const [n, versions] of this.#pending) {
      for (let at = 0; at < SECTOR_SIZE; at += unit) {
        const version = versions[random.below(versions.length + 1) - 1];
        if (version !== undefined) {
          image.set(version.subarray(at, at + unit), n * SECTOR_SIZE + at);
        }
      }
    }
    return image;
  }
}
