/** The pmem driver: its shape, its durability, and its removal; and brd beside it. */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { DeviceNumbers } from "../../src/block/device-numbers.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { DaxHosts } from "../../src/dax/hosts.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { createPmem, type PmemOptions } from "../../src/drivers/pmem.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { ResourceTree } from "../../src/platform/resources.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { LineMedia } from "../support/line-media.ts";
import { options, page, PAGES, SIZE } from "../support/pmem-options.ts";

describe("the shape of a device", () => {
  test("[2.114] capacity loses a tail of less than a sector, dax one of less than a page", () => {
    const { pmem } = pmemOf(SIZE + 3 * 512 + 100);
    expect(pmem.disk.sectors).toBe(SIZE / 512 + 3);
    expect(pmem.dax.pages).toBe(PAGES);
    const tail = noise(2, 1024);
    pmem.disk.write(SIZE / 512 + 1, tail);
    const back = new Uint8Array(1024);
    pmem.disk.read(SIZE / 512 + 1, back);
    expect(same(back, tail)).toBe(true);
  });

  test("page frames follow from the physical address", () => {
    const { pmem } = pmemOf(SIZE);
    expect(pmem.dax.directAccess(3, 1).pfn).toBe(2 ** 32 / PAGE_SIZE + 3);
  });

  test("[2.103] a range of a media: its neighbours stay as they are", () => {
    const media = new RamMedia(4 * SIZE);
    const pmem = createPmem(options({ media, start: SIZE, length: SIZE }));
    pmem.disk.write(0, noise(3, SIZE));
    pmem.dax.zero(0, 0, SIZE);
    pmem.disk.write(0, new Uint8Array(SIZE).fill(0xff));
    const all = new Uint8Array(4 * SIZE);
    for (const [i] of all.entries()) all[i] = media.window(i).memory.getUint8(i);
    expect(all.indexOf(0xff)).toBe(SIZE);
    expect(all.lastIndexOf(0xff)).toBe(2 * SIZE - 1);
  });

  test("translations are short where windows of the media end", () => {
    const { pmem } = pmemOf(SIZE, { segmentBytes: 4 * PAGE_SIZE });
    expect(pmem.dax.directAccess(0, PAGES).pages).toBe(4);
    expect(pmem.dax.directAccess(3, PAGES).pages).toBe(1);
    expect(pmem.dax.directAccess(4, 2).pages).toBe(2);
  });

  test("[2.119] sizes and addresses past 4 GiB are exact", () => {
    // One window for each 4 GiB and nothing allocated before it is touched.
    const size = 2 ** 33 + PAGE_SIZE;
    const media = new RamMedia(size, { segmentBytes: PAGE_SIZE });
    const pmem = createPmem(options({ media, length: size }));
    expect(pmem.disk.sectors).toBe(size / 512);
    expect(pmem.dax.pages).toBe(size / PAGE_SIZE);
    pmem.disk.write(pmem.disk.sectors - 1, noise(4, 512));
    const { memory, start } = pmem.dax.directAccess(pmem.dax.pages - 1, 1);
    expect(memory.getUint8(start + PAGE_SIZE - 1)).toBe(noise(4, 512)[511]);
  });

  test("the size stays what it was while the media grows", () => {
    const media = new PoisonMedia(new RamMedia(SIZE));
    const pmem = createPmem(options({ media }));
    Object.defineProperty(media, "size", { value: 2 * SIZE });
    expect(pmem.disk.sectors).toBe(SIZE / 512);
    expect(codeOf(() => pmem.disk.read(SIZE / 512, new Uint8Array(512)))).toBe("EIO");
  });

  test.each([
    { length: PAGE_SIZE - 1 },
    { length: 0 },
    { length: PAGE_SIZE + 0.5 },
    { length: 2 * SIZE },
    { start: 512 },
    { start: SIZE },
    { physicalStart: 100 },
    { physicalStart: -4096 },
    { physicalStart: Number.NaN },
    { physicalStart: 2 ** 60 },
  ])("%j is EINVAL", (extra) => {
    expect(codeOf(() => createPmem(options(extra)))).toBe("EINVAL");
  });

  test("[0.25] [0.49] write cache: off for a volatile range, on for an adr one", () => {
    expect(createPmem(options()).dax.writeCache).toBe(false);
    expect(pmemOf(SIZE).pmem.dax.writeCache).toBe(true);
    expect(pmemOf(SIZE, { writeCache: false }).pmem.dax.writeCache).toBe(false);
  });

  test("a read-only media makes a read-only disk", () => {
    const media = new RamMedia(SIZE, { readOnly: true });
    const { disk } = createPmem(options({ media }));
    expect(disk.readOnly).toBe(true);
    expect(codeOf(() => disk.write(0, page))).toBe("EROFS");
  });
});

