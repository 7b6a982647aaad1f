/** Partition tables made by hand, and what Linux makes of them. */
import { crc32 as zlibCrc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { BLOCK_EXT_MAJOR, DeviceNumbers } from "../../src/block/device-numbers.ts";
import { DiskPartitions } from "../../src/block/disk-partitions.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import {
  openPartition,
  openPartitions,
  partitionName,
  readPartitionTable,
} from "../../src/block/partition-table.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { crc32 } from "../../src/lib/crc32.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import {
  gptImage,
  type HandGpt,
  mbrImage,
  writeGptHeader,
  writeMbr,
} from "../support/partition-images.ts";

function diskOf(bytes: Uint8Array, logicalBlockSize = 512): RamDisk {
  const limits = { logicalBlockSize, physicalBlockSize: 4096 };
  return new RamDisk({ name: "pmem0", bytes, limits });
}

/** `index start+sectors type` of each entry. */
function summary(bytes: Uint8Array, logicalBlockSize = 512): string[] | undefined {
  const table = readPartitionTable(diskOf(bytes, logicalBlockSize));
  return table?.entries.map((e) => `${e.index} ${e.start}+${e.sectors} ${e.type}`);
}

/** `name start+sectors` of each device. */
function devices(bytes: Uint8Array): string[] {
  const disk = diskOf(bytes);
  const table = readPartitionTable(disk);
  if (table === undefined) return [];
  const { partitions } = openPartitions(disk, table);
  return [...partitions.values()].map((p) => `${p.name} ${p.start}+${p.sectors}`);
}

const GUID = "0fc63daf-8483-4772-8e79-3d69d8477de4";

/** An extended partition at 2000 with links at 2000, 2200 and 2500. */
function chained(): Uint8Array<ArrayBuffer> {
  const image = mbrImage(4096, [
    { type: 0x83, start: 64, sectors: 100, active: true },
    { type: 0x05, start: 2000, sectors: 1000 },
  ]);
  writeMbr(image, 2000, [
    { type: 0x83, start: 8, sectors: 100 },
    { type: 0x05, start: 200, sectors: 200 },
  ]);
  writeMbr(image, 2200, [
    { type: 0x82, start: 8, sectors: 50 },
    { type: 0x0f, start: 500, sectors: 100 },
  ]);
  writeMbr(image, 2500, [{ type: 0x07, start: 1, sectors: 60 }]);
  return image;
}

