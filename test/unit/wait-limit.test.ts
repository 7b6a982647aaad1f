/**
 * How long an exploration may take that waits for what it runs.
 */
import { describe, expect, test } from "vitest";
import { proveVolume } from "../../src/node/prove/volume-prover.ts";
import type { VolumeProof } from "../../src/node/prove/volume-proof.ts";
import { Unended, WaitLimit } from "../../src/node/prove/waiting.ts";

test("so many times as long as one call, from the first run on", () => {
  let now = 5000;
  const limit = new WaitLimit(2, () => now);
  now = 1_000_000;
  limit.another();
  now += 19_999;
  limit.another();
  now += 1;
  expect(() => limit.another()).toThrow(Unended);
  expect(() => limit.another()).toThrow(/after 2 runs of it, 20 s, .*longer patience/u);
});

/** Each start leaves what it has never left before. */
function endless(leaves?: number): VolumeProof {
  return {
    model: "ext4-ordered",
    commits: "asked",
    depth: 2,
    workload({ fs, ack }) {
      for (let i = 0; i < 6; i++) fs.writeFileSync(`/f${i}`, "x", { flush: true });
      ack("written");
    },
    async recover({ fs }) {
      await Promise.resolve();
      fs.appendFileSync("/starts", "another", { flush: true });
    },
    check: ({ fs, acked }) => acked.length === 0 || fs.existsSync("/f0"),
    ...(leaves === undefined ? {} : { budget: { leaves } }),
  };
}

describe("a recovery that waits, and writes something new in each state", () => {
  test("is not measured, and no pass", async () => {
    const verdict = await proveVolume(endless(40));
    expect(verdict).toMatchObject({ kind: "NotMeasured" });
  });

  test("ends when its time is over", async () => {
    const verdict = await proveVolume({ ...endless(), patience: 0.2 });
    expect(["NotMeasured", "HarnessBroken"]).toContain(verdict.kind);
  });
});
