/** Each way a proof may end, and that none of them is silent. */
import { describe, expect, test } from "vitest";
import { defineProof, type Proof, report, toJson } from "../../src/crash/prove.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { counter } from "../support/counter-proof.ts";
import { brokenBy, lostBy, survivedBy } from "../support/verdicts.ts";

function fencesOn(caching: "write-through" | "uncached"): number {
  return survivedBy({
    ...counter,
    caching: [{ start: 0, length: 256, caching }],
    workload({ mapping, ack }) {
      mapping.setU64(0, 1);
      mapping.fence();
      ack(1);
    },
  }).redundantFences.length;
}

describe("Survived", () => {
  test("counts exactly", () => {
    const verdict = survivedBy(counter);
    expect(verdict).toMatchObject({
      name: "counter",
      space: 7n,
      crashPoints: 4,
      acks: 3,
      notes: [],
    });
    expect(verdict.events).toBe(12);
  });

  test("lists redundant flushes with their call sites", () => {
    const verdict = survivedBy({
      ...counter,
      workload({ mapping, ack }) {
        mapping.setU64(0, 1);
        mapping.persist(0, 8);
        mapping.flush(0, 8);
        mapping.flush(128, 64);
        mapping.setU64(64, 1);
        mapping.flush(0, 128);
        mapping.flush(64, 8);
        mapping.fence();
        ack(1);
      },
    });
    const found = verdict.redundantFlushes.map(
      ({ flushes, redundantFlushes, lines, cleanLines, needlessLines, site }) => {
        expect(site?.file).toMatch(/verdicts\.test\.ts$/u);
        return { flushes, redundantFlushes, lines, cleanLines, needlessLines };
      },
    );
    expect(found).toEqual([
      { flushes: 1, redundantFlushes: 1, lines: 1, cleanLines: 1, needlessLines: 0 },
      { flushes: 1, redundantFlushes: 1, lines: 1, cleanLines: 1, needlessLines: 0 },
      // One of its two lines was dirty.
      { flushes: 1, redundantFlushes: 0, lines: 2, cleanLines: 1, needlessLines: 0 },
      // Dirty, but flushed already.
      { flushes: 1, redundantFlushes: 1, lines: 1, cleanLines: 1, needlessLines: 0 },
    ]);
    const lines = verdict.redundantFlushes.map(({ site }) => site?.line ?? 0);
    expect(lines).toEqual(lines.toSorted((a, b) => a - b));
    expect(new Set(lines).size).toBe(4);
    expect(report(verdict).join("\n")).toMatch(/redundant flush at .*verdicts\.test\.ts:\d+/u);
  });

  test("names fences that had nothing to make durable, with file, line and column", () => {
    const verdict = survivedBy({
      ...counter,
      workload({ mapping, ack }) {
        for (let n = 1; n <= 3; n++) {
          mapping.setU64(0, n);
          mapping.flush(0, 8);
          mapping.fence();
          mapping.fence();
          ack(n);
        }
        mapping.flush(0, 8);
        mapping.fence();
      },
    });
    const found = verdict.redundantFences.map(({ fences, redundantFences }) => [
      fences,
      redundantFences,
    ]);
    expect(found).toEqual([
      [3, 3],
      [1, 1],
    ]);
    const text = report(verdict).join("\n");
    expect(text).toMatch(/redundant fence at .*verdicts\.test\.ts:\d+:\d+.*: 3 of 3 had nothing/u);
    expect(text).toMatch(/redundant flush at .*verdicts\.test\.ts:\d+:\d+/u);
  });

  test("a fence behind uncached, write-through or non-temporal stores is not redundant", () => {
    expect([fencesOn("write-through"), fencesOn("uncached")]).toEqual([0, 1]);
  });

  test("notes a workload that promised nothing", () => {
    const verdict = survivedBy({ ...counter, workload: ({ mapping }) => mapping.setU64(0, 1) });
    expect(verdict.notes).toEqual([expect.stringContaining("acknowledged nothing")]);
    expect(report(verdict).join("\n")).toContain("acknowledged nothing");
  });

  test("notes raw bytes that were handed out and not stored through", () => {
    const verdict = survivedBy({
      ...counter,
      workload(work) {
        expect(work.mapping.bytes.length).toBe(256);
        counter.workload(work);
      },
    });
    expect(verdict.notes).toEqual([expect.stringContaining("mapping.bytes was handed out")]);
  });

  test("starts from what setup made, which is durable", () => {
    const verdict = survivedBy({
      ...counter,
      setup: ({ mapping }) => mapping.setU64(64, 42n),
      check: ({ mapping, acked }) =>
        mapping.u64(64) === 42n && mapping.u64(0) >= BigInt(acked.length),
    });
    expect(verdict.space).toBe(7n);
    expect(verdict.notes).toEqual([]);
  });
});

