/** A filesystem reads the same from every kind of device: it knows no driver. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { PageCache } from "../../src/block/page-cache.ts";
import { openPartition } from "../../src/block/partition-table.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { pmemOf, segmentsOf } from "../support/block-devices.ts";
import { codeOf } from "../support/bytes.ts";
import { fsdevOf } from "../support/dax-regions.ts";
import { scatteredDax, stackedDax } from "../support/dax-fakes.ts";
import {
  contentsOf,
  type ExtFixture,
  fixtureImage,
  fixtureManifest,
  manifestOf,
  mountDisk,
  parseManifest,
  walkTree,
} from "../support/ext-images.ts";
import { gptImage, mbrImage } from "../support/partition-images.ts";

const images: readonly ExtFixture[] = ["ext4-default", "ext2-1k", "ext4-inline"];

function sumOf(inode: Inode): string {
  return createHash("sha256").update(contentsOf(inode)).digest("hex");
}

/** Room for an image of so many bytes; the image is not on it yet. */
type Make = (bytes: number) => BlockDevice;

/** A partition of a disk that carries a table; sectors before and behind it. */
function partitioned(disk: BlockDevice, start: number, gpt: boolean): BlockDevice {
  const { sectors } = disk;
  const length = sectors - start - 64;
  const table = gpt
    ? gptImage(sectors, [{ index: 1, first: start, last: start + length - 1 }])
    : mbrImage(sectors, [{ type: 0x83, start, sectors: length }]);
  disk.write(0, table);
  return openPartition(disk, 1);
}

const margin = 128 * 512;

const devices: Readonly<Record<string, Make>> = {
  "plain RAM": (bytes) => new RamDisk({ name: "ram0", bytes: new Uint8Array(bytes) }),
  pmem: (bytes) => pmemOf(bytes).pmem.disk,
  "pmem of Linux 4.1": (bytes) => pmemOf(bytes, { profile: "v4.1" }).pmem.disk,
  "pmem in windows of a page": (bytes) => pmemOf(bytes, { segmentBytes: PAGE_SIZE }).pmem.disk,
  brd: (bytes) => createBrd({ name: "ram0", size: bytes }).disk,
  axonram: (bytes) => {
    const media = new RamMedia(bytes);
    return createAxonram({ name: "axonram0", media, start: 0, length: bytes, physicalStart: 0 })
      .disk;
  },
  "dcssblk of three segments": (bytes) => segmentsOf("SW", bytes).disk,
  "[3.2] fsdev over three ranges": (bytes) => {
    const pages = bytes / PAGE_SIZE;
    const first = Math.floor(pages / 3);
    const layout = [
      [first, 0, 2],
      [0, 5, first],
      [first + 2, first + 9, pages - first - 2],
    ] as const;
    return new DaxDisk(fsdevOf(layout).dax);
  },
  "pages in any order": (bytes) => new DaxDisk(scatteredDax(bytes / PAGE_SIZE, new Prng(1))),
  "a stack that translates as it likes": (bytes) => {
    const { dax } = pmemOf(bytes + 5 * PAGE_SIZE).pmem;
    return new DaxDisk(stackedDax(dax, 5, bytes / PAGE_SIZE, new Prng(2)));
  },
  "an MBR partition on page borders": (bytes) =>
    partitioned(pmemOf(bytes + margin).pmem.disk, 64, false),
  "an MBR partition off page borders": (bytes) =>
    partitioned(pmemOf(bytes + margin).pmem.disk, 63, false),
  "a GPT partition": (bytes) => partitioned(pmemOf(bytes + margin).pmem.disk, 64, true),
  "pmem behind a page cache": (bytes) => new PageCache(pmemOf(bytes).pmem.disk),
  "a device that shows no dax": (bytes) => new FaultyDevice(pmemOf(bytes).pmem.disk),
  "metadata by request, data by dax": (bytes) =>
    new FaultyDevice(pmemOf(bytes).pmem.disk, { reach: "metadata" }),
};

function loaded(make: Make, name: ExtFixture): BlockDevice {
  const image = fixtureImage(name);
  const device = make(image.length);
  device.write(0, image);
  return device;
}

describe.each(Object.entries(devices))("[0.15] [2.71] %s", (_, make) => {
  test.each(images)("%s gives the recorded tree", (name) => {
    const filesystem = mountDisk(loaded(make, name));
    expect(manifestOf(filesystem)).toEqual(parseManifest(fixtureManifest(name)));
  });
});

describe("[2.74] [2.77] failures below a mounted filesystem", () => {
  test("of metadata alone leave file data readable", () => {
    const disk = new FaultyDevice(
      loaded((bytes) => pmemOf(bytes).pmem.disk, "ext4-default"),
      {
        reach: "metadata",
      },
    );
    const filesystem = mountDisk(disk, { dax: "always" });
    const files = [...walkTree(filesystem.root)].filter(
      ({ inode }) => inode.isDax && inode.size > 0,
    );
    const some = files.slice(0, 20).map(({ inode }) => ({ inode, sum: sumOf(inode) }));
    expect(some.length).toBeGreaterThan(10);
    disk.arm([{ operations: ["read"] }]);
    // Their mappings are in memory: only data is read now, and it does not go through requests.
    const again = some.map(({ inode }) => sumOf(inode));
    expect(again).toEqual(some.map(({ sum }) => sum));
    expect(codeOf(() => mountDisk(disk))).toBe("EIO");
  });

  test("of a single sector are EIO, and nothing worse", () => {
    const disk = new FaultyDevice(loaded((bytes) => pmemOf(bytes).pmem.disk, "ext2-1k"));
    const filesystem = mountDisk(disk);
    const total = [...walkTree(filesystem.root)].length;
    let failed = 0;
    for (let sector = 0; sector < disk.sectors; sector += 211) {
      disk.arm([{ operations: ["read"], start: sector, sectors: 1 }]);
      try {
        const fresh = mountDisk(disk);
        for (const node of walkTree(fresh.root)) contentsOf(node.inode);
      } catch (error) {
        failed++;
        if ((error as { code?: string }).code !== "EIO") throw error;
      }
    }
    disk.arm([]);
    expect([...walkTree(mountDisk(disk).root)].length).toBe(total);
    expect(failed).toBeGreaterThan(0);
  });
});
