/**
 * fallocate: where it puts blocks, what it refuses, what is left when space ends, what it costs on
 * a disk of fragments, and changes that take many transactions.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { EXT4_APPEND_FL, EXT4_IMMUTABLE_FL } from "../../src/format/ext-inode.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import type { Journal } from "../../src/fs/ext/journal.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { extentsIn, seekTo } from "../../src/vfs/extents.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { S_IFCHR, S_IFIFO } from "../../src/vfs/modes.ts";
import { FALLOCATE_MODES, type FallocateMode, type InodeWriting } from "../../src/vfs/writing.ts";
import { codeOf } from "../support/bytes.ts";
import { plainDirectory, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";

const MIB = 2 ** 20;
const HUGE = 2 * MIB;

/** A new filesystem, mounted. */
function mounted(device: BlockDevice, options: MakeExtOptions = {}): ExtFilesystem {
  makeExt(device, { inodes: 64, ...options }, seededEnvironment(3));
  return ext.mount(device, { write: true }, seededEnvironment(4)) as ExtFilesystem;
}

function onRam(megabytes: number, options: MakeExtOptions = {}) {
  const image = new Uint8Array(megabytes * MIB);
  return { image, filesystem: mounted(new RamDisk({ name: "ram0", bytes: image }), options) };
}

interface Made {
  readonly inode: Inode;
  readonly writing: InodeWriting;
}

function makeFile({ root }: ExtFilesystem, name = "file"): Made {
  const inode = writingOf(root).make(name, plainFile);
  return { inode, writing: writingOf(inode) };
}

/** What is not backed by whole huge pages, of those that a range holds. */
function notHuge(inode: Inode, offset: number, length: number, physicalStart: number): number[] {
  const bad: number[] = [];
  const extents = [...extentsIn(inode, offset, length)];
  const first = Math.ceil(offset / HUGE) * HUGE;
  for (let at = first; at + HUGE <= offset + length; at += HUGE) {
    const found = extents.find((e) => e.offset <= at && e.offset + e.length >= at + HUGE);
    const address = physicalStart + (found?.addr ?? 1) + at - (found?.offset ?? 0);
    if (address % HUGE !== 0) bad.push(at);
  }
  return bad;
}

describe("huge pages", () => {
  test.each([
    ["a disk without dax", 0],
    ["memory from 4 GiB on", 2 ** 32],
    ["memory that starts between huge pages", 2 ** 32 + 12 * 4096],
  ])("%s", (_, physicalStart) => {
    const length = 96 * MIB;
    const media = new RamMedia(length, { segmentBytes: 2 ** 22 });
    const device =
      physicalStart === 0
        ? new RamDisk({ name: "ram0", bytes: new Uint8Array(length) })
        : createPmem({ name: "pmem0", media, start: 0, length, physicalStart }).disk;
    const filesystem = mounted(device, { blockSize: 4096 });
    for (const [i, [offset, bytes]] of [
      [0, 2 * MIB],
      [0, 7 * MIB],
      [MIB, 8 * MIB],
      [100 * MIB + 4096, 5 * MIB],
    ].entries()) {
      const { inode, writing } = makeFile(filesystem, `reserved${i}`);
      writing.fallocate("allocate", offset as number, bytes as number);
      expect(notHuge(inode, offset as number, bytes as number, physicalStart)).toEqual([]);
      expect([...extentsIn(inode, 0, 2 ** 40)].every(({ unwritten }) => unwritten)).toBe(true);
    }
    const { inode, writing } = makeFile(filesystem, "written");
    writing.write(new Uint8Array(9 * MIB).fill(1), 0);
    expect(notHuge(inode, 0, 9 * MIB, physicalStart)).toEqual([]);
    filesystem.unmount();
  });

  test.each<[string, MakeExtOptions]>([
    ["blocks of 1 KiB, whose groups are small", { blockSize: 1024, features: "^has_journal" }],
    ["clusters", { blockSize: 4096, clusterSize: 65_536, features: "bigalloc" }],
  ])("%s", (_, options) => {
    const { filesystem, image } = onRam(64, options);
    const { inode, writing } = makeFile(filesystem);
    writing.fallocate("allocate", 0, 8 * MIB);
    expect(notHuge(inode, 0, 8 * MIB, 0)).toEqual([]);
    filesystem.unmount();
    expect(complaints(image)).toEqual([]);
  });
});

