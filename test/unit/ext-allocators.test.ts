/**
 * Giving out blocks and inodes: where they come from, what it costs to find them, and what is
 * refused with nothing changed.
 */
import { describe, expect, test } from "vitest";
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  Ext4GroupDesc,
} from "../../src/format/ext-group.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { Bitmap } from "../../src/lib/bitmap.ts";
import { goalOfInode } from "../../src/fs/ext/block-goal.ts";
import { descriptorBlock, groupStart } from "../../src/fs/ext/geometry.ts";
import { ALLOCATE_CREDITS, type BlockRequest } from "../../src/fs/ext/block-allocator.ts";
import { Prng } from "../../src/lib/prng.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { INODE_CREDITS } from "../../src/fs/ext/inode-allocator.ts";
import { ORPHAN_CREDITS, Orphans } from "../../src/fs/ext/orphans.ts";
import { BigDisk } from "../support/big-disk.ts";
import { codeOf } from "../support/bytes.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { tinyImage } from "../support/tiny-images.ts";
import { type Writing, complaints, openForWriting, writeTo } from "../support/ext-writing.ts";

const PER_GROUP = 32_768;
const FREE = PER_GROUP - BigDisk.own;

function take({ operate, editor }: Writing, request: BlockRequest) {
  return operate((handle) => editor.allocator.allocate(handle, request));
}

function give({ operate, editor }: Writing, start: number, count: number, metadata = false) {
  operate((handle) => editor.allocator.free(handle, start, count, { metadata }));
}

/** Every second cluster of every group is in use. */
const COMB = (bitmap: Bitmap) => bitmap.bytes.fill(0x55);

/** Every second cluster, and two longer runs in two groups. */
const TWO_RUNS = (bitmap: Bitmap, group: number) => {
  COMB(bitmap);
  if (group === 5) bitmap.fill(20_000, 100, false);
  if (group === 7) bitmap.fill(9000, 40, false);
};

/** Three clusters are left. */
const ALMOST_FULL = (bitmap: Bitmap, group: number) => {
  bitmap.fill(0, PER_GROUP, true);
  if (group === 77) bitmap.fill(31_000, 3, false);
};

/** An image whose first descriptor, or what it names, was changed. */
const edited = (change: (editor: ExtEditor, descriptor: number) => void) => {
  const editor = new ExtEditor(fixtureImage("ext2-1k"));
  const { superblock } = editor.volume;
  change(editor, descriptorBlock(superblock, 0) * superblock.blockSize);
  return editor.bytes;
};

const inode = ({ operate, editor }: Writing, parent: number, directory = false) =>
  operate((handle) => editor.inodes.allocate(handle, { parent, directory }));

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

/** Extents of files to each of which `pieces` are appended, one file after the other. */
const grow = (writing: Writing, files: number, pieces: number, piece: () => number) => {
  const runs = Array.from({ length: files }, () => [] as { start: number; count: number }[]);
  for (let i = 0; i < pieces; i++) {
    for (const file of runs) {
      for (let left = piece(); left > 0;) {
        const last = file.at(-1);
        const goal = last === undefined ? 5000 : last.start + last.count;
        const run = take(writing, { goal, count: left });
        left -= run.count;
        if (last !== undefined && run.start === goal) last.count += run.count;
        else file.push({ ...run });
      }
    }
  }
  return runs;
};