describe("Lost", () => {
  const forgets = { ...counter, name: "forgets" };
  forgets.workload = ({ mapping, ack }) => {
    mapping.setU64(0, 1);
    ack(1);
  };

  type Check = Proof<number, undefined>["check"];
  const said = (check: Check) => lostBy({ ...forgets, check }).counterExample;
  const isBad = ({ mapping, acked }: Parameters<Check>[0]) => mapping.u64(0) < BigInt(acked.length);

  test("whatever the check says it with", () => {
    expect(said((found) => !isBad(found))).toMatchObject({
      how: "returned",
      said: "check returned false",
    });
    expect(said((found) => (isBad(found) ? "it is gone" : undefined))).toMatchObject({
      how: "returned",
      said: "it is gone",
    });
    const throws = (error: unknown) =>
      said((found) => {
        if (isBad(found)) throw error;
      });
    expect(throws(new Error("plainly"))).toMatchObject({ how: "threw", said: "plainly" });
    expect(throws(new DaxError("EUCLEAN", { detail: "torn" }))).toMatchObject({
      said: "EUCLEAN: structure needs cleaning (torn)",
    });
    expect(throws(new RangeError("too far"))).toMatchObject({ said: "RangeError: too far" });
    expect(throws("a string")).toMatchObject({ said: "threw a string" });
  });

  test("names the phase: a recovery may fail too", () => {
    const { counterExample } = lostBy({
      ...forgets,
      recover({ mapping }) {
        if (mapping.u64(0) === 0n) throw new Error("nothing to recover");
      },
    });
    expect(counterExample).toMatchObject({ phase: "recover", said: "nothing to recover" });
  });

  test("a recovery without end is found by counting its steps", () => {
    const { counterExample } = lostBy({
      ...forgets,
      budget: { steps: 1000 },
      recover({ mapping }) {
        while (mapping.u64(0) === 0n) mapping.u64(64);
      },
    });
    expect(counterExample).toMatchObject({ phase: "recover", how: "hung" });
    expect(counterExample.said).toContain("within 1000 loads");
    // One that swallows what ends it hangs none the less.
    const swallowed = lostBy({
      ...forgets,
      budget: { steps: 1000 },
      check({ mapping }) {
        for (let i = 0; i < 5000 && mapping.u64(0) === 0n; i++) {
          try {
            mapping.u64(64);
          } catch {
            return;
          }
        }
      },
    });
    expect(swallowed.counterExample).toMatchObject({ phase: "check", how: "hung" });
  });

  test("counts the failing states, and says when a power cut is not even needed", () => {
    const verdict = lostBy({ ...counter, check: ({ mapping }) => mapping.u64(0) > 99n });
    expect(verdict.failing).toBe(verdict.space);
    expect(verdict.counterExample.cuts[0]?.lost).toEqual([]);
    expect(verdict.missing).toBe(undefined);
    expect(verdict.noRemedy).toContain("no flush or fence can mend");
    expect(verdict.intact).toMatchObject({ phase: "check", said: "check returned false" });
    expect(report(verdict).join("\n")).toContain("the check fails even with no power cut");
    expect(toJson(verdict)).toMatchObject({ intact: { how: "returned" } });
  });

  test("says it of a recovery too, and in its own words, beside a state that really lost", () => {
    const verdict = lostBy({
      ...forgets,
      recover({ mapping }) {
        if (mapping.u64(0) === 1n) throw new Error("it is there");
      },
      check: ({ mapping }) => (mapping.u64(0) === 0n ? "it is gone" : true),
    });
    expect(verdict.counterExample.said).toBe("it is there");
    const both = lostBy({
      ...forgets,
      check: ({ mapping, acked }) =>
        acked.length === 0 || (mapping.u64(0) === 0n ? "it is gone" : "it is odd"),
    });
    expect(both.intact?.said).toBe("it is odd");
    for (const each of [verdict, both]) {
      const lines = report(each).join("\n");
      expect(lines).toMatch(/the (?:check|recovery) fails even with no power cut/u);
      expect(lines).toContain("not its durability");
    }
  });

  test("a volatile range keeps nothing, and is what is to blame", () => {
    const verdict = lostBy({ ...counter, domain: "volatile" });
    const [cut] = verdict.counterExample.cuts;
    const stores = cut?.timeline.filter(({ kind }) => kind === "store") ?? [];
    expect(stores.length).toBeGreaterThan(0);
    expect(stores.every(({ fate }) => fate === "lost")).toBe(true);
    expect(verdict.noRemedy).toContain("the media is volatile, and keeps nothing");
    const domains = [
      { start: 0, length: 128, domain: "volatile" as const },
      { start: 128, length: 128, domain: "adr" as const },
    ];
    expect(lostBy({ ...counter, domains }).noRemedy).toContain("a volatile range keeps nothing");
  });

  test("says nothing of the kind where only a power cut breaks it", () => {
    const verdict = lostBy(forgets);
    expect(verdict.intact).toBe(undefined);
    expect(report(verdict).join("\n")).not.toContain("no power cut");
    expect(verdict.missing?.length).toBe(1);
  });

  test("a failing state is reported even when the budget was hit", () => {
    const wide = defineProof({
      name: "wide",
      size: 4096,
      budget: { leaves: 500 },
      workload({ mapping, ack }) {
        for (let i = 0; i < 40; i++) mapping.setU64(i * 64, i + 1);
        mapping.fence();
        ack("all of it");
        mapping.setU64(8, 1);
      },
      check({ mapping, acked }) {
        for (let i = 0; i < 40; i++) {
          if (mapping.u64(i * 64) === 0n && acked.length > 0) return `${i} is gone`;
        }
        return true;
      },
    });
    const verdict = lostBy(wide);
    expect(verdict.complete).toBe(false);
    expect(verdict.counterExample.cuts[0]?.lost.length).toBe(1);
    expect(report(verdict).join("\n")).toContain("not every state was checked");
  });
});

test("every verdict becomes JSON, whatever was promised and thrown", () => {
  const cyclic: { self?: object } = {};
  cyclic.self = cyclic;
  const labels = [1n, "one", cyclic, undefined, Number.NaN, new Uint8Array([255, 1]), () => 1];
  const odd = defineProof<unknown, undefined>({
    name: "odd",
    size: 64,
    workload({ mapping, ack }) {
      for (const label of labels) ack(label);
      mapping.setU8(0, 1);
    },
    check({ mapping }) {
      if (mapping.u8(0) === 0) throw Object.assign(new Error("gone"), { cyclic });
    },
  });
  const verdict = lostBy(odd);
  const json = JSON.parse(JSON.stringify(toJson(verdict))) as Record<string, unknown>;
  expect(json).toMatchObject({
    kind: "Lost",
    space: "2",
    failing: "1",
    counterExample: { said: "gone", error: { name: "Error", message: "gone" } },
  });
  expect(report(verdict).length).toBeGreaterThan(5);
  for (const other of [brokenBy({ ...counter, check: () => Promise.resolve() as never })]) {
    expect(JSON.stringify(toJson(other))).toContain("promise");
  }
});
