/**
 * One suite over every dax device, with translations as short as they come: every consumer loops,
 * or loses bytes here.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Buffers } from "../../src/block/buffers.ts";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import type { DaxDevice } from "../../src/dax/dax-device.ts";
import { daxRead, daxWrite, daxZero } from "../../src/dax/file-io.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { runsOf } from "../../src/vfs/file-runs.ts";
import { pmemOf, segmentsOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import {
  ExtentFile,
  fakeDax,
  type FakeExtent,
  scatteredDax,
  stackedDax,
  storeOver,
} from "../support/dax-fakes.ts";
import { fsdevOf, shuffledPages } from "../support/dax-regions.ts";
import { LineMedia } from "../support/line-media.ts";
import { mappedOf } from "../support/mapped.ts";

const PAGES = 24;
const BYTES = PAGES * PAGE_SIZE;
const spare = BYTES + 16 * PAGE_SIZE;

function linePmem(nonTemporal: boolean): { media: LineMedia; dax: DaxDevice } {
  const media = new LineMedia(BYTES, { nonTemporal, segmentBytes: 2 * PAGE_SIZE });
  const { dax } = createPmem({
    name: "pmem0",
    media,
    start: 0,
    length: BYTES,
    physicalStart: 0,
    nonTemporalFrom: 200,
  });
  return { media, dax };
}

/** The dax device of a table over three disks of pmem. */
function mappedDax(table: string): DaxDevice {
  const disks = ["A", "B", "C"].map((name) => {
    return [name, pmemOf(2 * BYTES, { name, segmentBytes: 3 * PAGE_SIZE }).pmem.disk] as const;
  });
  return daxOf(mappedOf(table, Object.fromEntries(disks)));
}

function daxOf({ dax, daxReason }: MappedDevice): DaxDevice {
  if (dax === undefined) throw new Error(daxReason);
  return dax.device;
}

/** Makes a fresh, zeroed device of each kind. */
const devices: Readonly<Record<string, () => DaxDevice>> = {
  pmem: () => pmemOf(BYTES).pmem.dax,
  "pmem in windows of a page": () => pmemOf(BYTES, { segmentBytes: PAGE_SIZE }).pmem.dax,
  "pmem in windows of three pages": () => pmemOf(BYTES, { segmentBytes: 3 * PAGE_SIZE }).pmem.dax,
  "pmem with non-temporal stores": () => linePmem(true).dax,
  "pmem in the middle of its media": () => {
    const media = new RamMedia(spare, { segmentBytes: 5 * PAGE_SIZE });
    const start = 7 * PAGE_SIZE;
    return createPmem({ name: "pmem0", media, start, length: BYTES, physicalStart: 0 }).dax;
  },
  "pmem, traced": () => pmemOf(BYTES, { trace: { event: () => {} } }).pmem.dax,
  brd: () => createBrd({ name: "ram0", size: BYTES }).dax,
  axonram: () => {
    const media = new RamMedia(BYTES, { segmentBytes: 7 * PAGE_SIZE });
    return createAxonram({
      name: "axonram0",
      media,
      start: 0,
      length: BYTES,
      physicalStart: 2 ** 31,
    }).dax;
  },
  "dcssblk of three segments": () => segmentsOf("SW", BYTES).dax,
  "fsdev over ranges in any order": () =>
    fsdevOf([
      [16, 40, 8],
      [0, 3, 5],
      [5, 20, 11],
    ]).dax,
  "fsdev over ranges of a page": () => fsdevOf(shuffledPages(PAGES)).dax,
  "pages in any order": () => scatteredDax(PAGES, new Prng(5)),
  "a driver that answers as it likes": () => fakeDax(PAGES, { short: new Prng(1) }).device,
  "dm: linear": () => mappedDax("0 192 linear A 32"),
  "dm: linear, over a driver that answers as it likes": () => {
    const { device } = fakeDax(2 * PAGES, { short: new Prng(6) });
    return daxOf(mappedOf("0 192 linear A 32", { A: new DaxDisk(device) }));
  },
  "dm: three targets": () => mappedDax("0 8 linear A 8\n8 160 linear B 16\n168 24 linear A 64"),
  "dm: striped": () => mappedDax("0 192 striped 3 16 A 0 B 8 C 64"),
  "dm: striped on dcssblk": () => {
    const disks = { A: segmentsOf("SW", BYTES).disk, B: segmentsOf("SW", BYTES).disk };
    return daxOf(mappedOf("0 192 striped 2 48 A 0 B 8", disks));
  },
  "a device stacked on pmem": () => stackedDax(pmemOf(spare).pmem.dax, 5, PAGES, new Prng(2)),
  "a device stacked on a stacked device": () => {
    const lower = stackedDax(pmemOf(spare).pmem.dax, 3, PAGES + 4, new Prng(3));
    return stackedDax(lower, 2, PAGES, new Prng(4));
  },
};

