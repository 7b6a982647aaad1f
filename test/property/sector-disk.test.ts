/**
 * The two models of a disk, for programs (lines of modelled memory) and for recorded logs, leave
 * the same states at the same instants, torn sectors included.
 */
import { expect, test } from "vitest";
import { BlockFrontier } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import { statesAt, putState, takeState } from "../../src/crash/block-states.ts";
import { stopsOf } from "../../src/crash/block-stops.ts";
import type { BlockEvent } from "../../src/crash/block-trace.ts";
import { visitRawStates } from "../../src/crash/raw-states.ts";
import { SectorContents, SectorDisk } from "../../src/crash/sector-disk.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";

const SECTORS = 4;
const SIZE = 4096;
const MOST_STATES = 3000n;

function randomEvents(prng: Prng): BlockEvent[] {
  return Array.from({ length: 2 + prng.below(6) }, (): BlockEvent => {
    const kind = prng.below(6);
    if (kind === 0) return { kind: "flush" };
    const count = 1 + prng.below(2);
    const sector = prng.below(SECTORS - count + 1);
    const data = new Uint8Array(count * 512).map(() => (prng.below(8) === 0 ? prng.below(3) : 0));
    return { kind: "write", sector, length: data.length, data, fua: kind === 1 };
  });
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

/** The states of each instant of a recorded log. */
function ofLog(
  events: readonly BlockEvent[],
  torn: number | undefined,
  unit = 512,
): Set<string>[] | undefined {
  const model = { unit, ...(torn === undefined ? {} : { torn }) };
  const frontier = new BlockFrontier(new BlockImage(new Uint8Array(SIZE)), model);
  const plan = { at: [], reorder: true, every: true } as const;
  const all: Set<string>[] = [];
  for (const _ of stopsOf({ size: SIZE, events }, plan, frontier)) {
    if (frontier.space() > MOST_STATES) return undefined;
    const states = new Set<string>();
    for (const given of statesAt(frontier, Number(MOST_STATES), new Prng(1)).states) {
      putState(frontier, given);
      states.add(textOf(frontier.image.bytes));
      takeState(frontier, given);
    }
    all.push(states);
  }
  return all;
}

/** The states of each crash point of a program on the disk. */
function ofProgram(
  events: readonly BlockEvent[],
  torn: number | undefined,
  unit = 512,
): Set<string>[] {
  const contents = new SectorContents(unit);
  const initial = contents.linesOf(new Uint8Array(SIZE));
  const media = new ModelledMedia(initial.length);
  const disk = new SectorDisk(media, contents, torn);
  for (const event of events) {
    if (event.kind === "flush") disk.flush();
    else if (event.kind === "write") disk.write(event.sector, event.data, { fua: event.fua });
  }
  const all: Set<string>[] = [];
  const program = { check: () => true };
  const budget = { leaves: 1, steps: 1 };
  const what = { initial, modelled: {}, trace: media.trace, program, depth: 1, budget };
  visitRawStates({ ...what, torn: "line" }, (lines, { index }) => {
    (all[index] ??= new Set()).add(textOf(contents.imageOf(lines)));
  });
  return all;
}

test("programs on disks and recorded logs leave the same states", () => {
  const prng = new Prng(3);
  const seen = { cases: 0, torn: 0, many: 0 };
  while (seen.cases < 150) {
    const events = randomEvents(prng);
    const torn = [undefined, 256, 128, 192][prng.below(4)];
    const expected = ofLog(events, torn);
    if (expected === undefined) continue;
    expect(ofProgram(events, torn)).toEqual(expected);
    seen.cases++;
    if (torn !== undefined) seen.torn++;
    if (expected.some(({ size }) => size > 20)) seen.many++;
  }
  expect(seen.torn).toBeGreaterThan(50);
  expect(seen.many).toBeGreaterThan(20);
});

/** Of all instants. */
function statesIn(sets: readonly Set<string>[]): Set<string> {
  return new Set(sets.flatMap((each) => [...each]));
}

test("a FUA write of a part of a sector leaves the rest of it open, in both", () => {
  const prng = new Prng(13);
  const seen = { cases: 0, mixed: 0, torn: 0 };
  while (seen.cases < 150) {
    const events = randomEvents(prng);
    const torn = [undefined, undefined, 512, 1024][prng.below(4)];
    const expected = ofLog(events, torn, 4096);
    if (expected === undefined) continue;
    const found = ofProgram(events, torn, 4096);
    // What is durable between two of its fences was durable before, or is afterwards.
    expect(found.at(-1)).toEqual(expected.at(-1));
    expect(statesIn(found)).toEqual(statesIn(expected));
    seen.cases++;
    if (found.length > expected.length) seen.mixed++;
    if (torn !== undefined) seen.torn++;
  }
  expect(seen.mixed).toBeGreaterThan(30);
  expect(seen.torn).toBeGreaterThan(50);
});
