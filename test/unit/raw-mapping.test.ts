/** Devices mapped without a filesystem: disks, partitions, device-dax. */
import { describe, expect, test } from "vitest";
import { Partition } from "../../src/block/partition.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { AddressSpaces } from "../../src/dax/address-spaces.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { RAW_INO } from "../../src/dax/raw-freeze.ts";
import type { RawMapping } from "../../src/dax/raw-mapping.ts";
import { runToEnd } from "../../src/dax/steps.ts";
import { parseTable } from "../../src/dm/words.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { BASE, MIB, emptyRegion, staticDevice } from "../support/dax-regions.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { faulting } from "../support/faulting-file.ts";
import { mappedOf } from "../support/mapped.ts";

const BYTES = 16 * PAGE_SIZE;

function copyFrom(mapping: RawMapping, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  mapping.copyOut(at, bytes);
  return bytes;
}

describe("[1.1] [4.12] a disk", () => {
  test("is memory: both doors, requests and a second mapping see the same bytes", () => {
    const { disk } = pmemOf(BYTES).pmem;
    const mapping = mapRaw(disk, { access: "write" });
    const part = mapRaw(disk, { offset: PAGE_SIZE, length: 5000 });
    const bytes = noise(1, 3000);
    mapping.copyIn(PAGE_SIZE + 3000, bytes);
    expect(same(copyFrom(part, 3000, 2000), bytes.subarray(0, 2000))).toBe(true);
    const sector = new Uint8Array(512);
    disk.read(14, sector);
    expect(same(sector, bytes.subarray(72, 584))).toBe(true);
    disk.write(16, noise(2, 512));
    expect(same(copyFrom(mapping, 8192, 512), noise(2, 512))).toBe(true);
    mapping.setUint32(4, 0x0102_0304);
    expect([mapping.getUint8(4), mapping.getUint16(6), mapping.getBigUint64(0)]).toEqual([
      1,
      0x0304,
      0x0102_0304n,
    ]);
    const { bytes: raw } = mapping;
    expect(raw.length).toBe(BYTES);
    raw[5] = 9;
    expect(mapping.getUint8(5)).toBe(9);
    expect(part.read(new Uint8Array(8000), 4000)).toBe(1000);
    mapping.unmap();
    mapping.unmap();
    part.unmap();
    expect(codeOf(() => mapping.getUint8(0))).toBe("EFAULT");
  });

  test("a range, access and alignment that cannot be are refused", () => {
    const { disk } = pmemOf(BYTES).pmem;
    for (const options of [
      { offset: 100 },
      { offset: -PAGE_SIZE },
      { length: 0 },
      { offset: BYTES },
      { offset: 0.5 },
      { private: true },
    ]) {
      expect(codeOf(() => mapRaw(disk, options))).toBe("EINVAL");
    }
    const read = mapRaw(disk);
    expect(codeOf(() => read.setUint8(0, 1))).toBe("EACCES");
    expect(codeOf(() => read.getUint8(BYTES))).toBe("EINVAL");
    expect(codeOf(() => read.getUint32(BYTES - 2))).toBe("EINVAL");
    const { disk: fixed } = pmemOf(BYTES, { readOnly: true }).pmem;
    expect(codeOf(() => mapRaw(fixed, { access: "write" }))).toBe("EROFS");
    // As mmap has it: what lies behind the end is there to be mapped, and not to be touched.
    const long = mapRaw(disk, { length: 2 * BYTES });
    expect(long.getUint8(BYTES - 1)).toBe(0);
    expect(codeOf(() => long.getUint8(BYTES))).toBe("EFAULT");
    expect(codeOf(() => long.bytes)).toBe("EFAULT");
  });

  test("[1.4] is touched while a layout changes, which a file's mapping waits for", () => {
    const { disk, dax } = pmemOf(BYTES).pmem;
    const mapping = mapRaw(disk, { access: "write" });
    const space = AddressSpaces.of(dax).get(RAW_INO)!;
    const file = faulting(2);
    const area = file.map();
    for (const each of [space, file.space]) runToEnd(each.layout.take());
    mapping.setUint32(8, 77);
    expect(mapping.getUint32(8)).toBe(77);
    expect(() => area.store(0, Uint8Array.of(1))).toThrow("waits for a page");
    for (const each of [space, file.space]) each.layout.release();
    area.store(0, Uint8Array.of(1));
    mapping.unmap();
  });

  test("poison is met where it lies", () => {
    const { pmem, media } = pmemOf(BYTES);
    const mapping = mapRaw(pmem.disk, { access: "write" });
    mapping.setUint8(5 * PAGE_SIZE, 1);
    media.injectPoison(5 * PAGE_SIZE, 1);
    expect(codeOf(() => mapping.getUint8(5 * PAGE_SIZE + 9))).toBe("EHWPOISON");
    expect(mapping.getUint8(4 * PAGE_SIZE)).toBe(0);
  });

  test("[1.20] is ENXIO to touch when the device is gone", () => {
    const { pmem } = pmemOf(BYTES);
    const mapping = mapRaw(pmem.disk, { access: "write" });
    mapping.setUint8(0, 1);
    pmem.remove();
    expect(codeOf(() => mapping.getUint8(0))).toBe("ENXIO");
    expect(codeOf(() => mapRaw(pmem.disk))).toBe("ENXIO");
    mapping.unmap();
  });

  test("[1.19] is not removed while its bytes are in somebody's hands", () => {
    const { pmem } = pmemOf(BYTES);
    const mapping = mapRaw(pmem.disk);
    expect(mapping.bytes[0]).toBe(0);
    expect(codeOf(() => pmem.remove())).toBe("EBUSY");
    mapping.unmap();
    pmem.remove();
  });
});

