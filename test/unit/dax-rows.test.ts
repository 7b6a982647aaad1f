/**
 * What the discussions asked of the stack as a whole, where no other test is about it.
 */
import { constants } from "node:fs";
import { describe, expect, test } from "vitest";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { Partition } from "../../src/block/partition.ts";
import * as daxkit from "../../src/index.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { createDcssblk } from "../../src/drivers/dcssblk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { WearMedia } from "../../src/media/wear-media.ts";
import { attachPageMap, pageMapOf } from "../../src/dax/pages.ts";
import { openVolume } from "../../src/node/volume.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pmemOf } from "../support/block-devices.ts";
import { noise } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { LineMedia } from "../support/line-media.ts";
import { mappedOf, ramDisk } from "../support/mapped.ts";
import { refusal } from "../support/refusal.ts";

const PAGE = 4096;
const names = Object.keys(daxkit);

/** Lines that a flush of one store writes back, with the write cache on. */
function flushed(make: (media: WearMedia) => daxkit.DaxDevice): number {
  const media = new WearMedia(PAGE);
  const dax = make(media);
  dax.writeCache = true;
  const { memory, start } = dax.directAccess(0, 1);
  memory.setUint32(start, 1);
  dax.flush(0, 0, 4);
  return media.wear().lineWrites;
}

describe("interfaces", () => {
  test("[0.13] [0.51] nobody is offered a copy around the cache, or anything of pmem's own", () => {
    const odd = /nocache|non_?temporal|uncached|memcpy|^(?:flush|copy|clear|wmb)Pmem|^pmem[A-Z]/iu;
    expect(names.filter((name) => odd.test(name))).toEqual([]);
  });

  test("[0.5] [0.28] a dax device and an instance of device-dax are two things", () => {
    expect(names).toEqual(expect.arrayContaining(["DaxDevice", "DevDax"]));
    expect(Object.getOwnPropertyNames(daxkit.DaxDevice.prototype)).not.toContain("inode");
    expect(daxkit.DevDax.prototype).not.toBeInstanceOf(daxkit.DaxDevice);
  });

  test("[0.20] caches are written back where pmem is, and nowhere else", () => {
    const place = { start: 0, length: PAGE, physicalStart: 0 };
    expect(flushed((media) => createPmem({ name: "pmem0", media, ...place }).dax)).toBe(1);
    expect(flushed((media) => createBrd({ name: "ram0", media, size: PAGE }).dax)).toBe(0);
  });
});

function legs() {
  return {
    A: pmemOf(8 * PAGE, { name: "A" }).pmem,
    B: pmemOf(8 * PAGE, { name: "B" }).pmem,
  };
}

describe("drivers", () => {
  const place = { start: 0, length: PAGE, physicalStart: 0 };

  test("[0.45] volatile memory is copied to by plain stores, whoever copies", () => {
    const segment = { type: "SW", ...place } as const;
    const devices = [
      (media: LineMedia) => createBrd({ name: "ram0", media, size: PAGE }).dax,
      (media: LineMedia) => createAxonram({ name: "axonram0", media, ...place }).dax,
      (media: LineMedia) => createDcssblk({ name: "dcss0", media, segments: [segment] }).dax,
    ];
    for (const make of devices) {
      const media = new LineMedia(PAGE);
      make(media).copyFromIter(0, 1, [noise(1, 3000), noise(2, 64)]);
      expect([media.around, media.flushed]).toEqual([[], []]);
    }
    // The same copy by pmem goes around the cache, which shows that it would be seen.
    const media = new LineMedia(PAGE);
    createPmem({ name: "pmem0", media, ...place }).dax.copyFromIter(0, 1, [noise(1, 3000)]);
    expect(media.around).toHaveLength(1);
  });

  test("[2.61] a transfer is a copy, and done when the call returns", () => {
    const { pmem } = pmemOf(4 * PAGE);
    const source = noise(1, PAGE);
    pmem.disk.write(8, source);
    source.fill(0);
    const target = new Uint8Array(PAGE);
    pmem.disk.read(8, target);
    expect(target).toEqual(noise(1, PAGE));
    const { memory, start } = pmem.dax.directAccess(1, 1);
    expect(copyOf(memory, start, PAGE)).toEqual(noise(1, PAGE));
    memory.setUint8(start, 99);
    expect(target[0]).toBe(noise(1, 1)[0]);
  });

  test("[2.110] callers take of a translation what they need", () => {
    const { dax } = pmemOf(8 * PAGE).pmem;
    const { pfn } = dax.directAccess(3, 2);
    const { memory, start } = dax.directAccess(3, 2);
    const { pages } = dax.directAccess(3, 100);
    expect([pfn, start, pages, memory.byteLength]).toEqual([2 ** 20 + 3, 3 * PAGE, 5, 8 * PAGE]);
  });
});

