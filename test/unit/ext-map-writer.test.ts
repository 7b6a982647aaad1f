/** Changes of maps one by one: deep trees, full disks, limits, and where blocks are put. */
import { describe, expect, test } from "vitest";
import { EXT4_EXTENTS_FL } from "../../src/format/ext-inode.ts";
import { readRoot } from "../../src/fs/ext/extent-node.ts";
import { type InodeRecord, sectorsUsed } from "../../src/fs/ext/inode-record.ts";
import { setMode, setSectors, setSize } from "../../src/fs/ext/inode-writer.ts";
import {
  collapseBlocks,
  convertBlocks,
  insertBlocks,
  mapBlocks,
  mapLimit,
  removeBlocks,
} from "../../src/fs/ext/map-writer.ts";
import type { BlockRun } from "../../src/fs/ext/block-allocator.ts";
import { MAX_LOGICAL_BLOCKS } from "../../src/fs/ext/inode-record.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { S_IFDIR } from "../../src/vfs/modes.ts";
import { codeOf } from "../support/bytes.ts";
import { type ExtFixture, fixtureImage } from "../support/ext-images.ts";
import { type Writing, complaints, writeTo } from "../support/ext-writing.ts";
import { ModelledFile, mappedFiles, tighten } from "../support/map-model.ts";

interface Bench {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly writing: Writing;
  readonly file: ModelledFile;
  readonly record: InodeRecord;
  /** What the empty file occupies: extended attributes. */
  readonly own: number;
}

/** A fixture with an empty file in it. */
function bench(name: ExtFixture): Bench {
  const image = fixtureImage(name);
  const writing = writeTo(image);
  const file = new ModelledFile(writing, mappedFiles(writing)[0] as number);
  writing.journal.commit();
  const own = sectorsUsed(writing.volume.superblock, file.record);
  return { image, writing, file, record: file.record, own };
}

/** What its map makes the file occupy, in units of 512 bytes. */
function sectors({ writing, record, own }: Bench): number {
  return sectorsUsed(writing.volume.superblock, record) - own;
}

/** Blocks 0, 2, 4, … of a file, in some order. */
function comb(file: ModelledFile, teeth: number, order: "up" | "down" | "random"): void {
  const all = Array.from({ length: teeth }, (_, i) => 2 * i);
  const prng = new Prng(teeth);
  if (order === "down") all.reverse();
  if (order === "random") {
    for (let i = teeth - 1; i > 0; i--) {
      const j = prng.below(i + 1);
      [all[i], all[j]] = [all[j] as number, all[i] as number];
    }
  }
  for (const logical of all) file.fill(logical, 1, logical % 3 === 0);
}

function expectWhole({ image, writing, file }: Bench): void {
  expect(file.difference()).toBe(undefined);
  writing.close();
  expect(complaints(image)).toEqual([]);
}

describe("deep trees", () => {
  test.each(["up", "down", "random"] as const)("a thousand extents, %s", (order) => {
    const on = bench("ext4-1k");
    const { file, record, writing } = on;
    const free = writing.editor.allocator.freeBlocks;
    comb(file, 1000, order);
    expect(readRoot(record).depth).toBe(2);
    expect(file.difference()).toBe(undefined);
    file.punch(300, 700);
    file.convert(100, 900, false);
    file.collapse(50, 13);
    file.insert(101, 7);
    expect(file.difference()).toBe(undefined);
    file.punch(40, 1900);
    expect(file.difference()).toBe(undefined);
    file.truncate(1);
    expect(readRoot(record).depth).toBe(0);
    file.truncate(0);
    expect(sectors(on)).toBe(0);
    expect(writing.editor.allocator.freeBlocks).toBe(free);
    expectWhole(on);
  });

  test("written forwards, nodes are full", () => {
    const on = bench("ext4-1k");
    comb(on.file, 84 * 4, "up");
    const nodes = sectors(on) / 2 - 84 * 4;
    expect(nodes).toBe(4);
    expectWhole(on);
  });

  test("a tree that is too deep for what is left in it becomes flat", () => {
    const on = bench("ext4-1k");
    comb(on.file, 700, "up");
    on.file.punch(7, 1399);
    expect(readRoot(on.record).depth).toBe(0);
    expect(sectors(on) / 2).toBe(on.file.cells.size);
    expectWhole(on);
  });
});

