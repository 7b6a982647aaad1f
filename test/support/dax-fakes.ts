/** A dax driver over RAM that answers as short as it likes, and a file of extents on a device. */
import { DaxDevice } from "../../src/dax/dax-device.ts";
import type { ByteStore, DaxRange, Iomap, IomapIntent, Iomappable } from "../../src/dax/iomap.ts";
import { type AccessMode, type DaxOperations, PAGE_SIZE } from "../../src/dax/operations.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { fill } from "../../src/lib/memory.ts";
import type { Prng } from "../../src/lib/prng.ts";

/** What a {@link fakeDax} lets a test see and steer. */
export interface FakeDax {
  readonly device: DaxDevice;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Pages that are poisoned. */
  readonly poison: Set<number>;
  /** Byte ranges that were flushed, in order. */
  readonly flushed: [number, number][];
  /** Whether loads meet memory that is gone. */
  fault: boolean;
}

/** A device over bytes; with `short`, each translation answers a random part of the pages. */
export function fakeDax(
  pages: number,
  options: { readonly short?: Prng; readonly writeCache?: boolean } = {},
): FakeDax {
  const bytes = new Uint8Array(pages * PAGE_SIZE);
  const memory = new DataView(bytes.buffer);
  const poison = new Set<number>();
  const flushed: [number, number][] = [];
  const operations: DaxOperations = {
    directAccess(pgoff: number, count: number, mode: AccessMode) {
      const bad = Array.from({ length: count }, (_, i) => pgoff + i).find((p) => poison.has(p));
      if (bad !== undefined && mode === "access") {
        throw new DaxError("EHWPOISON", { detail: `page ${bad}` });
      }
      const most = Math.min(count, pages - pgoff);
      const answered = options.short === undefined ? most : 1 + options.short.below(most);
      return { memory, start: pgoff * PAGE_SIZE, pages: answered, pfn: 0x100 + pgoff };
    },
    zeroPageRange(pgoff, count) {
      fill(memory, pgoff * PAGE_SIZE, count * PAGE_SIZE, 0);
      for (let i = 0; i < count; i++) poison.delete(pgoff + i);
    },
    recoveryWrite(pgoff, start, source) {
      if (start !== 0 || source.length % PAGE_SIZE !== 0) return 0;
      for (let i = 0; i < source.length / PAGE_SIZE; i++) poison.delete(pgoff + i);
      bytes.set(source, pgoff * PAGE_SIZE);
      return source.length;
    },
    flush: (pgoff, start, length) => void flushed.push([pgoff * PAGE_SIZE + start, length]),
    checkFault: () => {
      if (fake.fault) throw new DaxError("EIO", { detail: "the memory is gone" });
    },
  };
  const writeCache = options.writeCache ?? true;
  const device = new DaxDevice({ name: "fake0", pages, operations, writeCache, synchronous: true });
  const fake: FakeDax = { device, bytes, poison, flushed, fault: false };
  return fake;
}

/** One extent of an {@link ExtentFile}. */
export interface FakeExtent {
  readonly type: Iomap["type"];
  readonly offset: number;
  readonly length: number;
  readonly addr?: number;
  readonly inline?: Uint8Array;
  readonly shared?: boolean;
}

/** A store over bytes, for iomaps without dax. */
export function storeOver(bytes: Uint8Array): ByteStore {
  return {
    readBytes: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
    writeBytes: (offset, source) => bytes.set(source, offset),
  };
}

/** A file made of the given extents; what no extent covers is a hole. */
export class ExtentFile implements Iomappable {
  size: number;
  readonly ended: { done: number; intent: IomapIntent }[] = [];
  readonly #extents: readonly FakeExtent[];
  readonly #range: DaxRange | undefined;
  readonly #store: ByteStore;

  constructor(
    size: number,
    extents: readonly FakeExtent[],
    range: DaxRange | undefined,
    store: ByteStore,
  ) {
    this.size = size;
    this.#extents = extents;
    this.#range = range;
    this.#store = store;
  }

  iomapBegin(offset: number): Iomap {
    const found = this.#extents.find((e) => e.offset <= offset && offset < e.offset + e.length);
    const next = this.#extents.find((e) => e.offset > offset);
    const hole: FakeExtent = { type: "hole", offset, length: (next?.offset ?? 2 ** 52) - offset };
    const { addr = 0, ...extent } = found ?? hole;
    return { ...extent, addr, range: this.#range, store: this.#store };
  }

  iomapEnd(_map: Iomap, done: number, intent: IomapIntent): void {
    this.ended.push({ done, intent });
  }
}

/**
 * A device stacked on part of another, as a device-mapper target would be: everything is routed to
 * the device below, translations are cut at random.
 */
export function stackedDax(inner: DaxDevice, first: number, pages: number, prng: Prng): DaxDevice {
  const operations: DaxOperations = {
    directAccess(pgoff, count, mode) {
      const most = Math.min(count, pages - pgoff);
      return inner.directAccess(first + pgoff, 1 + prng.below(most), mode);
    },
    zeroPageRange: (pgoff, count) => inner.zeroPageRange(first + pgoff, count),
    recoveryWrite: (pgoff, start, source) => inner.recoveryWrite(first + pgoff, start, source),
    copyFromIter: (pgoff, start, sources) => inner.copyFromIter(first + pgoff, start, sources),
    flush: (pgoff, start, length) => inner.flush(first + pgoff, start, length),
    fence: () => inner.fence(),
    checkFault: () => inner.checkFault(),
  };
  const { writeCache, synchronous } = inner;
  return new DaxDevice({ name: "stacked0", pages, operations, writeCache, synchronous });
}

/**
 * A device whose pages lie in memory in any order, as a test of the kernel's nvdimm code has them.
 */
export function scatteredDax(pages: number, prng: Prng): DaxDevice {
  const memory = new DataView(new ArrayBuffer(pages * PAGE_SIZE));
  const order = Array.from({ length: pages }, (_, i) => i);
  for (let i = pages - 1; i > 0; i--) {
    const other = prng.below(i + 1);
    [order[i], order[other]] = [order[other] as number, order[i] as number];
  }
  const at = (pgoff: number): number => (order[pgoff] as number) * PAGE_SIZE;
  const operations: DaxOperations = {
    directAccess: (pgoff) => ({ memory, start: at(pgoff), pages: 1, pfn: at(pgoff) / PAGE_SIZE }),
    zeroPageRange: (pgoff, count) => {
      for (let i = 0; i < count; i++) fill(memory, at(pgoff + i), PAGE_SIZE, 0);
    },
  };
  const options = { name: "scattered0", pages, operations, writeCache: false, synchronous: true };
  return new DaxDevice(options);
}