describe("stacked devices", () => {
  test("[0.8] copies and flushes go to whoever has the bytes", () => {
    const { A, B } = legs();
    const device = mappedOf(`0 128 striped 2 8 A 0 B 0`, { A: A.disk, B: B.disk });
    device.dax?.device.copyFromIter(0, 0, [noise(1, 3 * PAGE)]);
    device.dax?.device.flush(0, PAGE - 64, 128);
    expect([A.dax.counters.copiedIn, B.dax.counters.copiedIn]).toEqual([2 * PAGE, PAGE]);
    expect([A.dax.counters.flushedLines > 0, B.dax.counters.flushedLines > 0]).toEqual([
      true,
      true,
    ]);
    expect(copyOf(B.dax.directAccess(0, 1).memory, 0, PAGE)).toEqual(
      noise(1, 3 * PAGE).subarray(PAGE, 2 * PAGE),
    );
  });

  test("[0.35] linear and striped have dax, error and snapshots have none", () => {
    const { A, B } = legs();
    const disks = { A: A.disk, B: B.disk };
    expect(mappedOf("0 64 linear A 0", disks).dax).toBeDefined();
    expect(mappedOf("0 128 striped 2 8 A 0 B 0", disks).dax).toBeDefined();
    const error = mappedOf("0 64 error", { C: ramDisk("C", 64) });
    expect(error.dax).toBe(undefined);
    // A snapshot's bytes lie wherever they were copied to: no dax, though its legs have it.
    const snapshot = mappedOf("0 64 snapshot A B N 8", disks);
    expect([snapshot.dax, snapshot.daxReason]).toEqual([
      undefined,
      expect.stringMatching(/cannot be turned into a copy/u),
    ]);
    const origin = mappedOf("0 64 snapshot-origin A", disks);
    expect(origin.dax).toBe(undefined);
    expect(refusal(() => error.read(0, new Uint8Array(512))).code).toBe("EIO");
  });
});