function mounted(disk: Partition | ReturnType<typeof pmemOf>["pmem"]["disk"]): FileTree {
  return new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
}

describe("[1.11] raw mappings and filesystems exclude each other", () => {
  test("both ways, by the bytes that are in use", () => {
    const image = fixtureImage("ext2-1k");
    const { disk } = pmemOf(image.length + 64 * PAGE_SIZE).pmem;
    const sectors = image.length / 512;
    const first = new Partition(disk, { name: "pmem0p1", start: 8, sectors });
    const second = new Partition(disk, { name: "pmem0p2", start: 8 + sectors, sectors: 64 });
    first.write(0, image);
    const tree = mounted(first);
    expect(() => mapRaw(first)).toThrow(
      'in use by ext2 on pmem0p1, labelled "ext2-1k", mounted at /;',
    );
    expect(codeOf(() => mapRaw(first))).toBe("EBUSY");
    expect(codeOf(() => mapRaw(disk))).toBe("EBUSY");
    mapRaw(second).unmap();
    tree.close();
    const mapping = mapRaw(disk);
    expect(() => mounted(first)).toThrow("in use by a raw mapping of pmem0;");
    expect(codeOf(() => mounted(first))).toBe("EBUSY");
    mapping.unmap();
    mounted(first).close();
  });

  test("a device that somebody holds is not mapped raw", () => {
    const { dax, disk } = pmemOf(BYTES).pmem;
    const holder = { name: "dm-0", notifyFailure: () => {} };
    dax.claim(holder);
    expect(() => mapRaw(disk)).toThrow("held by dm-0");
  });
});

describe("[1.5] [1.6] a device that shrinks", () => {
  test("takes away what lay behind its end, and keeps the rest", () => {
    const A = pmemOf(BYTES).pmem.disk;
    const device = mappedOf("0 128 linear A 0", { A });
    const mapping = mapRaw(device, { access: "write" });
    mapping.copyIn(0, noise(1, BYTES));
    device.load(parseTable("0 64 linear A 0"));
    device.suspend();
    device.resume();
    expect(() => mapping.getUint8(BYTES / 2)).toThrow("the device ends at byte 32768");
    expect(codeOf(() => mapping.setUint8(BYTES - 1, 1))).toBe("EFAULT");
    expect(codeOf(() => device.read(64, new Uint8Array(512)))).toBe("EIO");
    expect(same(copyFrom(mapping, 0, BYTES / 2), noise(1, BYTES).subarray(0, BYTES / 2))).toBe(
      true,
    );
    const { entries } = AddressSpaces.of(device.dax?.device ?? device).get(RAW_INO) ?? {};
    expect(entries?.pages).toBe(8);
    mapping.setUint8(0, 1);
    mapping.unmap();
    device.load(parseTable("0 128 linear A 0"));
    device.suspend();
    device.resume();
    expect(mapRaw(device).getUint8(BYTES - 1)).toBe(noise(1, BYTES)[BYTES - 1]);
  });
});

