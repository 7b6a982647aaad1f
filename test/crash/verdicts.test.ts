/** Each way a proof may end, and that none of them is silent. */
import { describe, expect, test } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import { type Proof, defineProof, prove, report, toJson } from "../../src/crash/prove.ts";
import { brokenBy, lostBy, notMeasuredBy, survivedBy } from "../support/verdicts.ts";

/** A counter that is right, to be changed in one place. */
const counter = defineProof<number, undefined>({
  name: "counter",
  size: 256,
  workload({ mapping, ack }) {
    for (let n = 1; n <= 3; n++) {
      mapping.setU64(0, n);
      mapping.persist(0, 8);
      ack(n);
    }
  },
  check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length),
});

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

  test("notes a workload that promised nothing", () => {
    const verdict = survivedBy({ ...counter, workload: ({ mapping }) => mapping.setU64(0, 1) });
    expect(verdict.notes).toEqual([expect.stringContaining("acknowledged nothing")]);
    expect(report(verdict).join("\n")).toContain("acknowledged nothing");
  });

  test("notes a check that seems unable to fail", () => {
    const blind = { ...counter };
    blind.check = ({ mapping }) => mapping.u64(0) < 99n;
    expect(survivedBy(blind).notes).toEqual([expect.stringContaining("can it fail at all?")]);
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

function whyRaw(store: (bytes: Uint8Array) => void): string {
  return notMeasuredBy({
    ...counter,
    workload(work) {
      const { bytes } = work.mapping;
      store(bytes);
      counter.workload(work);
    },
  }).why;
}

describe("NotMeasured", () => {
  test("stores through mapping.bytes, in the workload", () => {
    expect(whyRaw((bytes) => bytes.fill(7, 100, 104))).toContain("bytes 100+4 changed through");
    // Even when recorded stores hide it afterwards.
    expect(whyRaw((bytes) => bytes.set([9], 0))).toContain("bytes 0+1 changed");
  });

  test("stores through mapping.bytes, in recovery or check", () => {
    const scribble = { ...counter };
    scribble.check = ({ mapping }) => {
      mapping.bytes[9] = 1;
    };
    expect(notMeasuredBy(scribble).why).toContain("recovery or check stored to bytes 9+1");
    const looks = { ...counter };
    looks.check = ({ mapping, acked }) => (mapping.bytes[0] ?? 0) >= acked.length;
    expect(survivedBy(looks).space).toBe(7n);
  });

  test("a check that is not deterministic", () => {
    let calls = 0;
    const loads = { ...counter };
    loads.check = ({ mapping }) => void mapping.u64((calls++ % 7) * 8);
    expect(notMeasuredBy(loads).why).toMatch(/not deterministic: the same state was run twice/u);
    const says = { ...counter };
    says.check = ({ mapping }) => `${mapping.u64(0)} ${calls++}`;
    expect(notMeasuredBy(says).why).toContain("not deterministic");
    const stores = { ...counter };
    stores.recover = ({ mapping }) => {
      mapping.setU64(64, calls++);
      return undefined;
    };
    expect(notMeasuredBy(stores).why).toContain("event 0 differs");
  });

  test("a check that goes astray only later", () => {
    let runs = 0;
    const late = { ...counter };
    late.workload = ({ mapping }) => {
      for (let i = 0; i < 4; i++) mapping.setU64(i * 64, 1);
    };
    late.check = ({ mapping }) => {
      runs++;
      const order = runs > 9 ? [3, 2, 1, 0] : [0, 1, 2, 3];
      for (const i of order) mapping.u64(i * 64);
    };
    expect(notMeasuredBy(late).why).toContain("where it had loaded 0+8");
  });

  test("a workload that is not deterministic", () => {
    let runs = 0;
    const moody = { ...counter };
    moody.workload = (work) => {
      work.mapping.setU64(128, ++runs);
      counter.workload(work);
    };
    expect(notMeasuredBy(moody).why).toContain("the workload is not deterministic");
    expect(notMeasuredBy(moody).why).toContain("event 0");
  });

  test("a budget that was hit, with the exact share", () => {
    const wide = { ...counter, size: 4096, budget: { leaves: 100 } };
    wide.workload = ({ mapping }) => {
      for (let i = 0; i < 20; i++) mapping.setU64(i * 64, 1);
    };
    wide.check = ({ mapping }) => {
      for (let i = 0; i < 20; i++) mapping.u64(i * 64);
    };
    const verdict = notMeasuredBy(wide);
    expect(verdict.share).toEqual({ covered: 100n, space: 2n ** 20n });
    expect(report(verdict)[1]).toContain("100 of 1,048,576 states were checked (less than 0.01 %)");
  });

  test("one large crash point leaves something for the later ones", () => {
    const wide = { ...counter, size: 4096, budget: { leaves: 1000 } };
    wide.workload = ({ mapping }) => {
      for (let i = 0; i < 20; i++) mapping.setU64(i * 64, 1);
      mapping.persist(0, 4096);
      mapping.setU64(0, 2);
    };
    wide.check = ({ mapping }) => {
      for (let i = 0; i < 20; i++) mapping.u64(i * 64);
    };
    const { share } = notMeasuredBy(wide);
    expect(share?.space).toBe(2n ** 20n + 2n);
    expect(share?.covered).toBe(750n + 2n);
  });

  test("a check that looks at nothing, and a workload that stores nothing", () => {
    expect(notMeasuredBy({ ...counter, check: () => true }).why).toContain("looked at nothing");
    expect(notMeasuredBy({ ...counter, workload: () => {} }).why).toContain("stored nothing");
  });
});

describe("HarnessBroken", () => {
  test("a workload or setup that throws, or does not end", () => {
    const throws = brokenBy({
      ...counter,
      workload() {
        throw new Error("no such thing");
      },
    });
    expect(throws).toMatchObject({ phase: "workload", said: "it threw: no such thing" });
    const setup = brokenBy({
      ...counter,
      setup: ({ mapping }) => mapping.setU64(256, 1),
    });
    expect(setup.phase).toBe("setup");
    expect(setup.said).toContain("ERANGE");
    const endless = brokenBy({
      ...counter,
      budget: { steps: 500 },
      workload({ mapping }) {
        for (;;) mapping.setU64(0, 1);
      },
    });
    expect(endless.said).toContain("did not end within 500");
  });

  test("anything that is asynchronous", () => {
    for (const part of ["setup", "workload", "recover", "check"] as const) {
      const verdict = brokenBy({ ...counter, [part]: async () => {} });
      expect([verdict.phase, verdict.said]).toEqual([
        part,
        expect.stringContaining("returned a promise"),
      ]);
    }
  });

  test("a check that is no working program, although every store has arrived", () => {
    const nothing = undefined as unknown as { length: number };
    const check = () => nothing.length > 0;
    const verdict = brokenBy({ ...counter, check });
    expect(verdict).toMatchObject({ phase: "check" });
    expect(verdict.said).toContain("TypeError");
  });

  test("but half a state may well make a program call what is not there", () => {
    const fragile = { ...counter, domain: "eadr" as const };
    fragile.workload = ({ mapping }) => {
      mapping.setU64(0, 1);
      mapping.setU64(8, 64);
      mapping.setU64(64, 5);
    };
    fragile.check = ({ mapping }) => {
      const at = [undefined, { offset: mapping.u64(8) }][Number(mapping.u64(0))];
      return (at as { offset: bigint }).offset > 0n;
    };
    const { counterExample } = lostBy(fragile);
    expect(counterExample).toMatchObject({ how: "threw", said: expect.stringContaining("Type") });
  });

  test("a proof that is none", () => {
    const said = (change: object) => brokenBy({ ...counter, ...change }).said;
    expect(said({ name: "" })).toContain("name");
    expect(said({ workload: 1 })).toContain("workload");
    expect(said({ recover: 1 })).toContain("recover");
    expect(said({ size: 100 })).toContain("multiple of 64");
    expect(said({ size: -64 })).toContain("EINVAL");
    expect(said({ size: 2 ** 40 })).toContain("EINVAL");
    expect(said({ size: "64" })).toContain("EINVAL");
    expect(said({ domains: [{ start: 0, length: 100, domain: "adr" }] })).toContain("domains");
    const all = [{ start: 0, length: 256, domain: "adr" }];
    expect(said({ domain: "adr", domains: all })).toContain("give one of them");
    expect(said({ domains: 7 })).toContain("domains");
    expect(said({ domain: "half" })).toContain("half");
    expect(said({ caching: [{ start: 1, length: 64, caching: "uncached" }] })).toContain("line");
    expect(said({ torn: "sideways" })).toContain("sideways");
    expect(said({ depth: 0 })).toContain("depth");
    expect(said({ depth: 99 })).toContain("depth");
    expect(said({ budget: { leaves: 0 } })).toContain("budget.leaves");
    const none = prove(undefined as unknown as typeof counter);
    expect(none).toMatchObject({ kind: "HarnessBroken", name: "unnamed" });
  });
});

describe("the report", () => {
  test("says how far a store to battery-backed memory came", () => {
    const verdict = lostBy({
      ...counter,
      domain: "eadr",
      workload({ mapping, ack }) {
        for (let i = 0; i < 60; i++) mapping.setU8(100 + i, 1);
        mapping.store(0, new Uint8Array(24).fill(1));
        ack(1);
      },
      check: ({ mapping }) => mapping.u64(0) === mapping.u64(16),
    });
    const lines = report(verdict);
    expect(lines.join("\n")).toMatch(/power cut {4}in the workload 8 bytes into event 60 \(store/u);
    expect(lines.find((line) => line.includes("store of 24 bytes"))).toMatch(
      /TORN {2}<- power cut/u,
    );
  });

  test("leaves out the middle of a long epoch", () => {
    const verdict = lostBy({
      ...counter,
      size: 4096,
      workload({ mapping }) {
        for (let i = 0; i < 100; i++) mapping.setU64(i * 8, 1);
      },
      check: ({ mapping }) => mapping.u64(0) === 1n || mapping.u64(99 * 8) === 0n,
    });
    const lines = report(verdict);
    expect(lines).toContain("    ... 61 more events ...");
    expect(lines.length).toBeLessThan(70);
    expect(lines.some((line) => /^ +0 {2}store .* LOST$/u.test(line))).toBe(true);
    expect(lines.some((line) => /^ +99 {2}store .* arrived$/u.test(line))).toBe(true);
  });

  test("paints without changing a word, and shortens paths", () => {
    const verdict = lostBy({
      ...counter,
      workload: ({ ack, mapping }) => {
        mapping.setU64(0, 1);
        ack(1);
      },
    });
    const plain = report(verdict, { shorten: () => "here.ts" });
    const painted = report(verdict, {
      shorten: () => "here.ts",
      paint: (style, words) => `<${style}>${words}</${style}>`,
    });
    expect(painted.map((line) => line.replaceAll(/<\/?\w+>/gu, "").trimEnd())).toEqual(
      plain.map((line) => line.trimEnd()),
    );
    expect(painted[0]).toBe("<bad>LOST</bad>  <strong>counter</strong>");
    expect(plain.join("\n")).toContain("here.ts:");
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