describe("MBR", () => {
  test("four primary partitions, with the words of Linux for their identity", () => {
    const bytes = mbrImage(4096, [
      { type: 0x83, start: 64, sectors: 100, active: true },
      { type: 0x82, start: 200, sectors: 8 },
      { type: 0, start: 0, sectors: 0 },
      { type: 0x0c, start: 1000, sectors: 3096 },
    ]);
    const table = readPartitionTable(diskOf(bytes));
    expect(table?.label).toBe("dos");
    expect(table?.id).toBe("0x1a2b3c4d");
    expect(table?.notes).toEqual([]);
    expect(summary(bytes)).toEqual(["1 64+100 83", "2 200+8 82", "4 1000+3096 0c"]);
    expect(table?.entries.map((entry) => entry.bootable)).toEqual([true, false, false]);
    expect(table?.entries.map((entry) => entry.uuid)).toEqual([
      "1a2b3c4d-01",
      "1a2b3c4d-02",
      "1a2b3c4d-04",
    ]);
  });

  test("logical partitions count from 5; the container shows two sectors", () => {
    expect(summary(chained())).toEqual([
      "1 64+100 83",
      "2 2000+1000 05",
      "5 2008+100 83",
      "6 2208+50 82",
      "7 2501+60 07",
    ]);
    expect(devices(chained())).toEqual([
      "pmem0p1 64+100",
      "pmem0p2 2000+2",
      "pmem0p5 2008+100",
      "pmem0p6 2208+50",
      "pmem0p7 2501+60",
    ]);
  });

  test("a chain that turns back is followed once", () => {
    const image = chained();
    writeMbr(image, 2500, [
      { type: 0x83, start: 1, sectors: 10 },
      { type: 0x05, start: 0, sectors: 100 },
    ]);
    expect(summary(image)?.length).toBe(5);
    const table = readPartitionTable(diskOf(image));
    expect(table?.notes).toEqual([
      "extended partition: the link at sector 2000 is in a loop; stopped",
    ]);
  });

  test("a chain of links without partitions ends", () => {
    const image = mbrImage(4096, [{ type: 0x05, start: 64, sectors: 4000 }]);
    for (let i = 0; i < 1000; i++) {
      writeMbr(image, 64 + i, [{ type: 0x05, start: i + 1, sectors: 4000 }]);
    }
    expect(summary(image)).toEqual(["1 64+4000 05"]);
  });

  test("no more than 255 partitions come out of a chain", () => {
    const image = mbrImage(4096, [{ type: 0x05, start: 64, sectors: 4000 }]);
    for (let i = 0; i < 400; i++) {
      writeMbr(image, 64 + 2 * i, [
        { type: 0x83, start: 1, sectors: 1 },
        { type: 0x05, start: 2 * (i + 1), sectors: 2 },
      ]);
    }
    expect(summary(image)?.length).toBe(1 + 251);
    expect(devices(image).at(-1)).toBe("pmem0p255 565+1");
  });

  test("a link that has no signature or cannot be read ends the chain, and says so", () => {
    const image = chained();
    image[2200 * 512 + 510] = 0;
    expect(summary(image)).toEqual(["1 64+100 83", "2 2000+1000 05", "5 2008+100 83"]);
    const disk = new FaultyDevice(diskOf(chained()), { rules: [{ start: 2500, sectors: 1 }] });
    const table = readPartitionTable(disk);
    expect(table?.entries.length).toBe(4);
    expect(table?.notes[0]).toContain("2500");
  });

  test("garbage in the third and fourth slot of a link is left out when it does not fit", () => {
    const image = chained();
    writeMbr(image, 2500, [
      { type: 0x07, start: 1, sectors: 60 },
      { type: 0, start: 0, sectors: 0 },
      { type: 0x83, start: 70, sectors: 31 },
      { type: 0x83, start: 70, sectors: 30 },
    ]);
    expect(summary(image)?.slice(-2)).toEqual(["7 2501+60 07", "8 2570+30 83"]);
  });

  test("a partition that leaves the disk is cut; one behind the disk is no device", () => {
    const bytes = mbrImage(1024, [
      { type: 0x83, start: 1000, sectors: 100 },
      { type: 0x83, start: 1024, sectors: 1 },
      { type: 0x83, start: 0xffffffff, sectors: 0xffffffff },
    ]);
    expect(devices(bytes)).toEqual(["pmem0p1 1000+24"]);
    const disk = diskOf(bytes);
    const table = readPartitionTable(disk);
    expect(table === undefined ? [] : openPartitions(disk, table).notes.length).toBe(3);
  });

  test("fields count logical blocks: a disk of 4096-byte blocks", () => {
    const bytes = mbrImage(4096, [{ type: 0x83, start: 8, sectors: 16 }]);
    expect(summary(bytes, 4096)).toEqual(["1 64+128 83"]);
  });
});

describe("no table", () => {
  test.each([
    ["an empty disk", new Uint8Array(65_536)],
    ["noise", noise(1, 65_536).fill(0, 510, 512)],
    ["a disk of no sectors", new Uint8Array(0)],
  ])("%s", (_, bytes) => {
    expect(readPartitionTable(diskOf(bytes))).toBe(undefined);
  });

  test("a boot sector of FAT, whose last two bytes are the same", () => {
    const fat = mbrImage(128, []);
    const view = new DataView(fat.buffer);
    view.setUint16(14, 1, true);
    view.setUint8(16, 2);
    view.setUint8(21, 0xf8);
    expect(readPartitionTable(diskOf(fat))).toBe(undefined);
    fat.set(Buffer.from("NTFS boot code where a table would be"), 446);
    expect(readPartitionTable(diskOf(fat))).toBe(undefined);
  });
});

