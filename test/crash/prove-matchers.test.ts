/** Proofs in test runners. */
import { describe, expect, test } from "vitest";
import {
  type PowerLossAssertions,
  type VolumeProof,
  assertSurvivesPowerLoss,
  expectDurable,
  powerLossMatchers,
} from "../../src/node/prove.ts";

declare module "vitest" {
  // As docs/prove-files.md tells users to.
  // oxlint-disable-next-line no-unused-vars no-empty-object-type
  interface Matchers<T> extends PowerLossAssertions {}
}

expect.extend(powerLossMatchers);

const synced: VolumeProof["workload"] = ({ fs, ack }) => {
  fs.writeFileSync("/f", "new", { flush: true });
  ack("new");
};
const unsynced: VolumeProof["workload"] = ({ fs, ack }) => {
  fs.writeFileSync("/f", "new");
  ack("new");
};
const given = { model: "ext4-ordered", check: expectDurable("/f") } as const;
const nothingIsSaid = /NOT MEASURED/u;

describe("the matcher", () => {
  test("passes what survives, and fails with the counter-example", async () => {
    await expect(synced).toSurvivePowerLoss(given);
    await expect(unsynced).not.toSurvivePowerLoss(given);
    const failed = expect(unsynced).toSurvivePowerLoss(given);
    await expect(failed).rejects.toThrow(/fsync of \/f after writeFile/u);
    await expect(expect(synced).not.toSurvivePowerLoss(given)).rejects.toThrow(/SURVIVED/u);
  });

  test.each([
    ["a check that cannot fail", unsynced, { ...given, check: () => true }, nothingIsSaid],
    ["a workload that throws", () => reject(), given, /HARNESS BROKEN[^]*no reason/u],
    ["what is no function", 7, given, /given no function/u],
  ] as const)("%s fails both ways", async (_, workload, options, words) => {
    await expect(expect(workload).toSurvivePowerLoss(options)).rejects.toThrow(words);
    await expect(expect(workload).not.toSurvivePowerLoss(options)).rejects.toThrow(words);
  });
});

function reject(): never {
  throw new Error("no reason");
}

test("the assertion fails with the counter-example", async () => {
  await assertSurvivesPowerLoss(synced, given);
  await expect(assertSurvivesPowerLoss(unsynced, given)).rejects.toThrow(/LOST/u);
});
