/**
 * The explorer of disks against brute force: the same states, counted one by one.
 */
import { expect, test } from "vitest";
import { ObservedExplorer, WholeDiskExplorer } from "../../src/crash/block-explorer.ts";
import type { StopFindings, StopRest } from "../../src/crash/stop-findings.ts";
import { BlockFrontier, type BlockModel } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import { nameOfState, parseState, stopName } from "../../src/crash/block-states.ts";
import { countStops, stopsOf } from "../../src/crash/block-stops.ts";
import type { BlockEvent, BlockTrace } from "../../src/crash/block-trace.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { type NaiveStop, naiveStops } from "../support/naive-block.ts";

const SECTORS = 8;
const SIZE = SECTORS * 512;
const ALL = { at: [], reorder: true } as const;
const BUDGET = { runs: 1_000_000, steps: 10_000, seed: 1 };

/** A few requests, often to the same sectors, with few different contents. */
function randomTrace(prng: Prng): BlockTrace {
  const events: BlockEvent[] = [];
  for (let left = 2 + prng.below(9); left > 0; left--) {
    const kind = prng.below(10);
    const sector = prng.below(SECTORS);
    const count = Math.min(1 + prng.below(2), SECTORS - sector);
    if (kind === 0) events.push({ kind: "flush" });
    else if (kind === 1) events.push({ kind: "mark", label: "m" });
    else {
      const data = new Uint8Array(count * 512);
      for (let i = 0; i < count; i++) {
        data[i * 512] = prng.below(3);
        data[i * 512 + 100] = prng.below(3);
      }
      events.push({ kind: "write", sector, length: data.length, data, fua: kind === 2 });
    }
  }
  return { size: SIZE, events };
}

/** Every state, as text; the generator hands out the same array each time. */
function contentsOf(naive: NaiveStop): string[] {
  return Array.from(naive.states(), (bytes) => Buffer.from(bytes).toString("latin1"));
}

/** A check that looks where what it saw leads it, and objects to some of it. */
function walker(seed: number, load: (at: number) => number): string | undefined {
  let at = seed % SECTORS;
  let sum = seed;
  for (let step = 0; step < 4; step++) {
    const value = load(at * 512 + (step % 2) * 100);
    sum = (sum * 5 + value) % 1009;
    at = (at + 1 + value) % SECTORS;
  }
  return sum % 3 === 0 ? `sum ${sum}` : undefined;
}

function observed(trace: BlockTrace, seed: number, model: BlockModel = { unit: 512 }) {
  const media = new ModelledMedia(SIZE);
  const { recorder } = media;
  const frontier = new BlockFrontier(new BlockImage(recorder.image), model);
  const check = () => walker(seed, (at) => recorder.getUint8(at));
  const explorer = new ObservedExplorer(frontier, BUDGET, recorder, check);
  const found: StopFindings[] = [];
  for (const stop of stopsOf(trace, ALL, frontier)) {
    const findings = explorer.explore(stop);
    found.push(findings);
    if (findings.failure === undefined) continue;
    // What was made small fails as a state of its own, under the name that people type.
    const { assignment } = parseState(findings.failure.state);
    expect(explorer.objectionTo(stop, assignment)).toBe(findings.failure.said);
    expect(nameOfState(stop, model, assignment)).toBe(findings.failure.state);
  }
  return found;
}

test("weights of runs are the states that brute force counts, and so are the failing ones", () => {
  const prng = new Prng(7);
  let stops = 0;
  let failing = 0;
  for (let round = 0; round < 800; round++) {
    const trace = randomTrace(prng);
    const found = new Map(observed(trace, round).map((each) => [stopName(each.stop), each]));
    expect(found.size).toBe(countStops(trace, ALL));
    for (const naive of naiveStops(trace)) {
      const each = found.get(naive.name);
      if (each === undefined) continue;
      let bad = 0n;
      for (const bytes of naive.states()) {
        if (walker(round, (at) => bytes[at]!) !== undefined) bad++;
      }
      const { space, covered, failing: ours } = each;
      expect([naive.name, space, covered, ours]).toEqual([
        naive.name,
        naive.space,
        naive.space,
        bad,
      ]);
      stops++;
      if (bad > 0n) failing++;
    }
  }
  expect(stops).toBeGreaterThan(1000);
  expect(failing).toBeGreaterThan(250);
});

/** The same, but ended again and again after a few runs, and gone on with. */
function interrupted(trace: BlockTrace, seed: number, chance: Prng): [StopFindings[], number] {
  const media = new ModelledMedia(SIZE);
  const { recorder } = media;
  const frontier = new BlockFrontier(new BlockImage(recorder.image), { unit: 512 });
  const check = () => walker(seed, (at) => recorder.getUint8(at));
  const found: StopFindings[] = [];
  let endings = 0;
  for (const stop of stopsOf(trace, ALL, frontier)) {
    let rest: StopRest | undefined;
    for (;;) {
      const explorer = new ObservedExplorer(frontier, BUDGET, recorder, check);
      let left = 1 + chance.below(2);
      explorer.watch = { ran: () => void left--, isOver: () => left <= 0 };
      const findings = explorer.explore(stop, rest);
      if (findings.ended !== true) {
        found.push(findings);
        break;
      }
      endings++;
      ({ rest } = findings);
    }
  }
  return [found, endings];
}

const numbers = ({ stop, space, covered, failing }: StopFindings) =>
  [stopName(stop), space, covered, failing].join();

test("what was ended is gone on with, and adds up to the same", () => {
  const prng = new Prng(17);
  let ended = 0;
  for (let round = 0; round < 100; round++) {
    const trace = randomTrace(prng);
    const [found, endings] = interrupted(trace, round, prng);
    expect(found.map(numbers)).toEqual(observed(trace, round).map(numbers));
    ended += endings;
  }
  expect(ended).toBeGreaterThan(100);
});

test("a stop that is left out has no state that those before it lack", () => {
  const prng = new Prng(8);
  let left = 0;
  for (let round = 0; round < 150; round++) {
    const { size, events } = randomTrace(prng);
    const trace = { size, events: [...events].filter(({ kind }) => kind !== "mark") };
    const made = new Set(observed(trace, round).map(({ stop }) => stopName(stop)));
    const seen = new Set<string>();
    for (const naive of naiveStops(trace)) {
      const states = contentsOf(naive);
      const out = !made.has(naive.name);
      expect(states.filter((state) => out && !seen.has(state))).toEqual([]);
      if (out) left++;
      for (const state of states) seen.add(state);
    }
  }
  expect(left).toBeGreaterThan(25);
});

test("a check that wants the whole disk sees each different state once", () => {
  const prng = new Prng(9);
  for (let round = 0; round < 150; round++) {
    const trace = randomTrace(prng);
    const image = new BlockImage(new Uint8Array(SIZE));
    const frontier = new BlockFrontier(image, { unit: 512 });
    let calls = 0;
    const states = new Set<string>();
    const explorer = new WholeDiskExplorer(frontier, BUDGET, (mark) => {
      calls++;
      states.add(`${mark} ${Buffer.from(image.bytes).toString("latin1")}`);
      return undefined;
    });
    const naive = new Map(naiveStops(trace).map((each) => [each.name, each]));
    for (const stop of stopsOf(trace, ALL, frontier)) {
      const { space, covered } = explorer.explore(stop);
      const different = new Set(contentsOf(naive.get(stopName(stop))!));
      expect([space, covered]).toEqual([BigInt(different.size), BigInt(different.size)]);
      for (const state of different) expect(states.has(`${stop.mark} ${state}`)).toBe(true);
    }
    expect(calls).toBe(states.size);
  }
});