describe("GPT", () => {
  const entries = [
    { index: 1, first: 64, last: 127, name: "boot" },
    { index: 3, first: 128, last: 128, name: "ünïcode €" },
    { index: 128, first: 200, last: 1000 },
  ];

  test("entries keep their index, name and GUIDs", () => {
    const table = readPartitionTable(diskOf(gptImage(2048, entries)));
    expect(table?.label).toBe("gpt");
    expect(table?.id).toBe("11223344-5566-7788-99aa-bbccddeeff00");
    expect(table?.from).toBe("primary");
    expect(table?.notes).toEqual([]);
    expect(table?.entries.map(({ name }) => name)).toEqual(["boot", "ünïcode €", ""]);
    expect(table?.entries[1]?.uuid).toBe("00000003-0000-0000-0000-000000000000");
    const want = [`1 64+64 ${GUID}`, `3 128+1 ${GUID}`, `128 200+801 ${GUID}`];
    expect(summary(gptImage(2048, entries))).toEqual(want);
    expect(devices(gptImage(2048, entries))[2]).toBe("pmem0p128 200+801");
  });

  test("a disk of 4096-byte blocks", () => {
    const bent = { blockSize: 4096 };
    const image = gptImage(4096, [{ index: 2, first: 20, last: 29 }], bent);
    expect(summary(image, 4096)).toEqual([`2 160+80 ${GUID}`]);
  });

  test.each([
    ["signature", 0, "EUCLEAN"],
    ["header_size", 13, "EUCLEAN"],
    ["header_crc32", 16, "EBADMSG"],
    ["partition_entry_array_crc32", 512 + 5, "EBADMSG"],
  ])("a bad %s of the primary: the backup is used; of both: %s", (field, at, code) => {
    const image = gptImage(2048, entries);
    const flip = (index: number): void => {
      image[index] = (image[index] as number) ^ 0xff;
    };
    flip(512 + at);
    const table = readPartitionTable(diskOf(image));
    expect(table?.from).toBe("backup");
    expect(table?.notes[0]).toContain(field);
    expect(table?.entries.length).toBe(3);
    flip(at < 512 ? 2047 * 512 + at : (2047 - 32) * 512 + at - 512);
    expect(codeOf(() => readPartitionTable(diskOf(image)))).toBe(code);
    expect(() => readPartitionTable(diskOf(image))).toThrow(`block 1: ${field}`);
  });

  // The checksums are right in all of these: the fields themselves are hostile.
  const hostile: [string, HandGpt][] = [
    ["my_lba", { myLba: 2 }],
    ["header_size", { headerSize: 513 }],
    ["header_size", { headerSize: 91 }],
    ["sizeof_partition_entry", { entrySize: 0 }],
    ["sizeof_partition_entry", { entrySize: 129 }],
    ["sizeof_partition_entry", { entrySize: 2 ** 31 }],
    ["num_partition_entries", { entryCount: 32_769 }],
    ["num_partition_entries", { entryCount: 2 ** 32 - 1 }],
    ["partition_entry_lba", { entryCount: 32_768 }],
    ["first_usable_lba", { firstUsable: 2048 }],
    ["last_usable_lba", { lastUsable: 2048 }],
    ["last_usable_lba", { lastUsable: 3 }],
  ];
  test.each(hostile)("a hostile %s is EUCLEAN: %j", (field, bent) => {
    const image = gptImage(2048, entries, bent);
    image[2047 * 512] = 0;
    expect(codeOf(() => readPartitionTable(diskOf(image)))).toBe("EUCLEAN");
    expect(() => readPartitionTable(diskOf(image))).toThrow(field);
  });

  test.each([2048, 2 ** 31, 2 ** 53])("entries at block %d are EUCLEAN", (entryLba) => {
    const image = gptImage(2048, entries);
    image[2047 * 512] = 0;
    const view = new DataView(image.buffer, 512);
    view.setBigUint64(72, BigInt(entryLba), true);
    view.setUint32(16, 0, true);
    view.setUint32(16, zlibCrc32(image.subarray(512, 512 + 92)), true);
    expect(() => readPartitionTable(diskOf(image))).toThrow("partition_entry_lba");
  });

  test("entries that are no range or leave the disk are left out, and noted", () => {
    const image = gptImage(2048, [
      { index: 1, first: 100, last: 99 },
      { index: 2, first: 2000, last: 2048 },
      { index: 3, first: 2 ** 53, last: 2 ** 53 },
      { index: 4, first: 100, last: 199 },
    ]);
    expect(devices(image)).toEqual(["pmem0p4 100+100"]);
    const disk = diskOf(image);
    const table = readPartitionTable(disk);
    expect(table === undefined ? [] : openPartitions(disk, table).notes.length).toBe(3);
  });

  test("a disk too small for its headers is EUCLEAN, not a crash", () => {
    const image = new Uint8Array(512);
    writeMbr(image, 0, [{ type: 0xee, start: 1, sectors: 1 }]);
    expect(["EIO", "EUCLEAN"]).toContain(codeOf(() => readPartitionTable(diskOf(image))));
  });

  test("without a protective entry the headers are not looked at", () => {
    const image = gptImage(2048, entries);
    image.fill(0, 0, 512);
    expect(readPartitionTable(diskOf(image))).toBe(undefined);
    writeGptHeader(image, 1, entries);
    writeMbr(image, 0, [{ type: 0x83, start: 64, sectors: 64 }]);
    expect(summary(image)).toEqual(["1 64+64 83"]);
  });
});