describe("refusals", () => {
  const { filesystem } = onRam(16, { clusterSize: 16_384, blockSize: 4096, features: "bigalloc" });
  const { writing, inode } = makeFile(filesystem);
  writing.write(new Uint8Array(100_000).fill(1), 0);

  test.each<[string, FallocateMode, number, number, boolean, string]>([
    ["no length", "allocate", 0, 0, false, "EINVAL"],
    ["an offset below 0", "punch", -4096, 4096, true, "EINVAL"],
    ["part of a byte", "zero", 0.5, 4096, true, "EINVAL"],
    ["a mode that is none", "shrink" as FallocateMode, 0, 16_384, false, "EOPNOTSUPP"],
    ["collapse keeps no size", "collapse", 0, 16_384, true, "EOPNOTSUPP"],
    ["insert keeps no size", "insert", 0, 16_384, true, "EOPNOTSUPP"],
    ["a block is no cluster", "collapse", 4096, 16_384, false, "EINVAL"],
    ["nor is it in length", "insert", 16_384, 4096, false, "EINVAL"],
    ["collapse up to the end", "collapse", 81_920, 32_768, false, "EINVAL"],
    ["insert at the end", "insert", 114_688, 16_384, false, "EINVAL"],
    ["more than block numbers reach", "allocate", 2 ** 44 - 8192, 8192, true, "EFBIG"],
    ["insert makes it too long", "insert", 0, 2 ** 44 - 65_536, false, "EFBIG"],
  ])("%s", (_, mode, offset, length, keepSize, code) => {
    expect(codeOf(() => writing.fallocate(mode, offset, length, keepSize))).toBe(code);
    expect(inode.size).toBe(100_000);
  });

  test("insert would push blocks out that lie behind the end", () => {
    const { filesystem: other } = onRam(8, { blockSize: 1024 });
    const file = makeFile(other);
    file.writing.write(new Uint8Array(9000).fill(1), 0);
    file.writing.fallocate("allocate", (2 ** 32 - 5) * 1024, 4096, true);
    expect(codeOf(() => file.writing.fallocate("insert", 2048, 8192))).toBe("EINVAL");
    expect(file.inode.size).toBe(9000);
  });

  test.each<[string, number, string]>([
    ["a fifo", S_IFIFO, "ESPIPE"],
    ["a device", S_IFCHR, "ENODEV"],
  ])("%s", (name, type, code) => {
    const made = writingOf(filesystem.root).make(name, { ...plainFile, mode: type | 0o644 });
    expect(codeOf(() => writingOf(made).fallocate("allocate", 0, 1))).toBe(code);
  });

  test("a directory", () => {
    const made = writingOf(filesystem.root).make("directory", plainDirectory);
    expect(codeOf(() => writingOf(made).fallocate("allocate", 0, 1))).toBe("EISDIR");
  });

  const codesWith = (flag: number) => {
    const before = writing.flags;
    writing.flags = before | flag;
    const all = FALLOCATE_MODES.map((mode) =>
      codeOf(() => writing.fallocate(mode, 16_384, 16_384)),
    );
    writing.flags = before;
    return all;
  };

  test("flags: nothing where immutable, only allocation where append-only", () => {
    expect(codesWith(EXT4_IMMUTABLE_FL)).toEqual(FALLOCATE_MODES.map(() => "EPERM"));
    const [allocate, ...others] = codesWith(EXT4_APPEND_FL);
    expect(allocate).not.toBe("EPERM");
    expect(others).toEqual(others.map(() => "EPERM"));
  });

  test("a block map can only be punched", () => {
    const old = onRam(8, { type: "ext3", blockSize: 1024 }).filesystem;
    const file = makeFile(old);
    file.writing.write(new Uint8Array(9000).fill(1), 0);
    const codes = FALLOCATE_MODES.map((mode) =>
      codeOf(() => file.writing.fallocate(mode, 1024, 2048)),
    );
    expect(codes[1]).not.toBe("EOPNOTSUPP");
    expect(codes.filter((code) => code === "EOPNOTSUPP")).toHaveLength(4);
    expect(seekTo(file.inode, 0, "hole")).toBe(1024);
    expect(seekTo(file.inode, 1024, "data")).toBe(3072);
  });
});