describe("modes", () => {
  test("[2.1] [2.67] each marked range is a disk of its own, neighbours too", () => {
    const machine = bootMachine({ ram: "8G", memmap: ["64M!4G", "64M!4160M"] });
    try {
      const disks = machine.devices().map(({ name, size }) => [name, size / 2 ** 20]);
      expect(disks).toEqual([
        ["pmem0", 64],
        ["pmem1", 64],
      ]);
      machine.disk("pmem1").write(3, noise(1, 512));
      const back = new Uint8Array(512);
      machine.disk("pmem1").read(3, back);
      expect(back).toEqual(noise(1, 512));
      expect(Object.keys(machine.disk("pmem0"))).not.toContain("geometry");
    } finally {
      machine.shutdown();
    }
  });

  test("[2.60] modes differ from region to region", () => {
    const pmem = [
      { size: "16M", mode: "raw" },
      { size: "16M", mode: "fsdax" },
    ] as const;
    const machine = bootMachine({ ram: "64M", pmem: [...pmem] });
    try {
      expect(machine.regions.map(({ namespace }) => namespace.mode)).toEqual(["raw", "fsdax"]);
    } finally {
      machine.shutdown();
    }
  });

  test("[2.28] memory from anywhere can be a device, at any address", () => {
    const media = new RamMedia(4 * PAGE);
    const { dax } = createPmem({
      name: "pmem9",
      media,
      start: PAGE,
      length: 2 * PAGE,
      physicalStart: 2 ** 40,
    });
    expect(dax.directAccess(1, 1).pfn).toBe(2 ** 28 + 1);
  });

  test("[2.63] a page without a descriptor is loaded from all the same", () => {
    const { pmem } = pmemOf(4 * PAGE);
    pmem.disk.write(8, noise(1, PAGE));
    expect(pageMapOf(pmem.dax)).toBe(undefined);
    const { memory, start } = pmem.dax.directAccess(1, 1);
    expect(copyOf(memory, start, PAGE)).toEqual(noise(1, PAGE));
  });

  test("[2.39] [2.58] [2.59] direct access and descriptors are chosen by somebody", () => {
    const image = emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 }, 4);
    const { pmem } = pmemOf(image.length);
    pmem.disk.write(0, image);
    const isDax = (dax?: "always" | "never"): boolean => {
      const options = { write: true, ...(dax === undefined ? {} : { dax }) };
      const tree = new FileTree(ext.mount(pmem.disk, options, seededEnvironment(1)));
      const path = `/${dax ?? "default"}`;
      const file = tree.open(path, { create: true, access: "write" });
      const chosen = file.inode.isDax;
      file.close();
      tree.close();
      return chosen;
    };
    expect([isDax(), isDax("never"), isDax("always")]).toEqual([false, false, true]);
    expect(pageMapOf(pmem.dax)).toBe(undefined);
    expect(attachPageMap(pmem.dax).pages).toBe(image.length / PAGE);
  });
});

describe("[X5] failures", () => {
  const image = emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 }, 4);

  /** An image in a partition of a disk, with whatever is put around the partition. */
  function partitioned() {
    const { pmem, media } = pmemOf(image.length + 64 * 512);
    const sectors = image.length / 512;
    const part = new Partition(pmem.disk, { name: "pmem0p1", start: 64, sectors });
    part.write(0, image);
    return { part, media };
  }

  test("above a partition fail its requests alone, and unmounting tells", () => {
    const { part } = partitioned();
    const faulty = new FaultyDevice(part);
    const tree = new FileTree(ext.mount(faulty, { write: true }, seededEnvironment(1)));
    tree.mkdir("/d");
    faulty.arm([{ operations: ["write", "flush"] }]);
    expect(refusal(() => tree.close()).code).toBe("EIO");
    const target = new Uint8Array(512);
    part.read(2, target);
    expect(refusal(() => faulty.write(2, target)).code).toBe("EIO");
  });

  test("below the driver are found where they lie in the partition", () => {
    const { part, media } = partitioned();
    media.injectPoison((64 + 9) * 512, 512);
    expect(refusal(() => part.read(9, new Uint8Array(512))).code).toBe("EIO");
    part.read(8, new Uint8Array(512));
    part.write(9, new Uint8Array(512));
    part.read(9, new Uint8Array(512));
  });
});

test("[2.18] O_DIRECT changes nothing on dax, and demands no alignment", () => {
  const media = RamMedia.over(emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 }, 4));
  const volume = openVolume(media, { write: true });
  const { fs } = volume;
  fs.writeFileSync("/a", noise(1, 9000));
  const fd = fs.openSync("/a", constants.O_RDWR | (constants.O_DIRECT ?? 0));
  const bytes = new Uint8Array(333);
  expect(fs.readSync(fd, bytes, 0, 333, 4097)).toBe(333);
  expect(bytes).toEqual(noise(1, 9000).subarray(4097, 4430));
  expect(fs.writeSync(fd, bytes, 0, 333, 7)).toBe(333);
  fs.closeSync(fd);
  volume.close();
});
