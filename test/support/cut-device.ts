/**
 * A device that remembers what was written to it and when it was flushed, and the images that a
 * power cut may leave: all that was flushed, and any of what was written after that.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { Prng } from "../../src/lib/prng.ts";

interface Written {
  readonly sector: number;
  readonly bytes: Uint8Array;
}

/** What happened since the last flush, until the next. */
interface Interval {
  /** What was promised durable before it. */
  readonly promised: number;
  readonly writes: Written[];
}

const SECTOR = 512;

/** A disk in memory whose power may have been cut at any time. */
export class CutDevice {
  readonly device: BlockDevice;
  readonly #initial: Uint8Array;
  readonly #intervals: Interval[] = [{ promised: 0, writes: [] }];

  constructor(image: Uint8Array) {
    this.#initial = Uint8Array.from(image);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const note = (sector: number, bytes: Uint8Array) => {
      this.#intervals.at(-1)?.writes.push({ sector, bytes: Uint8Array.from(bytes) });
    };
    this.device = new Proxy<BlockDevice>(disk, {
      get: (target, key) => {
        if (key === "flush") return () => this.#flush();
        if (key === "write") {
          return (sector: number, bytes: Uint8Array, flags?: { readonly fua?: boolean }) => {
            note(sector, bytes);
            target.write(sector, bytes, flags);
            if (flags?.fua === true) this.#flush();
          };
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  #flush(): void {
    const { promised } = this.#intervals.at(-1) as Interval;
    this.#intervals.push({ promised, writes: [] });
  }

  /** From here on `n` things have to survive. */
  promise(n: number): void {
    this.#intervals.push({ promised: n, writes: [] });
  }

  /** How often it was flushed, and once more. */
  get intervals(): number {
    return this.#intervals.length;
  }

  /** Images after cuts: for each interval nothing of it, and `some` mixtures torn by sectors. */
  *cuts(prng: Prng, some: number): Generator<{ image: Uint8Array; promised: number }> {
    const image = Uint8Array.from(this.#initial);
    for (const { promised, writes } of this.#intervals) {
      yield { image: Uint8Array.from(image), promised };
      for (let i = 0; i < some && writes.length > 0; i++) {
        yield { image: mixed(image, writes, prng), promised };
      }
      for (const { sector, bytes } of writes) image.set(bytes, sector * SECTOR);
    }
    yield { image, promised: this.#intervals.at(-1)?.promised ?? 0 };
  }
}

/**
 * The superblock is two sectors, with its checksum in the second: torn between them it is found
 * damaged, by Linux as well. What that takes is not a matter of what is tested with this.
 */
const SUPERBLOCK_SECTOR = 2;

function mixed(image: Uint8Array, writes: readonly Written[], prng: Prng): Uint8Array {
  const left = Uint8Array.from(image);
  const share = prng.below(5);
  for (const { sector, bytes } of writes) {
    for (let at = 0, sectors = 1; at < bytes.length; at += sectors * SECTOR) {
      sectors = sector + at / SECTOR === SUPERBLOCK_SECTOR ? 2 : 1;
      const taken = bytes.subarray(at, at + sectors * SECTOR);
      if (prng.below(4) < share) left.set(taken, sector * SECTOR + at);
    }
  }
  return left;
}
