/**
 * What the ext driver remembers is bounded, and what a replayed journal holds wins over the media.
 */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { InodeRecord } from "../../src/fs/ext/inode-record.ts";
import { Recent } from "../../src/fs/ext/recent.ts";
import { HOLE, MAPPED, REPLAYED, SegmentBuilder, UNWRITTEN } from "../../src/fs/ext/runs.ts";
import { parseSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { silent } from "../../src/lib/environment.ts";
import { find, fixtureImage, mountBytes } from "../support/ext-images.ts";

function volumeOf(image: Uint8Array<ArrayBuffer>): Volume {
  const superblock = parseSuperblock(new DataView(image.buffer, 1024, 1024), 0, image.length);
  const disk = new RamDisk({ name: "ram0", bytes: image });
  return new Volume(superblock, new Buffers(disk, superblock.blockSize), silent);
}

describe("recent", () => {
  test("keeps what was used last, and never more than it may", () => {
    const recent = new Recent<number>(100);
    for (let i = 0; i < 1000; i++) recent.set(i, i);
    const kept = Array.from({ length: 1000 }, (_, i) => i).filter((i) => recent.get(i) === i);
    expect(kept.length).toBeLessThanOrEqual(100);
    expect(kept).toEqual(expect.arrayContaining([999, 975, 951]));
  });

  test("what is asked for again and again stays", () => {
    const recent = new Recent<string>(10);
    recent.set(-1, "kept");
    for (let i = 0; i < 1000; i++) {
      recent.set(i, "other");
      expect(recent.get(-1)).toBe("kept");
    }
  });
});

describe("runs", () => {
  const buffers = new Buffers(new RamDisk({ name: "ram0", bytes: new Uint8Array(1 << 20) }), 1024);

  test("neighbours are joined, gaps are holes, kinds stay apart", () => {
    const builder = new SegmentBuilder(10, 100, buffers);
    builder.add(12, 50, 3, MAPPED);
    builder.add(15, 53, 2, MAPPED);
    builder.add(17, 55, 1, UNWRITTEN);
    builder.add(20, 60, 1, MAPPED);
    const segment = builder.finish();
    const starts = [10, 12, 17, 18, 20, 21];
    expect(segment.runs).toBe(starts.length);
    expect(starts.map((logical) => segment.find(logical))).toEqual([0, 1, 2, 3, 4, 5]);
    const kinds = [HOLE, MAPPED, UNWRITTEN, HOLE, MAPPED, HOLE];
    expect(kinds.map((_, run) => segment.kind(run))).toEqual(kinds);
    expect([segment.blockOf(1, 16), segment.find(99), segment.find(16)]).toEqual([54, 5, 1]);
    const lengths = kinds.map((_, run) => segment.iomap(run, buffers).length / 1024);
    expect(lengths).toEqual([2, 5, 1, 2, 1, 79]);
  });

  test("a replayed block is a run of its own, with its bytes", () => {
    const replaying = new Buffers(buffers.device, 1024);
    replaying.overlay(52, new Uint8Array(1024).fill(9));
    const builder = new SegmentBuilder(0, 5, replaying);
    builder.add(0, 50, 5, MAPPED);
    const segment = builder.finish();
    const kinds = [MAPPED, REPLAYED, MAPPED];
    expect(kinds.map((_, run) => segment.kind(run))).toEqual(kinds);
    const { type, offset, length, inline } = segment.iomap(1, replaying);
    expect([type, offset, length, inline?.[0], inline?.length]).toEqual([
      "inline",
      2048,
      1024,
      9,
      1024,
    ]);
    expect(segment.iomap(2, replaying).addr).toBe(53 * 1024);
  });
});

/**
 * An ext2 image whose inode 12 is a file of single blocks, each in another place than its
 * neighbours: as many runs as blocks.
 */
function scattered(blocks: number): { volume: Volume; record: InodeRecord } {
  const image = fixtureImage("ext2-1k");
  const view = new DataView(image.buffer);
  const volume = volumeOf(image);
  const bytes = new Uint8Array(volume.superblock.inodeSize);
  const inode = new DataView(bytes.buffer);
  Ext4Inode.mode.set(inode, 0, 0o100644);
  Ext4Inode.sizeLo.set(inode, 0, blocks * 1024);
  // One indirect block serves as every one: pointers to 9000, 9002, 9004, ...
  const [double, single] = [8000, 8001];
  inode.setUint32(40 + 13 * 4, double, true);
  for (let i = 0; i < 256; i++) {
    view.setUint32(double * 1024 + i * 4, single, true);
    view.setUint32(single * 1024 + i * 4, 9000 + 2 * i, true);
  }
  return { volume, record: new InodeRecord(volume.superblock, 12, bytes) };
}

describe("maps", () => {
  test("of a scattered file answer right, however much of it is asked", () => {
    const { volume, record } = scattered(60_000);
    const map = new FileMap(volume, record);
    const wrong: number[] = [];
    for (let pass = 0; pass < 2; pass++) {
      for (let logical = 268; logical < 60_000; logical++) {
        const expected = 9000 + 2 * ((logical - 268) % 256);
        if (map.blockOf(logical) !== expected) wrong.push(logical);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("of many files are emptied and filled again", () => {
    const { volume, record } = scattered(60_000);
    const maps = Array.from({ length: 200 }, () => new FileMap(volume, record));
    for (let pass = 0; pass < 2; pass++) {
      for (const map of maps) {
        for (let logical = 268; logical < 2000; logical += 256) {
          expect(map.blockOf(logical)).toBe(9000);
        }
      }
    }
  });

  test("inodes that are made anew say the same", () => {
    const filesystem = mountBytes(fixtureImage("ext4-1k"));
    const { ino } = find(filesystem, "big");
    const before = filesystem.inode(ino).attributes();
    for (let other = 11; other < 700; other++) {
      if (other !== ino && !filesystem.inode(other).mode) throw new Error("no mode");
    }
    filesystem.unmount();
    expect(filesystem.inode(ino).attributes()).toEqual(before);
  });
});
