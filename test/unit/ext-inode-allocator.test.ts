/** Inodes given out and freed, and groups that mke2fs left uninitialised. */
import { describe, expect, test } from "vitest";
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  Ext4GroupDesc,
} from "../../src/format/ext-group.ts";
import { ALLOCATE_CREDITS } from "../../src/fs/ext/block-allocator.ts";
import { goalOfInode } from "../../src/fs/ext/block-goal.ts";
import { descriptorBlock, groupStart } from "../../src/fs/ext/geometry.ts";
import { INODE_CREDITS } from "../../src/fs/ext/inode-allocator.ts";
import { ORPHAN_CREDITS, Orphans } from "../../src/fs/ext/orphans.ts";
import { BigDisk } from "../support/big-disk.ts";
import { codeOf } from "../support/bytes.ts";
import { PER_GROUP } from "../support/ext-allocations.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { complaints, openForWriting, writeTo, type Writing } from "../support/ext-writing.ts";
import { tinyImage } from "../support/tiny-images.ts";

const inode = ({ operate, editor }: Writing, parent: number, directory = false) =>
  operate((handle) => editor.inodes.allocate(handle, { parent, directory }));

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
