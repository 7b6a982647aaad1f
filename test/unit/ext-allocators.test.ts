/**
 * Giving out blocks and inodes: where they come from, what it costs to find them, and what is
 * refused with nothing changed.
 */
import { describe, expect, test } from "vitest";
import { createPmem } from "../../src/drivers/pmem.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { descriptorBlock, groupStart } from "../../src/fs/ext/geometry.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { BigDisk } from "../support/big-disk.ts";
import { codeOf } from "../support/bytes.ts";
import {
  ALMOST_FULL,
  COMB,
  FREE,
  give,
  PER_GROUP,
  take,
  TWO_RUNS,
} from "../support/ext-allocations.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { complaints, openForWriting, writeTo } from "../support/ext-writing.ts";

/** An image whose first descriptor, or what it names, was changed. */
const edited = (change: (editor: ExtEditor, descriptor: number) => void) => {
  const editor = new ExtEditor(fixtureImage("ext2-1k"));
  const { superblock } = editor.volume;
  change(editor, descriptorBlock(superblock, 0) * superblock.blockSize);
  return editor.bytes;
};

describe("blocks", () => {
  test("come from the goal on while they are free there", () => {
    const writing = openForWriting(new BigDisk({ groups: 4 }));
    const goal = PER_GROUP + 20_000;
    expect(take(writing, { goal, count: 5 })).toEqual({ start: goal, count: 5 });
    expect(take(writing, { goal, count: 7 })).toEqual({ start: goal + 5, count: 7 });
    expect(take(writing, { goal: goal + 12, count: 9, exact: true }).start).toBe(goal + 12);
    expect(codeOf(() => take(writing, { goal, count: 1, exact: true }))).toBe("ENOSPC");
  });

  test("a short gap at the goal is passed over for a whole run behind it", () => {
    const writing = openForWriting(new BigDisk({ groups: 2 }));
    take(writing, { goal: 10_010, count: 100 });
    expect(take(writing, { goal: 10_000, count: 50 }).start).toBe(10_110);
    expect(take(writing, { goal: 10_000, count: 10 }).start).toBe(10_000);
  });

  test("go on in the next group, contiguously", () => {
    const writing = openForWriting(new BigDisk({ groups: 3 }));
    const first = take(writing, { goal: BigDisk.own, count: 100_000 });
    expect(first).toEqual({ start: BigDisk.own, count: FREE });
    // The next group starts with blocks of the filesystem itself.
    const second = take(writing, { goal: first.start + first.count, count: 100_000 });
    expect(second).toEqual({ start: PER_GROUP + BigDisk.own, count: FREE });
  });

  test("goals outside the filesystem are no reason to fail", () => {
    const writing = openForWriting(new BigDisk({ groups: 2 }));
    for (const goal of [-1, 0, 2 * PER_GROUP, 2 ** 52]) {
      expect(take(writing, { goal, count: 3 }).count).toBe(3);
    }
  });

  test("start on huge pages where that is asked, all of them on a free disk", () => {
    const writing = openForWriting(new BigDisk({ groups: 8 }));
    let goal = 3000;
    for (let i = 0; i < 8 * 60; i++) {
      const run = take(writing, { goal, count: 512, align: 512 });
      expect([run.start % 512, run.count]).toEqual([0, 512]);
      goal = run.start + run.count;
    }
  });

  test("count huge pages from physical address 0, wherever the filesystem starts", () => {
    const image = fixtureImage("ext2-4k");
    const media = RamMedia.over(image);
    const physicalStart = 2 ** 32 + (1 << 20);
    const length = image.length;
    const pmem = createPmem({ name: "pmem0", media, start: 0, length, physicalStart });
    const writing = openForWriting(pmem.disk);
    const { start } = take(writing, { goal: 1000, count: 512, align: 512 });
    expect((physicalStart + start * 4096) % (2 << 20)).toBe(0);
  });

  test("large ones are given out in whole huge pages, as long as there are any", () => {
    const writing = openForWriting(new BigDisk({ groups: 4 }));
    const sizes: number[] = [];
    for (let goal = 0; sizes.reduce((a, b) => a + b, 0) < 4 * 61 * 512;) {
      const run = take(writing, { goal, count: 32_768, align: 512 });
      expect(run.start % 512).toBe(0);
      sizes.push(run.count);
      goal = run.start + run.count;
    }
    expect(sizes).toEqual(Array.from({ length: 4 }, () => 61 * 512 + 0));
    // What is left has no aligned 2 MiB; it is given out all the same.
    expect(take(writing, { goal: 0, count: 512, align: 512 }).count).toBeGreaterThan(400);
  });

  test("when no run is long enough, the longest ones go first", () => {
    const writing = openForWriting(new BigDisk({ groups: 10, fill: TWO_RUNS }));
    const runs = [1, 2, 3].map(() => take(writing, { goal: 0, count: 5000 }).count);
    expect(runs).toEqual([101, 41, 1]);
  });

  test("a full and scattered disk is not searched again and again", () => {
    const groups = 256;
    const writing = openForWriting(new BigDisk({ groups, fill: COMB }));
    for (let i = 0; i < 10; i++) take(writing, { goal: 99 * PER_GROUP, count: 512, align: 512 });
    const { loads, words } = writing.editor.allocator.effort;
    expect(loads).toBeLessThanOrEqual(groups + 20);
    for (let i = 0; i < 2000; i++) {
      const goal = 99 * PER_GROUP;
      take(writing, i % 3 === 0 ? { goal, count: 512, align: 512 } : { goal, count: 1 + (i % 7) });
    }
    const after = writing.editor.allocator.effort;
    expect(after.loads - loads).toBeLessThan(10);
    expect((after.words - words) / 2000).toBeLessThan(100);
  });

  test("the last blocks of a full disk are found at once", () => {
    const groups = 128;
    const writing = openForWriting(new BigDisk({ groups, fill: ALMOST_FULL }));
    const runs = [1, 2, 3].map(() => take(writing, { goal: 5, count: 1 }).start % PER_GROUP);
    expect(runs).toEqual([31_000, 31_001, 31_002]);
    const before = writing.editor.allocator.effort;
    for (let i = 0; i < 100; i++) {
      expect(codeOf(() => take(writing, { goal: i, count: 1 }))).toBe("ENOSPC");
    }
    expect(writing.editor.allocator.effort).toEqual(before);
    expect(before.loads).toBeLessThan(3);
  });

  test("reserved blocks are for the superuser", () => {
    const image = fixtureImage("ext4-1k");
    const editor = new ExtEditor(image);
    editor.set({ base: 1024, field: Ext4SuperBlock.rBlocksCountLo }, 1000);
    editor.sealSuperblock();
    const writing = writeTo(editor.bytes);
    const { allocator } = writing.editor;
    const takeAll = (reserved: boolean | "all"): number => {
      const request = { goal: 0, count: 5000, reserved };
      const before = allocator.freeBlocks;
      let code: string | undefined;
      while (code === undefined) code = codeOf(() => take(writing, request));
      expect(code).toBe("ENOSPC");
      return before - allocator.freeBlocks;
    };
    const kept = Math.floor(16_384 / 50);
    const free = allocator.freeBlocks;
    expect(takeAll(false)).toBe(free - 1000 - kept);
    allocator.privileged = false;
    expect(codeOf(() => take(writing, { goal: 0, count: 1 }))).toBe("ENOSPC");
    expect(takeAll(true)).toBe(1000);
    expect(takeAll("all")).toBe(kept);
    expect(allocator.freeBlocks).toBe(0);
  });
});

