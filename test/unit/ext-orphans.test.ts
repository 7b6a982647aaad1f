/**
 * Orphans: the chain through superblock and inodes, the orphan file, and what both make of damage.
 */
import { describe, expect, test } from "vitest";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  Ext4SuperBlock,
} from "../../src/format/ext-superblock.ts";
import { hasCompat } from "../../src/fs/ext/features.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { InodeRecord } from "../../src/fs/ext/inode-record.ts";
import { dtimeOf, setDtime } from "../../src/fs/ext/inode-writer.ts";
import { OrphanFile } from "../../src/fs/ext/orphan-file.ts";
import { Orphans } from "../../src/fs/ext/orphans.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf } from "../support/bytes.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { type ExtFixture, fixtureImage, mountBytes, walkTree } from "../support/ext-images.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { type TinyImage, tinyImage } from "../support/tiny-images.ts";

const CHAINED: ExtFixture[] = ["ext2-1k", "ext3-4k", "ext4-1k"];
const LISTED: TinyImage = "journal-v3";
const IMAGES = [
  ...CHAINED.map((name) => [name, () => fixtureImage(name)] as const),
  [`${LISTED} (orphan file)`, () => tinyImage(LISTED)] as const,
];

function open(image: Uint8Array<ArrayBuffer>) {
  const writing = writeTo(image);
  const orphans = new Orphans(writing.volume, writing.editor.superblock);
  const left = orphans.load();
  return { ...writing, orphans, left };
}

/** Regular files of an image. */
function filesOf(image: Uint8Array<ArrayBuffer>): number[] {
  const nodes = [...walkTree(mountBytes(Uint8Array.from(image)).root)];
  const files = nodes.filter(({ inode }) => (inode.mode & 0o170000) === 0o100000);
  return [...new Set(files.map(({ inode }) => inode.ino))].slice(0, 8);
}

const inos = (records: readonly InodeRecord[]) => records.map(({ ino }) => ino);

test.each(IMAGES)(
  "%s: added and removed in any order, they are there at the next mount",
  (_, make) => {
    const untouched = make();
    writeTo(untouched).close();
    const image = make();
    const [first, files] = [open(image), filesOf(image)];
    const before = inos(first.left.records);
    const dice = new Prng(3);
    const live = new Map(files.map((ino) => [ino, first.volume.record(ino)]));
    const listed = new Set<number>();
    for (let step = 0; step < 30; step++) {
      const ino = dice.pick(files);
      const record = live.get(ino) as InodeRecord;
      first.operate((handle) => {
        if (listed.delete(ino)) first.orphans.remove(handle, record);
        else {
          first.orphans.add(handle, record);
          listed.add(ino);
        }
      });
      expect(first.orphans.has(ino)).toBe(listed.has(ino));
      expect(first.orphans.count).toBe(before.length + listed.size);
      if (step % 6 > 0) continue;
      first.journal.commit();
      const snapshot = open(Uint8Array.from(image));
      expect(snapshot.left.problem).toBeUndefined();
      expect(new Set(inos(snapshot.left.records))).toEqual(new Set([...before, ...listed]));
    }
    // The next mount takes the rest off, with records of its own.
    first.journal.close();
    const second = open(image);
    for (const record of second.left.records) {
      second.operate((handle) => second.orphans.remove(handle, record));
      expect(dtimeOf(record)).toBe(0);
    }
    expect([second.orphans.count, second.orphans.inFile]).toEqual([0, false]);
    second.close();
    const known = new Set(complaints(untouched));
    expect(complaints(image).filter((text) => !known.has(text))).toEqual([]);
  },
);

test("what is an orphan already stays where it is, what is none is no matter", () => {
  const { orphans, operate, volume } = open(fixtureImage("ext2-1k"));
  const [one, two] = filesOf(fixtureImage("ext2-1k")).map((ino) => volume.record(ino));
  operate((handle) => {
    orphans.add(handle, one as InodeRecord);
    orphans.add(handle, two as InodeRecord);
    orphans.add(handle, one as InodeRecord);
  });
  expect([orphans.count, volume.superblock.lastOrphan]).toEqual([2, two?.ino]);
  operate((handle) => {
    orphans.remove(handle, one as InodeRecord);
    orphans.remove(handle, one as InodeRecord);
  });
  expect([orphans.count, dtimeOf(two as InodeRecord)]).toEqual([1, 0]);
});