describe("files that grow in turns", () => {
  test("are in few pieces", () => {
    const writing = openForWriting(new BigDisk({ groups: 4 }));
    for (const file of grow(writing, 10, 1024, () => 1)) expect(file.length).toBeLessThan(12);
  });

  test("go on in what was kept for them when they grow by much at once", () => {
    const writing = openForWriting(new BigDisk({ groups: 4 }));
    let goal = 5000;
    for (const [count, align] of [
      [1, 1],
      [1, 1],
      [1, 1],
      [2000, 1],
      [3, 1],
      [5, 1],
      [700, 1],
    ]) {
      expect(take(writing, { goal, count: count as number, align: align as number })).toEqual({
        start: goal,
        count,
      });
      goal += count as number;
    }
  });

  test("nothing is given out twice, and all of a disk can be used", () => {
    const writing = openForWriting(new BigDisk({ groups: 2 }));
    const dice = new Prng(5);
    const runs = grow(writing, 30, 200, () => 1 + dice.below(9)).flat();
    const { allocator } = writing.editor;
    for (const { start, count } of runs.splice(0, 40)) give(writing, start, count);
    writing.journal.commit();
    const free = allocator.freeBlocks;
    for (let taken = 0; taken < free;) {
      const run = take(writing, { goal: dice.below(65_536), count: 1 + dice.below(50) });
      runs.push(run);
      taken += run.count;
    }
    expect(codeOf(() => take(writing, { goal: 0, count: 1 }))).toBe("ENOSPC");
    const owned = new Bitmap(65_536);
    for (const { start, count } of runs) {
      expect(owned.count(start, count)).toBe(0);
      owned.fill(start, count, true);
    }
    expect(owned.count()).toBe(2 * FREE);
  });

  test("small files that are written once lie next to each other", () => {
    const writing = openForWriting(new BigDisk({ groups: 2 }));
    const starts = Array.from({ length: 200 }, () => take(writing, { goal: 4000, count: 2 }).start);
    expect(starts).toEqual(Array.from({ length: 200 }, (_, i) => 4000 + 2 * i));
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

describe("inodes", () => {
  test("of files are near their directory, then anywhere", () => {
    const writing = openForWriting(new BigDisk({ groups: 64 }));
    const parent = 40 * 32 + 1;
    const near = Array.from({ length: 32 }, () => Math.floor((inode(writing, parent) - 1) / 32));
    expect(new Set(near)).toEqual(new Set([40]));
    const rest = Array.from({ length: 64 * 32 - 32 - 11 }, () => inode(writing, parent));
    expect(new Set(rest).size).toBe(rest.length);
    expect(Math.min(...rest)).toBe(12);
    expect(codeOf(() => inode(writing, parent))).toBe("ENOSPC");
    expect(codeOf(() => inode(writing, parent, true))).toBe("ENOSPC");
    expect(writing.editor.inodes.freeInodes).toBe(0);
  });

  test("of directories are spread over the disk below the root, and else stay", () => {
    const writing = openForWriting(new BigDisk({ groups: 64 }));
    const groups = Array.from({ length: 64 }, () => Math.floor((inode(writing, 2, true) - 1) / 32));
    expect(new Set(groups).size).toBeGreaterThan(60);
    const parent = 20 * 32 + 5;
    const below = Array.from({ length: 3 }, () =>
      Math.floor((inode(writing, parent, true) - 1) / 32),
    );
    expect(below).toEqual([20, 20, 20]);
  });

  test("of a damaged group are not asked for again", () => {
    const image = fixtureImage("ext4-1k");
    const { inodeBitmap } = writeTo(image).volume.groups.get(0);
    image[inodeBitmap * 1024 + 250] = 0x11;
    const writing = writeTo(image);
    expect(codeOf(() => inode(writing, 2))).toBe("EBADMSG");
    expect(inode(writing, 2)).toBeGreaterThan(2048);
  });

  test("reserved ones are neither given out nor freed", () => {
    const image = fixtureImage("ext2-1k");
    const editor = new ExtEditor(image);
    const { inodeBitmap, freeInodes } = editor.volume.groups.get(0);
    editor.write(inodeBitmap * 1024, Uint8Array.of(0b1101_1111));
    const base = descriptorBlock(editor.volume.superblock, 0) * 1024;
    editor.set({ base, field: Ext4GroupDesc.freeInodesCountLo }, freeInodes + 1);
    const writing = writeTo(editor.bytes);
    expect(inode(writing, 2)).toBeGreaterThan(10);
    for (const ino of [0, 1, 2, 10, 4097, -5]) {
      const free = () => writing.operate((h) => writing.editor.inodes.free(h, ino, false));
      expect(codeOf(free)).toBe("EUCLEAN");
    }
    const ino = inode(writing, 2);
    writing.operate((handle) => writing.editor.inodes.free(handle, ino, false));
    const again = () => writing.operate((h) => writing.editor.inodes.free(h, ino, false));
    expect(codeOf(again)).toBe("EUCLEAN");
  });

  test("the goal of a file's data is its group, or in flex groups the second one", () => {
    const { superblock } = openForWriting(new BigDisk({ groups: 64 })).volume;
    expect(goalOfInode(superblock, 20 * 32 + 1, true)).toBe(20 * PER_GROUP);
    const flex = { ...superblock, logGroupsPerFlex: 4 };
    expect(goalOfInode(flex, 20 * 32 + 1, true)).toBe(17 * PER_GROUP);
    expect(goalOfInode(flex, 20 * 32 + 1, false)).toBe(16 * PER_GROUP);
  });
});

test.each(["groups", "metabg"] as const)(
  "%s: what mke2fs left uninitialised is made when it is needed",
  (name) => {
    const image = tinyImage(name);
    const writing = writeTo(image);
    const { operate, editor, volume } = writing;
    const { groups: count, inodesPerGroup } = volume.superblock;
    const flagged = (flag: number) => {
      const all = Array.from({ length: count }, (_, group) => volume.groups.get(group).flags);
      return all.filter((flags) => (flags & flag) !== 0).length;
    };
    const before = [flagged(EXT4_BG_INODE_UNINIT), flagged(EXT4_BG_BLOCK_UNINIT)];
    expect(before[0]).toBeGreaterThan(0);
    for (let group = 0; group < count; group++) {
      operate((handle) => {
        const parent = group * inodesPerGroup + 1;
        const ino = editor.inodes.allocate(handle, { parent, directory: false });
        const goal = groupStart(volume.superblock, group) + 700;
        const run = editor.allocator.allocate(handle, { goal, count: 3 });
        editor.inodes.free(handle, ino, false);
        editor.allocator.free(handle, run.start, run.count, { metadata: false });
      });
    }
    expect([flagged(EXT4_BG_INODE_UNINIT), flagged(EXT4_BG_BLOCK_UNINIT)]).toEqual([0, 0]);
    writing.close();
    expect(complaints(image)).toEqual([]);
  },
);

test("no operation takes more credits than it says", () => {
  const { journal, editor, volume } = writeTo(tinyImage("groups"));
  const { groups, inodesPerGroup } = volume.superblock;
  for (let group = 0; group < groups; group++) {
    const inodes = journal.start(INODE_CREDITS, 0);
    const parent = group * inodesPerGroup + 1;
    const ino = editor.inodes.allocate(inodes, { parent, directory: false });
    inodes.stop();
    journal.commit();
    const blocks = journal.start(ALLOCATE_CREDITS, 0);
    const goal = groupStart(volume.superblock, group) + 700;
    const { start } = editor.allocator.allocate(blocks, { goal, count: 2 });
    blocks.stop();
    journal.commit();
    const freeing = journal.start(editor.allocator.creditsToFree(start, 2), 0);
    editor.allocator.free(freeing, start, 2, { metadata: false });
    freeing.stop();
    journal.commit();
    const orphans = new Orphans(volume, editor.superblock);
    for (let file = 11; file < 14; file++) {
      const adding = journal.start(ORPHAN_CREDITS, 0);
      orphans.add(adding, volume.record(file));
      adding.stop();
      journal.commit();
    }
    const removing = journal.start(ORPHAN_CREDITS, 0);
    orphans.remove(removing, volume.record(12));
    removing.stop();
    for (const left of [11, 13]) {
      const handle = journal.start(ORPHAN_CREDITS, 0);
      orphans.remove(handle, volume.record(left));
      handle.stop();
    }
    const last = journal.start(INODE_CREDITS, 0);
    editor.inodes.free(last, ino, false);
    last.stop();
    journal.commit();
    expect([orphans.count, editor.allocator.waitingBlocks]).toEqual([0, 0]);
  }
});