/** Everything the device holds, page by page. */
function contents(device: DaxDevice): Uint8Array {
  const all = new Uint8Array(BYTES);
  for (let page = 0; page < PAGES; page++) {
    const { memory, start } = device.directAccess(page, 1);
    all.set(copyOf(memory, start, PAGE_SIZE), page * PAGE_SIZE);
  }
  return all;
}

/** A file of shuffled pieces of the device, some of them smaller than a page; no byte twice. */
function shuffledFile(device: DaxDevice, prng: Prng): { file: ExtentFile; extents: FakeExtent[] } {
  const pieces: { addr: number; length: number }[] = [];
  for (let addr = 0; addr < BYTES;) {
    const length = Math.min(BYTES - addr, 1024 * (1 + prng.below(13)));
    pieces.push({ addr, length });
    addr += length;
  }
  const extents: FakeExtent[] = [];
  let offset = 0;
  while (pieces.length > 0) {
    const [piece] = pieces.splice(prng.below(pieces.length), 1) as [
      { addr: number; length: number },
    ];
    extents.push({ type: "mapped", offset, ...piece });
    offset += piece.length;
  }
  const range = { device, start: 0, length: BYTES };
  const store = storeOver(new Uint8Array(0));
  return { file: new ExtentFile(BYTES, extents, range, store), extents };
}

/** The bytes of the device in the order of the file. */
function inFileOrder(bytes: Uint8Array, extents: readonly FakeExtent[]): Uint8Array {
  const file = new Uint8Array(BYTES);
  for (const { offset, length, addr = 0 } of extents) {
    file.set(bytes.subarray(addr, addr + length), offset);
  }
  return file;
}

