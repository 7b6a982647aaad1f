/**
 * Proofs on files that say nothing, or cannot: none of them may end as if all were well.
 */
import { describe, expect, test } from "vitest";
import {
  type VolumeProof,
  type VolumeVerdict,
  expectAtomic,
  expectDurable,
  prove,
  stateOf,
  volumeReport,
} from "../../src/node/prove.ts";
import { DaxError } from "../../src/lib/errno.ts";

const make = { inodes: 64 } as const;
const workload: VolumeProof["workload"] = ({ fs, ack }) => {
  fs.writeFileSync("/f", "text", { flush: true });
  ack("written");
};
const check = expectAtomic("/f", undefined, "text");

async function verdictOf(proof: Partial<VolumeProof>): Promise<VolumeVerdict> {
  return prove({ make, workload, check, ...proof } as VolumeProof);
}

describe("what says nothing is no pass", () => {
  test("a check that accepts an empty volume", async () => {
    const verdict = await verdictOf({ check: () => true });
    expect(verdict).toMatchObject({ kind: "NotMeasured" });
    expect(verdict).toHaveProperty("why", expect.stringMatching(/it cannot fail/u));
  });

  test("a workload that never promises, with such a check", async () => {
    const verdict = await verdictOf({
      workload: ({ fs }) => fs.writeFileSync("/f", "text"),
    });
    expect(verdict).toHaveProperty("why", expect.stringMatching(/nothing was acknowledged/u));
  });

  test("a workload that stores nothing", async () => {
    const verdict = await verdictOf({ workload: ({ ack }) => ack("nothing") });
    expect(verdict).toHaveProperty("why", expect.stringMatching(/stored nothing/u));
  });

  test("a workload that does something else the second time", async () => {
    let runs = 0;
    const verdict = await verdictOf({
      workload: ({ fs }) => fs.writeFileSync("/f", `run ${++runs}`),
    });
    expect(verdict).toHaveProperty(
      "why",
      expect.stringMatching(/not deterministic.*writeFile \/f/u),
    );
  });

  test.each(["ext4-dax", "ext4-ordered", "ext2"] as const)(
    "a check of %s never right",
    async (model) => {
      const verdict = await verdictOf({
        model,
        check: ({ fs }) => fs.existsSync("/typo") || "gone",
      });
      expect(verdict).toMatchObject({
        kind: "Lost",
        missingCalls: undefined,
        intact: { phase: "check", how: "returned", said: "gone" },
      });
      const told = volumeReport(verdict).join("\n");
      expect(told).toContain("the check fails even with no power cut");
      expect(told).toContain("nothing: no fsync mends what no power cut broke");
    },
  );

  test("what was never synced is there without a power cut", async () => {
    const verdict = await verdictOf({
      model: "ext4-ordered",
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/f", "text");
        ack("written");
      },
      check: expectDurable("/f"),
    });
    expect(verdict).toMatchObject({ kind: "Lost", missingCalls: [{ what: "file", path: "/f" }] });
    expect(verdict).not.toHaveProperty("intact");
  });

  const twice = { workload, check: expectAtomic("/f", undefined, "text") };
  test.each<readonly [string, () => Partial<VolumeProof>]>([
    [
      "recovery that writes what chance says",
      () => ({ ...twice, recover: ({ fs }) => fs.writeFileSync("/r", String(Math.random())) }),
    ],
    [
      "recovery that writes the time",
      () => ({
        ...twice,
        recover: ({ fs }) => fs.writeFileSync("/r", String(process.hrtime.bigint())),
      }),
    ],
    [
      "recovery that counts how often it runs",
      () => {
        let runs = 0;
        return { ...twice, recover: ({ fs }) => fs.writeFileSync("/r", `run ${++runs}`) };
      },
    ],
    [
      "recovery that waits, and counts",
      () => {
        let runs = 0;
        return {
          ...twice,
          recover: async ({ fs }) => {
            await fs.promises.writeFile("/r", `run ${++runs}`);
          },
        };
      },
    ],
    [
      "a check that says something else each time",
      () => {
        let runs = 0;
        return { workload, check: () => (++runs % 2 === 0 ? "odd" : "even") };
      },
    ],
    [
      "a check that reads more the second time",
      () => {
        let runs = 0;
        const { check: plain } = twice;
        return {
          workload,
          check: (seen) => {
            if (++runs % 2 === 0 && seen.fs.existsSync("/f")) seen.fs.readFileSync("/f");
            return plain(seen);
          },
        };
      },
    ],
  ])("%s", async (_, proof) => {
    const verdict = await verdictOf(proof());
    expect(verdict).toMatchObject({ kind: "NotMeasured" });
    expect(verdict).toHaveProperty("why", expect.stringMatching(/not deterministic/u));
  });

  test("a budget that is too small", async () => {
    const verdict = await verdictOf({ budget: { leaves: 2 } });
    expect(verdict).toMatchObject({ kind: "NotMeasured", why: expect.stringMatching(/budget/u) });
  });
});

describe("what is wrong with a proof is told with the part", () => {
  test.each<readonly [string, Partial<VolumeProof>, string, RegExp]>([
    [
      "a check that writes",
      { check: ({ fs }) => fs.rmSync("/f", { force: true }) },
      "check",
      /rm/u,
    ],
    [
      "a workload that throws",
      {
        workload: () => {
          throw new Error("no more");
        },
      },
      "workload",
      /no more/u,
    ],
    [
      "a workload that waits for ever",
      { patience: 1, workload: () => new Promise(() => {}) },
      "workload",
      /within 1 s/u,
    ],
    [
      "a check that waits for ever",
      { patience: 1, check: () => new Promise(() => {}) },
      "check",
      /within 1 s/u,
    ],
    ["an option that is none", { modle: "ext2" } as never, "proof", /modle/u],
    ["a model that is none", { model: "ext5" as never }, "proof", /ext4-dax/u],
    [
      "a disk without room for a journal",
      { model: "ext4-ordered", machine: { size: 5 << 20 } },
      "proof",
      /too small for the journal of ext4; take 9 MiB/u,
    ],
    ["memory that is too small", { machine: { size: 65_536 } }, "proof", /ENOSPC|EINVAL/u],
  ])("%s", async (_, proof, phase, said) => {
    const verdict = await verdictOf(proof);
    expect(verdict).toMatchObject({ kind: "HarnessBroken", phase });
    expect(verdict).toHaveProperty("said", expect.stringMatching(said));
  });

  test("a check that throws objects, and one that loops hangs", async () => {
    const thrown = await verdictOf({
      check: () => {
        throw new Error("torn");
      },
    });
    expect(thrown).toMatchObject({ kind: "Lost", counterExample: { how: "threw", said: "torn" } });
    const hung = await verdictOf({
      budget: { steps: 4000 },
      check: ({ fs }) => {
        for (;;) fs.readdirSync("/");
      },
    });
    expect(hung).toMatchObject({
      kind: "Lost",
      counterExample: { said: expect.stringMatching(/does it end/u) },
    });
  });

  test("a state of another proof", async () => {
    for (const state of ["", "x", "9999", "0:99999999.7", "0/9999"]) {
      // One after the other: each runs the workload.
      // oxlint-disable-next-line no-await-in-loop
      const error = await stateOf({ make, workload, check }, state).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(DaxError);
    }
  });
});
