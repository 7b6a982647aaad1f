/**
 * Disks of which only what is written is held in memory.
 */
import { expect, test } from "vitest";
import { ObservedExplorer } from "../../src/crash/block-explorer.ts";
import { BlockFrontier } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import { inImage, parseState, stopName } from "../../src/crash/block-states.ts";
import { stopsOf } from "../../src/crash/block-stops.ts";
import type { BlockEvent } from "../../src/crash/block-trace.ts";
import { DiskMap, MOST_HELD_BYTES, PIECE_BYTES } from "../../src/crash/disk-map.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { copyOut } from "../../src/lib/memory.ts";
import { Prng } from "../../src/lib/prng.ts";
import { HeldMedia } from "../../src/media/held-media.ts";
import type { Window } from "../../src/media/media.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";

const PIECES = 40;
const SIZE = PIECES * PIECE_BYTES - 4096;

/** Some pieces of a small disk, and which they are. */
function someMap(prng: Prng): { map: DiskMap; pieces: number[] } {
  const pieces = Array.from({ length: PIECES }, (_, i) => i).filter(() => prng.below(3) === 0);
  const ranges = pieces.map((piece) => ({
    start: piece * PIECE_BYTES + prng.below(1000),
    length: 1 + prng.below(3000),
  }));
  return { map: DiskMap.of(SIZE, ranges.toReversed()), pieces };
}

test("pieces are found where they are, both ways, and ranges of them", () => {
  const prng = new Prng(4);
  for (let round = 0; round < 60; round++) {
    const { map, pieces } = someMap(prng);
    for (let i = 0; i < 40; i++) {
      const at = prng.below(SIZE);
      const index = pieces.indexOf(Math.floor(at / PIECE_BYTES));
      const held = index === -1 ? undefined : index * PIECE_BYTES + (at % PIECE_BYTES);
      expect(map.heldAt(at)).toBe(held);
      expect(held === undefined ? at : map.diskAt(held)).toBe(at);
      const run = map.runAt(at);
      expect(at >= run.start && at < run.start + run.length).toBe(true);
      expect(run.held === undefined ? undefined : run.held + at - run.start).toBe(held);
      const length = 1 + prng.below(SIZE - at);
      const inside = pieces.reduce((sum, piece) => {
        const from = Math.max(at, piece * PIECE_BYTES);
        const to = Math.min(at + length, (piece + 1) * PIECE_BYTES, SIZE);
        return sum + Math.max(0, to - from);
      }, 0);
      const found = map.heldIn(at, length);
      expect(found.length).toBe(inside);
      expect(held === undefined || found.start === held).toBe(true);
    }
    expect(map.held).toBe(map.heldIn(0, SIZE).length);
  }
});

/** What is held cannot be stored to, nor reached behind its end. */
function refused({ memory, length }: Window, wasLoaded: boolean): void {
  expect(wasLoaded).toBe(true);
  expect(() => memory.setUint8(0, 1)).toThrow(DaxError);
  expect(() => memory.getUint32(length - 3)).toThrow(RangeError);
}

test("media shows what is held, and zeros", () => {
  const { map } = someMap(new Prng(9));
  const { recorder } = new ModelledMedia(map.held);
  recorder.image.forEach((_, i, image) => (image[i] = 1 + (i % 250)));
  const media = new HeldMedia(map, recorder);
  const loads: number[] = [];
  recorder.observer = { load: (at) => void loads.push(at), store: () => {}, order: () => {} };
  for (let at = 0; at < SIZE;) {
    const window = media.window(at);
    expect(media.window(at + window.length - 1)).toBe(window);
    expect([window.start, window.memory.byteLength]).toEqual([at, window.length]);
    const bytes = new Uint8Array(window.length);
    copyOut(window.memory, 0, bytes);
    const held = map.heldAt(at);
    const same = bytes.every(
      (byte, i) => byte === (held === undefined ? 0 : 1 + ((held + i) % 250)),
    );
    expect(same).toBe(true);
    if (held !== undefined) refused(window, loads.at(-1) === held);
    at += window.length;
  }
});

/** Two requests at each of three places, explored; findings without what names the places. */
function explored(size: number, places: readonly [number, number, number], map: DiskMap) {
  const write = (place: 0 | 1 | 2, value: number): BlockEvent => {
    const data = new Uint8Array(1024).fill(value);
    return { kind: "write", sector: places[place] / 512, length: 1024, data, fua: false };
  };
  const events: BlockEvent[] = [
    write(0, 1),
    write(1, 2),
    { kind: "flush" },
    write(2, 3),
    write(1, 4),
    { kind: "discard", sector: places[0] / 512, count: (places[1] - places[0]) / 512 },
  ];
  const { recorder } = new ModelledMedia(map.held);
  const frontier = new BlockFrontier(new BlockImage(recorder.image), { unit: 512 }, true, map);
  const media = new HeldMedia(map, recorder);
  const byte = (at: number): number => {
    const { start, memory } = media.window(at);
    return memory.getUint8(at - start);
  };
  // What is far away must not be there without what is in the middle.
  const said = () => (byte(places[2] + 512) === 3 && byte(places[1]) !== 4 ? "far" : undefined);
  const budget = { runs: 100, steps: 1000, seed: 1 };
  const explorer = new ObservedExplorer(frontier, budget, recorder, said);
  const plan = { at: [], reorder: true } as const;
  return Array.from(stopsOf({ size, events }, plan, frontier), (stop) => {
    const { space, covered, failing, failure } = explorer.explore(stop);
    const state = failure?.state ?? stopName(stop);
    const given = inImage(frontier, parseState(state).assignment);
    expect(explorer.objectionTo(stop, given)).toBe(failure?.said);
    return { space, covered, failing, failure };
  });
}

test("a petabyte is replayed as a small disk is, under its own names", () => {
  const far = 2 ** 50 - 2 * PIECE_BYTES;
  const places = [0, 7 * 2 ** 40, far] as const;
  const ranges = places.map((start) => ({ start, length: 1024 }));
  const map = DiskMap.of(2 ** 50, ranges);
  expect(map.held).toBe(3 * PIECE_BYTES);
  // Explored while the walk stands at the stop, one after the other.
  const large = explored(2 ** 50, places, map);
  const small = explored(3 * 4096, [0, 4096, 8192], DiskMap.whole(3 * 4096));
  const counts = (list: typeof large) =>
    list.map(({ space, covered, failing }) => [space, covered, failing]);
  expect(counts(large)).toEqual(counts(small));
  expect(large.at(-1)?.failing).toBeGreaterThan(0n);
  const lost = large.at(-1)?.failure;
  const sector = (7 * 2 ** 40) / 512;
  expect(lost?.state.endsWith(`@512:${sector}=0`)).toBe(true);
  expect(lost?.lost).toMatchObject([{ ranges: [{ start: 7 * 2 ** 40, length: 512 }] }]);
});

/** For ever. */
function* sprinkled(): Generator<{ start: number; length: number }> {
  for (let i = 0; ; i++) yield { start: i * 3 * PIECE_BYTES, length: 512 };
}

test("what is too much is refused before it is held", () => {
  expect(() => DiskMap.of(2 ** 50, sprinkled())).toThrow(/EFBIG.*65535 pieces of 65536 bytes/u);
  expect(MOST_HELD_BYTES / PIECE_BYTES).toBe(65_535);
});