test("long changes go on in handle after handle, and each leaves a tree that is whole", () => {
  const on = bench("ext4-1k");
  const { file, writing, record } = on;
  comb(file, 2500, "random");
  tighten(writing);
  const { journal, volume } = writing;
  const start = journal.start.bind(journal);
  let steps = 0;
  journal.start = (copies, revokes) => {
    steps++;
    const extents = new FileMap(volume, record);
    for (let at = 0; at < 6000; at += 9) extents.blockOf(at);
    return start(copies, revokes);
  };
  const stepsOf = (change: () => void) => {
    // What the running transaction has already costs nothing.
    journal.commit();
    steps = 0;
    change();
    return steps;
  };
  expect(stepsOf(() => file.collapse(3, 5))).toBeGreaterThan(3);
  expect(file.difference()).toBe(undefined);
  expect(stepsOf(() => file.insert(3, 5))).toBeGreaterThan(3);
  expect(stepsOf(() => file.convert(0, 5000, false))).toBeGreaterThan(3);
  expect(stepsOf(() => file.punch(100, 4900))).toBeGreaterThan(3);
  expect(file.difference()).toBe(undefined);
  file.truncate(0);
  expectWhole(on);
});

describe("block maps", () => {
  const reaches = [5, 11, 12, 267, 268, 600, 65_803, 65_804, 1_000_000];

  test.each([["up", reaches] as const, ["down", reaches.toReversed()] as const])(
    "every level, %s",
    (_, order) => {
      const on = bench("ext2-1k");
      for (const logical of order) on.file.fill(logical, 3, false);
      expect(on.file.difference()).toBe(undefined);
      // Single, two double with three below, one triple with two chains below.
      on.file.punch(11, 70_000);
      expect(on.file.difference()).toBe(undefined);
      on.file.truncate(0);
      expect(sectors(on)).toBe(0);
      expect(Array.from({ length: 15 }, (_0, i) => on.record.blockWord(i))).toEqual(
        Array.from({ length: 15 }, () => 0),
      );
      expectWhole(on);
    },
  );

  test("cannot say unwritten, and cannot be shifted", () => {
    const on = bench("ext2-1k");
    const { writing, record } = on;
    const { editor } = writing;
    const refused = (call: (handle: Parameters<typeof mapBlocks>[1]) => unknown) =>
      writing.operate((handle) => codeOf(() => call(handle)));
    const unwritten = { unwritten: true };
    expect(refused((h) => mapBlocks(editor, h, record, 0, 1, unwritten))).toBe("ENOTSUP");
    expect(refused((h) => convertBlocks(editor, h, record, [0, 1], "unwritten"))).toBe("ENOTSUP");
    expect(refused((h) => collapseBlocks(editor, h, record, 1, 1))).toBe("ENOTSUP");
    expect(refused((h) => insertBlocks(editor, h, record, 1, [0, 1]))).toBe("ENOTSUP");
    expect(sectors(on)).toBe(0);
  });

  test("no further than its pointers and its count of blocks reach", () => {
    const { writing, record } = bench("ext2-1k");
    const { editor, volume } = writing;
    const limit = mapLimit(volume, record);
    expect(limit).toBe(12 + 256 + 256 ** 2 + 256 ** 3);
    const map = (logical: number) =>
      writing.operate((handle) => codeOf(() => mapBlocks(editor, handle, record, logical, 1)));
    expect(map(limit)).toBe("EFBIG");
    setSectors(volume.superblock, record, 2 ** 32 - 2);
    const free = editor.allocator.freeBlocks;
    expect(map(300)).toBe("EFBIG");
    expect(editor.allocator.freeBlocks).toBe(free);
    expect(record.blockWord(12)).toBe(0);
  });
});

/** Takes every free block but `left`. */
function exhaust({ editor, operate }: Writing, left: number): BlockRun[] {
  const held: BlockRun[] = [];
  while (editor.allocator.freeBlocks > left) {
    const count = Math.min(500, editor.allocator.freeBlocks - left);
    const request = { goal: 0, count, reserved: "all" } as const;
    held.push(operate((handle) => editor.allocator.allocate(handle, request)));
  }
  return held;
}

function release({ editor, operate }: Writing, held: readonly BlockRun[]): void {
  for (const { start, count } of held) {
    operate((handle) => editor.allocator.free(handle, start, count, { metadata: false }));
  }
}

