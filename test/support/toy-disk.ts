/**
 * A small dax disk for tests: plain bytes behind a dax device that can be told to answer short, to
 * be poisoned, and to stitch.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { DaxDevice } from "../../src/dax/dax-device.ts";
import type { DaxRange } from "../../src/dax/iomap.ts";
import { type DaxOperations, PAGE_SIZE } from "../../src/dax/operations.ts";
import { DaxError } from "../../src/lib/errno.ts";

/** How the disk behaves. */
export interface ToyDiskOptions {
  readonly pages?: number;
  /** Pages in one answer of directAccess, at most. */
  readonly spanPages?: number;
  /** Whether fragments can be joined (as copies, which is enough to see what was asked for). */
  readonly stitches?: boolean;
  readonly dax?: boolean;
}

/** A disk over an array, with everything a test wants to see or break. */
export class ToyDisk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly device: DaxDevice;
  readonly disk: BlockDevice;
  /** Poisoned pages. */
  readonly poison = new Set<number>();
  /** Arrays that `stitch` made and nobody released. */
  stitched = 0;

  constructor(options: ToyDiskOptions = {}) {
    const { pages = 1024, dax = true } = options;
    this.bytes = new Uint8Array(pages * PAGE_SIZE);
    const operations = this.#operations(options);
    const name = "toy0";
    this.device = new DaxDevice({ name, pages, operations, writeCache: true, synchronous: true });
    const range: DaxRange = { device: this.device, start: 0, length: this.bytes.length };
    const ram = new RamDisk({ name, bytes: this.bytes });
    this.disk = new Proxy<BlockDevice>(ram, {
      get: (target, key) => {
        if (key === "dax") return dax ? range : undefined;
        if (key === "readBytes") return this.#readBytes.bind(this);
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  #readBytes(offset: number, target: Uint8Array): void {
    const [first, last] = [offset, offset + target.length - 1].map((at) =>
      Math.floor(at / PAGE_SIZE),
    );
    for (const page of this.poison) {
      if (page >= first! && page <= last!) throw new DaxError("EIO", { detail: `page ${page}` });
    }
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  #operations({ spanPages = 2 ** 30, stitches = false }: ToyDiskOptions): DaxOperations {
    const memory = new DataView(this.bytes.buffer);
    return {
      directAccess: (pgoff, pages, mode) => {
        const granted = Math.min(pages, spanPages, this.bytes.length / PAGE_SIZE - pgoff);
        const bad = [...this.poison].find((page) => page >= pgoff && page < pgoff + granted);
        if (bad !== undefined && mode === "access") {
          throw new DaxError("EHWPOISON", { detail: `page ${bad}` });
        }
        return { memory, start: pgoff * PAGE_SIZE, pages: granted, pfn: pgoff };
      },
      // Nothing waits in a cache; what is flushed is counted all the same.
      flush: () => {},
      zeroPageRange: (pgoff, pages) => {
        this.bytes.fill(0, pgoff * PAGE_SIZE, (pgoff + pages) * PAGE_SIZE);
      },
      stitch: (ranges) => {
        if (!stitches) return undefined;
        const parts = ranges.map((piece) =>
          "hole" in piece
            ? new Uint8Array(piece.length)
            : this.bytes.subarray(piece.pgoff * PAGE_SIZE, (piece.pgoff + piece.pages) * PAGE_SIZE),
        );
        const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
        let at = 0;
        for (const part of parts) {
          joined.set(part, at);
          at += part.length;
        }
        this.stitched++;
        return {
          bytes: joined,
          release: () => {
            this.stitched--;
            structuredClone(joined.buffer, { transfer: [joined.buffer] });
          },
        };
      },
    };
  }
}