describe("space that ends", () => {
  test("what was had stays, and the size follows it", () => {
    const { filesystem, image } = onRam(8, { blockSize: 1024 });
    const { inode, writing } = makeFile(filesystem);
    const free = filesystem.statfs().bfree;
    expect(codeOf(() => writing.fallocate("allocate", 0, 64 * MIB))).toBe("ENOSPC");
    expect(inode.size).toBeGreaterThan(0.9 * free * 1024);
    expect(inode.size % 1024).toBe(0);
    expect(() => seekTo(inode, 0, "data")).toThrow("ENXIO");
    const other = makeFile(filesystem, "other");
    expect(codeOf(() => other.writing.fallocate("allocate", 0, 64 * MIB, true))).toBe("ENOSPC");
    expect(other.inode.size).toBe(0);
    writing.truncate(0);
    filesystem.sync();
    expect(filesystem.statfs().bfree).toBeGreaterThan(0.9 * free);
    filesystem.unmount();
    expect(complaints(image)).toEqual([]);
  });
});

describe("through an open file", () => {
  const { filesystem } = onRam(8, { blockSize: 1024 });
  const tree = new FileTree(filesystem);

  test("O_DSYNC makes it durable", () => {
    const file = tree.open("sync", { create: true, access: "write", sync: "data" });
    const journal = filesystem.writing?.journal;
    for (const mode of FALLOCATE_MODES.slice(0, 3)) {
      const before = journal?.committed ?? 0;
      file.fallocate(mode, 1024, 4096);
      expect(journal?.committed).toBeGreaterThan(before);
    }
    file.close();
  });

  test("what is allocated behind the end is listed", () => {
    const file = tree.open("behind", { create: true, access: "write" });
    file.pwrite(new Uint8Array(1024).fill(1), 0);
    file.fallocate("allocate", 8192, 2048, true);
    const listed = [...file.extents()].map(({ offset, length, unwritten }) => {
      return { offset, length, unwritten };
    });
    expect(listed).toEqual([
      { offset: 0, length: 1024, unwritten: false },
      { offset: 8192, length: 2048, unwritten: true },
    ]);
    file.close();
  });
});

/** A disk on which every second block is free, and a file to be filled. */
function onFragments(blocks: number): { filesystem: ExtFilesystem; made: Made } {
  const { filesystem } = onRam(32, { blockSize: 4096, features: "^has_journal" });
  const comb = makeFile(filesystem, "comb");
  expect(codeOf(() => comb.writing.fallocate("allocate", 0, 64 * MIB))).toBe("ENOSPC");
  for (let i = 0; i < blocks; i++) {
    comb.writing.fallocate("punch", 2 * i * 4096, 4096, true);
  }
  filesystem.sync();
  return { filesystem, made: makeFile(filesystem) };
}

test("a disk of fragments costs as much for each block, however many there are", () => {
  const { filesystem, made } = onFragments(3200);
  const allocator = filesystem.writing?.editor.allocator;
  const costs = [0, 1, 2].map((part) => {
    const before = allocator?.effort.words ?? 0;
    made.writing.fallocate("allocate", part * 1000 * 4096, 1000 * 4096);
    return (allocator?.effort.words ?? 0) - before;
  });
  expect([...extentsIn(made.inode, 0, 2 ** 30)].length).toBeGreaterThan(2900);
  expect(Math.max(...costs)).toBeLessThan(3 * Math.min(...costs) + 1000);
  expect(Math.max(...costs)).toBeLessThan(1000 * 100);
});

const BLOCKS = 6000;