describe("freed blocks", () => {
  test("wait for the commit, unless the same transaction gave them out", () => {
    const writing = openForWriting(new BigDisk({ groups: 1 }));
    const all = take(writing, { goal: 0, count: PER_GROUP, reserved: "all" });
    expect(all.count).toBe(FREE);
    writing.journal.commit();
    give(writing, 5000, 10);
    const { allocator } = writing.editor;
    expect([allocator.freeBlocks, allocator.waitingBlocks]).toEqual([10, 10]);
    expect(codeOf(() => take(writing, { goal: 5000, count: 1 }))).toBe("ENOSPC");
    writing.journal.commit();
    expect(allocator.waitingBlocks).toBe(0);
    expect(take(writing, { goal: 0, count: 20 })).toEqual({ start: 5000, count: 10 });
    give(writing, 4999, 5);
    expect(allocator.waitingBlocks).toBe(1);
    expect(take(writing, { goal: 0, count: 20 })).toEqual({ start: 5000, count: 4 });
  });

  test("that are free, outside, or the filesystem's own are refused", () => {
    const image = fixtureImage("ext4-1k");
    const writing = writeTo(image);
    const { superblock, groups } = writing.volume;
    const { inodeTable, blockBitmap, inodeBitmap } = groups.get(1);
    const { start } = take(writing, { goal: 9000, count: 2 });
    const own = [0, 1, 2, inodeTable, inodeTable + 3, blockBitmap, inodeBitmap];
    const journal = writing.volume.record(superblock.journalInum);
    for (const block of [...own, superblock.blocks, 2 ** 40, -1]) {
      expect(codeOf(() => give(writing, block, 1))).toBe("EUCLEAN");
    }
    expect(journal.size).toBeGreaterThan(0);
    expect(codeOf(() => give(writing, inodeTable - 1, 3))).toBe("EUCLEAN");
    give(writing, start, 2);
    expect(codeOf(() => give(writing, start, 2))).toBe("EUCLEAN");
    writing.close();
    expect(complaints(image)).toEqual([]);
  });
});

