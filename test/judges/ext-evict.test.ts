/**
 * Files without names are deleted, at once or by the next mount, and e2fsck finds nothing left.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { EXT4_EXTENTS_FL } from "../../src/format/ext-inode.ts";
import { DirectoryWriter } from "../../src/fs/ext/directory-writer.ts";
import {
  type Evicting,
  evict,
  evictCredits,
  evictRevokes,
  evictStep,
  processOrphans,
} from "../../src/fs/ext/evict.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { InodeRecord } from "../../src/fs/ext/inode-record.ts";
import { setLinks, setSize, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import { Orphans } from "../../src/fs/ext/orphans.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { find, contentsOf, fixtureImage, mountBytes } from "../support/ext-images.ts";
import { type Writing, complaints, writeTo } from "../support/ext-writing.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { TINY_IMAGES, tinyImage } from "../support/tiny-images.ts";
import { mountToWrite, writingOf } from "../support/ext-mounted.ts";
import { madeImage } from "../support/made-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");
const TINY = TINY_IMAGES.filter((name) => !name.startsWith("journal-") && name !== "dax");
const LARGE = ["ext2-1k", "ext4-default", "ext4-bigalloc", "ext4-inline"] as const;
const IMAGES = [
  ...LARGE.map((name) => [name, () => fixtureImage(name)] as const),
  ...TINY.map((name) => [`tiny ${name}`, () => tinyImage(name)] as const),
];

/** Names of the root that lead to no directory, and nothing else leads there. */
function namesOf(image: Uint8Array): string[] {
  const { root } = mountBytes(Uint8Array.from(image));
  const names = [...root.readdir(0)].map(({ name }) => name);
  return names.filter((name) => {
    const inode = root.lookup(name);
    return (
      inode !== undefined && (inode.mode & 0o170000) !== 0o040000 && inode.attributes().nlink === 1
    );
  });
}

function evictingOf({ editor, journal, volume }: Writing): Evicting {
  return { editor, journal, orphans: new Orphans(volume, editor.superblock) };
}

/** Takes a name of the root out; its inode is an orphan then. */
function unlink(writing: Writing, { orphans }: Evicting, name: string): InodeRecord {
  const { volume, editor, operate } = writing;
  const root = volume.record(2);
  const directory = new DirectoryWriter(editor, root, new FileMap(volume, root));
  return operate((handle) => {
    const { ino } = directory.removeEntry(handle, encodeUtf8(name));
    const record = volume.record(ino);
    setLinks(record, 0);
    orphans.add(handle, record);
    storeRecord(volume, handle, record);
    return record;
  });
}

describe(`e2fsck${e2fsck.hint}`, () => {
  test.skipIf(e2fsck.missing).each(IMAGES)("%s", { timeout: 60_000 }, (_title, make) => {
    const image = make();
    const first = writeTo(image);
    const names = namesOf(image);
    expect(names.length).toBeGreaterThan(2);
    const evicting = evictingOf(first);
    const before = first.editor.allocator.freeBlocks;
    const records = names.map((name) => unlink(first, evicting, name));
    const plain = records.filter((_, i) => i % 3 === 0);
    for (const record of plain) evict(evicting, record);
    expect(first.editor.allocator.freeBlocks).toBeGreaterThanOrEqual(before);
    // One is caught half way; the rest waits for the next mount.
    const started = records.find((record, i) => i % 3 === 1 && record.has(EXT4_EXTENTS_FL));
    if (started !== undefined) {
      const handle = first.journal.start(evictCredits(started), evictRevokes(started));
      setSize(first.volume.superblock, started, 0);
      evictStep(evicting, handle, started);
      handle.stop();
    }
    first.close();
    const left = evicting.orphans.count;
    expect(left).toBeGreaterThan(0);

    const second = writeTo(image, 2);
    const report = processOrphans(evictingOf(second));
    expect(report).toEqual({ deleted: left, truncated: 0, problem: undefined });
    second.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });

  test.skipIf(e2fsck.missing).each(["ext2-1k", "ext4-default", "ext4-bigalloc"] as const)(
    "%s: a truncation that was cut off is brought to its end",
    { timeout: 60_000 },
    (name) => {
      const image = fixtureImage(name);
      const original = contentsOf(find(mountBytes(Uint8Array.from(image)), "big"));
      const writing = writeTo(image);
      const evicting = evictingOf(writing);
      const record = writing.volume.record(find(mountBytes(Uint8Array.from(image)), "big").ino);
      const size = 5000;
      writing.operate((handle) => {
        setSize(writing.volume.superblock, record, size);
        evicting.orphans.add(handle, record);
        storeRecord(writing.volume, handle, record);
      });
      writing.close();
      const next = writeTo(image);
      const report = processOrphans(evictingOf(next));
      expect(report).toEqual({ deleted: 0, truncated: 1, problem: undefined });
      next.close();
      expect(e2fsckSays(image)).toEqual([]);
      expect(complaints(image)).toEqual([]);
      const after = find(mountBytes(image), "big");
      expect(contentsOf(after)).toEqual(original.subarray(0, size));
    },
  );
});

const kernel = loopMounts();
/** Values that are alone, that two inodes share, and that two inodes share with their block. */
const MAKE_VALUED = `
import os, sys
for n in range(4):
    path = f"{sys.argv[1]}/f{n}"
    open(path, "wb").write(bytes(3000))
    for i in range(3):
        os.setxattr(path, f"user.{i}", bytes([i, n // 2]) * 30000)
os.setxattr(sys.argv[1] + "/f3", "user.own", bytes(range(250)) * 200)
`;

describe.skipIf(e2fsck.missing || kernel.missing)(`Linux${e2fsck.hint}${kernel.hint}`, () => {
  test.each(["-I 256", "-I 128", "-I 128 -J size=1", "-O ^has_journal"])(
    "values in inodes of their own go with their last owner: %s",
    (options) => {
      const path = scratch(places["tmpfs"] ?? places["disk"], "valued.img");
      const folder = `${path}.mount`;
      mkdirSync(folder);
      const mkfs = `-t ext4 -b 1024 -O ea_inode ${options}`;
      writeFileSync(path, madeImage(mkfs, 16));
      withLoopMount(path, folder, "user_xattr", (mounted) => {
        execFileSync("python3", ["-c", MAKE_VALUED, mounted]);
      });
      const image = new Uint8Array(readFileSync(path));
      const empty = mountBytes(madeImage(mkfs, 16)).statfs();
      for (const name of ["f0", "f3", "f1", "f2"]) {
        const filesystem = mountToWrite(image);
        const file = filesystem.root.lookup(name);
        expect(file).toBeDefined();
        // A block that another one has is copied, with what it refers to.
        if (name !== "f2") writingOf(file as Inode).setxattr("user.0", new Uint8Array(3));
        writingOf(file as Inode).setxattr("user.3", new Uint8Array(3));
        filesystem.sync();
        writingOf(filesystem.root).unlink(name);
        filesystem.unmount();
        expect(e2fsckSays(image)).toEqual([]);
        expect(complaints(image)).toEqual([]);
      }
      const { bfree, ffree } = mountBytes(image).statfs();
      expect([bfree, ffree]).toEqual([empty.bfree, empty.ffree]);
    },
  );
});