describe("blocks through dax", () => {
  test("are the media itself, at any block size", () => {
    const { pmem } = pmemOf(SIZE);
    for (const blockSize of [512, 1024, 2048, 4096, 8192]) {
      const buffers = new Buffers(pmem.disk, blockSize);
      const { memory, at } = buffers.get(3);
      memory.setUint8(at, 0x77);
      const back = new Uint8Array(1);
      pmem.disk.readBytes(3 * blockSize, back);
      expect(back[0]).toBe(0x77);
      pmem.dax.zero(0, 0, SIZE);
      expect(memory.getUint8(at)).toBe(0);
    }
  });

  test("are copied where they lie in two windows, or behind the last whole page", () => {
    const { pmem } = pmemOf(SIZE + 1024, { segmentBytes: PAGE_SIZE });
    pmem.disk.write(0, noise(1, SIZE + 1024));
    const large = new Buffers(pmem.disk, 8192).get(1);
    const small = new Buffers(pmem.disk, 1024).get(SIZE / 1024);
    for (const [{ memory, at }, offset] of [
      [large, 8192],
      [small, SIZE],
    ] as const) {
      expect(memory.getUint8(at + 1023)).toBe(noise(1, SIZE + 1024)[offset + 1023]);
    }
  });
});

describe("durability of the disk", () => {
  test("FUA and flush fence; a write alone does not", () => {
    const media = new LineMedia(SIZE);
    const { disk } = createPmem(options({ media }));
    disk.write(0, noise(1, 512));
    expect(media.fences).toBe(0);
    disk.write(1, noise(2, 512), { fua: true });
    expect(media.fences).toBe(1);
    expect(same(media.durable.subarray(0, 512), noise(1, 512))).toBe(true);
    expect(same(media.durable.subarray(512, 1024), noise(2, 512))).toBe(true);
    disk.writeBytes(5000, noise(3, 77));
    disk.writeZeroes(0, 1);
    disk.flush();
    expect(same(media.durable.subarray(5000, 5077), noise(3, 77))).toBe(true);
    expect(media.durable.subarray(0, 512).every((byte) => byte === 0)).toBe(true);
  });

  test("[2.112] [2.113] with Linux 4.1's uncached mapping every write is durable at once", () => {
    const media = new LineMedia(SIZE);
    const { disk } = createPmem(options({ media, profile: "v4.1" }));
    disk.write(3, noise(1, 1024));
    expect(same(media.durable.subarray(1536, 2560), noise(1, 1024))).toBe(true);
    disk.writeBytes(77, noise(2, 5));
    expect(same(media.durable.subarray(77, 82), noise(2, 5))).toBe(true);
    disk.writeZeroes(3, 1);
    expect(media.durable.subarray(1536, 2048).every((byte) => byte === 0)).toBe(true);
  });

  test("[2.104] reads see writes at once, and stores through dax", () => {
    const { pmem } = pmemOf(SIZE);
    const { memory, start } = pmem.dax.directAccess(0, 1);
    pmem.disk.write(0, noise(1, 512));
    expect(memory.getUint8(start + 5)).toBe(noise(1, 512)[5]);
    memory.setUint8(start + 5, 0x99);
    const back = new Uint8Array(512);
    pmem.disk.read(0, back);
    expect(back[5]).toBe(0x99);
  });
});