describe("bitmaps", () => {
  test("that their descriptors contradict give out nothing", () => {
    const image = edited((editor, base) => {
      const field = Ext4GroupDesc.freeBlocksCountLo;
      editor.set({ base, field }, editor.volume.groups.get(0).freeClusters + 1);
    });
    const writing = writeTo(image);
    expect(codeOf(() => take(writing, { goal: 100, count: 1 }))).toBe("EUCLEAN");
    // From then on the group is passed over.
    const { start } = take(writing, { goal: 100, count: 1 });
    expect(start).toBeGreaterThan(groupStart(writing.volume.superblock, 1));
  });

  test("in which the filesystem's own blocks are free give out nothing", () => {
    const image = edited((editor, base) => {
      const { blockBitmap, freeClusters, inodeTable } = editor.volume.groups.get(0);
      const at = blockBitmap * 1024 + ((inodeTable - 1) >> 3);
      editor.write(
        at,
        Uint8Array.of((editor.bytes[at] as number) & ~(1 << ((inodeTable - 1) & 7))),
      );
      editor.set({ base, field: Ext4GroupDesc.freeBlocksCountLo }, freeClusters + 1);
    });
    expect(codeOf(() => take(writeTo(image), { goal: 100, count: 1 }))).toBe("EUCLEAN");
  });

  test("with a wrong checksum give out nothing", () => {
    const image = fixtureImage("ext4-default");
    const { blockBitmap, inodeBitmap } = writeTo(image).volume.groups.get(0);
    image[blockBitmap * 4096 + 500] = 0x11;
    image[inodeBitmap * 4096 + 500] = 0x11;
    const writing = writeTo(image);
    expect(codeOf(() => take(writing, { goal: 100, count: 1 }))).toBe("EBADMSG");
    const { operate, editor } = writing;
    const request = { parent: 2, directory: false };
    expect(codeOf(() => operate((handle) => editor.inodes.allocate(handle, request)))).toBe(
      "EBADMSG",
    );
  });
});
