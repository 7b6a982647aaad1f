/** Media and block devices as stores: what reaches them, and how they fail. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Media } from "../../src/media/media.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { BlockStore } from "../../src/nbd/block-store.ts";
import { MediaStore } from "../../src/nbd/media-store.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const SIZE = 64 * 1024;
const HOW = { noHole: false, fast: false };

/** Media that says it lasts, and notes every write-back. */
function noted(inner: Media, calls: string[]): Media {
  return new Proxy(inner, {
    get(target, key) {
      if (key === "durability") return "msync";
      if (key === "flush") {
        return (offset: number, length: number) => calls.push(`flush ${offset}+${length}`);
      }
      if (key === "fence") return () => calls.push("fence");
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function bytesOf(store: { read: (at: number, target: Uint8Array) => void }, at: number, n: number) {
  const target = new Uint8Array(n);
  store.read(at, target);
  return target;
}

describe("media as a store", () => {
  test("reads and writes across windows", () => {
    const store = new MediaStore(new RamMedia(SIZE, { segmentBytes: 4096 }));
    const data = noise(1, 20_000);
    store.write(3000, data);
    expect(same(bytesOf(store, 3000, data.length), data)).toBe(true);
    store.writeZeroes(5000, 9000, HOW);
    data.fill(0, 2000, 11_000);
    expect(same(bytesOf(store, 3000, data.length), data)).toBe(true);
  });

  test("writes back exactly a range, and all that was written since the last flush", () => {
    const calls: string[] = [];
    const store = new MediaStore(noted(new RamMedia(SIZE), calls));
    store.write(5000, noise(1, 100));
    store.persist(5000, 100);
    expect(calls.splice(0)).toEqual(["flush 5000+100", "fence"]);
    store.writeZeroes(20_000, 10, HOW);
    store.write(40_960, noise(1, 8192));
    store.flush();
    const written = ["flush 5000+120", "flush 19968+64", "flush 40960+8192", "fence"];
    expect(calls.splice(0)).toEqual(written);
    store.flush();
    expect(calls).toEqual(["fence"]);
  });

  test("does not write back again what FUA did", () => {
    const calls: string[] = [];
    const store = new MediaStore(noted(new RamMedia(SIZE), calls));
    store.write(4096, noise(1, 4096));
    store.write(12_288, noise(1, 4096));
    store.persist(4096, 4096);
    store.flush();
    expect(calls).toEqual(["flush 4096+4096", "fence", "flush 12288+4096", "fence"]);
  });

  test("writes back again what a flush failed to", () => {
    const calls: string[] = [];
    const media = noted(new RamMedia(SIZE), calls);
    let fails = true;
    const failing = Object.create(media, {
      checkFault: {
        value: () => {
          if (fails && calls.includes("fence")) throw new DaxError("EIO");
        },
      },
    }) as Media;
    const store = new MediaStore(failing);
    store.write(0, noise(1, 10));
    expect(codeOf(() => store.flush())).toBe("EIO");
    fails = false;
    store.flush();
    expect(calls).toEqual(["flush 0+10", "fence", "flush 0+10", "fence"]);
  });

  test("answers EIO over poison, which whole sectors heal", () => {
    const media = new PoisonMedia(new RamMedia(SIZE));
    media.injectPoison(8192 + 512, 512);
    const store = new MediaStore(media);
    expect(codeOf(() => bytesOf(store, 8192, 4096))).toBe("EIO");
    expect(codeOf(() => bytesOf(store, 8192, 512))).toBe(undefined);
    expect(codeOf(() => store.write(8192 + 600, noise(1, 10)))).toBe("EIO");
    const [before] = store.allocation(8192, 4096);
    expect(before).toEqual({ length: 4096, hole: false, zero: false });
    store.write(8192 + 512, noise(1, 512));
    expect(codeOf(() => bytesOf(store, 8192, 4096))).toBe(undefined);
    media.injectPoison(0, 512);
    store.writeZeroes(0, 4096, HOW);
    expect(same(bytesOf(store, 0, 512), new Uint8Array(512))).toBe(true);
  });

  test("tells which blocks hold zeros only, of a bounded range at a time", () => {
    const store = new MediaStore(new RamMedia(40 << 20));
    store.write(5000, Uint8Array.of(1));
    const told = [...store.allocation(100, 12_000)];
    expect(told).toEqual([
      { length: 3996, hole: false, zero: true },
      { length: 4096, hole: false, zero: false },
      { length: 3908, hole: false, zero: true },
    ]);
    const all = [...store.allocation(0, 40 << 20)];
    expect(all.reduce((sum, { length }) => sum + length, 0)).toBe(32 << 20);
  });

  test("that is read-only, or shown so, is not written", () => {
    const sealed = new MediaStore(new RamMedia(SIZE, { readOnly: true }));
    const shown = new MediaStore(new RamMedia(SIZE), { readOnly: true });
    for (const store of [sealed, shown]) {
      expect(store.readOnly).toBe(true);
      expect(codeOf(() => store.write(0, noise(1, 1)))).toBe("EROFS");
      expect(codeOf(() => store.writeZeroes(0, 1, HOW))).toBe("EROFS");
    }
  });
});

/** A disk that notes its requests. */
class NotedDisk extends RamDisk {
  readonly requests: string[] = [];
  discards = false;

  override read(sector: number, target: Uint8Array): void {
    this.requests.push(`read ${sector}+${target.length}`);
    super.read(sector, target);
  }

  override write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.requests.push(`write${flags?.fua === true ? " fua" : ""} ${sector}+${source.length}`);
    super.write(sector, source);
  }

  override writeZeroes(sector: number, sectors: number): void {
    this.requests.push(`zero ${sector}+${sectors}`);
    super.writeZeroes(sector, sectors);
  }

  override discard(sector?: number, sectors?: number): void {
    this.requests.push(`discard ${sector}+${sectors}`);
    if (!this.discards) super.discard();
  }

  override flush(): void {
    this.requests.push("flush");
  }
}

describe("a block device as a store", () => {
  test("gets each request as one", () => {
    const disk = new NotedDisk({ name: "ram0", bytes: new Uint8Array(SIZE) });
    const store = new BlockStore(disk);
    const data = noise(1, 4096);
    store.write(512, data);
    store.writeThrough(8192, data);
    store.flush();
    store.persist();
    store.writeZeroes(1024, 2048, HOW);
    store.trim(0, 512);
    disk.discards = true;
    store.trim(512, 1024);
    expect(same(bytesOf(store, 8192, 4096), data)).toBe(true);
    expect([...store.allocation(0, 1024)]).toEqual([{ length: 1024, hole: false, zero: false }]);
    expect(disk.requests).toEqual([
      "write 1+4096",
      "write fua 16+4096",
      "flush",
      "flush",
      "zero 2+4",
      "discard 0+1",
      "discard 1+2",
      "read 16+4096",
    ]);
  });

  test.each([
    [
      { logicalBlockSize: 512, physicalBlockSize: 512 },
      { minimum: 512, preferred: 4096 },
    ],
    [
      { logicalBlockSize: 4096, physicalBlockSize: 16_384 },
      { minimum: 4096, preferred: 16_384 },
    ],
  ])("of limits %j asks for %j", (limits, blockSizes) => {
    const disk: BlockDevice = new RamDisk({ name: "ram0", bytes: new Uint8Array(SIZE), limits });
    const store = new BlockStore(disk);
    expect(store.blockSizes).toEqual(blockSizes);
    expect(store.size).toBe(SIZE);
    expect(new BlockStore(disk, { readOnly: true }).readOnly).toBe(true);
  });

  test("tells zeros without a request, where there is dax to look at", () => {
    const media = new PoisonMedia(new RamMedia(SIZE));
    media.injectPoison(32_768, 512);
    const range = { media, start: 0, length: SIZE, physicalStart: 0 };
    const reads: number[] = [];
    const wrap = (disk: BlockDevice): BlockDevice =>
      new Proxy(disk, {
        get(target, key) {
          if (key === "read") reads.push(1);
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
    const { disk } = createPmem({ ...range, name: "pmem0", wrap });
    reads.length = 0;
    const store = new BlockStore(disk);
    store.write(8192, noise(1, 512));
    const zero = (at: number, length: number): boolean[] =>
      [...store.allocation(at, length)].flatMap((extent) => {
        expect(extent.hole).toBe(false);
        return extent.zero;
      });
    expect(zero(0, 16_384)).toEqual([true, true, false, true]);
    expect(zero(8704, 7680)).toEqual([true, true]);
    expect(zero(28_672, 8192)).toEqual([true, false]);
    expect(reads).toEqual([]);
  });

  test("fails as the device does", () => {
    const disk = new NotedDisk({ name: "ram0", bytes: new Uint8Array(SIZE), readOnly: true });
    const store = new BlockStore(disk);
    expect(store.readOnly).toBe(true);
    expect(codeOf(() => store.write(0, noise(1, 512)))).toBe("EROFS");
    disk.discard = () => {
      throw new DaxError("EIO");
    };
    expect(codeOf(() => store.trim(0, 512))).toBe("EIO");
  });
});