describe("a full disk", () => {
  // Four leaves are full, and so is the root: one more extent takes a leaf and a level.
  test.each([
    [0, "ENOSPC"],
    [1, "ENOSPC"],
    [2, undefined],
  ] as const)("with %i blocks left to cut an extent with: %s", (left, expected) => {
    const on = bench("ext4-1k");
    const { file, record, writing } = on;
    for (let i = 0; i < 84 * 4; i++) file.fill(4 * i, 3, true);
    writing.journal.commit();
    expect([readRoot(record).depth, readRoot(record).entries]).toEqual([1, 4]);
    const held = exhaust(writing, left);
    const before = sectors(on);
    const code = codeOf(() => file.convert(401, 402, false));
    expect(code).toBe(expected);
    expect(file.difference()).toBe(undefined);
    const added = expected === undefined ? 2 : 0;
    expect(writing.editor.allocator.freeBlocks).toBe(left - added);
    expect(sectors(on)).toBe(before + added * 2);
    release(writing, held);
    expectWhole(on);
  });

  test("an extent's middle is not punched, or made unwritten, without a block to cut with", () => {
    const on = bench("ext4-1k");
    const { file, writing, record } = on;
    for (const at of [0, 10, 20, 30]) file.fill(at, 5, false);
    writing.journal.commit();
    const held = exhaust(writing, 0);
    const bytes = Uint8Array.from(record.blockBytes());
    const { editor } = writing;
    const code = writing.operate((handle) =>
      codeOf(() => removeBlocks(editor, handle, record, [2, 3])),
    );
    expect(code).toBe("ENOSPC");
    expect(Uint8Array.from(record.blockBytes())).toEqual(bytes);
    release(writing, held);
    expectWhole(on);
  });

  test("what was allocated can be written to: it is zeroed, as the tree cannot be cut", () => {
    const on = bench("ext4-1k");
    const { file, writing, record } = on;
    for (const at of [0, 10, 20, 30]) file.fill(at, 6, true);
    writing.journal.commit();
    const held = exhaust(writing, 0);
    const { editor } = writing;
    const range = [12, 13] as const;
    const convert = (zero?: (block: number, count: number) => void) =>
      writing.operate((handle) =>
        convertBlocks(editor, handle, record, range, "written", zero === undefined ? {} : { zero }),
      );
    expect(codeOf(() => convert())).toBe("ENOSPC");
    const zeroed: [number, number][] = [];
    expect(convert((block, count) => void zeroed.push([block, count]))).toBe(13);
    const first = new FileMap(writing.volume, record).blockOf(10) as number;
    expect(zeroed).toEqual([
      [first, 2],
      [first + 3, 3],
    ]);
    for (let at = 10; at < 16; at++) {
      const cell = file.cells.get(at);
      if (cell !== undefined) file.cells.set(at, { ...cell, unwritten: false });
    }
    file.map.clear();
    release(writing, held);
    expectWhole(on);
  });
});

describe("where blocks are put", () => {
  test("block after block a file stays one extent, beside another one", () => {
    const on = bench("ext4-1k");
    const { writing, file, record } = on;
    for (let i = 0; i < 50; i++) file.fill(i, 1, false);
    expect(readRoot(record).entries).toBe(1);
    expect(record.has(EXT4_EXTENTS_FL)).toBe(true);
    expectWhole({ ...on, writing });
  });
});

describe("limits", () => {
  test("the last block, and not one behind it", () => {
    const on = bench("ext4-1k");
    const { writing, record, file } = on;
    const last = MAX_LOGICAL_BLOCKS - 2;
    const map = (at: number) =>
      writing.operate((handle) => mapBlocks(writing.editor, handle, record, at, 5, {}));
    expect(codeOf(() => map(last + 1))).toBe("EFBIG");
    expect(map(last)).toMatchObject({ logical: last, count: 1 });
    const code = writing.operate((handle) =>
      codeOf(() => insertBlocks(writing.editor, handle, record, 1, [0, MAX_LOGICAL_BLOCKS])),
    );
    expect(code).toBe("EINVAL");
    file.truncate(0);
    expectWhole(on);
  });
});

test("contents that are metadata are forgotten by the journal when they are freed", () => {
  const on = bench("ext4-1k");
  const { writing, record } = on;
  const { editor, volume, operate } = writing;
  setMode(record, S_IFDIR | 0o755);
  const run = operate((handle) => {
    const mapped = mapBlocks(editor, handle, record, 0, 3);
    setSize(volume.superblock, record, 3 * volume.superblock.blockSize);
    for (let i = 0; i < 3; i++) handle.create(mapped.block + i).bytes.fill(0xab);
    return mapped;
  });
  writing.journal.commit();
  const { overlaid } = volume.buffers;
  operate((handle) => removeBlocks(editor, handle, record, [0, 3]));
  expect(volume.buffers.overlaid).toBeLessThan(overlaid + 3);
  expect(volume.buffers.beforeOverlay(run.block, 3)).toBe(3);
});

test("a map that names the filesystem's own blocks is not freed", () => {
  const on = bench("ext4-1k");
  const { file, record, writing } = on;
  file.fill(0, 1, false);
  // The extent's start: the block of the superblock's neighbour.
  record.view.setUint32(0x28 + 12 + 8, 2, true);
  const free = writing.editor.allocator.freeBlocks;
  let error: unknown;
  try {
    writing.operate((handle) => removeBlocks(writing.editor, handle, record, [0, 1]));
  } catch (caught) {
    error = caught;
  }
  expect(isDaxError(error, "EUCLEAN")).toBe(true);
  expect(writing.editor.allocator.freeBlocks).toBe(free);
});