describe("the driver of Linux 4.1", () => {
  test("[2.78] [2.105] fails beyond its capacity and nowhere else", () => {
    const { pmem } = pmemOf(2 * PAGE_SIZE, { profile: "v4.1" });
    const { disk } = pmem;
    const wrong: string[] = [];
    for (let sector = 0; sector <= disk.sectors + 1; sector++) {
      for (let sectors = 1; sectors <= disk.sectors + 1; sectors++) {
        const code = sector + sectors <= disk.sectors ? undefined : "EIO";
        const bytes = new Uint8Array(sectors * 512);
        const got = [
          codeOf(() => disk.read(sector, bytes)),
          codeOf(() => disk.write(sector, bytes)),
          codeOf(() => disk.writeZeroes(sector, sectors)),
        ];
        if (got.some((each) => each !== code)) wrong.push(`${sector}+${sectors}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(codeOf(() => disk.flush())).toBe(undefined);
  });
});

describe("claims and removal", () => {
  test("[2.111] addresses that somebody has are EBUSY, and EINVAL in Linux 4.1's words", () => {
    const resources = new ResourceTree();
    const hosts = new DaxHosts();
    createPmem(options({ resources, hosts }));
    const again = (profile: "v4.1" | "modern") => () =>
      createPmem(options({ name: "pmem1", resources, hosts, profile }));
    expect(codeOf(again("modern"))).toBe("EBUSY");
    expect(codeOf(again("v4.1"))).toBe("EINVAL");
    expect(again("v4.1")).toThrow(/could not reserve region/u);
    expect(hosts.find("pmem1")).toBe(undefined);
  });

  test("[2.117] a device has one range: none and several are refused, and claim nothing", () => {
    const resources = new ResourceTree();
    for (const odd of [
      { length: undefined },
      { length: 0 },
      { physicalStart: undefined },
      { physicalStart: [2 ** 32, 2 ** 33] },
      { length: [SIZE / 2, SIZE / 2] },
    ]) {
      const given = { ...options({ resources }), ...odd } as unknown as PmemOptions;
      expect(codeOf(() => createPmem(given))).toBe("EINVAL");
    }
    expect(resources.root.children).toEqual([]);
    createPmem(options({ resources }));
    expect(resources.root.children).toHaveLength(1);
  });

  test("[2.115] whatever step fails, what was done before is undone", () => {
    const resources = new ResourceTree();
    const hosts = new DaxHosts();
    const numbers = new DeviceNumbers("modern");
    const free = (): void => {
      const pmem = createPmem(options({ resources, hosts, numbers }));
      expect(pmem.number?.minor).toBe(0);
      pmem.remove();
    };
    // The range is none.
    expect(codeOf(() => createPmem(options({ resources, start: 512 })))).toBe("EINVAL");
    free();
    // The media cannot show its memory.
    const closed = new RamMedia(SIZE);
    closed.close();
    expect(codeOf(() => createPmem(options({ resources, media: closed })))).toBe("ENXIO");
    free();
    // No minor is left: a number is asked for last.
    const exhausted = {
      profile: "modern",
      assign: () => {
        throw new DaxError("EBUSY");
      },
      release: () => {},
    } as unknown as DeviceNumbers;
    expect(codeOf(() => createPmem(options({ resources, hosts, numbers: exhausted })))).toBe(
      "EBUSY",
    );
    free();
    // The name is in use.
    const other = createBrd({ name: "pmem0", size: PAGE_SIZE, hosts });
    expect(codeOf(() => createPmem(options({ resources, hosts, numbers })))).toBe("EBUSY");
    expect(hosts.find("pmem0")).toBe(other.dax);
    other.remove();
    free();
  });

  test("[2.116] removing a device in use is EBUSY and changes nothing", () => {
    const resources = new ResourceTree();
    const hosts = new DaxHosts();
    const pmem = createPmem(options({ resources, hosts }));
    pmem.dax.enter();
    expect(() => pmem.remove()).toThrow("EBUSY");
    pmem.dax.exit();
    const holder = { name: "ext4 on pmem0", notifyFailure: () => {} };
    pmem.dax.claim(holder);
    expect(() => pmem.remove()).toThrow("held by ext4 on pmem0");
    expect(hosts.find("pmem0")).toBe(pmem.dax);
    expect(codeOf(() => pmem.disk.write(0, page))).toBe(undefined);
    pmem.dax.release(holder);
    pmem.remove();
    expect(hosts.find("pmem0")).toBe(undefined);
    pmem.remove();
  });

  test("[2.116] or waits: the disk goes at once, the addresses with the last user", () => {
    const resources = new ResourceTree();
    const pmem = createPmem(options({ resources }));
    let idle = 0;
    pmem.dax.enter();
    pmem.remove({ whenIdle: () => idle++ });
    const calls = [
      () => pmem.disk.read(0, page),
      () => pmem.disk.write(0, page),
      () => pmem.disk.writeZeroes(0, 1),
      () => pmem.disk.flush(),
      () => pmem.disk.readBytes(0, page),
      () => pmem.disk.writeBytes(0, page),
    ];
    expect(calls.map(codeOf)).toEqual(calls.map(() => "ENXIO"));
    expect([idle, pmem.removed]).toEqual([0, false]);
    expect(codeOf(() => createPmem(options({ resources })))).toBe("EBUSY");
    pmem.dax.exit();
    expect([idle, pmem.removed]).toEqual([1, true]);
    expect(codeOf(() => createPmem(options({ resources })))).toBe(undefined);
  });
});

describe("failure injection around a driver", () => {
  test("wraps the disk and each partition, so that a table read can fail too", () => {
    const { pmem } = pmemOf(SIZE, {
      wrap: (device) => new FaultyDevice(device, { rules: [{ operations: ["read"] }] }),
    });
    expect(pmem.partitions.error?.code).toBe("EIO");
    expect(pmem.disk).toBeInstanceOf(FaultyDevice);
  });
});

describe("brd", () => {
  test("[0.3] [0.17] is volatile, knows no discard, and never flushes", () => {
    const hosts = new DaxHosts();
    const media = new LineMedia(SIZE);
    const { dax, disk } = createBrd({ name: "ram0", size: SIZE, media, hosts });
    expect(hosts.find("ram0")).toBe(dax);
    dax.copyFromIter(0, 3, [noise(1, 5000)]);
    dax.flush(0, 0, SIZE);
    dax.zero(0, 1, PAGE_SIZE);
    disk.write(0, page, { fua: true });
    disk.flush();
    expect([media.flushed.length, media.around.length, media.fences]).toEqual([0, 0, 0]);
    expect([dax.counters.flushes, dax.counters.fences]).toEqual([0, 0]);
    expect(codeOf(() => disk.discard(0, 1))).toBe("ENOTSUP");
    expect(disk.sectors).toBe(SIZE / 512);
  });

  test.each([0, 1, PAGE_SIZE - 1, PAGE_SIZE + 1, -PAGE_SIZE, Number.NaN])(
    "a size of %d is EINVAL",
    (size) => {
      expect(codeOf(() => createBrd({ name: "ram0", size }))).toBe("EINVAL");
    },
  );

  test("is EBUSY while in use", () => {
    const brd = createBrd({ name: "ram0", size: PAGE_SIZE });
    brd.dax.enter();
    expect(codeOf(() => brd.remove())).toBe("EBUSY");
    brd.dax.exit();
    brd.remove();
    brd.remove();
    expect(codeOf(() => brd.disk.read(0, new Uint8Array(512)))).toBe("ENXIO");
  });
});
