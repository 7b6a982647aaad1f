/**
 * Programs on files with more states than anybody looks at, of which some of the first to be looked
 * at are bad.
 */
import { expect, test } from "vitest";
import { type VolumeProof, prove, stateOf, volumeReport } from "../../src/node/prove.ts";

const budget = { leaves: 300 };

const FLAG_FIRST: VolumeProof = {
  name: "flag before data",
  make: { inodes: 64 },
  budget,
  commits: "asked",
  setup({ fs }) {
    fs.writeFileSync("/data", "o".repeat(1536));
    fs.writeFileSync("/flag", "0");
  },
  workload({ fs, ack }) {
    fs.writeFileSync("/flag", "1", { flag: "r+" });
    fs.writeFileSync("/data", "n".repeat(1536), { flag: "r+", flush: true });
    ack("both");
  },
  check({ fs }) {
    const isNew = fs.readFileSync("/flag", "utf8") === "1";
    const [first] = fs.readFileSync("/data", "utf8");
    return !isNew || first === "n" || "the flag says new, and it is old";
  },
};

const IN_PLACE: VolumeProof = {
  name: "in place",
  make: { inodes: 64 },
  setup: ({ fs }) => fs.writeFileSync("/f", "o".repeat(8192)),
  workload({ fs, ack }) {
    const file = fs.openSync("/f", "r+");
    fs.writeSync(file, "n".repeat(8192), 0);
    fs.fsyncSync(file);
    ack("all of it");
  },
  check: ({ fs }) => /^(?:o{8192}|n{8192})$/u.test(fs.readFileSync("/f", "utf8")) || "torn",
};

test("a flag that arrives before its data, among 2^25 states", async () => {
  const verdict = await prove(FLAG_FIRST);
  if (verdict.kind !== "Lost") throw new Error(volumeReport(verdict).join("\n"));
  expect(verdict.counterExample.said).toBe("the flag says new, and it is old");
  expect(verdict.counterExample.cuts[0]?.lost.length).toBe(1);
  expect(verdict.complete).toBe(false);
  expect((await stateOf(FLAG_FIRST, verdict.state)).said).toBe(verdict.counterExample.said);
  expect(volumeReport(await prove(FLAG_FIRST))).toEqual(volumeReport(verdict));
});

test("a file that is written in place, among 2^128 states", async () => {
  const small = await prove({ ...IN_PLACE, budget });
  if (small.kind !== "Lost") throw new Error(volumeReport(small).join("\n"));
  expect(small.leaves).toBeLessThanOrEqual(budget.leaves);
  const all = await prove({ ...IN_PLACE, commits: "asked" });
  if (all.kind !== "Lost") throw new Error(volumeReport(all).join("\n"));
  expect(all.leaves).toBeLessThan(10_000);
  expect(all.state).toBe(small.state);
});
