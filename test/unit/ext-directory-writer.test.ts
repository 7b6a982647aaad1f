/**
 * Directories that change while they are read, when there is no room, and with names of one hash.
 */
import { describe, expect, test } from "vitest";
import { DX_HASH_LEGACY, EXT4_FT_REG_FILE } from "../../src/format/ext-directory.ts";
import { openDirectory } from "../../src/fs/ext/directory.ts";
import { DirectoryWriter } from "../../src/fs/ext/directory-writer.ts";
import { EntryArea } from "../../src/fs/ext/entry-area.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { hashBy } from "../../src/fs/ext/htree-frames.ts";
import { type HashedEntry, splitLeaf } from "../../src/fs/ext/htree-split.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { COLLIDING_NAMES } from "../support/colliding-names.ts";
import { DirectoryStream, wildNames } from "../support/ext-directory-stream.ts";
import { EXT_FIXTURES, fixtureImage } from "../support/ext-images.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";

const target = { ino: 12, type: EXT4_FT_REG_FILE };

function hashedEntry(hash: number, length: number): HashedEntry {
  return { name: new Uint8Array(length).fill(0x61), ino: 1, type: 1, hash };
}

function longName(i: number): Uint8Array {
  return encodeUtf8(`${"n".repeat(250)}${i}`);
}

function codeOf(body: () => unknown): string | undefined {
  try {
    body();
  } catch (error) {
    if (isDaxError(error)) return error.code;
    throw error;
  }
  return undefined;
}

describe("a directory that is changed", () => {
  test.each(EXT_FIXTURES)("%s: holds what it should, and is in order", (name) => {
    const image = fixtureImage(name);
    const writing = writeTo(image);
    const stream = new DirectoryStream(writing, new Prng(21), wildNames(255));
    expect(stream.writer.isEmpty).toBe(true);
    stream.run(250, 75);
    writing.journal.commit();
    expect(stream.listed()).toEqual(stream.expected());
    expect(stream.writer.isEmpty).toBe(false);
    stream.clear();
    expect(stream.writer.isEmpty).toBe(true);
    stream.run(100, 90);
    stream.finish();
    writing.close();
    expect(complaints(image)).toEqual([]);
  });

  test.each(EXT_FIXTURES)("%s: cookies hold while it grows and shrinks", (name) => {
    const writing = writeTo(fixtureImage(name));
    const dice = new Prng(4);
    const stream = new DirectoryStream(writing, dice, wildNames(80));
    for (let round = 0; round < 12; round++) {
      const before = new Map(stream.model);
      const seen = new Map<string, number>();
      for (let cookie = 0; ;) {
        // A few at a time, each time by another reader, with changes in between.
        let taken = 0;
        const step = 1 + dice.below(9);
        for (const entry of stream.open().entries(cookie)) {
          expect(entry.cookie).toBeGreaterThan(cookie);
          seen.set(entry.name, (seen.get(entry.name) ?? 0) + 1);
          cookie = entry.cookie;
          if (++taken === step) break;
        }
        if (taken === 0) break;
        if (seen.size < 400) stream.run(3, round % 2 === 0 ? 90 : 40);
      }
      const stayed = [...before.keys()].filter((one) => stream.model.has(one));
      expect(stayed.filter((one) => seen.get(one) !== 1)).toEqual([]);
      expect([...seen].filter(([one, times]) => times > 1 && stream.model.has(one))).toEqual([]);
      stream.run(round < 6 ? 25 : 5, 80);
    }
  });

  test.each(["ext4-1k", "ext4-inline", "ext2-1k"] as const)(
    "%s: without room nothing changes",
    (name) => {
      const image = fixtureImage(name);
      const writing = writeTo(image);
      const { editor, operate } = writing;
      const stream = new DirectoryStream(writing, new Prng(9), wildNames(200));
      stream.run(5, 100);
      const taken: (readonly [number, number])[] = [];
      operate((handle) => {
        while (editor.allocator.freeBlocks > 0) {
          const all = { goal: 1, count: 4096, reserved: "all" } as const;
          const { start, count } = editor.allocator.allocate(handle, all);
          taken.push([start, count]);
        }
      });
      const refused = new Set<string | undefined>();
      for (let i = 0; i < 200; i++) refused.add(codeOf(() => stream.run(1, 100)));
      expect([...refused]).toContain("ENOSPC");
      expect(stream.listed()).toEqual(stream.expected());
      operate((handle) => {
        for (const [start, count] of taken) {
          editor.allocator.free(handle, start, count, { metadata: false });
        }
      });
      writing.journal.commit();
      stream.run(100, 80);
      expect(stream.listed()).toEqual(stream.expected());
      stream.finish();
      writing.close();
      expect(complaints(image)).toEqual([]);
    },
  );

  test("names that are there, are not there, or are too long", () => {
    const writing = writeTo(fixtureImage("ext4-default"));
    const { operate } = writing;
    const { writer } = new DirectoryStream(writing, new Prng(9), wildNames(20));
    const name = encodeUtf8("once");
    operate((handle) => writer.addEntry(handle, name, target));
    expect(codeOf(() => operate((handle) => writer.addEntry(handle, name, target)))).toBe("EEXIST");
    operate((handle) => writer.removeEntry(handle, name));
    expect(codeOf(() => operate((handle) => writer.removeEntry(handle, name)))).toBe("ENOENT");
    const replace = (): unknown => operate((handle) => writer.replaceEntry(handle, name, target));
    expect(codeOf(replace)).toBe("ENOENT");
    const long = new Uint8Array(256).fill(0x61);
    expect(codeOf(() => operate((handle) => writer.addEntry(handle, long, target)))).toBe(
      "ENAMETOOLONG",
    );
  });

  test("another parent", () => {
    for (const fixture of ["ext4-default", "ext4-inline"] as const) {
      const writing = writeTo(fixtureImage(fixture));
      const stream = new DirectoryStream(writing, new Prng(2), wildNames(60));
      const { volume } = writing;
      const kept = openDirectory(volume, stream.record, stream.map);
      for (const count of [0, 5, 400]) {
        stream.run(count, 100);
        writing.operate((handle) => stream.writer.setParent(handle, 11 + count));
        expect([stream.open().parent, kept.parent]).toEqual([11 + count, 11 + count]);
        expect([...kept.entries(0)]).toEqual([...stream.open().entries(0)]);
      }
      expect(stream.listed()).toEqual(stream.expected());
    }
  });
});

