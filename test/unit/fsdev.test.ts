/**
 * Operations of device-dax for filesystems. Each mistake of the first attempt at them (the RFC of
 * December 2023) has its test here.
 */
import { describe, expect, test } from "vitest";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { DaxHosts } from "../../src/dax/hosts.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { type DaxHolder, PAGE_SIZE } from "../../src/dax/operations.ts";
import { fsDaxGet, fsDaxPut } from "../../src/drivers/fsdev.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { BASE, emptyRegion, fsdevOf, shuffledPages, staticDevice } from "../support/dax-regions.ts";

/** Three ranges: their pages do not follow the order of the table, nor that of their addresses. */
const LAYOUT = [
  [4, 0, 2],
  [0, 9, 4],
  [6, 3, 5],
] as const;
const PAGES = 11;
/** The page of the media behind each page of the device. */
const PLACES = [9, 10, 11, 12, 0, 1, 3, 4, 5, 6, 7];

function mediaPage(media: { window(at: number): { memory: unknown } }, page: number): Uint8Array {
  const { memory } = media.window(page * PAGE_SIZE) as { memory: DataView };
  return copyOf(memory, page * PAGE_SIZE, PAGE_SIZE);
}

describe("translation", () => {
  test("[3.3] [3.16] [3.19] [3.21] a request ends where its range does, wherever that lies", () => {
    const { dax } = fsdevOf(LAYOUT);
    for (let pgoff = 0; pgoff < PAGES; pgoff++) {
      const left = pgoff < 4 ? 4 - pgoff : pgoff < 6 ? 6 - pgoff : PAGES - pgoff;
      for (let pages = 1; pages <= PAGES; pages++) {
        const span = dax.directAccess(pgoff, pages);
        expect(span.pages).toBe(Math.min(pages, left));
        expect(span.pfn).toBe(BASE / PAGE_SIZE + (PLACES[pgoff] as number));
      }
    }
  });

  test("[3.5] [3.7] [3.22] what is handed out is memory, not a physical address", () => {
    const { dax, media } = fsdevOf(LAYOUT);
    for (let pgoff = 0; pgoff < PAGES; pgoff++) {
      const span = dax.directAccess(pgoff, 1);
      expect(span.start).not.toBe(span.pfn * PAGE_SIZE);
      span.memory.setUint8(span.start + 7, pgoff + 1);
      expect(mediaPage(media, PLACES[pgoff] as number)[7]).toBe(pgoff + 1);
    }
  });

  test("[3.2] [3.7] a read copies out of it, without a block device", () => {
    const { dax } = fsdevOf(LAYOUT);
    const bytes = noise(1, PAGES * PAGE_SIZE);
    dax.copyFromIter(0, 0, [bytes]);
    const range = { device: dax, start: 0, length: bytes.length };
    // No requests: there is no block device.
    const map = { type: "mapped", offset: 0, length: bytes.length, addr: 0, range };
    const file = { size: bytes.length, iomapBegin: () => map as never };
    const read = new Uint8Array(bytes.length - 100);
    expect(daxRead(file, read, 50)).toBe(read.length);
    expect(same(read, bytes.subarray(50, bytes.length - 50))).toBe(true);
  });

  test("[3.20] pages that no range has are an error, never an address", () => {
    const { dax } = fsdevOf([
      [0, 0, 2],
      [4, 2, 2],
    ]);
    expect(dax.pages).toBe(6);
    expect(dax.directAccess(1, 5).pages).toBe(1);
    expect(codeOf(() => dax.directAccess(2, 1))).toBe("ERANGE");
    expect(codeOf(() => dax.directAccess(3, 3))).toBe("ERANGE");
    expect(codeOf(() => dax.directAccess(6, 1))).toBe("ERANGE");
    expect(dax.directAccess(4, 2).pages).toBe(2);
  });

  test("[3.28] an error ends an operation that meets it on its way", () => {
    const { dax, media } = fsdevOf([
      [0, 0, 2],
      [4, 2, 2],
    ]);
    dax.copyFromIter(0, 0, [noise(2, 2 * PAGE_SIZE)]);
    expect(codeOf(() => dax.zeroPageRange(1, 4))).toBe("ERANGE");
    expect(codeOf(() => dax.copyFromIter(1, 0, [noise(3, 3 * PAGE_SIZE)]))).toBe("ERANGE");
    expect(mediaPage(media, 2).every((byte) => byte === 0)).toBe(true);
    expect(same(mediaPage(media, 0), noise(2, 2 * PAGE_SIZE).subarray(0, PAGE_SIZE))).toBe(true);
  });
});

