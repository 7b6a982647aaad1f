/** Setters of an inode against the readers of its fields, and the way into the table and back. */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_EXTENTS_FL, EXT4_HUGE_FILE_FL } from "../../src/format/ext-inode.ts";
import { InPlaceJournal } from "../../src/fs/ext/in-place-journal.ts";
import {
  type InodeRecord,
  deviceOf,
  fileAcl,
  gidOf,
  sectorsUsed,
  timesOf,
  uidOf,
} from "../../src/fs/ext/inode-record.ts";
import * as inodeWriter from "../../src/fs/ext/inode-writer.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { silent } from "../../src/lib/environment.ts";
import { S_IFBLK, S_IFLNK, S_IFREG } from "../../src/vfs/modes.ts";
import { still } from "../support/ext-images.ts";
import { type TinyImage, tinyImage } from "../support/tiny-images.ts";

function open(name: TinyImage): Volume {
  const disk = new RamDisk({ name: "ram0", bytes: tinyImage(name) });
  const superblock = readSuperblock(disk);
  return new Volume(superblock, new Buffers(disk, superblock.blockSize), silent);
}

/** Stores the record and reads it from the media again. */
function stored(volume: Volume, record: InodeRecord): InodeRecord {
  const journal = new InPlaceJournal(volume.buffers, { environment: still });
  const handle = journal.start(1);
  inodeWriter.storeRecord(volume, handle, record);
  handle.stop();
  journal.close();
  const { superblock, device } = volume;
  return new Volume(superblock, new Buffers(device, superblock.blockSize), silent).record(
    record.ino,
  );
}

const time = { sec: 1_700_000_000, nsec: 123_456_789 };
const fresh = (volume: Volume, mode = S_IFREG | 0o644): InodeRecord =>
  inodeWriter.newRecord(volume, 15, {
    mode,
    uid: 70_000,
    gid: 4_000_000_000,
    links: 1,
    flags: 0,
    generation: 0xdead_beef,
    time,
  });

describe.each(["extents", "ext2", "journal-v3"] as const)("an inode of %s", (name) => {
  test("keeps what it was made with, through the table", () => {
    const volume = open(name);
    const record = stored(volume, fresh(volume));
    expect(record.mode).toBe(S_IFREG | 0o644);
    expect(record.links).toBe(1);
    expect(record.generation).toBe(0xdead_beef);
    expect([uidOf(record), gidOf(record)]).toEqual([70_000, 4_000_000_000]);
    expect(record.has(EXT4_EXTENTS_FL)).toBe(name !== "ext2");
    expect(timesOf(record).mtime.sec).toBe(time.sec);
    expect(record.size).toBe(0);
  });

  test("keeps what is set later", () => {
    const volume = open(name);
    const { superblock } = volume;
    const record = fresh(volume);
    inodeWriter.setSize(superblock, record, 5_000_000_000);
    inodeWriter.setLinks(record, 65_000);
    inodeWriter.setMode(record, S_IFREG | 0o4711);
    inodeWriter.setFileAcl(superblock, record, 77);
    inodeWriter.addBlocks(superblock, record, 3);
    inodeWriter.addBlocks(superblock, record, -1);
    inodeWriter.setDtime(record, 4_000_000_000);
    inodeWriter.setVersion(record, 2 ** 32 + 5);
    const again = stored(volume, record);
    expect(again.size).toBe(5_000_000_000);
    expect([again.links, again.mode]).toEqual([65_000, S_IFREG | 0o4711]);
    expect(fileAcl(superblock, again)).toBe(77);
    expect(sectorsUsed(superblock, again)).toBe((2 * superblock.blockSize) / 512);
    expect(inodeWriter.dtimeOf(again)).toBe(4_000_000_000);
  });
});

describe("times", () => {
  test.each([-1.5, 1 - 2 ** 31, 0, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 7, 15_032_385_534])(
    "%d seconds can be said exactly where there is room",
    (seconds) => {
      const record = fresh(open("extents"));
      const sec = Math.floor(seconds);
      inodeWriter.setTime(record, "atime", { sec, nsec: 500_000_000 });
      inodeWriter.setTime(record, "btime", { sec, nsec: 999_999_999 });
      expect(timesOf(record).atime).toEqual({ sec, nsec: 500_000_000 });
      expect(timesOf(record).btime).toEqual({ sec, nsec: 999_999_999 });
    },
  );

  test("what cannot be said becomes the nearest time", () => {
    const record = fresh(open("extents"));
    inodeWriter.setTime(record, "mtime", { sec: 1e12, nsec: 1 });
    expect(timesOf(record).mtime).toEqual({ sec: 15_032_385_535, nsec: 0 });
    inodeWriter.setTime(record, "mtime", { sec: -1e12, nsec: 1 });
    expect(timesOf(record).mtime).toEqual({ sec: -(2 ** 31), nsec: 0 });
  });

  test.each([-(2 ** 31), 15_032_385_535])("second %i has no fraction, as in Linux", (sec) => {
    const record = fresh(open("extents"));
    inodeWriter.setTime(record, "mtime", { sec, nsec: 500_000_000 });
    expect(timesOf(record).mtime).toEqual({ sec, nsec: 0 });
  });

  test("an inode of 128 bytes has whole seconds to 2038 and no birth", () => {
    const volume = open("ext2");
    expect(volume.superblock.inodeSize).toBe(128);
    const record = fresh(volume);
    inodeWriter.setTime(record, "ctime", { sec: 2 ** 31, nsec: 5 });
    expect(timesOf(record).ctime).toEqual({ sec: 2 ** 31 - 1, nsec: 0 });
    expect(timesOf(record).btime).toBe(undefined);
  });
});

test.each([0x0803, 0xffff, 0x10_0000, 0xffff_f0ff, 259 * 256 + 17])(
  "device number %i is read as it was set",
  (device) => {
    const record = fresh(open("extents"), S_IFBLK | 0o600);
    inodeWriter.setDevice(record, device);
    expect(deviceOf(record)).toBe(device);
  },
);

describe("what an inode occupies", () => {
  test("48 bits of sectors, then blocks, and back", () => {
    const volume = open("extents");
    const { superblock } = volume;
    const record = fresh(volume);
    for (const sectors of [2 ** 32 - 8, 2 ** 32, 2 ** 48 - 8, 2 ** 48, 2 ** 49 - 8, 8]) {
      inodeWriter.setSectors(superblock, record, sectors);
      expect(sectorsUsed(superblock, record)).toBe(sectors);
      expect(record.has(EXT4_HUGE_FILE_FL)).toBe(sectors >= 2 ** 48);
    }
  });

  test("without huge_file 2 TiB are the limit, and nothing changes beyond it", () => {
    const volume = open("ext2");
    const record = fresh(volume);
    const before = Uint8Array.from(record.bytes);
    expect(() => inodeWriter.setSectors(volume.superblock, record, 2 ** 32)).toThrow(/EFBIG/u);
    expect(record.bytes).toEqual(before);
  });
});

test("what is no file with a map has no extent root until it asks for one", () => {
  const record = fresh(open("extents"), S_IFLNK | 0o777);
  expect(record.has(EXT4_EXTENTS_FL)).toBe(false);
  inodeWriter.setBlockBytes(record, Uint8Array.of(97, 98));
  expect(record.blockBytes().subarray(0, 3)).toEqual(Uint8Array.of(97, 98, 0));
  inodeWriter.initExtents(record);
  expect(record.has(EXT4_EXTENTS_FL)).toBe(true);
  expect(record.blockWord(0)).toBe(0x0000_f30a);
});
