/**
 * Maps of files that are changed at random, on images that Linux filled: read back after each
 * change through a map that is kept and through a new one, and our own check at the end.
 */
import { describe, expect, test } from "vitest";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { Prng } from "../../src/lib/prng.ts";
import { type ExtFixture, fixtureImage } from "../support/ext-images.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { ModelledFile, changeMap, mappedFiles, tighten } from "../support/map-model.ts";

const KINDS: readonly ExtFixture[] = [
  "ext2-1k",
  "ext3-4k",
  "ext4-1k",
  "ext4-bigalloc",
  "ext4-default",
  "ext4-gdtcsum",
];
const rounds = Number(process.env["DAXKIT_MAP_ROUNDS"] ?? 40);
const seeds = Number(process.env["DAXKIT_MAP_SEEDS"] ?? 1);

describe("maps that are changed", () => {
  const cases = KINDS.flatMap((kind, at) =>
    Array.from({ length: seeds }, (_, i) => [kind, at * 1001 + i] as const),
  );
  test.each(cases)("%s, seed %i", (kind, seed) => {
    const image = fixtureImage(kind);
    const prng = new Prng(seed);
    const writing = writeTo(image, seed);
    if (seed % 2 === 1) tighten(writing);
    const files = mappedFiles(writing).map((ino) => new ModelledFile(writing, ino));
    const done: string[] = [];
    for (let round = 0; round < rounds; round++) {
      done.push(changeMap(files, prng));
      if (prng.below(10) === 0) writing.journal.commit();
      const wrong = files.flatMap((file) => file.difference() ?? []);
      if (wrong.length > 0) throw new Error(`${wrong.join()} after ${done.slice(-4).join("; ")}`);
    }
    writing.close();
    const { volume } = writeTo(image);
    for (const file of files) {
      const map = new FileMap(volume, volume.record(file.record.ino));
      expect(file.difference(volume, map)).toBe(undefined);
    }
    expect(complaints(image)).toEqual([]);
  });
});