describe("names of one hash", () => {
  const names = COLLIDING_NAMES.map((name) => encodeUtf8(name));

  test("go on from leaf to leaf", () => {
    const image = fixtureImage("ext4-1k");
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const { hash } = hashBy(readSuperblock(disk), DX_HASH_LEGACY, names[0] as Uint8Array) ?? {};
    for (const name of names) {
      expect(hashBy(readSuperblock(disk), DX_HASH_LEGACY, name)?.hash).toBe(hash);
    }
    const writing = writeTo(image);
    const legacy = { ...writing.volume.superblock, defHashVersion: DX_HASH_LEGACY };
    Object.assign(writing.volume, { superblock: legacy });
    const stream = new DirectoryStream(writing, new Prng(6), wildNames(250));
    for (const [i, name] of names.entries()) {
      stream.add(name);
      if (i % 2 === 0) stream.run(4, 100);
    }
    expect(stream.listed()).toEqual(stream.expected());
    const directory = stream.open();
    for (const name of names) expect(directory.lookup(name)).not.toBe(0);
    // One at a time, so that listings are resumed within the chain.
    const seen: string[] = [];
    for (let cookie = 0; ;) {
      const [entry] = directory.entries(cookie);
      if (entry === undefined) break;
      seen.push(entry.name);
      ({ cookie } = entry);
    }
    expect(seen.length).toBe(stream.model.size + 2);
    expect(new Set(seen).size).toBe(seen.length);
    stream.clear();
    expect(stream.writer.isEmpty).toBe(true);
    stream.finish();
    writing.close();
    expect(complaints(image)).toEqual([]);
  });

  test("are cut with a key that says so", () => {
    const same = [hashedEntry(8, 255), hashedEntry(8, 255), hashedEntry(8, 255)];
    expect(splitLeaf(same).key).toBe(9);
    const { lower, upper, key } = splitLeaf([
      hashedEntry(8, 255),
      hashedEntry(4, 255),
      hashedEntry(6, 1),
    ]);
    expect([lower.map(({ hash }) => hash), upper.map(({ hash }) => hash), key]).toEqual([
      [4],
      [6, 8],
      6,
    ]);
  });
});

test("an area gives back the room of what was taken out", () => {
  const { superblock } = writeTo(fixtureImage("ext4-1k")).volume;
  const bytes = new Uint8Array(1024);
  const area = new EntryArea(superblock, bytes, 0, 1012, "test");
  area.setEntries([]);
  for (let i = 0; i < 4; i++) expect(area.add(longName(i), target)).toBe(i < 3);
  for (let i = 2; i >= 0; i--) {
    const place = area.find(longName(i));
    if (place === undefined) throw new Error("it was there");
    area.remove(place);
  }
  expect(area.list()).toEqual([]);
  expect([...bytes.subarray(0, 1012)].filter((byte) => byte !== 0).length).toBeLessThanOrEqual(2);
  for (let i = 4; i < 7; i++) expect(area.add(longName(i), target)).toBe(true);
  expect(area.list().map((one) => one.name)).toEqual([4, 5, 6].map(longName));
});

test("a reader of a directory sees what a writer did to it", () => {
  const writing = writeTo(fixtureImage("ext4-default"));
  const { volume, operate, editor } = writing;
  const root = volume.record(2);
  const map = new FileMap(volume, root);
  const reader = openDirectory(volume, root, map);
  const writer = new DirectoryWriter(editor, root, map);
  operate((handle) => writer.addEntry(handle, encodeUtf8("seen"), target));
  expect(reader.lookup(encodeUtf8("seen"))).toBe(12);
  writing.journal.commit();
  operate((handle) => writer.removeEntry(handle, encodeUtf8("seen")));
  expect(reader.lookup(encodeUtf8("seen"))).toBe(0);
});