/** Block `i` holds `i`, or is unwritten where that is odd. */
function striped() {
  const { filesystem, image } = onRam(24, { blockSize: 1024 });
  const made = makeFile(filesystem);
  const numbers = new Uint32Array((BLOCKS * 1024) / 4).map((_, i) => Math.floor(i / 256));
  made.writing.write(new Uint8Array(numbers.buffer), 0);
  for (let i = 1; i < BLOCKS; i += 2) made.writing.fallocate("zero", i * 1024, 1024);
  filesystem.sync();
  return { filesystem, image, ...made };
}

/** Handles that are opened from now on; none can extend itself. */
function counted({ writing }: ExtFilesystem): { starts: number } {
  const journal = writing?.journal as Journal;
  const count = { starts: 0 };
  const start = journal.start.bind(journal);
  Object.assign(journal, {
    mostCredits: 45,
    start: (copies: number, revokes?: number) => {
      count.starts++;
      return start(Math.min(copies, 45), revokes);
    },
    extend: (copies: number) => copies === 0,
  });
  return count;
}

/** What the first word of each block says. */
function wordsOf(inode: Inode): number[] {
  const bytes = new Uint8Array(inode.size);
  daxRead(inode, bytes, 0);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: inode.size / 1024 }, (_, i) => view.getUint32(i * 1024, true));
}

describe("a map of thousands of extents, and transactions of few blocks", () => {
  const plain = Array.from({ length: BLOCKS }, (_, i) => (i % 2 === 0 ? i : 0));
  test.each<[FallocateMode, number, number, number[]]>([
    ["collapse", 1000, 10, plain.toSpliced(1000, 10)],
    ["insert", 1000, 10, plain.toSpliced(1000, 0, ...Array.from({ length: 10 }, () => 0))],
    ["punch", 10, 5000, plain.map((n, i) => (i < 10 || i >= 5010 ? n : 0))],
    ["zero", 10, 5000, plain.map((n, i) => (i < 10 || i >= 5010 ? n : 0))],
  ])("%s", (mode, from, count, expected) => {
    const { filesystem, image, inode, writing } = striped();
    const handles = counted(filesystem);
    writing.fallocate(mode, from * 1024, count * 1024, mode === "punch");
    expect(handles.starts).toBeGreaterThan(3);
    expect(wordsOf(inode)).toEqual(expected);
    filesystem.unmount();
    expect(complaints(image)).toEqual([]);
  });
});

/** What the blocks of a file hold, on the disk. */
function onDisk(inode: Inode, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const { addr, offset: start } = inode.iomapBegin(offset, length, "report");
  inode.filesystem.device.readBytes(addr + offset - start, bytes);
  return bytes;
}

describe("what lies behind the end of a file in its last block", () => {
  test.each<[FallocateMode, number, number]>([
    ["punch", 4500, 1000],
    ["zero", 4500, 1000],
    ["collapse", 0, 4096],
    ["insert", 0, 4096],
  ])("%s leaves it while it may be the file's again", (mode, offset, length) => {
    const { filesystem } = onRam(8, { blockSize: 4096 });
    const { inode, writing } = makeFile(filesystem);
    writing.write(new Uint8Array(10_000).fill(7), 0);
    filesystem.sync();
    writing.truncate(5000);
    writing.fallocate(mode, offset, length, mode === "punch" || mode === "zero");
    const { size } = inode;
    const rest = 4096 - (size % 4096);
    const tail = () => onDisk(inode, size, rest);
    expect(tail()).toEqual(new Uint8Array(rest).fill(7));
    filesystem.sync();
    expect(tail()).toEqual(new Uint8Array(rest));
  });

  test.each(["allocate", "zero"] as const)("%s makes the cut durable before it grows", (mode) => {
    const { filesystem } = onRam(8, { blockSize: 4096 });
    const { writing } = makeFile(filesystem);
    writing.write(new Uint8Array(10_000).fill(7), 0);
    filesystem.sync();
    const journal = filesystem.writing?.journal;
    const before = journal?.committed ?? 0;
    writing.truncate(5000);
    writing.fallocate(mode, 8192, 4096);
    expect(journal?.committed).toBeGreaterThan(before);
  });
});
