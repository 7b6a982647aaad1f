/** Proofs that cannot be judged say why: not measured, or broken themselves. */
import { describe, expect, test } from "vitest";
import { prove, report } from "../../src/crash/prove.ts";
import { counter } from "../support/counter-proof.ts";
import { brokenBy, lostBy, notMeasuredBy, survivedBy } from "../support/verdicts.ts";

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

  test("a check that looks, and is content with what was there before", () => {
    const blind = { ...counter };
    blind.check = ({ mapping }) => mapping.u64(0) < 99n;
    expect(notMeasuredBy(blind).why).toContain("it cannot fail");
  });

  test("a check that looks at nothing, and a workload that stores nothing", () => {
    expect(notMeasuredBy({ ...counter, check: () => true }).why).toContain("looked at nothing");
    expect(notMeasuredBy({ ...counter, workload: () => {} }).why).toContain("stored nothing");
  });
});

const said = (change: object) => brokenBy({ ...counter, ...change }).said;

describe("HarnessBroken", () => {
  test("a check that writes, whatever it says", () => {
    const told = "it writes (8 bytes at 128); a check only looks: put what repairs into recover";
    for (const result of [true, false, "lost"]) {
      const check: typeof counter.check = ({ mapping }) => {
        mapping.setU64(128, 1);
        return result;
      };
      expect(brokenBy({ ...counter, check })).toMatchObject({ phase: "check", said: told });
    }
    // Also only where something was promised, and through a copy; to flush stores nothing.
    const checks = {
      late: ({ mapping, acked }) => {
        if (acked.length === 3) mapping.copyIn(5, new Uint8Array(1));
        return mapping.u64(0) >= BigInt(acked.length);
      },
      flushes: (seen) => {
        seen.mapping.persist(0, 8);
        return counter.check(seen);
      },
    } satisfies Record<string, typeof counter.check>;
    expect(brokenBy({ ...counter, check: checks.late }).said).toContain("it writes (1 byte at 5)");
    expect(survivedBy({ ...counter, check: checks.flushes }).space).toBe(7n);
  });

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