describe("I/O errors under a table", () => {
  test("[0.37] a poisoned first sector is EIO, and the disk lives without partitions", () => {
    const { pmem, media } = pmemOf(2048 * 512);
    pmem.disk.write(0, gptImage(2048, [{ index: 1, first: 64, last: 127 }]));
    pmem.partitions.rescan();
    expect([...pmem.partitions.devices.keys()]).toEqual([1]);
    media.injectPoison(0, 512);
    expect(codeOf(() => pmem.partitions.rescan())).toBe("EIO");
    expect(pmem.partitions.devices.size).toBe(0);
    pmem.partitions.scan();
    expect(pmem.partitions.error?.code).toBe("EIO");
    expect(codeOf(() => pmem.disk.read(1, new Uint8Array(512)))).toBe(undefined);
  });

  test("[0.37] a poisoned primary header makes way for the backup; both poisoned are EIO", () => {
    const { pmem, media } = pmemOf(2048 * 512);
    pmem.disk.write(0, gptImage(2048, [{ index: 1, first: 64, last: 127 }]));
    media.injectPoison(512, 512);
    pmem.partitions.rescan();
    expect(pmem.partitions.table?.from).toBe("backup");
    media.injectPoison(2047 * 512, 512);
    expect(codeOf(() => pmem.partitions.rescan())).toBe("EIO");
  });
});

