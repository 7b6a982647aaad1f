/**
 * The search of a proof: an exploration, a scout where that is cut short, and the rest.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { explore } from "../../src/crash/explorer.ts";
import { defineProof, prove, report, stateOfMemory } from "../../src/crash/prove.ts";
import { spread } from "../../src/crash/probes.ts";
import { replay } from "../../src/crash/replay.ts";
import { search } from "../../src/crash/search.ts";
import { sumOf } from "../../src/crash/tally.ts";
import type { Torn } from "../../src/crash/versions.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import {
  SIZE,
  optionsArbitrary,
  perform,
  programArbitrary,
  programOf,
  stepArbitrary,
} from "../support/crash-programs.ts";
import { lostBy, survivedBy } from "../support/verdicts.ts";

const TIMES = process.env["DAXKIT_LONG"] === undefined ? 1 : 10;
const DATA = 32 * 64;

/** A flag that may arrive before what it speaks of, among more states than anybody looks at. */
const flagFirst = defineProof({
  name: "flag before data",
  size: DATA + 64,
  budget: { leaves: 300 },
  workload({ mapping, ack }) {
    mapping.setU64(DATA, 1);
    for (let at = 0; at < DATA; at += 64) mapping.setU64(at, 1);
    mapping.persist(0, DATA + 64);
    ack("all of it");
  },
  check({ mapping }) {
    if (mapping.u64(DATA) === 0n) return true;
    let old = 0;
    for (let at = 0; at < DATA; at += 64) if (mapping.u64(at) === 0n) old++;
    return old < 20 || `${old} are old`;
  },
});

test("what takes one store before many others is found, and made small", () => {
  const verdict = lostBy(flagFirst);
  expect(verdict.complete).toBe(false);
  expect(verdict.leaves).toBeLessThanOrEqual(300);
  expect(verdict.counterExample.said).toBe("20 are old");
  expect(verdict.counterExample.cuts[0]?.lost.length).toBe(20);
  expect(report(verdict).join("\n")).toContain("not every state was checked");
  const made = stateOfMemory(flagFirst, verdict.state);
  expect("said" in made && made.said).toBe("20 are old");
  expect(report(prove(flagFirst))).toEqual(report(verdict));
});

test("once something fails it does not go on for ever", () => {
  const verdict = lostBy({ ...flagFirst, budget: {}, check: ({ mapping }) => isWhole(mapping) });
  expect(verdict.counterExample.cuts[0]?.lost.length).toBe(1);
  expect(verdict.leaves).toBeLessThan(10_000);
});

function isWhole(mapping: { u64(at: number): bigint }): boolean | string {
  const first = mapping.u64(0);
  for (let at = 0; at < DATA; at += 64) if (mapping.u64(at) !== first) return "torn";
  return true;
}

test("what survives is not survived by looking at a few states only", () => {
  const { space, leaves, depths } = survivedBy({
    ...flagFirst,
    budget: { leaves: 20_000 },
    check({ mapping, acked }) {
      for (let at = 0; at < 13 * 64; at += 64) mapping.u64(at);
      return acked.length === 0 || mapping.u64(0) === 1n || "it is gone";
    },
  });
  // 13 lines that are looked at, before the fence; then everything is there.
  expect(leaves).toBe(2 ** 13 + 1);
  expect(depths[0]?.covered).toBe(space);
});

test("with a battery behind the caches, what nobody looks at is counted and not run", () => {
  const proof = defineProof({
    name: "battery",
    size: 4096,
    domain: "eadr",
    workload({ mapping, ack }) {
      for (let at = 64; at < 4096; at += 8) mapping.setU64(at, 1);
      mapping.setU64(0, 1);
      ack("done");
    },
    check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length) || "it is gone",
  });
  // Up to the last store, and after it.
  expect(survivedBy(proof)).toMatchObject({ space: 4032n / 8n + 2n, leaves: 2 });
  const looks = survivedBy({
    ...proof,
    check: ({ mapping, acked }) => mapping.u64(0) + mapping.u64(64) >= BigInt(acked.length * 2),
  });
  expect(looks).toMatchObject({ space: 4032n / 8n + 2n, leaves: 10 });
});

test("a spread names each once, and the last first", () => {
  for (let count = 0; count < 70; count++) {
    const named = [...spread(count)];
    expect(named[0]).toBe(count === 0 ? undefined : count - 1);
    expect(named.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  }
});

describe("a search with a small budget", () => {
  const torn = fc.constantFrom<Torn>("prefix", "atoms", "line");
  const steps = fc.array(stepArbitrary, { maxLength: 14 });
  const shares = fc.double({ min: 0.5, max: 2, noNaN: true });

  test("counts what an exploration counts, and what it finds fails", () => {
    const met = { whole: 0, cut: 0, early: 0 };
    const property = fc.property(
      fc.record({ steps, modelled: optionsArbitrary, torn, share: shares }),
      programArbitrary,
      ({ share, ...what }, random) => {
        const media = new ModelledMedia(SIZE, what.modelled);
        for (const step of what.steps) perform(media, step);
        const exploration = {
          initial: new Uint8Array(SIZE),
          modelled: what.modelled,
          trace: media.trace,
          program: programOf(random),
          torn: what.torn,
          depth: 2,
        };
        const most = { leaves: 3000, steps: 10_000 };
        const all = explore({ ...exploration, budget: most });
        fc.pre(!all.cut);
        const leaves = Math.max(1, Math.ceil(sumOf(all.tallies).leaves * share));
        const budget = { ...most, leaves };
        const found = search({ ...exploration, budget });
        const plain = explore({ ...exploration, budget });
        const { covered, failing, leaves: run } = sumOf(found.tallies);
        expect(run).toBeLessThanOrEqual(leaves);
        expect(covered).toBeLessThanOrEqual(sumOf(all.tallies).covered);
        expect(failing).toBeLessThanOrEqual(sumOf(all.tallies).failing);
        if (found.cut) met.cut++;
        else met.whole++;
        expect(found.cut || found.tallies).toEqual(found.cut || all.tallies);
        // It is cut where an exploration is, and nowhere else.
        expect(found.cut && found.failure === undefined && !plain.cut).toBe(false);
        if (found.failure === undefined) return;
        const { cuts, objection } = found.failure;
        expect(replay({ ...exploration, budget }, cuts)?.objection?.said).toBe(objection.said);
        if (plain.failure === undefined) met.early++;
      },
    );
    fc.assert(property, { numRuns: 300 * TIMES, seed: 5 });
    // A property that never meets what it speaks of proves nothing.
    expect(met.whole).toBeGreaterThan(30);
    expect(met.cut).toBeGreaterThan(10);
  });
});
