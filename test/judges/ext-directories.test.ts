/**
 * Directories that we change, against e2fsck (order and checksums of the index, lengths, links) and
 * against what Linux lists and finds on a loop mount.
 *
 * `DAXKIT_LONG=1` puts 100,000 names into one directory, not a twentieth of that, and fills an
 * index that may not grow.
 */
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { decodeUtf8, encodeUtf8 } from "../../src/lib/utf8.ts";
import { DirectoryStream, type Naming, wildNames } from "../support/ext-directory-stream.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { MADE_IMAGES, madeImage } from "../support/made-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
const mounts = loopMounts();
const kinds = Object.entries(MADE_IMAGES);
const LONG = process.env["DAXKIT_LONG"] !== undefined;

/** Blocks larger than a page, which not every kernel mounts. */
function isMountable(options: string): boolean {
  return !mounts.missing && !options.includes("65536");
}

/** What Linux lists, and which inode it finds behind each name. */
function linuxLists(image: Uint8Array): [string, number][] {
  const path = scratch(places["tmpfs"] ?? places["disk"], "listed.img");
  const folder = `${path}.mount`;
  mkdirSync(folder);
  writeSparse(path, image);
  return withLoopMount(path, folder, "ro", (mounted) => {
    const head = Buffer.from(`${mounted}/stream/`);
    return readdirSync(`${mounted}/stream`, { encoding: "buffer" }).map(
      (name): [string, number] => [
        decodeUtf8(new Uint8Array(name)),
        statSync(Buffer.concat([head, name])).ino,
      ],
    );
  });
}

function sorted(list: readonly [string, number][]): [string, number][] {
  return list.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

describe(`e2fsck and Linux${e2fsprogs.hint}${mounts.hint}`, () => {
  test.skipIf(e2fsprogs.missing).each(inSlices(kinds, 3))(
    "%s",
    { timeout: 60_000 },
    (_, options) => {
      const image = madeImage(options, options.includes("65536") ? 64 : 16);
      const writing = writeTo(image);
      const stream = new DirectoryStream(writing, new Prng(3), wildNames(255));
      for (const count of [3, 20, 300, 500]) {
        stream.run(count, 70);
        writing.journal.commit();
        expect(stream.listed()).toEqual(stream.expected());
      }
      stream.finish();
      writing.close();
      expect(e2fsckSays(image)).toEqual([]);
      expect(complaints(image)).toEqual([]);
      const theirs = isMountable(options) ? sorted(linuxLists(image)) : stream.expected();
      expect(theirs).toEqual(stream.expected());
    },
  );
});

/** 255 bytes, so that little goes into a leaf. */
const longNames: Naming = (_, number) => {
  const name = new Uint8Array(255).fill(0x61);
  name.set(encodeUtf8(`${number}`));
  return name;
};

describe.skipIf(e2fsprogs.missing)(`many names${e2fsprogs.hint}`, () => {
  const FEW = "the index is full";
  test.each([
    ["-t ext4 -b 4096", wildNames(60), 100_000, undefined],
    ["-t ext4 -b 1024 -O large_dir", longNames, 70_000, undefined],
    ["-t ext3 -b 1024", longNames, 70_000, FEW],
  ] as const)("%s", { timeout: 600_000 }, (options, naming, most, stops) => {
    const count = LONG ? most : most / 20;
    const image = madeImage(options, 100);
    const writing = writeTo(image);
    const stream = new DirectoryStream(writing, new Prng(3), naming, 4);
    let code: string | undefined;
    try {
      stream.run(count, 100);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      code = error.code;
    }
    expect(code).toBe(LONG && stops === FEW ? "ENOSPC" : undefined);
    stream.run(count / 20, 0);
    stream.finish();
    expect(JSON.stringify(stream.listed()) === JSON.stringify(stream.expected())).toBe(true);
    writing.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });
});