/** Where the orphan file starts. */
const blockOf = (image: Uint8Array<ArrayBuffer>): number => {
  const { volume, journal } = writeTo(image);
  journal.close();
  const { orphanFileInum, blockSize } = volume.superblock;
  return (new FileMap(volume, volume.record(orphanFileInum)).blockOf(0) as number) * blockSize;
};

const broken = (change: (editor: ExtEditor, files: number[]) => void) => {
  const editor = new ExtEditor(fixtureImage("ext2-1k"));
  change(editor, filesOf(editor.bytes));
  return editor.bytes;
};

describe("the orphan file", () => {
  test("when it is full, the chain goes on", () => {
    const image = tinyImage(LISTED);
    const { volume, operate, editor, journal } = writeTo(image);
    expect(hasCompat(volume.superblock, EXT4_FEATURE_COMPAT_ORPHAN_FILE)).toBe(true);
    const file = new OrphanFile(volume);
    const before = file.count;
    let added = 0;
    while (operate((handle) => file.add(handle, 100_000 + added))) added++;
    const slots = volume.superblock.blockSize / 4 - 2;
    expect((added + before) % slots).toBe(0);
    operate((handle) => file.remove(handle, 100_007));
    expect(operate((handle) => file.add(handle, 100_007))).toBe(true);
    expect(operate((handle) => file.add(handle, 7))).toBe(false);
    const orphans = new Orphans(volume, editor.superblock);
    const [ino = 0] = filesOf(image);
    operate((handle) => orphans.add(handle, volume.record(ino)));
    expect([volume.superblock.lastOrphan, orphans.count]).toEqual([ino, added + before + 1]);
    for (let i = 0; i < added; i++) operate((handle) => file.remove(handle, 100_000 + i));
    expect(file.count).toBe(before);
    journal.commit();
  });

  test.each([
    ["a wrong magic", 1024 - 8, "EUCLEAN"],
    ["a wrong checksum", 0, "EBADMSG"],
  ])("%s is an error", (_, byte, code) => {
    const image = tinyImage(LISTED);
    const at = blockOf(image) + byte;
    image[at] = (image[at] as number) ^ 1;
    expect(codeOf(() => open(image))).toBe(code);
  });
});

describe("a broken chain", () => {
  const start = { base: 1024, field: Ext4SuperBlock.lastOrphan };

  test.each([2 ** 32 - 1, 3, 100_000])("that starts at %i leads nowhere", (ino) => {
    const image = broken((editor) => editor.set(start, ino));
    const { left, orphans, operate, volume, close } = open(image);
    expect([inos(left.records), left.problem?.code]).toEqual([[], "EUCLEAN"]);
    operate((handle) => orphans.cut(handle));
    expect(volume.superblock.lastOrphan).toBe(0);
    close();
    expect(complaints(image)).toEqual([]);
  });

  test.each([
    ["in a circle", (files: number[]) => files[0]],
    ["to no inode", () => 50_000],
  ])("that leads %s is used up to there", (_, lead) => {
    const image = broken((editor, files) => {
      const [one = 0, two = 0] = files;
      editor.set(start, one);
      editor.set({ base: editor.inodeAt(one), field: Ext4Inode.dtime }, two);
      editor.set({ base: editor.inodeAt(two), field: Ext4Inode.dtime }, lead(files) as number);
    });
    const { left, orphans, operate, close } = open(image);
    expect([inos(left.records), left.problem?.code]).toEqual([
      filesOf(fixtureImage("ext2-1k")).slice(0, 2),
      "EUCLEAN",
    ]);
    operate((handle) => orphans.cut(handle));
    for (const record of left.records) operate((handle) => orphans.remove(handle, record));
    close();
    expect(complaints(image)).toEqual([]);
  });
});

test("the word for the next orphan is the time of deletion", () => {
  const { volume } = open(fixtureImage("ext4-1k"));
  const record = volume.record(filesOf(fixtureImage("ext4-1k"))[0] as number);
  setDtime(record, 77);
  expect([Ext4Inode.dtime.get(record.view, 0), dtimeOf(record)]).toEqual([77, 77]);
});