describe("zeroing", () => {
  test("[3.25] [3.26] [3.27] clears exactly the pages asked for, at every offset and count", () => {
    const { dax } = fsdevOf(LAYOUT);
    const full = new Uint8Array(PAGES * PAGE_SIZE).fill(0xff);
    for (let pgoff = 0; pgoff < PAGES; pgoff++) {
      for (let pages = 0; pages <= PAGES - pgoff; pages++) {
        dax.copyFromIter(0, 0, [full]);
        dax.zeroPageRange(pgoff, pages);
        const seen = contents(dax);
        const want = full.slice().fill(0, pgoff * PAGE_SIZE, (pgoff + pages) * PAGE_SIZE);
        expect(same(seen, want)).toBe(true);
      }
    }
  });

  test("[3.25] [3.26] counts bytes where bytes are meant", () => {
    const { dax } = fsdevOf(LAYOUT);
    const prng = new Prng(8);
    const want = new Uint8Array(PAGES * PAGE_SIZE).fill(0xff);
    dax.copyFromIter(0, 0, [want]);
    for (let round = 0; round < 60; round++) {
      const at = prng.below(want.length);
      const length = prng.below(want.length - at + 1);
      const short = Math.min(length, prng.pick([1, 64, 5000, want.length]));
      dax.zero(0, at, short);
      want.fill(0, at, at + short);
      expect(same(contents(dax), want)).toBe(true);
    }
  });
});

function contents(dax: ReturnType<typeof fsdevOf>["dax"]): Uint8Array {
  const bytes = new Uint8Array(dax.pages * PAGE_SIZE);
  for (let page = 0; page < dax.pages;) {
    const { memory, start, pages } = dax.directAccess(page, dax.pages - page);
    bytes.set(copyOf(memory, start, pages * PAGE_SIZE), page * PAGE_SIZE);
    page += pages;
  }
  return bytes;
}

describe("copies", () => {
  test("[3.14] sources of any number of pieces, across all ranges", () => {
    const { dax } = fsdevOf(LAYOUT);
    const prng = new Prng(4);
    const bytes = noise(5, 9 * PAGE_SIZE);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const run = Math.min(prng.below(7000), bytes.length - at);
      pieces.push(bytes.subarray(at, at + run));
      at += run;
    }
    expect(dax.copyFromIter(1, 100, pieces)).toBe(bytes.length);
    expect(
      same(contents(dax).subarray(PAGE_SIZE + 100, PAGE_SIZE + 100 + bytes.length), bytes),
    ).toBe(true);
  });

  test("a flush reaches each range that it touches, and no byte more", () => {
    const { dax, media } = fsdevOf(LAYOUT);
    const flushed: [number, number][] = [];
    Object.assign(media, { flush: (at: number, length: number) => flushed.push([at, length]) });
    dax.flush(3, 100, PAGE_SIZE * 4);
    expect(flushed).toEqual([
      [12 * PAGE_SIZE + 100, PAGE_SIZE - 100],
      [0, 2 * PAGE_SIZE],
      [3 * PAGE_SIZE, PAGE_SIZE + 100],
    ]);
    dax.writeCache = false;
    dax.flush(0, 0, 64);
    expect(flushed).toHaveLength(3);
  });
});

describe("[3.6] poison", () => {
  test("[3.24] is reported to access, not to a recovery write", () => {
    const { dax, media } = fsdevOf(LAYOUT);
    media.injectPoison(10 * PAGE_SIZE + 512, 1);
    expect(dax.directAccess(0, 1).pages).toBe(1);
    expect(codeOf(() => dax.directAccess(0, 4))).toBe("EHWPOISON");
    expect(codeOf(() => dax.directAccess(1, 1))).toBe("EHWPOISON");
    // Inside a page: that page is among them, as it is to be written.
    expect(dax.directAccess(0, 4, "recovery-write").pages).toBe(2);
    expect(dax.directAccess(1, 1, "recovery-write").pages).toBe(1);
    // The poison of one range is nothing to another.
    expect(dax.directAccess(4, 6).pages).toBe(2);
  });

  test("[3.29] a recovery write clears poison of whole pages, across ranges", () => {
    const { dax, media } = fsdevOf(LAYOUT);
    media.injectPoison(12 * PAGE_SIZE, 1);
    media.injectPoison(0, 1);
    const bytes = noise(6, 3 * PAGE_SIZE);
    expect(dax.recoveryWrite(3, 0, bytes)).toBe(bytes.length);
    expect(media.badRanges()).toEqual([]);
    expect(same(contents(dax).subarray(3 * PAGE_SIZE, 6 * PAGE_SIZE), bytes)).toBe(true);
  });

  test("[3.29] and fails where it cannot: a part of a page, poison that stays", () => {
    const { dax, media } = fsdevOf(LAYOUT);
    media.injectPoison(0, 1);
    expect(dax.recoveryWrite(4, 0, new Uint8Array(512))).toBe(0);
    expect(dax.recoveryWrite(4, 256, new Uint8Array(PAGE_SIZE))).toBe(0);
    Object.assign(media, { clearPoison: () => 0 });
    expect(dax.recoveryWrite(4, 0, new Uint8Array(PAGE_SIZE))).toBe(0);
    // What lies before it was written.
    expect(dax.recoveryWrite(3, 0, new Uint8Array(2 * PAGE_SIZE))).toBe(PAGE_SIZE);
    expect(media.badRanges()).toHaveLength(1);
    // And nothing behind it: what was written is what comes before.
    const ones = new Uint8Array(4 * PAGE_SIZE).fill(1);
    expect(dax.recoveryWrite(3, 0, ones)).toBe(PAGE_SIZE);
    expect(mediaPage(media, 3).every((byte) => byte === 0)).toBe(true);
  });

  test("[3.6] zeroing heals whole pages, and says EIO for poison that stays", () => {
    const { dax, media } = fsdevOf(LAYOUT);
    media.injectPoison(12 * PAGE_SIZE, 1);
    media.injectPoison(PAGE_SIZE, 1);
    dax.zeroPageRange(2, 4);
    expect(media.badRanges()).toEqual([]);
    media.injectPoison(PAGE_SIZE, 1);
    expect(codeOf(() => dax.zero(5, 0, 100))).toBe("EIO");
    Object.assign(media, { clearPoison: () => 0 });
    expect(codeOf(() => dax.zeroPageRange(5, 1))).toBe("EIO");
  });
});