describe("device-dax", () => {
  test("[1.2] is mapped in units of its alignment, and shared", () => {
    const region = emptyRegion(8 * MIB);
    const device = region.device("dax0.0");
    device.resize(6 * MIB);
    expect(codeOf(() => device.open())).toBe("ENXIO");
    device.bind("fsdev_dax");
    expect(codeOf(() => device.open())).toBe("EOPNOTSUPP");
    device.unbind();
    device.bind("device_dax");
    const file = device.open();
    for (const options of [
      { offset: PAGE_SIZE },
      { length: PAGE_SIZE },
      { offset: 2 * MIB, length: 3 * MIB },
      { private: true },
    ]) {
      expect(codeOf(() => file.map(options))).toBe("EINVAL");
    }
    const mapping = file.map({ offset: 2 * MIB, access: "write" });
    file.close();
    expect(codeOf(() => file.map())).toBe("EBADF");
    mapping.copyIn(2 * MIB - 5, noise(1, 10));
    expect(same(copyFrom(mapping, 2 * MIB - 5, 10), noise(1, 10))).toBe(true);
    const space = AddressSpaces.of(device.served[0] as object);
    expect(space.size).toBe(0);
    mapping.unmap();
  });

  test("has no read and no write; syncing does nothing", () => {
    const { device, media } = staticDevice([[0, 0, 8]]);
    device.bind("device_dax");
    const file = device.open();
    expect(codeOf(() => file.read())).toBe("EINVAL");
    expect(codeOf(() => file.write())).toBe("EINVAL");
    Object.assign(media, { flush: () => expect.unreachable(), fence: () => expect.unreachable() });
    file.map({ access: "write" }).setUint8(0, 1);
    file.fsync();
    file.close();
    expect(codeOf(() => file.fsync())).toBe("EBADF");
  });

  test("faults have the size of the alignment: smaller ones are refused, larger fall back", () => {
    const region = emptyRegion(8 * MIB);
    const device = region.device("dax0.0");
    device.resize(8 * MIB);
    device.bind("device_dax");
    const mapping = device.open().map({ access: "write" });
    expect(codeOf(() => mapping.fault(0, PAGE_SIZE))).toBe("EFAULT");
    expect(mapping.fault(0, 2 ** 30)).toBe("fallback");
    expect(mapping.fault(5, 2 * MIB, true)).toBe("mapped");
    expect(codeOf(() => mapping.fault(8 * MIB, 2 * MIB))).toBe("EINVAL");
    const wide = device.open().map({ length: 10 * MIB });
    expect(codeOf(() => wide.fault(8 * MIB, 2 * MIB))).toBe("EFAULT");
    mapping.unmap();
    wide.unmap();
  });

  test("a unit that lies in two ranges, or in none, cannot be mapped", () => {
    const unit = 512;
    const { device } = staticDevice(
      [
        [0, 0, unit],
        [2 * unit, unit, unit],
      ],
      { align: 2 * MIB },
    );
    device.bind("device_dax");
    const mapping = device.open().map();
    expect(mapping.getUint8(2 * MIB - 1)).toBe(0);
    expect(codeOf(() => mapping.getUint8(2 * MIB))).toBe("EFAULT");
    expect(mapping.getUint8(5 * MIB)).toBe(0);
  });

  test("a line is flushed when the program says so, and where it lies", () => {
    const { device, media } = staticDevice([
      [0, 4, 2],
      [2, 0, 2],
    ]);
    device.bind("device_dax");
    const mapping = device.open().map({ access: "write" });
    const flushed: [number, number][] = [];
    Object.assign(media, { flush: (at: number, length: number) => flushed.push([at, length]) });
    mapping.copyIn(2 * PAGE_SIZE - 8, noise(1, 16));
    mapping.flush(2 * PAGE_SIZE - 8, 16);
    expect(flushed).toEqual([
      [6 * PAGE_SIZE - 8, 8],
      [0, 8],
    ]);
  });

  test("[1.20] unbinding ends checked mappings, and is EBUSY over raw bytes", () => {
    const { device } = staticDevice([[0, 0, 8]]);
    device.bind("device_dax");
    const file = device.open();
    const [checked, raw] = [file.map({ access: "write" }), file.map()];
    checked.setUint8(0, 7);
    expect(raw.bytes[0]).toBe(7);
    expect(codeOf(() => device.unbind())).toBe("EBUSY");
    raw.unmap();
    device.unbind();
    expect(() => checked.getUint8(0)).toThrow("its driver was taken off");
    expect(codeOf(() => checked.getUint8(0))).toBe("ENXIO");
    expect(codeOf(() => file.map())).toBe("ENXIO");
    device.bind("device_dax");
    expect(device.open().map().getUint8(0)).toBe(7);
  });

  test("[1.2] 1 GiB: one fault, and its address is a multiple", () => {
    const region = emptyRegion(2 ** 30, { align: 2 ** 30 });
    const device = region.device("dax0.0");
    device.resize(2 ** 30);
    device.bind("device_dax");
    const mapping = device.open().map({ access: "write" });
    mapping.setUint8(2 ** 30 - 1, 1);
    expect(mapping.fault(0, 2 ** 30)).toBe("mapped");
    expect(device.ranges[0]?.start).toBe(BASE);
    mapping.unmap();
  });
});
