/**
 * Maps of files under power cuts: whatever the device has kept, after the replay of the journal
 * the filesystem is clean, and the files are as some commit left them, their contents included.
 */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { indexEntriesOf, readRoot } from "../../src/fs/ext/extent-node.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { recover } from "../../src/fs/ext/recovery.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { silent } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { CutDevice } from "../support/cut-device.ts";
import { type ExtFixture, fixtureImage } from "../support/ext-images.ts";
import { complaints, openForWriting } from "../support/ext-writing.ts";
import { type Cell, ModelledFile, changeMap, mappedFiles } from "../support/map-model.ts";

const KINDS: readonly ExtFixture[] = ["ext3-4k", "ext4-1k", "ext4-default"];
const rounds = Number(process.env["DAXKIT_MAP_ROUNDS"] ?? 6);
const mixtures = Number(process.env["DAXKIT_MAP_MIXTURES"] ?? 1);
/** Intervals between flushes that are looked into, about so many. */
const cuts = Number(process.env["DAXKIT_MAP_CUTS"] ?? 8);
const seeds = Number(process.env["DAXKIT_MAP_SEEDS"] ?? 1);

/** A log was begun and holds nothing yet: the superblock need not say that it is to be replayed. */
const HARMLESS = /^ext\.journal\.start /u;

/** The volume as a mount after the cut would see it. */
function recovered(image: Uint8Array): Volume {
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const superblock = readSuperblock(disk);
  const buffers = new Buffers(disk, superblock.blockSize);
  return new Volume(recover(superblock, buffers, silent), buffers, silent);
}

type State = readonly ReadonlyMap<number, Cell>[];

/** Which state the files are in, from `promised` on; -1: none of them. */
function stateOf(
  volume: Volume,
  files: readonly ModelledFile[],
  states: readonly State[],
  promised: number,
): number {
  const maps = files.map(({ record }) => new FileMap(volume, volume.record(record.ino)));
  return states.findIndex((state, n) => {
    if (n < promised) return false;
    return files.every((file, i) => file.difference(volume, maps[i], state[i]) === undefined);
  });
}

describe("maps under power cuts", () => {
  const cases = KINDS.flatMap((kind, at) =>
    Array.from({ length: seeds }, (_, i) => [kind, at * 1000 + i] as const),
  );
  test.each(cases)("%s, seed %i", (kind, seed) => {
    const prng = new Prng(seed);
    const prepared = fixtureImage(kind);
    const before = openForWriting(new RamDisk({ name: "ram0", bytes: prepared }), seed);
    const inos = mappedFiles(before);
    for (const ino of inos) void new ModelledFile(before, ino);
    before.close();

    const cut = new CutDevice(prepared);
    const writing = openForWriting(cut.device, seed);
    const files = inos.map((ino) => new ModelledFile(writing, ino));
    const states: State[] = [files.map(() => new Map<number, Cell>())];
    const done: string[] = [];
    for (let round = 0; round < rounds; round++) {
      for (let i = prng.below(4); i >= 0; i--) done.push(changeMap(files, prng));
      writing.journal.commit();
      cut.promise(states.length);
      states.push(files.map(({ cells }) => new Map(cells)));
    }
    writing.close();
    for (const { image, promised } of cut.cuts(prng, mixtures)) {
      if (prng.below(cut.intervals) >= cuts) continue;
      const state = stateOf(recovered(image), files, states, promised);
      if (state < 0) throw new Error(`no state from ${promised} on after ${done.join("; ")}`);
      const said = complaints(image).filter((text) => !HARMLESS.test(text));
      expect(said).toEqual([]);
    }
  });
});

test("what was a node of a map and is data now is not replayed over", () => {
  const prepared = fixtureImage("ext4-1k");
  const before = openForWriting(new RamDisk({ name: "ram0", bytes: prepared }));
  const [ino = 0] = mappedFiles(before);
  void new ModelledFile(before, ino);
  before.close();

  const cut = new CutDevice(prepared);
  const writing = openForWriting(cut.device);
  const file = new ModelledFile(writing, ino);
  for (let at = 0; at < 10; at += 2) file.fill(at, 1, false);
  writing.journal.commit();
  const [{ node } = { node: 0 }] = indexEntriesOf(readRoot(file.record));
  expect(node).toBeGreaterThan(0);
  file.truncate(0);
  writing.journal.commit();
  file.fill(0, 1, false, node);
  expect(file.map.blockOf(0)).toBe(node);
  writing.journal.commit();
  cut.promise(1);
  let seen = 0;
  for (const { image, promised } of cut.cuts(new Prng(1), 1)) {
    if (promised < 1) continue;
    seen++;
    const volume = recovered(image);
    const map = new FileMap(volume, volume.record(ino));
    expect(file.difference(volume, map)).toBe(undefined);
  }
  expect(seen).toBeGreaterThan(0);
  // Neither does the checkpoint bring the node back.
  writing.close();
  const volume = recovered(prepared);
  expect(file.difference(volume, new FileMap(volume, volume.record(ino)))).toBe(undefined);
  expect(complaints(prepared)).toEqual([]);
});
