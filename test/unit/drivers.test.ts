import { describe, expect, test } from "vitest";
import { DaxHosts } from "../../src/dax/hosts.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { createDcssblk, type Segment, type SegmentType } from "../../src/drivers/dcssblk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { pmemOf, SECTORS, segmentsOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { ExtentFile, storeOver } from "../support/dax-fakes.ts";
import { LineMedia } from "../support/line-media.ts";

const SIZE = 64 * PAGE_SIZE;

describe("axonram", () => {
  const make = (extra: { length?: number; physicalStart?: number; start?: number } = {}) =>
    createAxonram({
      name: "axonram0",
      media: new RamMedia(2 * SIZE),
      start: SIZE,
      length: SIZE,
      physicalStart: 2 ** 31,
      ...extra,
    });

  test("[0.16] [0.32] is volatile memory at an address", () => {
    const { dax, disk } = make({ length: SIZE - 1 });
    expect(dax.pages).toBe(63);
    expect(disk.sectors).toBe(63 * 8);
    expect(dax.directAccess(5, 1).pfn).toBe(2 ** 31 / PAGE_SIZE + 5);
    expect(dax.writeCache).toBe(false);
  });

  test.each([
    { length: 4095 },
    { physicalStart: 1 },
    { physicalStart: -4096 },
    { start: 2 * SIZE },
  ])("%j is EINVAL", (extra) => {
    expect(codeOf(() => make(extra))).toBe("EINVAL");
  });
});

describe("dcssblk", () => {
  test("[0.16] [0.32] translates up to the end of a segment", () => {
    const { dax } = segmentsOf("SN");
    expect(dax.directAccess(0, 100).pages).toBe(5);
    expect(dax.directAccess(4, 100).pages).toBe(1);
    expect(dax.directAccess(7, 2).pages).toBe(2);
    const frames = [0, 5, 9, 10].map((page) => dax.directAccess(page, 1).pfn);
    expect(frames).toEqual([2 ** 20, 2 ** 19, 2 ** 19 + 4, 2 ** 21]);
  });

  test.each<[SegmentType, boolean]>([
    ["SW", false],
    ["EW", false],
    ["SN", false],
    ["EN", false],
    ["SR", true],
    ["ER", true],
  ])("[0.16] with a segment %s it is read-only: %s", (type, readOnly) => {
    const { disk, dax } = segmentsOf(type);
    const code = readOnly ? "EROFS" : undefined;
    expect(disk.readOnly).toBe(readOnly);
    expect(codeOf(() => disk.write(0, noise(1, 512), { fua: true }))).toBe(code);
    expect(codeOf(() => disk.writeZeroes(0, SECTORS))).toBe(code);
    expect(codeOf(() => dax.copyFromIter(0, 0, [noise(1, 512)]))).toBe(code);
    expect(codeOf(() => dax.zeroPageRange(3, 8))).toBe(code);
    expect(codeOf(() => disk.read(0, new Uint8Array(512)))).toBe(undefined);
  });

  const segment: Segment = { type: "SW", start: 0, length: PAGE_SIZE, physicalStart: 0 };
  test.each<[string, Segment[]]>([
    ["no segments", []],
    ["a segment of half a page", [{ ...segment, length: 2048 }]],
    ["a segment off page borders", [{ ...segment, start: 512 }]],
    ["an address off page borders", [segment, { ...segment, physicalStart: 512 }]],
    ["a segment outside the media", [segment, { ...segment, start: SIZE }]],
    ["an empty segment", [{ ...segment, length: 0 }]],
  ])("%s: EINVAL", (_, segments) => {
    const media = new RamMedia(SIZE);
    expect(codeOf(() => createDcssblk({ name: "dcssblk0", media, segments }))).toBe("EINVAL");
  });

  test("is found by its host, and a name in use is EBUSY", () => {
    const hosts = new DaxHosts();
    const media = new RamMedia(SIZE);
    const options = { name: "dcssblk0", media, segments: [segment], hosts };
    const { dax } = createDcssblk(options);
    expect(hosts.find("dcssblk0")).toBe(dax);
    expect(codeOf(() => createDcssblk(options))).toBe("EBUSY");
  });
});

describe("what a driver decides", () => {
  test("[0.12] [0.14] how to copy: pmem by its own means, brd by plain stores", () => {
    const around = new LineMedia(SIZE);
    const { dax: ram } = createBrd({ name: "ram0", size: SIZE, media: around });
    ram.copyFromIter(0, 3, [noise(1, 5000)]);
    expect([around.around.length, around.flushed.length]).toEqual([0, 0]);
    const { pmem } = pmemOf(SIZE);
    pmem.dax.copyFromIter(0, 3, [noise(1, 5000)]);
    expect(pmem.dax.counters.flushes).toBe(1);
    for (const device of [ram, pmem.dax]) {
      const { memory, start } = device.directAccess(1, 1);
      expect(memory.getUint8(start)).toBe(noise(1, 5000)[PAGE_SIZE - 3]);
    }
  });

  test("[0.3] what is done can be traced, in order, with what came of it", () => {
    const events: string[] = [];
    const trace = {
      event: (point: string, fields: Readonly<Record<string, number | string>>): void => {
        events.push(`${point} ${Object.values(fields).join(" ")}`);
      },
    };
    const { pmem, media } = pmemOf(SIZE, { trace, segmentBytes: 4 * PAGE_SIZE });
    const { dax } = pmem;
    const range = { device: dax, start: 0, length: SIZE };
    const extents = [{ type: "mapped", offset: 0, length: SIZE, addr: 0 }] as const;
    const file = new ExtentFile(SIZE, extents, range, storeOver(new Uint8Array(0)));
    daxRead(file, new Uint8Array(8192), 3 * PAGE_SIZE);
    dax.copyFromIter(1, 5, [noise(1, 100)]);
    dax.zero(2, 0, PAGE_SIZE + 1);
    dax.flush(1, 5, 100);
    dax.fence();
    media.injectPoison(0, 1);
    dax.recoveryWrite(0, 0, noise(1, PAGE_SIZE));
    dax.checkFault();
    expect(dax.stitch([{ pgoff: 0, pages: 1 }])).toBe(undefined);
    expect(events).toEqual([
      `dax.direct_access pmem0 3 2 1 ${2 ** 20 + 3} access`,
      `dax.direct_access pmem0 4 1 1 ${2 ** 20 + 4} access`,
      "dax.copy_from_iter pmem0 1 5 100",
      "dax.zero_page_range pmem0 2 1",
      `dax.direct_access pmem0 3 1 1 ${2 ** 20 + 3} access`,
      "dax.flush pmem0 3 0 1",
      "dax.flush pmem0 1 5 100",
      "dax.fence pmem0",
      "dax.recovery_write pmem0 0 0 4096",
      "dax.stitch pmem0 1 0",
    ]);
  });

  test("tracing a flush and a fence does not replace them", () => {
    const media = new LineMedia(SIZE);
    const trace = { event: (): void => {} };
    const options = { name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0, trace };
    const { dax } = createPmem(options);
    dax.copyFromIter(0, 5, [noise(1, 100)]);
    dax.directAccess(1, 1).memory.setUint8(PAGE_SIZE, 7);
    dax.flush(1, 0, 1);
    dax.fence();
    expect(same(media.durable.subarray(5, 105), noise(1, 100))).toBe(true);
    expect(media.durable[PAGE_SIZE]).toBe(7);
  });

  test("[0.36] each extent says on which device it lies", () => {
    const [first, second] = [pmemOf(SIZE).pmem, createBrd({ name: "ram0", size: SIZE })];
    first.disk.write(0, noise(1, SIZE));
    second.disk.write(0, noise(2, SIZE));
    const on = (device: { dax: typeof first.dax }) => {
      const range = { device: device.dax, start: 0, length: SIZE };
      const extents = [{ type: "mapped", offset: 0, length: SIZE, addr: 0 }] as const;
      return new ExtentFile(SIZE, extents, range, storeOver(new Uint8Array(0)));
    };
    const [a, b] = [on(first), on(second)];
    // Even kilobytes on the one, odd ones on the other: a realtime device beside the data device.
    const striped = {
      size: SIZE,
      iomapBegin: (offset: number) => {
        const piece = Math.floor(offset / 1024);
        const map = (piece % 2 === 0 ? a : b).iomapBegin(0);
        return { ...map, offset: piece * 1024, length: 1024, addr: piece * 1024 };
      },
    };
    const seen = new Uint8Array(SIZE);
    expect(daxRead(striped, seen, 0)).toBe(SIZE);
    const [want, odd] = [noise(1, SIZE), noise(2, SIZE)];
    for (let at = 1024; at < SIZE; at += 2048) want.set(odd.subarray(at, at + 1024), at);
    expect(same(seen, want)).toBe(true);
  });
});