describe("names and numbers", () => {
  test.each([
    ["pmem0", 1, "pmem0p1"],
    ["pmem1.2", 12, "pmem1.2p12"],
    ["pmem0s", 1, "pmem0s1"],
    ["sda", 3, "sda3"],
    ["ram15", 2, "ram15p2"],
  ])("%s and %d make %s", (disk, index, name) => {
    expect(partitionName(disk, index)).toBe(name);
  });

  test("[2.102] Linux 4.1: sixteen minors a disk, what is beyond in the extended major", () => {
    const numbers = new DeviceNumbers("v4.1", 252);
    expect(numbers.assign(0, 0)).toEqual({ major: 252, minor: 0 });
    expect(numbers.assign(3, 0)).toEqual({ major: 252, minor: 48 });
    expect(numbers.assign(3, 15)).toEqual({ major: 252, minor: 63 });
    expect(numbers.assign(3, 16)).toEqual({ major: BLOCK_EXT_MAJOR, minor: 0 });
    expect(numbers.assign(0, 255)).toEqual({ major: BLOCK_EXT_MAJOR, minor: 1 });
    expect(codeOf(() => numbers.assign(0, 256))).toBe("EINVAL");
    // 2^20 minors are 65536 disks of sixteen.
    expect(numbers.assign(65_535, 15)).toEqual({ major: 252, minor: 2 ** 20 - 1 });
    expect(numbers.assign(65_536, 0)).toEqual({ major: BLOCK_EXT_MAJOR, minor: 2 });
  });

  test("today: everything in the extended major, the lowest free minor", () => {
    const numbers = new DeviceNumbers("modern");
    const [first, second] = [numbers.assign(0, 0), numbers.assign(0, 1)];
    expect([first.major, first.minor, second.minor]).toEqual([BLOCK_EXT_MAJOR, 0, 1]);
    numbers.release(first);
    expect(numbers.assign(1, 0).minor).toBe(0);
    expect(numbers.assign(1, 1).minor).toBe(2);
  });

  test("a table is not read anew while a partition is mounted, or a leg", () => {
    const disk = diskOf(gptImage(2048, [{ index: 1, first: 64, last: 127 }]));
    const partitions = new DiskPartitions(disk);
    partitions.rescan();
    const first = partitions.devices.get(1);
    for (const use of ["read", "write", "table"] as const) {
      const leave = first?.hold?.({ name: `somebody on ${first.name}`, use });
      expect(() => partitions.rescan()).toThrow(/EBUSY.*in use by somebody on/u);
      expect(partitions.devices.get(1)).toBe(first);
      leave?.();
    }
    first?.hold?.({ name: "a client", use: "open" });
    partitions.rescan();
    expect(partitions.devices.get(1)).not.toBe(first);
  });

  test("[2.102] the partitions of a disk get theirs, and give them back", () => {
    const numbers = new DeviceNumbers("v4.1", 252);
    const entries = [1, 15, 16, 200].map((index) => ({ index, first: 64, last: 64 }));
    const image = gptImage(2048, entries, { entryCount: 256 });
    const partitions = new DiskPartitions(diskOf(image), { numbers, index: 2 });
    partitions.rescan();
    expect([1, 15, 16, 200].map((index) => partitions.number(index)?.minor)).toEqual([
      33, 47, 0, 1,
    ]);
    partitions.rescan();
    expect(partitions.number(200)).toEqual({ major: BLOCK_EXT_MAJOR, minor: 1 });
    partitions.clear();
    expect(partitions.number(1)).toBe(undefined);
    expect(numbers.assign(9, 99).minor).toBe(0);
  });
});

describe("one partition by its number", () => {
  test("is a device over its sectors", () => {
    const image = gptImage(2048, [{ index: 7, first: 64, last: 127 }]);
    image.set(noise(5, 512), 65 * 512);
    const back = new Uint8Array(512);
    openPartition(diskOf(image), 7).read(1, back);
    expect(same(back, noise(5, 512))).toBe(true);
  });

  test("is ENXIO with the numbers that there are", () => {
    const image = gptImage(2048, [{ index: 7, first: 64, last: 127 }]);
    expect(() => openPartition(diskOf(image), 1)).toThrow(
      "the gpt partition table has partition 7 (32 KiB at 32768)",
    );
    expect(() => openPartition(diskOf(new Uint8Array(4096)), 1)).toThrow("no partition table");
    expect(codeOf(() => openPartition(diskOf(new Uint8Array(4096)), 1))).toBe("ENXIO");
  });
});

test("crc32 is zlib's", () => {
  expect(crc32(Buffer.from("123456789"))).toBe(0xcbf43926);
  for (let length = 0; length < 300; length += 7) {
    const bytes = noise(length, length);
    expect(crc32(bytes)).toBe(zlibCrc32(bytes));
  }
});