describe.each(Object.entries(devices))("[0.32] [0.50] %s", (_, make) => {
  test("translates every page, and never more than asked or there is", () => {
    const device = make();
    for (let page = 0; page < PAGES; page++) {
      for (const count of [1, 2, PAGES - page, 10 * PAGES]) {
        const { pages, memory, start, pfn } = device.directAccess(page, count);
        expect(pages).toBeGreaterThanOrEqual(1);
        expect(pages).toBeLessThanOrEqual(Math.min(count, PAGES - page));
        expect(start + pages * PAGE_SIZE).toBeLessThanOrEqual(memory.byteLength);
        expect(pfn).toBe(device.directAccess(page, 1).pfn);
      }
    }
    expect(codeOf(() => device.directAccess(PAGES, 1))).toBe("ERANGE");
  });

  test("[X6] files read, write and zero exactly their bytes", () => {
    const device = make();
    const prng = new Prng(7);
    const { file, extents } = shuffledFile(device, prng);
    const want = new Uint8Array(BYTES);
    for (let round = 0; round < 250; round++) {
      const offset = prng.below(BYTES);
      const length = prng.below(Math.min(6 * PAGE_SIZE, BYTES - offset) + 1);
      if (prng.below(3) === 0) {
        daxZero(file, offset, length);
        want.fill(0, offset, offset + length);
      } else {
        daxWrite(file, noise(round, length), offset);
        want.set(noise(round, length), offset);
      }
      const back = new Uint8Array(length);
      expect(daxRead(file, back, offset)).toBe(length);
      expect(same(back, want.subarray(offset, offset + length))).toBe(true);
    }
    expect(same(inFileOrder(contents(device), extents), want)).toBe(true);
  });

  test("[X6] copies, zeroing and recovery writes reach exactly their bytes", () => {
    const device = make();
    const prng = new Prng(8);
    const want = new Uint8Array(BYTES);
    for (let round = 0; round < 200; round++) {
      const start = prng.below(BYTES);
      const length = prng.below(Math.min(5 * PAGE_SIZE, BYTES - start) + 1);
      const [page, within] = [Math.floor(start / PAGE_SIZE), start % PAGE_SIZE];
      const data = noise(round, length);
      const kind = prng.below(4);
      if (kind === 3 && device.recoveryWrite(page, within, data) > 0) want.set(data, start);
      else if (kind === 0) {
        device.zero(page, within, length);
        want.fill(0, start, start + length);
      } else if (kind === 1) {
        const cut = prng.below(length + 1);
        device.copyFromIter(page, within, [data.subarray(0, cut), data.subarray(cut)]);
        want.set(data, start);
      } else if (kind === 2) {
        const pages = prng.below(PAGES - page + 1);
        device.zeroPageRange(page, pages);
        want.fill(0, page * PAGE_SIZE, (page + pages) * PAGE_SIZE);
      }
      device.flush(page, within, length);
    }
    device.fence();
    expect(same(contents(device), want)).toBe(true);
  });

  test("[X6] blocks and runs of files see the same bytes", () => {
    const device = make();
    const bytes = noise(9, BYTES);
    device.copyFromIter(0, 0, [bytes]);
    const disk = {
      name: "stub",
      sectors: BYTES / 512,
      dax: { device, start: 0, length: BYTES },
      readBytes: (offset: number, target: Uint8Array) =>
        target.set(bytes.subarray(offset, offset + target.length)),
    } as unknown as BlockDevice;
    for (const blockSize of [1024, 4096, 16_384]) {
      const buffers = new Buffers(disk, blockSize);
      for (let block = 0; block < buffers.blocks; block++) {
        const { memory, at } = buffers.get(block);
        const want = bytes.subarray(block * blockSize, (block + 1) * blockSize);
        expect(same(copyOf(memory, at, blockSize), want)).toBe(true);
      }
    }
    const { file, extents } = shuffledFile(device, new Prng(10));
    const seen = new Uint8Array(BYTES);
    for (const { offset, length, memory, start } of runsOf(file, 0, BYTES)) {
      if (memory !== undefined) seen.set(copyOf(memory, start, length), offset);
    }
    expect(same(seen, inFileOrder(bytes, extents))).toBe(true);
  });

  test("refuses bytes and pages behind its end, and changes nothing", () => {
    const device = make();
    expect(codeOf(() => device.zeroPageRange(PAGES - 1, 2))).toBe("ERANGE");
    expect(codeOf(() => device.copyFromIter(PAGES - 1, 1, [noise(1, PAGE_SIZE)]))).toBe("ERANGE");
    expect(codeOf(() => device.zero(0, 0, BYTES + 1))).toBe("ERANGE");
    expect(contents(device).every((byte) => byte === 0)).toBe(true);
  });

  test("is ENXIO when killed", () => {
    const device = make();
    device.kill();
    expect(codeOf(() => device.directAccess(0, 1))).toBe("ENXIO");
    expect(codeOf(() => device.copyFromIter(0, 0, [noise(1, 1)]))).toBe("ENXIO");
  });
});

describe.each([true, false])("durability through a stack, non-temporal stores %s", (around) => {
  test("[0.21] [0.43] after a fence everything written or zeroed is durable", () => {
    const { media, dax } = linePmem(around);
    const stacked = stackedDax(dax, 0, PAGES, new Prng(11));
    const prng = new Prng(12);
    const { file } = shuffledFile(stacked, prng);
    for (let round = 0; round < 150; round++) {
      const offset = prng.below(BYTES);
      const length = prng.below(Math.min(3 * PAGE_SIZE, BYTES - offset) + 1);
      if (prng.below(3) === 0) daxZero(file, offset, length);
      else daxWrite(file, noise(round, length), offset);
    }
    stacked.fence();
    expect(same(media.durable, media.contents(0, BYTES))).toBe(true);
  });
});