const holder = (name: string): DaxHolder & { told: string[] } => {
  const told: string[] = [];
  return { name, told, notifyFailure: (at, length, why) => told.push(`${why} ${at}+${length}`) };
};

describe("[3.11] holders", () => {
  test("[3.11] one at a time, and only its own holder gives a device back", () => {
    const { device, dax } = fsdevOf(LAYOUT);
    const [a, b] = [holder("famfs"), holder("ext4")];
    expect(fsDaxGet(device, a)).toBe(dax);
    expect(fsDaxGet(device, a)).toBe(dax);
    expect(codeOf(() => fsDaxGet(device, b))).toBe("EBUSY");
    fsDaxPut(device, b);
    expect(dax.holder).toBe(a);
    fsDaxPut(device, a);
    expect(fsDaxGet(device, b)).toBe(dax);
  });

  test("[3.12] a device that serves no filesystem is refused", () => {
    const { device } = staticDevice([[0, 0, 4]]);
    expect(codeOf(() => fsDaxGet(device, holder("famfs")))).toBe("ENODEV");
    device.bind("device_dax");
    expect(codeOf(() => fsDaxGet(device, holder("famfs")))).toBe("EOPNOTSUPP");
    expect(() => fsDaxGet(device, holder("famfs"))).toThrow("served by device_dax");
    device.unbind();
    device.bind("fsdev_dax");
    device.dax?.kill();
    expect(codeOf(() => fsDaxGet(device, holder("famfs")))).toBe("ENODEV");
  });

  test("[3.13] who holds a device is told of poison and of removal, from the first moment", () => {
    const { device, dax } = fsdevOf(LAYOUT);
    const famfs = holder("famfs");
    expect(dax.notifyFailure(0, 64)).toBe(false);
    fsDaxGet(device, famfs);
    expect(dax.notifyFailure(PAGE_SIZE, 64)).toBe(true);
    dax.kill();
    dax.kill();
    expect(famfs.told).toEqual(["poison 4096+64", `pre-remove 0+${PAGES * PAGE_SIZE}`]);
  });
});

describe("[3.10] stitched addressing", () => {
  test("is refused where the media cannot join ranges, or pages are missing", () => {
    const stitched = { addressing: "stitched" } as const;
    expect(codeOf(() => fsdevOf(LAYOUT, stitched))).toBe("EOPNOTSUPP");
    const { device } = staticDevice([[1, 0, 4]]);
    expect(() => device.bind("fsdev_dax", stitched)).toThrow("no range has page 0");
    device.bind("fsdev_dax");
  });
});

test("[3.17] [3.18] ranges of a page each: every operation of a disk over them is right", () => {
  const prng = new Prng(15);
  const { dax } = fsdevOf(shuffledPages(24));
  const disk = new DaxDisk(dax);
  const want = new Uint8Array(24 * PAGE_SIZE);
  for (let round = 0; round < 200; round++) {
    const at = prng.below(want.length);
    const bytes = noise(round, prng.below(Math.min(20_000, want.length - at)));
    disk.writeBytes(at, bytes);
    want.set(bytes, at);
  }
  const seen = new Uint8Array(want.length);
  disk.read(0, seen);
  expect(same(seen, want)).toBe(true);
});

test("[0.11] a device is found by its name while it serves filesystems", () => {
  const hosts = new DaxHosts();
  const device = emptyRegion(2 ** 22, { hosts }).device("dax0.0");
  device.resize(2 ** 22);
  device.bind("device_dax");
  expect(hosts.find("dax0.0")).toBeUndefined();
  device.unbind();
  device.bind("fsdev_dax");
  expect(hosts.find("dax0.0")).toBe(device.dax);
  device.unbind();
  expect(hosts.find("dax0.0")).toBeUndefined();
});
